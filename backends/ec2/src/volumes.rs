//! Volumes of an instance, and snapshots of them.

use aws_sdk_ec2::types::{ResourceType, SnapshotState};
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};

use crate::client::{ApiError, Ec2, Look, Pace, Stop, tagged, wait};
use crate::held::{Thing, acquire};
use crate::instance;
use crate::mark::{RUN_TAG, token};

/// A snapshot that is not the user's yet.
pub struct Shot {
    pub id: String,
    pub undo: UndoId,
}

/// The volumes that the instance has at these devices, in their order.
pub async fn attached(ec2: &Ec2, id: &str, devices: &[&str]) -> Result<Vec<(String, String)>> {
    let instance = match instance::describe(ec2, id).await {
        Ok(instance) => instance,
        Err(error) => return Err(ec2.explain(format!("looking at the volumes of {id}"), error).await),
    };
    let volume = |device: &&str| {
        let mut mappings = instance.block_device_mappings().iter();
        let volume = mappings.find(|mapping| mapping.device_name() == Some(*device))?.ebs()?.volume_id()?;
        Some(((*device).to_owned(), volume.to_owned()))
    };
    devices
        .iter()
        .map(|device| {
            volume(device)
                .ok_or_else(|| Error::new(Kind::Input, format!("the instance {id} has no volume at {device}")))
        })
        .collect()
}

/// A snapshot that is complete.
pub async fn snapshot(
    cx: &Cx,
    ec2: &Ec2,
    volume: &str,
    description: Option<&str>,
    tags: &[(String, String)],
    pace: Pace,
) -> Result<Shot> {
    cx.say(format!("Creating a snapshot of {volume}"));
    let token = token(cx);
    let mut marked = tags.to_vec();
    marked.push((RUN_TAG.to_owned(), token.clone()));
    let request = ec2
        .api
        .create_snapshot()
        .volume_id(volume)
        .set_description(description.map(str::to_owned))
        .set_tag_specifications(tagged([(ResourceType::Snapshot, marked.as_slice())]));
    let thing = |id| Thing::Snapshot { token: token.clone(), id };
    let (id, undo) = acquire(cx, ec2, &format!("creating a snapshot of {volume}"), thing(None), async {
        let id = request.send().await.map_err(ApiError::from)?.snapshot_id;
        Ok((id.clone(), thing(id)))
    })
    .await?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS made a snapshot and did not say which"))?;
    complete(cx, ec2, &id, pace).await?;
    Ok(Shot { id, undo })
}

pub async fn complete(cx: &Cx, ec2: &Ec2, id: &str, pace: Pace) -> Result<()> {
    wait(cx, &format!("the snapshot {id} to complete"), pace, || async move {
        let answer = ec2.api.describe_snapshots().snapshot_ids(id).send().await?;
        let Some(snapshot) = answer.snapshots().first() else { return Ok(Look::Yet("not there".into())) };
        match snapshot.state() {
            Some(SnapshotState::Completed) => Ok(Look::Done(())),
            Some(SnapshotState::Error) => {
                let why = snapshot.state_message().unwrap_or("no reason is given");
                Err(Stop::Final(Error::new(Kind::Host, format!("the snapshot {id} failed: {why}"))))
            }
            _ => Ok(Look::Yet(format!("pending {}", snapshot.progress().unwrap_or_default()))),
        }
    })
    .await
}
