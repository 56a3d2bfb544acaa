//! `amazon-ebssurrogate`: the provisioners fill another volume than the one the instance runs from; snapshots of it
//! are registered as an image.

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::BlockDeviceMapping;
use bakehouse_api::{Body, Cx, Diagnostics, Options, Result, async_trait};
use futures::future::try_join_all;

use crate::bake::{Bake, Matter};
use crate::builder::Job;
use crate::client::Pace;
use crate::image::{self, Label, Made};
use crate::launch::mapping;
use crate::machine::{Harvest, Off};
use crate::mark::token;
use crate::names::Names;
use crate::options::ami::{ImdsSupport, Virtualization};
use crate::options::surrogate::{RootDevice, SurrogateOptions};
use crate::reregister::asked;
use crate::survey::{Common, Survey};
use crate::volumes::{Shot, attached, snapshot};
use crate::{artifact, check};

pub struct SurrogateJob {
    options: SurrogateOptions,
    root: RootDevice,
}

impl SurrogateJob {
    pub fn prepare(body: &Body, found: &mut Diagnostics) -> Option<Self> {
        let options = SurrogateOptions::from_body(body, found)?;
        let before = found.errors();
        check::surrogate(body, &options, found);
        let root = options.ami_root_device.clone()?;
        (found.errors() == before).then_some(Self { options, root })
    }
}

#[async_trait]
impl Job for SurrogateJob {
    fn common(&self) -> Common<'_> {
        let SurrogateOptions { access, run, launch_block_device_mappings, comm, .. } = &self.options;
        let devices = launch_block_device_mappings.iter().map(|it| &it.device).collect();
        Common { access, run, devices, no_ephemeral: false, comm }
    }

    async fn names(&self, cx: &Cx, survey: &Survey) -> Result<Names> {
        Names::find(cx, &survey.ec2, Some(&survey.source.id), &self.options.ami).await
    }

    fn harvest(&self, survey: &Survey, names: &Names) -> Result<Box<dyn Harvest>> {
        let SurrogateOptions { access, ami, .. } = &self.options;
        let matter = Matter::Snapshots(Box::new(Surrogate { options: self.options.clone(), root: self.root.clone() }));
        let mut bake = Bake::new(artifact::SURROGATE, survey, names, ami, access.aws_polling.as_ref(), matter)?;
        bake.set_fact("architecture", self.options.ami_architecture.as_str());
        Ok(Box::new(bake))
    }
}

/// The image is registered of snapshots.
pub struct Surrogate {
    options: SurrogateOptions,
    root: RootDevice,
}

impl Surrogate {
    pub async fn image(&self, cx: &Cx, off: &Off, label: &Label, pace: Pace) -> Result<Made> {
        let wanted: Vec<&str> = self.kept_devices();
        let volumes = attached(&off.ec2, &off.instance, &wanted).await?;
        let shots = volumes.iter().map(|(_, volume)| {
            snapshot(cx, &off.ec2, volume, label.description.as_deref(), &label.snapshot_tags, pace)
        });
        let shots: Vec<Shot> = try_join_all(shots).await?;
        let snapshots: Vec<(&str, &str)> =
            volumes.iter().zip(&shots).map(|((device, _), shot)| (device.as_str(), shot.id.as_str())).collect();
        let made = self.register(cx, off, label, self.devices(&snapshots)).await?;
        // The image's own undo takes its snapshots along.
        shots.iter().for_each(|shot| cx.forget(shot.undo));
        Ok(made)
    }

    fn kept_devices(&self) -> Vec<&str> {
        let devices = self.options.launch_block_device_mappings.iter();
        let kept =
            devices.filter(|it| !it.omit_from_artifact && !it.device.no_device && it.device.virtual_name.is_none());
        kept.map(|it| it.device.device_name.as_str()).collect()
    }

    fn devices(&self, snapshots: &[(&str, &str)]) -> Vec<BlockDeviceMapping> {
        let mut made = Vec::new();
        for (device, snapshot) in snapshots {
            if *device == self.root.source_device_name {
                made.push(mapping(&self.root.device(snapshot)));
                continue;
            }
            let launched = self.options.launch_block_device_mappings.iter().map(|it| &it.device);
            let Some(like) = launched.into_iter().find(|it| it.device_name == *device) else { continue };
            let mut like = like.clone();
            // A snapshot brings its own encryption.
            (like.snapshot_id, like.encrypted, like.kms_key_id) = (Some((*snapshot).to_owned()), None, None);
            made.push(mapping(&like));
        }
        made.extend(self.options.ami_block_device_mappings.iter().map(mapping));
        made
    }

    async fn register(&self, cx: &Cx, off: &Off, label: &Label, devices: Vec<BlockDeviceMapping>) -> Result<Made> {
        let request = self.request(off, &label.marked(&token(cx)), devices);
        image::register(cx, &off.ec2, label, &off.instance, request).await
    }

    fn request(&self, off: &Off, label: &Label, devices: Vec<BlockDeviceMapping>) -> RegisterImageFluentBuilder {
        let options = &self.options;
        let ami = &options.ami;
        let virtualization = ami.ami_virtualization_type.unwrap_or(Virtualization::Hvm);
        let mut tags = label.clone();
        tags.snapshot_tags.clear();
        let mut request = off
            .ec2
            .api
            .register_image()
            .name(&label.name)
            .set_description(label.description.clone())
            .architecture(options.ami_architecture.as_str().into())
            .virtualization_type(virtualization.as_str())
            .root_device_name(&self.root.device_name)
            .ena_support(ami.ena_support.unwrap_or(virtualization == Virtualization::Hvm))
            .set_block_device_mappings(Some(devices))
            .set_tag_specifications(tags.specifications());
        if ami.imds_support == ImdsSupport::V2 {
            request = request.imds_support(ImdsSupport::V2.as_str().into());
        }
        if ami.sriov_support {
            request = request.sriov_net_support("simple");
        }
        asked(request, &options.firmware)
    }
}
