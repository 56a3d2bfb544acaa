//! From an image to disks of this machine.

use std::path::PathBuf;

use aws_sdk_ec2::types::{Image, ImageState};
use bakehouse_api::bridge::{Export, Exported, Via};
use bakehouse_api::{Cx, Error, Kind, Result};

use super::direct::LANES;
use super::{export_task, fetch};
use crate::client::{ApiError, Ec2, Reason};

/// A volume of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Volume {
    device: String,
    snapshot: String,
}

/// What came of them.
#[derive(Default)]
pub struct Brought {
    pub disks: Vec<PathBuf>,
    pub bytes: u64,
    pub received: u64,
}

pub async fn export(cx: &Cx, ec2: &Ec2, export: &Export) -> Result<Exported> {
    let image = cx.interruptible(describe(ec2, &export.image)).await?;
    let volumes = volumes(&image);
    if volumes.is_empty() {
        let error = format!("{} has no volume of EBS that could be read", export.image);
        return Err(Error::new(Kind::Input, error).hint("images of instance store cannot be exported"));
    }
    let (via, reason) = choose(export)?;
    cx.say(format!("Exporting {} by {}: {reason}", export.image, via.as_str()));
    let brought = match via {
        Via::Image => export_task::image(cx, ec2, export).await?,
        _ => direct(cx, ec2, export, &volumes).await?,
    };
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Ok(Exported {
        via,
        image: export.image.clone(),
        name: text(image.name()),
        disks: brought.disks,
        bytes: brought.bytes,
        received: brought.received,
        architecture: text(image.architecture().map(|it| it.as_str())),
        boot_mode: text(image.boot_mode().map(|it| it.as_str())),
    })
}

async fn direct(cx: &Cx, ec2: &Ec2, export: &Export, volumes: &[Volume]) -> Result<Brought> {
    let wanted = if export.all { volumes } else { &volumes[..1] };
    if wanted.len() < volumes.len() {
        let others: Vec<&str> = volumes[1..].iter().map(|volume| volume.device.as_str()).collect();
        cx.message(format!("Only {} comes along; --all takes {} too", wanted[0].device, others.join(", ")));
    }
    cx.message(format!("What comes is kept in {}: the same command goes on with it", export.into.display()));
    let mut brought = Brought::default();
    for (number, volume) in wanted.iter().enumerate() {
        cx.say(format!("Reading {}, the snapshot of {}", volume.snapshot, volume.device));
        let path = export.into.join(format!("disk{number}.raw"));
        let most = export.lanes.unwrap_or(LANES);
        let fetched = cx.interruptible(fetch::snapshot(cx, ec2, &volume.snapshot, &path, most)).await?;
        brought.disks.push(fetched.path);
        brought.bytes += fetched.size;
        brought.received += fetched.received;
    }
    Ok(brought)
}

async fn describe(ec2: &Ec2, id: &str) -> Result<Image> {
    let region = &ec2.region;
    let missing = || {
        Error::new(Kind::Input, format!("there is no image {id} in {region} that this account can see"))
            .hint("check its id, and its region: --region")
    };
    let answer = match ec2.api.describe_images().image_ids(id).send().await.map_err(ApiError::from) {
        Ok(answer) => answer,
        Err(error) if error.is(Reason::NotFound) => return Err(missing()),
        Err(error) => return Err(ec2.explain(format!("looking at {id}"), error).await),
    };
    let image = answer.images().first().ok_or_else(missing)?;
    match image.state() {
        Some(ImageState::Available) => Ok(image.clone()),
        state => {
            let state = state.map_or("unknown", |state| state.as_str());
            Err(Error::new(Kind::Input, format!("{id} is {state}")).hint("wait until it is available"))
        }
    }
}

/// The one to boot from first.
fn volumes(image: &Image) -> Vec<Volume> {
    let root = image.root_device_name();
    let volume = |mapping: &aws_sdk_ec2::types::BlockDeviceMapping| {
        let snapshot = mapping.ebs()?.snapshot_id()?.to_owned();
        Some(Volume { device: mapping.device_name().unwrap_or_default().to_owned(), snapshot })
    };
    let mut all: Vec<Volume> = image.block_device_mappings().iter().filter_map(volume).collect();
    all.sort_by_key(|volume| (Some(volume.device.as_str()) != root, volume.device.clone()));
    all
}

/// The way, and why.
fn choose(export: &Export) -> Result<(Via, &'static str)> {
    let bucket = export.bucket.is_some();
    match export.via {
        Some(Via::Snapshot) => Err(Error::new(Kind::Config, "an image cannot be exported by `snapshot`")
            .hint("take `ebs-direct`, or `image`, which goes through a bucket")),
        Some(Via::Image) if !bucket => {
            Err(Error::new(Kind::Config, "the way `image` needs a bucket").hint("name one: --bucket"))
        }
        Some(Via::Image) if export.all => {
            Err(Error::new(Kind::Config, "the service behind `image` exports one volume")
                .hint("take `ebs-direct` for all"))
        }
        Some(way) => Ok((way, "it was asked for")),
        None if bucket && !export.all => Ok((Via::Image, "a bucket is named")),
        None => Ok((Via::EbsDirect, "it needs neither a bucket nor a role")),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice};

    use super::*;

    fn asked(via: Option<Via>, bucket: bool, all: bool) -> Export {
        Export {
            image: "ami-1".into(),
            into: "x".into(),
            all,
            via,
            bucket: bucket.then(|| "disks".into()),
            prefix: None,
            role: None,
            lanes: None,
        }
    }

    #[test]
    fn the_way_is_chosen_by_what_is_given() {
        let via =
            |via, bucket, all| choose(&asked(via, bucket, all)).map(|(via, _)| via).map_err(|error| error.to_string());
        assert_eq!(via(None, false, false), Ok(Via::EbsDirect));
        assert_eq!(via(None, true, false), Ok(Via::Image));
        assert_eq!(via(None, true, true), Ok(Via::EbsDirect));
        assert_eq!(via(Some(Via::EbsDirect), true, false), Ok(Via::EbsDirect));
        assert_eq!(via(Some(Via::Image), false, false), Err("the way `image` needs a bucket".into()));
        assert!(via(Some(Via::Snapshot), true, false).is_err() && via(Some(Via::Image), true, true).is_err());
    }

    #[test]
    fn the_volume_to_boot_from_comes_first() {
        let mapping = |device: &str, snapshot: &str| {
            let ebs = EbsBlockDevice::builder().snapshot_id(snapshot).build();
            BlockDeviceMapping::builder().device_name(device).ebs(ebs).build()
        };
        let none = BlockDeviceMapping::builder().device_name("/dev/sdz").virtual_name("ephemeral0").build();
        let all = vec![mapping("/dev/sdb", "snap-2"), mapping("/dev/xvda", "snap-1"), none];
        let image = Image::builder().root_device_name("/dev/xvda").set_block_device_mappings(Some(all)).build();
        let snapshots: Vec<String> = volumes(&image).into_iter().map(|volume| volume.snapshot).collect();
        assert_eq!(snapshots, ["snap-1", "snap-2"]);
    }
}
