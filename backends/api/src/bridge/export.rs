//! From an image to disks of this machine.

use std::path::PathBuf;

use serde::Serialize;

use super::Via;

#[derive(Clone, Debug)]
pub struct Export {
    /// `ami-...`
    pub image: String,
    /// A folder that is there, for the disks.
    pub into: PathBuf,
    /// [`Via::EbsDirect`] or [`Via::Image`].
    pub via: Option<Via>,
    /// Where the way through a bucket puts the disk, and below which name.
    pub bucket: Option<String>,
    pub prefix: Option<String>,
    /// The service's role; none: `vmimport`.
    pub role: Option<String>,
}

/// Disks that came here, raw and with holes, the one to boot from first.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    pub via: Via,
    pub image: String,
    pub name: String,
    pub disks: Vec<PathBuf>,
    pub architecture: String,
    /// Empty where the image does not say.
    pub boot_mode: String,
}
