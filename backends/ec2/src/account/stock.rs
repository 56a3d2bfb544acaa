//! The account's own images in a region: found, and removed with their snapshots.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{Filter, Image, SnapshotReturnCodes};
use bakehouse_api::account::{Removed, Stock, StoredImage, Wanted};
use bakehouse_api::{Error, Kind, Result};

use super::uses;
use crate::client::{ApiError, Ec2, Reason};
use crate::held::{Young, delete_snapshot, filter};
use crate::image::snapshots_of;

pub async fn find(ec2: &Ec2, wanted: &Wanted) -> Result<Stock> {
    // The account's own deprecated images come in any case.
    let request = ec2.api.describe_images().owners("self").include_disabled(true);
    let request = request.set_filters(Some(filters(wanted)).filter(|filters| !filters.is_empty()));
    let found = request.into_paginator().items().send().try_collect().await;
    let found: Vec<Image> = match found {
        Ok(found) => found,
        Err(error) => return Err(ec2.explain(format!("looking for images in {}", ec2.region), error).await),
    };
    let mut images: Vec<StoredImage> = found.iter().map(|image| stored(ec2, image)).collect();
    images.sort_by(|one, other| other.made.cmp(&one.made).then_with(|| one.id.cmp(&other.id)));
    let ids: Vec<String> = images.iter().map(|image| image.id.clone()).collect();
    let (mut uses, blind) = uses::of(ec2, &ids).await?;
    for image in &mut images {
        image.used_by = uses.remove(&image.id).unwrap_or_default();
    }
    Ok(Stock { images, blind })
}

fn filters(wanted: &Wanted) -> Vec<Filter> {
    let mut filters = Vec::new();
    if !wanted.names.is_empty() {
        filters.push(Filter::builder().name("name").set_values(Some(wanted.names.clone())).build());
    }
    for (key, value) in &wanted.tags {
        filters.push(match value {
            Some(value) => filter(&format!("tag:{key}"), value),
            None => filter("tag-key", key),
        });
    }
    filters
}

fn stored(ec2: &Ec2, image: &Image) -> StoredImage {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let volumes = image.block_device_mappings().iter().filter_map(|device| device.ebs()?.volume_size());
    StoredImage {
        id: text(image.image_id()),
        name: text(image.name()),
        region: ec2.region.clone(),
        made: image.creation_date().and_then(instant),
        state: text(image.state().map(|state| state.as_str())),
        gib: volumes.filter_map(|size| u64::try_from(size).ok()).sum(),
        tags: image.tags().iter().map(|tag| (text(tag.key()), text(tag.value()))).collect(),
        snapshots: snapshots_of(image),
        used_by: Vec::new(),
        protected: image.deregistration_protection().is_some_and(|protection| protection.starts_with("enabled")),
    }
}

fn instant(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(DateTime::from_str(text, DateTimeFormat::DateTime).ok()?).ok()
}

/// One call does both, so that a removal that is interrupted leaves no snapshots which nobody knows.
pub async fn remove(ec2: &Ec2, image: &StoredImage) -> Result<Removed> {
    let request = ec2.api.deregister_image().image_id(&image.id).delete_associated_snapshots(true);
    let answers: HashMap<String, SnapshotReturnCodes> = match request.send().await.map_err(ApiError::from) {
        Ok(answer) => {
            let results = answer.delete_snapshot_results().iter();
            results.filter_map(|result| Some((result.snapshot_id.clone()?, result.return_code.clone()?))).collect()
        }
        // Gone already, perhaps by our own request whose answer was lost: its snapshots are looked at one by one.
        Err(error) if error.is(Reason::NotFound) => HashMap::new(),
        Err(error) => return Err(ec2.explain(format!("deregistering {}", image.id), error).await),
    };
    let mut removed = Removed::default();
    for id in &image.snapshots {
        let kept = match answers.get(id) {
            Some(SnapshotReturnCodes::Success) => false,
            Some(SnapshotReturnCodes::WarnSkipped) => true,
            _ => !deleted(ec2, id).await?,
        };
        if kept { &mut removed.kept } else { &mut removed.snapshots }.push(id.clone());
    }
    Ok(removed)
}

/// False where another image is made of the snapshot.
async fn deleted(ec2: &Ec2, id: &str) -> Result<bool> {
    let request = ec2.api.describe_images().owners("self").include_disabled(true);
    let others = request.filters(filter("block-device-mapping.snapshot-id", id)).send().await;
    let others = match others {
        Ok(answer) => !answer.images().is_empty(),
        Err(error) => return Err(ec2.explain(format!("looking for other images of {id}"), error).await),
    };
    if others {
        return Ok(false);
    }
    let left = |error: Error| Error::new(Kind::Host, format!("its snapshot {id} is left: {error}"));
    delete_snapshot(ec2, id, Young::NOT).await.map(|()| true).map_err(left)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, ImageState, Tag};

    use super::*;

    #[test]
    fn what_is_told_of_an_image() {
        let ebs = EbsBlockDevice::builder().snapshot_id("snap-1").volume_size(8).build();
        let device = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs);
        let image = Image::builder()
            .image_id("ami-1")
            .name("web")
            .creation_date("2026-01-31T12:00:00.000Z")
            .state(ImageState::Available)
            .deregistration_protection("enabled-without-cooldown")
            .tags(Tag::builder().key("os").value("debian").build())
            .block_device_mappings(device.clone().build())
            .block_device_mappings(device.device_name("/dev/xvdb").build());
        let stored = stored(&crate::testing::ec2(), &image.build());
        assert_eq!(stored.made, Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_769_860_800)));
        assert_eq!((stored.gib, stored.protected, stored.state.as_str()), (16, true, "available"));
        assert_eq!(stored.tags["os"], "debian");
        assert_eq!(stored.snapshots, ["snap-1", "snap-1"]);
    }

    #[test]
    fn names_and_tags_are_filters_of_ec2() {
        let wanted = Wanted {
            names: vec!["web-*".into(), "app-*".into()],
            tags: vec![("Team".into(), Some("images".into())), ("keep".into(), None)],
        };
        let filters = filters(&wanted);
        let told: Vec<(&str, usize)> =
            filters.iter().map(|filter| (filter.name().unwrap_or_default(), filter.values().len())).collect();
        assert_eq!(told, [("name", 2), ("tag:Team", 1), ("tag-key", 1)]);
    }
}
