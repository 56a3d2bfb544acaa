//! An image that is registered again, of the very same snapshots: under another name, or with another firmware.
//! Both are fixed once an image is there. No data is copied.

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{BlockDeviceMapping, BootModeValues, Image, TpmSupportValues};
use bakehouse_api::{Cx, Result};

use crate::client::{Ec2, Pace};
use crate::held::Young;
use crate::image::{self, Label, Made};
use crate::mark::token;
use crate::network::given;
use crate::options::FirmwareOptions;
use crate::options::firmware::{BootMode, TpmSupport};

/// EC2 takes the billing of Windows, RHEL and the marketplace from the image: registering anew would lose it.
pub fn is_plain(image: &Image) -> bool {
    let linux = image.platform_details().is_none_or(|details| details == "Linux/UNIX");
    linux && image.platform().is_none() && image.product_codes().is_empty()
}

/// The same image once more. Its snapshots keep the tags that they have.
pub async fn request(ec2: &Ec2, image: &Image, label: &Label) -> RegisterImageFluentBuilder {
    let uefi = uefi_data(ec2, image.image_id().unwrap_or_default()).await;
    let tags = Label { snapshot_tags: Vec::new(), ..label.clone() };
    ec2.api
        .register_image()
        .name(&label.name)
        .set_description(label.description.clone())
        .set_architecture(image.architecture().cloned())
        .set_root_device_name(image.root_device_name().map(str::to_owned))
        .set_virtualization_type(image.virtualization_type().map(|kind| kind.as_str().to_owned()))
        .set_ena_support(image.ena_support())
        .set_sriov_net_support(image.sriov_net_support().map(str::to_owned))
        .set_boot_mode(image.boot_mode().cloned())
        .set_tpm_support(image.tpm_support().cloned())
        .set_imds_support(image.imds_support().cloned())
        .set_uefi_data(uefi)
        .set_block_device_mappings(Some(image.block_device_mappings().iter().map(again).collect()))
        .set_tag_specifications(tags.specifications())
}

/// A snapshot brings its own encryption.
pub fn again(device: &BlockDeviceMapping) -> BlockDeviceMapping {
    let mut device = device.clone();
    if let Some(ebs) = device.ebs.as_mut().filter(|ebs| ebs.snapshot_id.is_some()) {
        ebs.encrypted = None;
        ebs.kms_key_id = None;
    }
    device
}

pub async fn uefi_data(ec2: &Ec2, id: &str) -> Option<String> {
    let request = ec2.api.describe_image_attribute().image_id(id);
    let answer = request.attribute(aws_sdk_ec2::types::ImageAttributeName::UefiData).send().await.ok()?;
    answer.uefi_data?.value.filter(|data| !data.is_empty())
}

/// What the template says of the firmware; the rest stays as the request has it.
pub fn asked(request: RegisterImageFluentBuilder, firmware: &FirmwareOptions) -> RegisterImageFluentBuilder {
    let mut request = request;
    if firmware.boot_mode != BootMode::Unset {
        request = request.boot_mode(BootModeValues::from(firmware.boot_mode.as_str()));
    }
    if let Some(data) = given(&firmware.uefi_data) {
        request = request.uefi_data(data);
    }
    if firmware.tpm_support == TpmSupport::V2 {
        request = request.tpm_support(TpmSupportValues::V20);
    }
    request
}

/// An image of an instance has the firmware of its source. This one takes the place of `staged`, with another.
pub async fn with_firmware(
    cx: &Cx,
    ec2: &Ec2,
    staged: Made,
    label: &Label,
    firmware: &FirmwareOptions,
    pace: Pace,
) -> Result<Made> {
    let image = image::available(cx, ec2, &staged.id, pace).await?;
    let request = request(ec2, &image, &label.marked(&token(cx))).await;
    let made = image::register(cx, ec2, label, &staged.id, asked(request, firmware)).await?;
    image::remove(ec2, &staged.id, false, Young::NOT).await?;
    cx.forget(staged.undo);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{EbsBlockDevice, PlatformValues};

    use super::*;
    use crate::testing;

    #[test]
    fn billing_is_not_lost() {
        assert!(is_plain(&Image::builder().platform_details("Linux/UNIX").build()));
        assert!(!is_plain(&Image::builder().platform_details("Red Hat Enterprise Linux").build()));
        assert!(!is_plain(&Image::builder().platform(PlatformValues::Windows).build()));
    }

    #[test]
    fn a_snapshot_brings_its_own_encryption() {
        let ebs = EbsBlockDevice::builder().snapshot_id("snap-1").encrypted(true).volume_size(8).build();
        let device = again(&BlockDeviceMapping::builder().ebs(ebs).build());
        assert_eq!(device.ebs().unwrap().encrypted(), None);
        assert_eq!(device.ebs().unwrap().volume_size(), Some(8));
    }

    #[test]
    fn only_what_the_template_says_of_the_firmware_changes() {
        let firmware = |options| testing::decode::<FirmwareOptions>(options);
        let request = || testing::ec2().api.register_image().boot_mode(BootModeValues::UefiPreferred).uefi_data("old");
        let same = asked(request(), &firmware(serde_json::json!({})));
        let same = same.as_input();
        assert_eq!(same.get_boot_mode(), &Some(BootModeValues::UefiPreferred));
        assert_eq!((same.get_uefi_data().as_deref(), same.get_tpm_support()), (Some("old"), &None));
        let options = serde_json::json!({ "boot_mode": "uefi", "tpm_support": "v2.0", "uefi_data": "new" });
        let other = asked(request(), &firmware(options));
        let other = other.as_input();
        assert_eq!(other.get_boot_mode(), &Some(BootModeValues::Uefi));
        assert_eq!(other.get_tpm_support(), &Some(TpmSupportValues::V20));
        assert_eq!(other.get_uefi_data().as_deref(), Some("new"));
    }
}
