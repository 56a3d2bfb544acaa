//! An import, as far as nobody has to be asked.

use bakehouse_api::bridge::{Architecture, BootMode, Import, Via};

use super::Check;
use super::ami::is_key;
use crate::bridge::{ami_options, choose};

const FORMATS: [&str; 5] = ["raw", "vmdk", "vhd", "vhdx", "ova"];
/// GiB of a volume.
const SIZE: std::ops::RangeInclusive<u32> = 1..=65_536;
/// Requests under way at once.
const LANES: std::ops::RangeInclusive<usize> = 1..=512;

impl Check<'_> {
    pub fn import(&mut self, import: &Import) {
        let ami = ami_options(import);
        self.ami(&ami, true);
        self.image_tags(&ami);
        self.import_encryption(import);
        self.import_machine(import);
        self.import_way(import);
        if import.lanes.is_some_and(|lanes| !LANES.contains(&lanes)) {
            self.error("parallel", "`parallel` is a number of requests from 1 to 512");
        }
    }

    fn import_encryption(&mut self, import: &Import) {
        let Some(encryption) = &import.encryption else { return };
        if !import.groups.is_empty() {
            self.error("ami_groups", "what is encrypted cannot be shared with everybody");
        }
        let key = encryption.key.as_deref().filter(|key| !key.is_empty());
        if let Some(key) = key.filter(|key| self.known("ami_kms_key") && !is_key(key)) {
            self.error("ami_kms_key", format!("`{key}` is no key: take its id, `alias/NAME` or its ARN"));
        }
    }

    fn import_machine(&mut self, import: &Import) {
        let arm = matches!(import.architecture, Some(Architecture::Arm64 | Architecture::Arm64Mac));
        let mode = import.boot_mode.unwrap_or(BootMode::Unset);
        if arm && !matches!(mode, BootMode::Unset | BootMode::Uefi) && self.known("boot_mode") {
            self.error("boot_mode", "arm64 boots by UEFI only: `boot_mode = \"uefi\"`");
        }
        if import.volume_size.is_some_and(|size| !SIZE.contains(&size)) {
            self.error("volume_size", "`volume_size` is a number of GiB from 1 to 65536");
        }
    }

    fn import_way(&mut self, import: &Import) {
        let (via, _) = choose(import);
        let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if via != Via::EbsDirect && !set(&import.bucket) && self.known("s3_bucket_name") {
            self.error("s3_bucket_name", format!("the way `{}` needs `s3_bucket_name`", via.as_str()));
        }
        if let Some(format) = import.format.as_deref().filter(|format| !format.is_empty()) {
            if !FORMATS.contains(&format) {
                self.error("format", format!("`{format}` is none of {}", FORMATS.join(", ")));
            } else if via == Via::Snapshot && matches!(format, "ova" | "vhdx") {
                self.error("format", format!("the way `snapshot` takes raw, vmdk and vhd, and no {format}"));
            }
        }
        if set(&import.license) {
            let license = import.license.as_deref().unwrap_or_default();
            if !matches!(license, "AWS" | "BYOL") {
                self.error("license_type", format!("`{license}` is no licence: AWS or BYOL"));
            } else if via != Via::Image {
                self.error("license_type", format!("a licence is set by the way `image`, not by `{}`", via.as_str()));
            }
        }
        if set(&import.parent) && via != Via::EbsDirect {
            self.error("parent_snapshot", "a parent snapshot helps the way `ebs-direct` only");
        }
        if set(&import.parent) && import.encryption.is_some() {
            self.error("parent_snapshot", "a snapshot is encrypted as its parent is: leave `ami_encrypt` out");
        }
    }
}
