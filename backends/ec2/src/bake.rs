//! From an instance that is off to images in every region that the template names.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{AttributeBooleanValue, AttributeValue};
use bakehouse_api::bridge::Polling;
use bakehouse_api::{Artifact, Cx, Result, async_trait};

use crate::artifact;
use crate::client::{ApiError, Pace};
use crate::image::{self, Label};
use crate::launch::mapping;
use crate::machine::{Harvest, Off};
use crate::names::Names;
use crate::options::{AmiOptions, BlockDevice, FirmwareOptions, tags};
use crate::reregister::with_firmware;
use crate::retire;
use crate::spread::Spread;
use crate::surrogate::Surrogate;
use crate::survey::Survey;

/// What the first image is made of.
pub enum Matter {
    /// All volumes of the instance and these devices, with a firmware of their own where one is asked for.
    Instance(Vec<BlockDevice>, Option<FirmwareOptions>),
    /// Snapshots of some of its volumes.
    Snapshots(Box<Surrogate>),
}

pub struct Bake {
    builder_id: &'static str,
    spread: Spread,
    matter: Matter,
    facts: BTreeMap<String, String>,
}

#[async_trait]
impl Harvest for Bake {
    async fn capture(self: Box<Self>, cx: &Cx, off: Off) -> Result<Artifact> {
        let ec2 = off.ec2.clone();
        let (spread, pace) = (&self.spread, self.spread.pace);
        let label = spread.label_in(&ec2.region);
        let first = match &self.matter {
            Matter::Instance(devices, firmware) => {
                self.attributes(&off).await?;
                let devices = devices.iter().map(mapping).collect();
                match firmware {
                    None => image::create(cx, &ec2, &off.instance, &label, devices).await?,
                    Some(firmware) => {
                        let staged = label.named(&retire::other_name(&label.name));
                        let staged = image::create(cx, &ec2, &off.instance, &staged, devices).await?;
                        with_firmware(cx, &ec2, staged, &label, firmware, pace).await?
                    }
                }
            }
            Matter::Snapshots(surrogate) => surrogate.image(cx, &off, &label, pace).await?,
        };
        cx.say("Waiting for AMI to become ready...");
        image::available(cx, &ec2, &first.id, pace).await?;
        let (ended, copies) = tokio::join!(off.terminate(cx), spread.copies(cx, &ec2, &first));
        let (copies, ()) = (copies?, ended?);
        let done = spread.settle(cx, &ec2, first, copies).await?;
        Ok(artifact::images(self.builder_id, &ec2, done, self.facts))
    }
}

impl Bake {
    pub fn new(
        builder_id: &'static str,
        survey: &Survey,
        names: &Names,
        ami: &AmiOptions,
        polling: Option<&Polling>,
        matter: Matter,
    ) -> Result<Self> {
        let image_tags = survey.render(&tags(&ami.tags, &ami.tag))?;
        let mut snapshot_tags: BTreeMap<String, String> = image_tags.iter().cloned().collect();
        snapshot_tags.extend(survey.render(&tags(&ami.snapshot_tags, &ami.snapshot_tag))?);
        let label = Label {
            name: ami.ami_name.clone(),
            description: ami.ami_description.as_ref().map(|text| survey.text(text)).transpose()?,
            tags: image_tags,
            snapshot_tags: snapshot_tags.into_iter().collect(),
        };
        let spread = Spread { label, names: names.clone(), ami: ami.clone(), pace: Pace::image(polling) };
        Ok(Self { builder_id, spread, matter, facts: artifact::facts(survey) })
    }

    pub fn set_fact(&mut self, name: &str, value: &str) {
        self.facts.insert(name.to_owned(), value.to_owned());
    }

    /// Drivers are a property of the instance that the image takes over.
    async fn attributes(&self, off: &Off) -> Result<()> {
        let api = &off.ec2.api;
        if self.spread.ami.sriov_support {
            let value = AttributeValue::builder().value("simple").build();
            let request = api.modify_instance_attribute().instance_id(&off.instance).sriov_net_support(value);
            self.modified(off, "sriov_support", request.send().await.map(drop).map_err(ApiError::from)).await?;
        }
        if let Some(ena) = self.spread.ami.ena_support {
            let value = AttributeBooleanValue::builder().value(ena).build();
            let request = api.modify_instance_attribute().instance_id(&off.instance).ena_support(value);
            self.modified(off, "ena_support", request.send().await.map(drop).map_err(ApiError::from)).await?;
        }
        Ok(())
    }

    async fn modified(&self, off: &Off, option: &str, answer: Result<(), ApiError>) -> Result<()> {
        match answer {
            Ok(()) => Ok(()),
            Err(error) => Err(off.ec2.explain(format!("setting {option} of {}", off.instance), error).await),
        }
    }
}
