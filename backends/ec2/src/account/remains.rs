//! Whatever carries the mark of a build, in the order in which it can be removed.

use aws_sdk_ec2::types::{Filter, Tag, VolumeState};
use bakehouse_api::Result;
use bakehouse_api::account::Remains;

use crate::client::{ApiError, Ec2};
use crate::held::{Thing, filter, undo};
use crate::image::snapshots_of;
use crate::mark::{self, RUN_TAG};
use crate::profile;

/// What is left in one region.
pub async fn of_region(ec2: &Ec2) -> Result<Vec<Remains>> {
    let work = async { tokio::try_join!(instances(ec2), images(ec2), volumes(ec2), groups(ec2), key_pairs(ec2)) };
    let (instances, images, volumes, groups, key_pairs) = match work.await {
        Ok(found) => found,
        Err(error) => {
            return Err(ec2.explain(format!("looking for what builds left in {}", ec2.region), error).await);
        }
    };
    // An instance holds its group, and an image its snapshots.
    Ok([instances, images, volumes, groups, key_pairs].concat())
}

/// Roles with their instance profiles, which belong to no region.
pub async fn profiles(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let iam = aws_sdk_iam::Client::new(&ec2.session.config);
    let roles = iam.list_roles().into_paginator().items().send().try_collect().await?;
    let ours = roles.iter().filter_map(|role| {
        let token = role.role_name().strip_prefix(profile::PREFIX)?;
        remains(ec2, token, Thing::Profile { name: role.role_name().to_owned() })
    });
    Ok(ours.collect())
}

fn remains(ec2: &Ec2, token: &str, thing: Thing) -> Option<Remains> {
    let mark = mark::read(token)?;
    Some(Remains { run: mark.run, made: mark.made, undo: undo(ec2, &thing, true) })
}

fn token(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == Some(RUN_TAG))?.value()
}

fn marked() -> Filter {
    filter("tag-key", RUN_TAG)
}

async fn instances(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let states = ["pending", "running", "stopping", "stopped"].map(str::to_owned);
    let states = Filter::builder().name("instance-state-name").set_values(Some(states.into())).build();
    let request = ec2.api.describe_instances().filters(marked()).filters(states);
    let found = request.into_paginator().items().send().try_collect().await?;
    let found = found.iter().flat_map(|reservation| reservation.instances()).filter_map(|instance| {
        let token = token(instance.tags())?;
        remains(ec2, token, Thing::Instance { token: token.to_owned(), id: instance.instance_id.clone() })
    });
    Ok(found.collect())
}

/// Images, and the snapshots that are of none of them.
async fn images(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let images = ec2.api.describe_images().owners("self").filters(marked()).send().await?;
    let mut found: Vec<Remains> = images
        .images()
        .iter()
        .filter_map(|image| {
            let name = image.name().unwrap_or_default().to_owned();
            let thing = Thing::Image { name, of: String::new(), id: image.image_id.clone() };
            remains(ec2, token(image.tags())?, thing)
        })
        .collect();
    let theirs: Vec<String> = images.images().iter().flat_map(snapshots_of).collect();
    let request = ec2.api.describe_snapshots().owner_ids("self").filters(marked());
    let snapshots = request.into_paginator().items().send().try_collect().await?;
    let alone =
        snapshots.iter().filter(|snapshot| !theirs.iter().any(|id| Some(id.as_str()) == snapshot.snapshot_id()));
    found.extend(alone.filter_map(|snapshot| {
        let token = token(snapshot.tags())?;
        remains(ec2, token, Thing::Snapshot { token: token.to_owned(), id: snapshot.snapshot_id.clone() })
    }));
    Ok(found)
}

/// Those of an instance go with it.
async fn volumes(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let request = ec2.api.describe_volumes().filters(marked());
    let volumes = request.into_paginator().items().send().try_collect().await?;
    let free = volumes.iter().filter(|volume| volume.state() != Some(&VolumeState::InUse));
    let found = free.filter_map(|volume| {
        let token = token(volume.tags())?;
        remains(ec2, token, Thing::Volume { token: token.to_owned(), id: volume.volume_id.clone() })
    });
    Ok(found.collect())
}

async fn groups(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let request = ec2.api.describe_security_groups().filters(marked());
    let groups = request.into_paginator().items().send().try_collect().await?;
    let found = groups.iter().filter_map(|group| {
        let name = group.group_name().unwrap_or_default().to_owned();
        remains(ec2, token(group.tags())?, Thing::SecurityGroup { name, id: group.group_id.clone() })
    });
    Ok(found.collect())
}

async fn key_pairs(ec2: &Ec2) -> Result<Vec<Remains>, ApiError> {
    let answer = ec2.api.describe_key_pairs().filters(marked()).send().await?;
    let found = answer
        .key_pairs()
        .iter()
        .filter_map(|pair| remains(ec2, token(pair.tags())?, Thing::KeyPair { name: pair.key_name()?.to_owned() }));
    Ok(found.collect())
}
