//! Block devices, of the instance and of the image.

use bakehouse_api::{choices, options};

choices! {
    pub enum VolumeType {
        Gp2 = "gp2", Gp3 = "gp3", Io1 = "io1", Io2 = "io2", St1 = "st1", Sc1 = "sc1", Standard = "standard",
    }
}

options! {
    /// A block device.
    pub struct BlockDevice {
        /// `/dev/sda1`, `xvdb`: what the instance calls it.
        device_name: String,
        /// The volume goes with its instance.
        delete_on_termination: bool = false,
        /// Encrypt the volume. Unset: as its snapshot or the account has it.
        encrypted: Option<bool>,
        /// Key for the encryption: an id, an alias or an ARN. Needs `encrypted`.
        kms_key_id: Option<String>,
        /// Operations a second (io1, io2, gp3).
        iops: Option<u32>,
        /// MiB a second (gp3).
        throughput: Option<u32>,
        /// Leave out this device of the source image.
        no_device: bool = false,
        /// Snapshot that the volume starts from.
        snapshot_id: Option<String>,
        /// `ephemeral0` to `ephemeral23`: a disk of the host.
        virtual_name: Option<String>,
        /// Kind of the volume. Unset: EC2's own choice.
        volume_type: Option<VolumeType>,
        /// GiB. Unset: the snapshot's.
        volume_size: Option<u32>,
    }
}
