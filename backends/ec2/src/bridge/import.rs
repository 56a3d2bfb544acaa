//! From disks of this machine to an image in every region that is asked for.

use std::collections::BTreeMap;

use bakehouse_api::body::Verbatim;
use bakehouse_api::bridge::{AccountOptions, Import, Imported, Via};
use bakehouse_api::{Cx, Error, Kind, Result, Span, Template};
use std::sync::Arc;

use super::bucket::Errand;
use super::direct::{self, Order};
use super::layout::{self, Layout};
use super::source::{self, Source};
use super::{parent, register, store};
use crate::artifact;
use crate::client::{Ec2, Pace};
use crate::image::{self, Label, Made};
use crate::names::Names;
use crate::options::AmiOptions;
use crate::options::ami::ImdsSupport;
use crate::spread::Spread;
use crate::volumes::Shot;

pub const BUILDER: &str = "packer.post-processor.amazon-import";
const GIB: u64 = 1 << 30;

pub async fn import(cx: &Cx, ec2: &Ec2, account: &AccountOptions, import: &Import) -> Result<Imported> {
    let number = cx.interruptible(ec2.session.account()).await?;
    let ami = ami_options(import);
    let names = Names::find(cx, ec2, None, &ami).await?;
    let sources = source::bootable(cx, &import.disks).await?;
    fits(&sources, import)?;
    let layout = layout::find(cx, &sources[0], import).await?;
    let pace = Pace::image(account.access.aws_polling.as_ref());
    let spread = Spread { label: label(import), names, ami, pace };
    let old = spread.names.old.get(&ec2.region).filter(|_| import.encryption.is_none());
    let parent = import.parent.clone().or_else(|| parent::of_image(cx, old?, gib(&sources[0])));
    let label = spread.label_in(&ec2.region);
    let work = Work { ec2, import, sources: &sources, layout: &layout, parent, label, pace, number };
    let (via, first, sent) = work.first(cx).await?;
    cx.say("Waiting for AMI to become ready...");
    let image = image::available(cx, ec2, &first.id, pace).await?;
    let snapshots = image::snapshots_of(&image);
    let copies = spread.copies(cx, ec2, &first).await?;
    let images = spread.settle(cx, ec2, first, copies).await?;
    let facts = [("architecture", layout.architecture.as_str()), ("region", &ec2.region), ("import", via.as_str())];
    let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Ok(Imported {
        via,
        images: images.iter().cloned().collect(),
        snapshots,
        architecture: layout.architecture.as_str().into(),
        boot_mode: layout.boot_mode.as_str().into(),
        bytes: sources.iter().map(|source| source.size).sum(),
        sent,
        artifact: artifact::images(BUILDER, ec2, images, facts),
    })
}

fn fits(sources: &[Source], import: &Import) -> Result<()> {
    let needed = gib(&sources[0]);
    match import.volume_size.filter(|wanted| *wanted < needed) {
        None => Ok(()),
        Some(wanted) => {
            let disk = sources[0].label();
            let error = format!("{disk} needs a volume of {needed} GiB, and `volume_size` is {wanted}");
            Err(Error::new(Kind::Config, error)
                .hint("raise `volume_size`, or shrink the disk and its file systems first"))
        }
    }
}

fn gib(source: &Source) -> u32 {
    u32::try_from(source.size.div_ceil(GIB)).unwrap_or(u32::MAX)
}

/// The snapshots carry the tags of the image, and their own.
fn label(import: &Import) -> Label {
    let mut snapshot_tags = import.tags.clone();
    snapshot_tags.extend(import.snapshot_tags.clone());
    Label {
        name: import.name.clone(),
        description: import.description.clone(),
        tags: import.tags.clone().into_iter().collect(),
        snapshot_tags: snapshot_tags.into_iter().collect(),
    }
}

/// What a build would say of its image.
pub fn ami_options(import: &Import) -> AmiOptions {
    let text = |text: &String| Template::new(text.clone(), Span::default(), Arc::new(Verbatim));
    let texts = |map: &BTreeMap<String, String>| map.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let encryption = import.encryption.clone();
    AmiOptions {
        ami_name: import.name.clone(),
        ami_description: import.description.as_ref().map(text),
        ami_users: import.users.clone(),
        ami_groups: import.groups.clone(),
        ami_org_arns: import.org_arns.clone(),
        ami_ou_arns: import.ou_arns.clone(),
        ami_regions: import.regions.clone(),
        skip_region_validation: import.skip_region_validation,
        tags: texts(&import.tags),
        snapshot_tags: texts(&import.snapshot_tags),
        force_deregister: import.replace,
        encrypt_boot: encryption.as_ref().map(|_| true),
        region_kms_key_ids: encryption.map(|encryption| encryption.region_keys).unwrap_or_default(),
        imds_support: if import.imds_v2 { ImdsSupport::V2 } else { ImdsSupport::Unset },
        ..AmiOptions::plain()
    }
}

struct Work<'a> {
    ec2: &'a Ec2,
    import: &'a Import,
    sources: &'a [Source],
    layout: &'a Layout,
    /// Of the first disk: the one that was named, or that of the image which is replaced.
    parent: Option<String>,
    label: Label,
    pace: Pace,
    /// Of the account.
    number: String,
}

