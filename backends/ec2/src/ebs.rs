//! `amazon-ebs`: an image of an instance's own volumes.

use aws_sdk_ec2::types::BlockDeviceMapping;
use bakehouse_api::{Artifact, Body, Cx, Diagnostics, Error, Kind, Options, Result, async_trait};

use crate::bake::{Bake, Matter};
use crate::builder::Job;
use crate::machine::{Harvest, Off};
use crate::names::Names;
use crate::options::firmware::BootMode;
use crate::options::{AmiOptions, EbsOptions, FirmwareOptions};
use crate::survey::{Common, Survey};
use crate::{artifact, check};

pub struct Ebs {
    options: EbsOptions,
}

impl Ebs {
    pub fn prepare(body: &Body, found: &mut Diagnostics) -> Option<Self> {
        let options = EbsOptions::from_body(body, found)?;
        let before = found.errors();
        check::ebs(body, &options, found);
        (found.errors() == before).then_some(Self { options })
    }
}

#[async_trait]
impl Job for Ebs {
    fn common(&self) -> Common<'_> {
        let EbsOptions { access, run, devices, comm, no_ephemeral, .. } = &self.options;
        let devices = devices.launch_block_device_mappings.iter().collect();
        Common { access, run, devices, no_ephemeral: *no_ephemeral, comm }
    }

    fn encryption(&self) -> Option<Option<&str>> {
        encryption(&self.options.ami)
    }

    async fn names(&self, cx: &Cx, survey: &Survey) -> Result<Names> {
        if self.options.skip_create_ami {
            return Ok(Names::default());
        }
        check_encryption(&self.options.ami, survey)?;
        check_firmware(&self.options.firmware, survey)?;
        Names::find(cx, &survey.ec2, Some(&survey.source.id), &self.options.ami).await
    }

    fn harvest(&self, survey: &Survey, names: &Names) -> Result<Box<dyn Harvest>> {
        let EbsOptions { skip_create_ami, access, ami, firmware, devices, .. } = &self.options;
        if *skip_create_ami {
            return Ok(Box::new(NoImage));
        }
        let matter = Matter::Instance(devices.ami_block_device_mappings.clone(), firmware.asked().cloned());
        let polling = access.aws_polling.as_ref();
        Ok(Box::new(Bake::new(artifact::EBS, survey, names, ami, polling, matter)?))
    }
}

/// Of the instance's volumes, and so of the image: none where nothing is asked for.
fn encryption(ami: &AmiOptions) -> Option<Option<&str>> {
    let key = ami.kms_key_id.as_deref().filter(|key| !key.is_empty());
    (ami.encrypt_boot == Some(true)).then_some(key)
}

/// AWS decrypts no image.
fn check_encryption(ami: &AmiOptions, survey: &Survey) -> Result<()> {
    let encrypted = |device: &BlockDeviceMapping| device.ebs().is_some_and(|ebs| ebs.encrypted() == Some(true));
    if ami.encrypt_boot != Some(false) || !survey.source.devices.iter().any(encrypted) {
        return Ok(());
    }
    let error = format!("the source image {} is encrypted, and so is every image of it", survey.source.id);
    Err(Error::new(Kind::Config, error).hint("leave `encrypt_boot` out").at(ami.spans.at("encrypt_boot")))
}

/// The image is registered anew, for EC2 takes firmware in no other call.
fn check_firmware(firmware: &FirmwareOptions, survey: &Survey) -> Result<()> {
    let source = &survey.source;
    if firmware.asked().is_none() {
        return Ok(());
    }
    if !source.plain {
        let error =
            format!("the source image {} bills for its software, and a new firmware would lose that", source.id);
        let hint = "leave `boot_mode`, `uefi_data` and `tpm_support` out, and start from an image that has them";
        return Err(Error::new(Kind::Config, error).hint(hint).at(firmware.spans.at("boot_mode")));
    }
    if source.architecture == "arm64" && !matches!(firmware.boot_mode, BootMode::Unset | BootMode::Uefi) {
        let error = format!("the source image {} is of arm64, which boots by UEFI only", source.id);
        return Err(Error::new(Kind::Config, error).at(firmware.spans.at("boot_mode")));
    }
    Ok(())
}

struct NoImage;

#[async_trait]
impl Harvest for NoImage {
    async fn capture(self: Box<Self>, cx: &Cx, off: Off) -> Result<Artifact> {
        off.terminate(cx).await?;
        let text = "no AMI was made, as `skip_create_ami` says".into();
        Ok(Artifact { builder_id: artifact::EBS.into(), text, ..Artifact::default() })
    }
}
