//! Volumes instead of an image.

use std::collections::BTreeMap;

use bakehouse_api::{Template, options};
use bakehouse_kit::communicator::CommOptions;

use super::ami::TagBlock;
use super::devices::BlockDevice;
use super::{AccessOptions, RunOptions};

options! {
    /// A volume that stays, unless its `delete_on_termination` says otherwise.
    pub struct EbsVolume {
        /// Tags of the volume.
        tags: BTreeMap<String, Template>,
        /// The same as blocks.
        tag: Vec<TagBlock>,
        /// Make a snapshot of it too.
        snapshot_volume: bool = false,
        /// Description of the snapshot.
        snapshot_description: Option<Template>,
        /// Tags of the snapshot.
        snapshot_tags: BTreeMap<String, Template>,
        /// The same as blocks.
        snapshot_tag: Vec<TagBlock>,
        /// Accounts that may make volumes of the snapshot.
        snapshot_users: Vec<String>,
        /// `all`: everybody may make volumes of the snapshot.
        snapshot_groups: Vec<String>,
    }
    flatten { device: BlockDevice }
}

options! {
    /// Fills volumes: starts an instance with them, provisions it, and leaves the volumes when it goes.
    pub struct VolumeOptions {
        /// The volumes.
        ebs_volumes: Vec<EbsVolume>,
    }
    flatten { access: AccessOptions, run: RunOptions, comm: CommOptions }
}
