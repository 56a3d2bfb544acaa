//! What a template can say about AWS. Names and defaults are Packer's, but for `http_tokens`, which is `required`,
//! and for the temporary security group, which is not open to everybody where that can be helped.

pub mod ami;
pub mod data;
pub mod devices;
pub mod firmware;
pub mod policy;
pub mod run;
pub mod surrogate;
pub mod volume;

use std::collections::BTreeMap;

use bakehouse_api::{Template, options};
use bakehouse_kit::communicator::CommOptions;

pub use ami::{AmiOptions, DeviceOptions, TagBlock};
pub use bakehouse_api::bridge::AccessOptions;
pub use devices::BlockDevice;
pub use firmware::FirmwareOptions;
pub use run::RunOptions;

options! {
    /// Bakes an AMI: starts an instance of another image, provisions it, stops it and makes an image of its volumes.
    pub struct EbsOptions {
        /// Provision the instance and make no image of it.
        skip_create_ami: bool = false,
        /// Leave out the disks of the host that Windows images map (`xvdca` to `xvdcz`), which the new image would
        /// have too.
        no_ephemeral: bool = false,
    }
    flatten {
        access: AccessOptions, ami: AmiOptions, firmware: FirmwareOptions, devices: DeviceOptions, run: RunOptions,
        comm: CommOptions,
    }
}

/// Tags written as a map and as blocks.
pub fn tags(map: &BTreeMap<String, Template>, blocks: &[TagBlock]) -> BTreeMap<String, Template> {
    let blocks = blocks.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    map.clone().into_iter().chain(blocks).collect()
}