impl Work<'_> {
    /// The image in the region of the import, and how many bytes were sent for it.
    async fn first(&self, cx: &Cx) -> Result<(Via, Made, u64)> {
        let (via, reason) = choose(self.import);
        cx.say(format!("Importing by {}: {reason}", via.as_str()));
        match via {
            Via::EbsDirect => match self.direct(cx).await {
                // A missing permission; the bucket may be the way that is allowed.
                Err(error) if self.may_fall_back(&error) => {
                    cx.warn(format!("{error}; going through the bucket instead"));
                    self.through_bucket(cx).await
                }
                done => {
                    let (shots, sent) = done?;
                    Ok((via, self.register(cx, &shots).await?, sent))
                }
            },
            Via::Snapshot => self.through_bucket(cx).await,
            Via::Image => {
                let (made, sent) = self.errand().image(cx).await?;
                Ok((via, made, sent))
            }
        }
    }

    fn may_fall_back(&self, error: &Error) -> bool {
        let bucket = self.import.bucket.as_deref().is_some_and(|bucket| !bucket.is_empty());
        error.kind() == Kind::Missing && self.import.via.is_none() && bucket
    }

    async fn register(&self, cx: &Cx, shots: &[Shot]) -> Result<Made> {
        register::register(cx, self.ec2, &self.label, self.import, self.layout, shots).await
    }

    async fn through_bucket(&self, cx: &Cx) -> Result<(Via, Made, u64)> {
        let (shots, sent) = self.errand().snapshots(cx).await?;
        Ok((Via::Snapshot, self.register(cx, &shots).await?, sent))
    }

    fn errand(&self) -> Errand<'_> {
        let Self { ec2, import, sources, layout, label, pace, .. } = self;
        Errand { ec2, import, sources, label, layout, pace: *pace, lanes: import.lanes.unwrap_or(store::LANES) }
    }

    async fn direct(&self, cx: &Cx) -> Result<(Vec<Shot>, u64)> {
        let mut shots = Vec::new();
        let mut sent = 0;
        let description = self.label.description.as_deref().unwrap_or(&self.label.name);
        for (number, source) in self.sources.iter().enumerate() {
            let order = Order {
                account: &self.number,
                gib: gib(source),
                description,
                tags: &self.label.snapshot_tags,
                encrypted: self.import.encryption.is_some(),
                key: self.key(),
                // It is a snapshot of one disk.
                parent: self.parent.as_deref().filter(|_| number == 0),
                skip_unwritten: self.import.skip_unwritten,
                lanes: self.import.lanes.unwrap_or(direct::LANES),
                pace: self.pace,
            };
            let filled = direct::snapshot(cx, self.ec2, source, &order).await?;
            sent += filled.sent;
            shots.push(filled.shot);
        }
        cx.message(format!("Sent {} MiB of {}", sent >> 20, total(self.sources)));
        Ok((shots, sent))
    }

    /// EBS direct takes ARNs only.
    fn key(&self) -> Option<String> {
        let key = self.import.encryption.as_ref()?.key.as_deref().filter(|key| !key.is_empty())?;
        Some(key_arn(key, &self.ec2.region, &self.number))
    }
}

fn total(sources: &[Source]) -> String {
    format!("{} MiB", sources.iter().map(|source| source.size).sum::<u64>() >> 20)
}

fn key_arn(key: &str, region: &str, account: &str) -> String {
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let kind = if key.starts_with("alias/") { "" } else { "key/" };
    if key.starts_with("arn:") { key.to_owned() } else { format!("arn:{partition}:kms:{region}:{account}:{kind}{key}") }
}

/// The way, and why.
pub fn choose(import: &Import) -> (Via, &'static str) {
    use bakehouse_api::bridge::Platform;
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    match import.via {
        Some(via) => (via, "as it was told"),
        None if set(&import.license) => (Via::Image, "only this way sets a licence"),
        None if import.platform == Some(Platform::Windows) => (Via::Image, "only this way puts drivers into Windows"),
        None => {
            (Via::EbsDirect, "it needs no bucket and no role, leaves the guest as it is, and sends only what it holds")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_chosen_with_a_reason() {
        let way = |import: Import| choose(&import).0;
        assert_eq!(way(Import::default()), Via::EbsDirect);
        assert_eq!(way(Import { license: Some("BYOL".into()), ..Import::default() }), Via::Image);
        let told = Import { license: Some("BYOL".into()), via: Some(Via::Snapshot), ..Import::default() };
        assert_eq!(way(told), Via::Snapshot);
        assert_eq!(way(Import { bucket: Some("disks".into()), ..Import::default() }), Via::EbsDirect);
    }

    #[test]
    fn a_key_becomes_an_arn() {
        let arn = |key: &str| key_arn(key, "eu-west-1", "123456789012");
        assert_eq!(arn("alias/web"), "arn:aws:kms:eu-west-1:123456789012:alias/web");
        assert_eq!(arn("1-2"), "arn:aws:kms:eu-west-1:123456789012:key/1-2");
        assert_eq!(arn("arn:aws:kms:x:1:key/1"), "arn:aws:kms:x:1:key/1");
        assert!(key_arn("1", "cn-north-1", "1").starts_with("arn:aws-cn:"));
    }

    #[test]
    fn a_volume_holds_its_disk() {
        let source = |size| Source { origin: "d".into(), number: 0, path: "d".into(), size, rewritten: false };
        let asked = |size| Import { volume_size: Some(size), ..Import::default() };
        let error = fits(&[source(GIB + 512)], &asked(1)).unwrap_err();
        assert_eq!(error.message(), "d needs a volume of 2 GiB, and `volume_size` is 1");
        assert!(fits(&[source(GIB + 512)], &asked(2)).is_ok() && fits(&[source(GIB)], &Import::default()).is_ok());
    }
}
