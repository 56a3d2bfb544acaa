//! `amazon-ebsvolume`: volumes that the provisioners filled, and snapshots of them.

use bakehouse_api::{Artifact, Body, Cx, Diagnostics, Options, Result, async_trait};
use futures::future::try_join_all;

use crate::builder::Job;
use crate::client::{ApiError, Ec2, Pace};
use crate::held::{self, Thing};
use crate::machine::{Harvest, Off};
use crate::mark::unmark;
use crate::names::Names;
use crate::options::tags;
use crate::options::volume::{EbsVolume, VolumeOptions};
use crate::survey::{Common, Survey};
use crate::volumes::{Shot, attached, snapshot};
use crate::{artifact, check, share};

pub struct VolumeJob {
    options: VolumeOptions,
}

impl VolumeJob {
    pub fn prepare(body: &Body, found: &mut Diagnostics) -> Option<Self> {
        let options = VolumeOptions::from_body(body, found)?;
        let before = found.errors();
        check::volume(body, &options, found);
        (found.errors() == before).then_some(Self { options })
    }
}

#[async_trait]
impl Job for VolumeJob {
    fn common(&self) -> Common<'_> {
        let VolumeOptions { access, run, ebs_volumes, comm, .. } = &self.options;
        let devices = ebs_volumes.iter().map(|volume| &volume.device).collect();
        Common { access, run, devices, no_ephemeral: false, comm }
    }

    async fn names(&self, _cx: &Cx, _survey: &Survey) -> Result<Names> {
        Ok(Names::default())
    }

    fn harvest(&self, survey: &Survey, _names: &Names) -> Result<Box<dyn Harvest>> {
        let plans: Result<Vec<Plan>> = self.options.ebs_volumes.iter().map(|volume| Plan::of(survey, volume)).collect();
        Ok(Box::new(Keep { plans: plans?, pace: Pace::image(self.options.access.aws_polling.as_ref()) }))
    }
}

/// What becomes of one volume.
struct Plan {
    options: EbsVolume,
    tags: Vec<(String, String)>,
    snapshot_tags: Vec<(String, String)>,
    description: Option<String>,
}

impl Plan {
    fn of(survey: &Survey, volume: &EbsVolume) -> Result<Self> {
        Ok(Self {
            options: volume.clone(),
            tags: survey.render(&tags(&volume.tags, &volume.tag))?,
            snapshot_tags: survey.render(&tags(&volume.snapshot_tags, &volume.snapshot_tag))?,
            description: volume.snapshot_description.as_ref().map(|text| survey.text(text)).transpose()?,
        })
    }

    fn stays(&self) -> bool {
        !self.options.device.delete_on_termination
    }
}

struct Keep {
    plans: Vec<Plan>,
    pace: Pace,
}

#[async_trait]
impl Harvest for Keep {
    async fn capture(self: Box<Self>, cx: &Cx, off: Off) -> Result<Artifact> {
        let ec2 = off.ec2.clone();
        let devices: Vec<&str> = self.plans.iter().map(|plan| plan.options.device.device_name.as_str()).collect();
        let volumes: Vec<String> =
            attached(&ec2, &off.instance, &devices).await?.into_iter().map(|(_, volume)| volume).collect();
        let work = self.plans.iter().zip(&volumes).map(|(plan, volume)| self.treat(cx, &ec2, plan, volume));
        let shots: Vec<Shot> = try_join_all(work).await?.into_iter().flatten().collect();
        let kept: Vec<String> =
            self.plans.iter().zip(volumes).filter(|(plan, _)| plan.stays()).map(|(_, volume)| volume).collect();
        let snapshots: Vec<String> = shots.iter().map(|shot| shot.id.clone()).collect();
        // Without our mark they are the user's, and nothing takes them along with the instance.
        cx.interruptible(unmark(&ec2, kept.iter().chain(&snapshots).cloned())).await?;
        shots.iter().for_each(|shot| cx.forget(shot.undo));
        off.terminate(cx).await?;
        Ok(left(&ec2, &kept, &snapshots))
    }
}

impl Keep {
    async fn treat(&self, cx: &Cx, ec2: &Ec2, plan: &Plan, volume: &str) -> Result<Option<Shot>> {
        if !plan.tags.is_empty() {
            tag(ec2, volume, &plan.tags).await?;
        }
        if !plan.options.snapshot_volume {
            return Ok(None);
        }
        let description = plan.description.as_deref();
        let shot = snapshot(cx, ec2, volume, description, &plan.snapshot_tags, self.pace).await?;
        share::share_snapshot(ec2, &shot.id, &plan.options.snapshot_users, &plan.options.snapshot_groups).await?;
        Ok(Some(shot))
    }
}

async fn tag(ec2: &Ec2, id: &str, tags: &[(String, String)]) -> Result<()> {
    let tag = |(key, value): &(String, String)| aws_sdk_ec2::types::Tag::builder().key(key).value(value).build();
    let request = ec2.api.create_tags().resources(id).set_tags(Some(tags.iter().map(tag).collect()));
    match request.send().await.map_err(ApiError::from) {
        Ok(_) => Ok(()),
        Err(error) => Err(ec2.explain(format!("tagging {id}"), error).await),
    }
}

fn left(ec2: &Ec2, volumes: &[String], snapshots: &[String]) -> Artifact {
    let region = &ec2.region;
    let parts = |ids: &[String]| ids.iter().map(|id| format!("{region}:{id}")).collect::<Vec<_>>();
    let mut text = format!("EBS Volumes were created:\n\n{region}: {}\n", volumes.join(", "));
    if !snapshots.is_empty() {
        text += &format!("\nEBS Snapshots were created:\n\n{region}: {}\n", snapshots.join(", "));
    }
    let volume = |id: &String| Thing::Volume { token: id.clone(), id: Some(id.clone()) };
    let snapshot = |id: &String| Thing::Snapshot { token: id.clone(), id: Some(id.clone()) };
    let things = volumes.iter().map(volume).chain(snapshots.iter().map(snapshot));
    Artifact {
        builder_id: artifact::VOLUME.into(),
        id: parts(volumes).into_iter().chain(parts(snapshots)).collect::<Vec<_>>().join(","),
        text,
        destroy: things.map(|thing| held::undo(ec2, &thing, true)).collect(),
        ..Artifact::default()
    }
}
