//! What a build leaves, and what post-processors take and give.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Undo;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Who made it, Packer's builder id: "transcend.qemu", "packer.file", ...
    pub builder_id: String,
    /// "VM", "region:ami-...", a path: what the maker calls it.
    pub id: String,
    /// One or several lines for people.
    pub text: String,
    pub files: Vec<PathBuf>,
    /// What others may want to know: disk format, architecture, virtual size, boot mode, ...
    pub facts: BTreeMap<String, String>,
    /// How to destroy it, when the files alone are not all of it (an AMI, a registered VM).
    pub destroy: Vec<Undo>,
}
