//! From disks to an image: what is asked for, and what came out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::{Artifact, choices};

choices! {
    /// By which way a disk becomes an image.
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Via {
        /// Block by block into a snapshot; no bucket, no role.
        EbsDirect = "ebs-direct",
        /// Through a bucket into a snapshot, as it is.
        Snapshot = "snapshot",
        /// Through a bucket into an image, by a service that edits the guest.
        Image = "image",
    }
}

choices! {
    pub enum Architecture { X86_64 = "x86_64", Arm64 = "arm64", I386 = "i386", X86_64Mac = "x86_64_mac", Arm64Mac = "arm64_mac" }
}

choices! {
    pub enum BootMode { Unset = "", LegacyBios = "legacy-bios", Uefi = "uefi", UefiPreferred = "uefi-preferred" }
}

choices! {
    pub enum Platform { Linux = "linux", Windows = "windows" }
}

choices! {
    /// How a bucket encrypts an object.
    pub enum ObjectEncryption { Aes256 = "AES256", Kms = "aws:kms" }
}

/// How an image is encrypted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encryption {
    /// None: by the account's own key.
    pub key: Option<String>,
    /// Keys of the regions it is copied to; an empty one is the account's own there.
    pub region_keys: BTreeMap<String, String>,
}

/// An image to be made. What is none is found from the disk, or left to the cloud.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The one to boot from first. A box or an OVA stands for its disks.
    pub disks: Vec<PathBuf>,
    pub via: Option<Via>,
    pub name: String,
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Of the snapshots, besides those of the image.
    pub snapshot_tags: BTreeMap<String, String>,
    pub architecture: Option<Architecture>,
    pub boot_mode: Option<BootMode>,
    /// The network adapter of today's instances; on, unless told otherwise.
    pub ena: Option<bool>,
    pub tpm: bool,
    /// Instances answer to tokens only.
    pub imds_v2: bool,
    /// GiB of the root volume; none: what the disk needs.
    pub volume_size: Option<u32>,
    pub encryption: Option<Encryption>,
    /// Where it is copied to.
    pub regions: Vec<String>,
    pub skip_region_validation: bool,
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub org_arns: Vec<String>,
    pub ou_arns: Vec<String>,
    /// Takes the place of an image of the same name.
    pub replace: bool,
    /// A snapshot that holds most of the disk already: only what differs is sent.
    pub parent: Option<String>,
    /// Where the ways through a bucket put the disk.
    pub bucket: Option<String>,
    /// Its name there; none: one that nobody else has.
    pub key: Option<String>,
    /// The format it has there, `raw`, `vmdk`, `vhd`, `vhdx` or `ova`; none: what is smallest.
    pub format: Option<String>,
    pub object_encryption: Option<ObjectEncryption>,
    pub object_key: Option<String>,
    /// Leave the object in the bucket.
    pub keep_object: bool,
    /// The service's role; none: `vmimport`.
    pub role: Option<String>,
    /// `AWS` or `BYOL`.
    pub license: Option<String>,
    pub platform: Option<Platform>,
    /// Import it even if EC2 could not boot it, as far as can be seen.
    pub unchecked: bool,
    /// Blocks that were never written, as the file says, are left out of an encrypted image too: what they read back as
    /// is anything then. For disks that no tool has rewritten since.
    pub skip_unwritten: bool,
    /// Requests under way at once; none: what the service takes.
    pub lanes: Option<usize>,
    /// Leave what was sent when it fails or is interrupted: the same import goes on from there.
    pub keep_partial: bool,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    pub via: Via,
    /// The image in each region.
    pub images: BTreeMap<String, String>,
    /// The snapshots of the first one.
    pub snapshots: Vec<String>,
    pub architecture: String,
    pub boot_mode: String,
    /// Bytes of the disks, and those that were sent of them.
    pub bytes: u64,
    pub sent: u64,
    #[serde(skip)]
    pub artifact: Artifact,
}
