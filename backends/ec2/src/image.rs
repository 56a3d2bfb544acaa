//! Images: made of an instance, waited for, found again, removed.

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{BlockDeviceMapping, Image, ImageState, ResourceType};
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};

use crate::client::{ApiError, Ec2, Look, Pace, Reason, Stop, tagged, wait};
use crate::held::{Thing, Young, acquire, delete_snapshot, filter};
use crate::mark::{RUN_TAG, token, unmark};
use crate::source_ami;

/// An image that is not the user's yet.
#[derive(Clone, Debug)]
pub struct Made {
    pub id: String,
    pub region: String,
    pub undo: UndoId,
}

/// What an image is to be called and to carry.
#[derive(Clone, Debug, Default)]
pub struct Label {
    pub name: String,
    pub description: Option<String>,
    pub tags: Vec<(String, String)>,
    pub snapshot_tags: Vec<(String, String)>,
}

impl Label {
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// With our mark, until the image is the user's.
    pub fn marked(&self, token: &str) -> Self {
        let mut marked = self.clone();
        for tags in [&mut marked.tags, &mut marked.snapshot_tags] {
            tags.push((RUN_TAG.to_owned(), token.to_owned()));
        }
        marked
    }

    pub fn specifications(&self) -> Option<Vec<aws_sdk_ec2::types::TagSpecification>> {
        tagged([(ResourceType::Image, self.tags.as_slice()), (ResourceType::Snapshot, &self.snapshot_tags)])
    }
}

pub async fn create(
    cx: &Cx,
    ec2: &Ec2,
    instance: &str,
    label: &Label,
    devices: Vec<BlockDeviceMapping>,
) -> Result<Made> {
    cx.say(format!("Creating AMI {} from instance {instance}", label.name));
    let request = ec2
        .api
        .create_image()
        .instance_id(instance)
        .name(&label.name)
        .set_description(label.description.clone())
        .set_block_device_mappings(Some(devices).filter(|devices| !devices.is_empty()))
        .set_tag_specifications(label.marked(&token(cx)).specifications());
    let doing = format!("creating the image {} from {instance}", label.name);
    let thing = |id| Thing::Image { name: label.name.clone(), of: instance.to_owned(), id };
    let (id, undo) = acquire(cx, ec2, &doing, thing(None), async {
        let id = match request.send().await.map_err(ApiError::from) {
            Err(error) if error.is(Reason::Duplicate) => {
                named(ec2, &label.name, instance).await?.ok_or(error).map(Some)?
            }
            answer => answer?.image_id,
        };
        Ok((id.clone(), thing(id)))
    })
    .await?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS made an image and did not say which"))?;
    cx.message(format!("AMI: {id}"));
    Ok(Made { id, region: ec2.region.clone(), undo })
}

/// `of`: the instance or image that it comes from. The request carries our mark.
pub async fn register(
    cx: &Cx,
    ec2: &Ec2,
    label: &Label,
    of: &str,
    request: RegisterImageFluentBuilder,
) -> Result<Made> {
    cx.say(format!("Registering the AMI {}", label.name));
    let thing = |id| Thing::Image { name: label.name.clone(), of: of.to_owned(), id };
    let (id, undo) = acquire(cx, ec2, &format!("registering {}", label.name), thing(None), async {
        let id = match request.send().await.map_err(ApiError::from) {
            Err(error) if error.is(Reason::Duplicate) => named(ec2, &label.name, of).await?.ok_or(error).map(Some)?,
            answer => answer?.image_id,
        };
        Ok((id.clone(), thing(id)))
    })
    .await?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS registered an image and did not say which"))?;
    cx.message(format!("AMI: {id}"));
    Ok(Made { id, region: ec2.region.clone(), undo })
}

pub async fn available(cx: &Cx, ec2: &Ec2, id: &str, pace: Pace) -> Result<Image> {
    wait(cx, &format!("the image {id} in {} to become available", ec2.region), pace, || async move {
        let answer = ec2.api.describe_images().image_ids(id).send().await?;
        let Some(image) = answer.images().first() else { return Ok(Look::Yet("not there".into())) };
        match image.state() {
            Some(ImageState::Available) => Ok(Look::Done(image.clone())),
            Some(ImageState::Pending | ImageState::Transient) | None => Ok(Look::Yet("pending".into())),
            Some(other) => {
                let reason = image.state_reason().and_then(|reason| reason.message()).unwrap_or("no reason is given");
                let error = format!("the image {id} in {} is {}: {reason}", ec2.region, other.as_str());
                Err(Stop::Final(Error::new(Kind::Host, error)))
            }
        }
    })
    .await
}

/// Our image of that name, made of that very instance or image, where the endpoint tells.
pub async fn named(ec2: &Ec2, name: &str, of: &str) -> Result<Option<String>, ApiError> {
    let Some(image) = source_ami::mine(ec2, name).await? else { return Ok(None) };
    let from = image.source_instance_id().or(image.source_image_id());
    let ours = from.is_none_or(|from| from == of);
    Ok(image.image_id.filter(|_| ours))
}

/// From here on the image is the user's, and so are its snapshots.
pub async fn hand_over(ec2: &Ec2, image: &Image) -> Result<()> {
    unmark(ec2, image.image_id.iter().cloned().chain(snapshots_of(image))).await
}

/// Deregisters an image, and deletes its snapshots where asked. What is gone already is fine.
pub async fn remove(ec2: &Ec2, id: &str, with_snapshots: bool, young: Young) -> Result<()> {
    let doing = |error: ApiError| Error::from(error).context(format!("removing the image {id} in {}", ec2.region));
    let snapshots = if with_snapshots { snapshots(ec2, id).await.map_err(doing)? } else { Vec::new() };
    deregister(ec2, id, young).await.map_err(doing)?;
    for snapshot in snapshots {
        delete_snapshot(ec2, &snapshot, Young::NOT).await?;
    }
    Ok(())
}

/// An image that is protected from being deregistered refuses once; the protection is ours to take off.
async fn deregister(ec2: &Ec2, id: &str, young: Young) -> Result<(), ApiError> {
    let deregister = || async move { ec2.api.deregister_image().image_id(id).send().await.map_err(ApiError::from) };
    match young.gone(deregister).await {
        Err(refusal) if refusal.message.to_lowercase().contains("protect") => {
            ec2.api.disable_image_deregistration_protection().image_id(id).send().await?;
            young.gone(deregister).await
        }
        answer => answer,
    }
}

/// Those of its devices, and those that are still being made for it.
async fn snapshots(ec2: &Ec2, id: &str) -> Result<Vec<String>, ApiError> {
    let mut ids: Vec<String> = match ec2.api.describe_images().image_ids(id).send().await.map_err(ApiError::from) {
        Ok(answer) => answer.images().first().map(snapshots_of).unwrap_or_default(),
        Err(error) if error.is(Reason::NotFound) => Vec::new(),
        Err(error) => return Err(error),
    };
    // EC2 itself writes there which image a snapshot is made for.
    let described = filter("description", &format!("*{id}*"));
    let answer = ec2.api.describe_snapshots().owner_ids("self").filters(described).send().await?;
    ids.extend(answer.snapshots().iter().filter_map(|snapshot| snapshot.snapshot_id().map(str::to_owned)));
    ids.sort();
    ids.dedup();
    Ok(ids)
}

pub fn snapshots_of(image: &Image) -> Vec<String> {
    let devices = image.block_device_mappings().iter();
    devices.filter_map(|device| device.ebs()?.snapshot_id().map(str::to_owned)).collect()
}
