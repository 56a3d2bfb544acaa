//! An image of a second volume.

pub use bakehouse_api::bridge::Architecture;
use bakehouse_api::options;
use bakehouse_kit::communicator::CommOptions;

use super::devices::{BlockDevice, VolumeType};
use super::firmware::FirmwareOptions;
use super::{AccessOptions, AmiOptions, RunOptions};

options! {
    /// A device of the instance.
    pub struct SurrogateDevice {
        /// Leave its volume out of the image.
        omit_from_artifact: bool = false,
    }
    flatten { device: BlockDevice }
}

options! {
    /// The root device of the image.
    pub struct RootDevice {
        /// The device of the instance whose volume becomes the root.
        source_device_name: String,
        /// What the image calls it.
        device_name: String,
        /// The volume goes with its instance.
        delete_on_termination: bool = false,
        /// Operations a second (io1, io2, gp3).
        iops: Option<u32>,
        /// MiB a second (gp3).
        throughput: Option<u32>,
        /// Kind of the volume. Unset: EC2's own choice.
        volume_type: Option<VolumeType>,
        /// GiB. Unset: the snapshot's.
        volume_size: Option<u32>,
    }
}

impl RootDevice {
    /// As a device of the image, with the snapshot that it starts from.
    pub fn device(&self, snapshot: &str) -> BlockDevice {
        BlockDevice {
            device_name: self.device_name.clone(),
            delete_on_termination: self.delete_on_termination,
            encrypted: None,
            kms_key_id: None,
            iops: self.iops,
            throughput: self.throughput,
            no_device: false,
            snapshot_id: Some(snapshot.to_owned()),
            virtual_name: None,
            volume_type: self.volume_type,
            volume_size: self.volume_size,
            spans: Default::default(),
        }
    }
}

options! {
    /// Bakes an AMI of another volume than the one the instance runs from: the provisioners fill it, its snapshot is
    /// registered.
    pub struct SurrogateOptions {
        /// The root device of the image. Required.
        ami_root_device: Option<RootDevice>,
        /// Devices of the instance besides those of the source image. All that are not omitted are in the image.
        launch_block_device_mappings: Vec<SurrogateDevice>,
        /// Devices that the image has besides.
        ami_block_device_mappings: Vec<BlockDevice>,
        /// The image's architecture.
        ami_architecture: Architecture = Architecture::X86_64,
        /// Not supported: an image of the instance itself is what `amazon-ebs` makes.
        use_create_image: bool = false,
    }
    flatten { access: AccessOptions, ami: AmiOptions, firmware: FirmwareOptions, run: RunOptions, comm: CommOptions }
}
