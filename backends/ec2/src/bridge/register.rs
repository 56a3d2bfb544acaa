//! Snapshots become an image.

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{BlockDeviceMapping, BootModeValues, EbsBlockDevice, TpmSupportValues, VolumeType};
use bakehouse_api::bridge::{BootMode, Import};
use bakehouse_api::{Cx, Error, Kind, Result};

use super::layout::Layout;
use crate::client::{ApiError, Ec2, Reason};
use crate::held::{Thing, acquire};
use crate::image::{self, Label, Made};
use crate::mark::unmark;
use crate::options::ami::ImdsSupport;
use crate::volumes::Shot;

pub const ROOT: &str = "/dev/xvda";

/// The image takes the snapshots over: from here on its own undo removes them.
pub async fn register(
    cx: &Cx,
    ec2: &Ec2,
    label: &Label,
    import: &Import,
    layout: &Layout,
    shots: &[Shot],
) -> Result<Made> {
    let devices = shots.iter().enumerate().map(|(number, shot)| device(number, &shot.id, import));
    let request = described(ec2, label, import, layout).root_device_name(ROOT);
    let request = request.set_block_device_mappings(Some(devices.collect()));
    send(cx, ec2, label, request, shots).await
}

/// What every image of a disk says of itself. EC2's own defaults are a 32-bit guest on paravirtual hardware.
pub fn described(ec2: &Ec2, label: &Label, import: &Import, layout: &Layout) -> RegisterImageFluentBuilder {
    let mut tags = label.clone();
    tags.snapshot_tags.clear();
    let mut request = ec2
        .api
        .register_image()
        .name(&label.name)
        .set_description(label.description.clone())
        .architecture(layout.architecture.as_str().into())
        .virtualization_type("hvm")
        .ena_support(import.ena.unwrap_or(true))
        .set_tag_specifications(tags.specifications());
    if layout.boot_mode != BootMode::Unset {
        request = request.boot_mode(BootModeValues::from(layout.boot_mode.as_str()));
    }
    if import.tpm {
        request = request.tpm_support(TpmSupportValues::V20);
    }
    if import.imds_v2 {
        request = request.imds_support(ImdsSupport::V2.as_str().into());
    }
    request
}

pub async fn send(
    cx: &Cx,
    ec2: &Ec2,
    label: &Label,
    request: RegisterImageFluentBuilder,
    shots: &[Shot],
) -> Result<Made> {
    cx.say(format!("Registering the AMI {}", label.name));
    let of = shots.first().map(|shot| shot.id.clone()).unwrap_or_default();
    let thing = |id| Thing::Image { name: label.name.clone(), of: of.clone(), id };
    let (id, undo) = acquire(cx, ec2, &format!("registering {}", label.name), thing(None), async {
        let id = match request.send().await.map_err(ApiError::from) {
            // The answer of the first try was lost.
            Err(error) if error.is(Reason::Duplicate) => {
                of_snapshot(ec2, &label.name, &of).await?.ok_or(error).map(Some)?
            }
            answer => answer?.image_id,
        };
        Ok((id.clone(), thing(id)))
    })
    .await?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS registered an image and did not say which"))?;
    cx.message(format!("AMI: {id}"));
    let made = Made { id, region: ec2.region.clone(), undo };
    unmark(ec2, shots.iter().map(|shot| shot.id.clone())).await?;
    shots.iter().for_each(|shot| cx.forget(shot.undo));
    Ok(made)
}

async fn of_snapshot(ec2: &Ec2, name: &str, snapshot: &str) -> Result<Option<String>, ApiError> {
    let Some(image) = crate::source_ami::mine(ec2, name).await? else { return Ok(None) };
    let ours = image::snapshots_of(&image).iter().any(|id| id == snapshot);
    Ok(image.image_id.filter(|_| ours))
}

fn device(number: usize, snapshot: &str, import: &Import) -> BlockDeviceMapping {
    // The letters after `a`; EC2 takes that many devices and no more.
    let letter = char::from(b'a' + u8::try_from(number).unwrap_or(25).min(25));
    let name = if number == 0 { ROOT.to_owned() } else { format!("/dev/sd{letter}") };
    let ebs = EbsBlockDevice::builder()
        .snapshot_id(snapshot)
        .delete_on_termination(true)
        .volume_type(VolumeType::Gp3)
        .set_volume_size(import.volume_size.filter(|_| number == 0).and_then(|gib| i32::try_from(gib).ok()));
    BlockDeviceMapping::builder().device_name(name).ebs(ebs.build()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_disk_is_the_root() {
        let import = Import { volume_size: Some(20), ..Import::default() };
        let (root, data) = (device(0, "snap-0", &import), device(1, "snap-1", &import));
        assert_eq!((root.device_name(), data.device_name()), (Some(ROOT), Some("/dev/sdb")));
        assert_eq!(root.ebs().unwrap().volume_size(), Some(20));
        assert_eq!(data.ebs().unwrap().volume_size(), None);
        assert_eq!(data.ebs().unwrap().encrypted(), None, "a snapshot brings its own encryption");
    }
}
