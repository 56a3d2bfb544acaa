//! An account at a platform that keeps what builds leave: its images with their users, and what is left there of
//! builds whose journals are lost.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::{Result, Undo, async_trait};

/// Whose account it is, and where to look. What is not set, the environment says.
#[derive(Clone, Debug, Default)]
pub struct Login {
    pub profile: Option<String>,
    pub endpoint: Option<String>,
    /// Empty: the one that the environment or the profile says.
    pub regions: Vec<String>,
}

/// Which images are meant: those that fit one of the names and all of the tags.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// With `*` and `?`. Empty: any.
    pub names: Vec<String>,
    /// A key, and the value where only that one counts.
    pub tags: Vec<(String, Option<String>)>,
}

/// An image of the account's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredImage {
    pub id: String,
    pub name: String,
    pub region: String,
    pub made: Option<SystemTime>,
    /// "available", "pending", ...
    pub state: String,
    /// Of its volumes together.
    pub gib: u64,
    pub tags: BTreeMap<String, String>,
    pub snapshots: Vec<String>,
    /// What would miss it: "instance i-1", "launch template web (lt-1) version 3".
    pub used_by: Vec<String>,
    /// The platform refuses to remove it until somebody takes the protection off.
    pub protected: bool,
}

impl StoredImage {
    pub fn is_pending(&self) -> bool {
        self.state == "pending"
    }
}

/// Images, and whose use of them could not be asked for: "Auto Scaling groups in eu-west-1: access denied".
#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub images: Vec<StoredImage>,
    pub blind: Vec<String>,
}

/// What became of an image's snapshots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Removed {
    pub snapshots: Vec<String>,
    /// Those that another image is made of.
    pub kept: Vec<String>,
}

/// Something that carries the mark of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Remains {
    /// The beginning of the id of the run that made it.
    pub run: String,
    pub made: SystemTime,
    pub undo: Undo,
}

#[async_trait]
pub trait Account: Send + Sync {
    /// The youngest of a region first.
    async fn images(&self, wanted: &Wanted) -> Result<Stock>;
    /// Removes an image with the snapshots that no other image is made of.
    async fn remove(&self, image: &StoredImage) -> Result<Removed>;
    /// Everything that carries the mark of a build, in the order in which it can be removed; and what could not be
    /// looked at.
    async fn remains(&self) -> Result<(Vec<Remains>, Vec<String>)>;
    async fn undo(&self, undo: &Undo) -> Result<()>;
}
