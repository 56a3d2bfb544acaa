//! From an image to disks of this machine.

use std::path::PathBuf;

use serde::Serialize;

use super::Via;

#[derive(Clone, Debug)]
pub struct Export {
    /// `ami-...`
    pub image: String,
    /// A folder that is there, for the disks. What an interrupted export has brought stays in it, and the next one
    /// goes on with that.
    pub into: PathBuf,
    /// Every volume; else the one to boot from.
    pub all: bool,
    /// [`Via::EbsDirect`] or [`Via::Image`].
    pub via: Option<Via>,
    /// Where the way through a bucket puts the disk, and below which name.
    pub bucket: Option<String>,
    pub prefix: Option<String>,
    /// The service's role; none: `vmimport`.
    pub role: Option<String>,
    /// Requests under way at once.
    pub lanes: Option<usize>,
}

/// Disks that came here, raw and with holes, the one to boot from first.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    pub via: Via,
    pub image: String,
    pub name: String,
    pub disks: Vec<PathBuf>,
    /// Of the disks, and what came over the network in this run.
    pub bytes: u64,
    pub received: u64,
    pub architecture: String,
    /// Empty where the image does not say.
    pub boot_mode: String,
}
