//! From an instance that is off to images in every region that the template names.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{AttributeBooleanValue, AttributeValue};
use bakehouse_api::{Artifact, Cx, Result, async_trait};
use futures::future::{join_all, try_join_all};

use crate::artifact;
use crate::client::{ApiError, Ec2, Pace};
use crate::copy::{Encryption, copy};
use crate::image::{self, Label, Made};
use crate::launch::mapping;
use crate::machine::{Harvest, Off};
use crate::names::Names;
use crate::network::given;
use crate::options::access::Polling;
use crate::options::{AmiOptions, BlockDevice, FirmwareOptions, tags};
use crate::reregister::with_firmware;
use crate::retire;
use crate::share::share;
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
    label: Label,
    names: Names,
    ami: AmiOptions,
    matter: Matter,
    pace: Pace,
    facts: BTreeMap<String, String>,
}

#[async_trait]
impl Harvest for Bake {
    async fn capture(self: Box<Self>, cx: &Cx, off: Off) -> Result<Artifact> {
        let ec2 = off.ec2.clone();
        let label = self.label_in(&ec2.region);
        let first = match &self.matter {
            Matter::Instance(devices, firmware) => {
                self.attributes(&off).await?;
                let devices = devices.iter().map(mapping).collect();
                match firmware {
                    None => image::create(cx, &ec2, &off.instance, &label, devices).await?,
                    Some(firmware) => {
                        let staged = label.named(&retire::other_name(&label.name));
                        let staged = image::create(cx, &ec2, &off.instance, &staged, devices).await?;
                        with_firmware(cx, &ec2, staged, &label, firmware, self.pace).await?
                    }
                }
            }
            Matter::Snapshots(surrogate) => surrogate.image(cx, &off, &label, self.pace).await?,
        };
        cx.say("Waiting for AMI to become ready...");
        image::available(cx, &ec2, &first.id, self.pace).await?;
        let copies = self.names.copies.iter().map(|region| self.copy(cx, &ec2, &first, region));
        let (ended, copies) = tokio::join!(off.terminate(cx), try_join_all(copies));
        let (copies, ()) = (copies?, ended?);
        let done = self.settle(cx, &ec2, first, copies).await?;
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
        let (names, ami, pace) = (names.clone(), ami.clone(), Pace::image(polling));
        Ok(Self { builder_id, label, names, ami, matter, pace, facts: artifact::facts(survey) })
    }

    pub fn set_fact(&mut self, name: &str, value: &str) {
        self.facts.insert(name.to_owned(), value.to_owned());
    }

    /// The name in a region, or another one as long as it is not free or not wanted there.
    fn label_in(&self, region: &str) -> Label {
        let unwanted = self.ami.skip_save_build_region && !self.names.copies.iter().any(|copy| copy == region);
        match self.names.old.contains_key(region) || unwanted {
            true => self.label.named(&retire::other_name(&self.label.name)),
            false => self.label.clone(),
        }
    }

    /// Drivers are a property of the instance that the image takes over.
    async fn attributes(&self, off: &Off) -> Result<()> {
        let api = &off.ec2.api;
        if self.ami.sriov_support {
            let value = AttributeValue::builder().value("simple").build();
            let request = api.modify_instance_attribute().instance_id(&off.instance).sriov_net_support(value);
            self.modified(off, "sriov_support", request.send().await.map(drop).map_err(ApiError::from)).await?;
        }
        if let Some(ena) = self.ami.ena_support {
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

    async fn copy(&self, cx: &Cx, ec2: &Ec2, first: &Made, region: &str) -> Result<Made> {
        let there = ec2.in_region(region);
        let key = self.ami.region_kms_key_ids.get(region).cloned();
        let encryption = match (key, self.ami.encrypt_boot) {
            (Some(key), _) => Encryption::With(given(&Some(key))),
            (None, Some(true)) => Encryption::With(None),
            (None, _) => Encryption::AsItIs,
        };
        copy(cx, &there, (&first.region, &first.id), &self.label_in(region), &encryption, self.pace).await
    }

    /// Everything is there and nothing old is gone yet: share it, let it take the old one's place, hand it over.
    async fn settle(&self, cx: &Cx, ec2: &Ec2, first: Made, copies: Vec<Made>) -> Result<Vec<(String, String)>> {
        let mut kept = copies;
        if self.ami.skip_save_build_region {
            cx.say(format!("Removing {}: it was only to be copied", first.id));
            cx.release(first.undo).await?;
        } else {
            kept.insert(0, first);
        }
        try_join_all(kept.iter().map(|made| self.shared(cx, ec2, made))).await?;
        let mut done = Vec::new();
        let settled = join_all(kept.iter().map(|made| self.placed(cx, ec2, made))).await;
        let mut failure = None;
        for (made, settled) in kept.iter().zip(settled) {
            match settled {
                Ok(id) => done.push((made.region.clone(), id)),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => {
                kept.iter().for_each(|made| cx.forget(made.undo));
                Ok(done)
            }
            Some(error) => Err(error),
        }
    }

    async fn shared(&self, cx: &Cx, ec2: &Ec2, made: &Made) -> Result<()> {
        let there = ec2.in_region(&made.region);
        let image = image::available(cx, &there, &made.id, self.pace).await?;
        share(cx, &there, &image, &self.ami).await?;
        cx.interruptible(image::hand_over(&there, &image)).await
    }

    /// The image under its own name.
    async fn placed(&self, cx: &Cx, ec2: &Ec2, made: &Made) -> Result<String> {
        let Some(old) = self.names.old.get(&made.region) else { return Ok(made.id.clone()) };
        let there = ec2.in_region(&made.region);
        let with_snapshots = self.ami.force_delete_snapshot;
        let image = retire::replace(cx, &there, old, made, &self.label, with_snapshots, self.pace).await?;
        share(cx, &there, &image, &self.ami).await?;
        image::hand_over(&there, &image).await?;
        Ok(image.image_id.unwrap_or_default())
    }
}
