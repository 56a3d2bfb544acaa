//! What this backend acquires, and how each is undone, in this run or in a later one. An undo is in the journal
//! *before* the call that makes the thing: a call that was cut off may still have been carried out.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_ec2::types::{Filter, InstanceStateName};
use bakehouse_api::{Cx, Error, Kind, Result, Undo, UndoId, Undoer, async_trait};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::client::{ApiError, Ec2, Ended, Look, Pace, Place, Reason, Sessions, Stop, look_until, poll};
pub use crate::mark::RUN_TAG;
use crate::{bridge, image, profile};

/// A thing that a cut-off call may have made shows itself by then.
const APPEARS: Pace = Pace { deadline: Duration::from_secs(12), longest: Duration::from_secs(3) };
/// An instance takes up to minutes to end, and its network card holds the security group until then.
const ENDS: Pace = Pace { deadline: Duration::from_secs(240), longest: Duration::from_secs(5) };
/// A snapshot or a group may be in use for a while after its user went.
const FREED: Pace = Pace { deadline: Duration::from_secs(120), longest: Duration::from_secs(5) };
/// How long a new thing may be unknown here and there.
const YOUTH: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    KeyPair {
        name: String,
    },
    SecurityGroup {
        name: String,
        id: Option<String>,
    },
    /// `token` is in its tag, too.
    Instance {
        token: String,
        id: Option<String>,
    },
    Image {
        name: String,
        /// The instance or image it was made of, by which it is told from another of the same name.
        of: String,
        id: Option<String>,
    },
    /// Marked with its token.
    Snapshot {
        token: String,
        id: Option<String>,
    },
    Volume {
        token: String,
        id: Option<String>,
    },
    /// A role with its instance profile, of one name.
    Profile {
        name: String,
    },
    /// A snapshot that is being filled. Ours to delete only while it carries this token: another run may go on with it.
    Upload {
        token: String,
        id: Option<String>,
    },
    /// Parts of an object to be; without an id, those begun since.
    Parts {
        bucket: String,
        key: String,
        id: Option<String>,
    },
    /// An object that says by its metadata that it is ours.
    Object {
        bucket: String,
        key: String,
        token: String,
    },
    /// An import with whatever it makes, marked with its token.
    Task {
        token: String,
        id: Option<String>,
    },
    /// An export with the object that it writes.
    Export {
        token: String,
        id: Option<String>,
        bucket: String,
        prefix: String,
    },
}

impl Thing {
    fn what(&self, region: &str) -> String {
        match self {
            Thing::KeyPair { name } => format!("key pair {name} in {region}"),
            Thing::SecurityGroup { name, id } => format!("security group {} in {region}", id.as_ref().unwrap_or(name)),
            Thing::Instance { token, id } => format!("instance {} in {region}", id.as_ref().unwrap_or(token)),
            Thing::Image { name, id, .. } => format!("image {} in {region}", id.as_ref().unwrap_or(name)),
            Thing::Snapshot { token, id } => format!("snapshot {} in {region}", id.as_ref().unwrap_or(token)),
            Thing::Volume { token, id } => format!("volume {} in {region}", id.as_ref().unwrap_or(token)),
            Thing::Profile { name } => format!("role and instance profile {name}"),
            Thing::Upload { token, id } => format!("unfinished snapshot {} in {region}", id.as_ref().unwrap_or(token)),
            Thing::Parts { bucket, key, .. } => format!("parts of s3://{bucket}/{key}"),
            Thing::Object { bucket, key, .. } => format!("object s3://{bucket}/{key}"),
            Thing::Task { token, id } => format!("import task {} in {region}", id.as_ref().unwrap_or(token)),
            Thing::Export { token, id, .. } => format!("export task {} in {region}", id.as_ref().unwrap_or(token)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Data {
    place: Place,
    region: String,
    thing: Thing,
    /// The call that makes it is known to have ended well.
    made: bool,
    /// Seconds since 1970, when it was acquired.
    #[serde(default)]
    since: u64,
}

/// EC2 may answer that it does not know what was made a moment ago. Until then that does not mean that it is gone.
#[derive(Clone, Copy)]
pub struct Young(Option<Instant>);

impl Young {
    pub const NOT: Self = Self(None);

    fn since(since: u64) -> Self {
        let age = now().saturating_sub(since);
        Self(YOUTH.checked_sub(Duration::from_secs(age)).map(|rest| Instant::now() + rest))
    }

    /// Deletes; what is gone already is as it should be.
    pub async fn gone<T, F, Fut>(self, delete: F) -> Result<(), ApiError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, ApiError>>,
    {
        loop {
            match delete().await {
                Err(error) if !error.is(Reason::NotFound) => return Err(error),
                Err(_) if self.0.is_some_and(|end| Instant::now() < end) => sleep(Duration::from_secs(1)).await,
                _ => return Ok(()),
            }
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub fn undo(ec2: &Ec2, thing: &Thing, made: bool) -> Undo {
    let data =
        Data { place: ec2.session.place.clone(), region: ec2.region.clone(), thing: thing.clone(), made, since: now() };
    Undo { kind: "aws".into(), what: thing.what(&ec2.region), data: serde_json::json!(data) }
}

/// Makes a thing with its undo in the journal. `call` gives the thing again with its id.
pub async fn acquire<T>(
    cx: &Cx,
    ec2: &Ec2,
    doing: &str,
    thing: Thing,
    call: impl Future<Output = Result<(T, Thing), ApiError>>,
) -> Result<(T, UndoId)> {
    let intent = cx.hold(undo(ec2, &thing, false))?;
    match call.await {
        Ok((made, thing)) => {
            let held = cx.hold(undo(ec2, &thing, true))?;
            cx.forget(intent);
            Ok((made, held))
        }
        Err(error) => {
            // Where the answer is lost, the undo stays and looks for the thing.
            if !error.is(Reason::Unclear) {
                cx.forget(intent);
            }
            Err(ec2.explain(doing, error).await)
        }
    }
}

/// Undoes whatever this backend acquires.
pub struct Release {
    pub sessions: Arc<Sessions>,
}

#[async_trait]
impl Undoer for Release {
    fn kinds(&self) -> &'static [&'static str] {
        &["aws"]
    }

    fn patience(&self) -> Duration {
        ENDS.deadline + FREED.deadline
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let data: Data = serde_json::from_value(undo.data.clone())
            .map_err(|error| Error::new(Kind::Internal, error).context(format!("reading the undo of {}", undo.what)))?;
        let ec2 = self.sessions.again(&data.place).await?.ec2(&data.region);
        release(&ec2, data.thing, data.made, data.since).await
    }
}

async fn release(ec2: &Ec2, thing: Thing, made: bool, since: u64) -> Result<()> {
    let young = Young::since(since);
    match thing {
        Thing::KeyPair { name } => {
            if made || appears(|| key_pair(ec2, &name)).await?.is_some() {
                // To delete a key pair that is not there is no error at all.
                ec2.api.delete_key_pair().key_name(name).send().await.map_err(ApiError::from)?;
            }
            Ok(())
        }
        Thing::SecurityGroup { name, id } => match found(id, || security_group(ec2, &name)).await? {
            Some(id) => delete_security_group(ec2, &id, young).await,
            None => Ok(()),
        },
        Thing::Instance { token, id } => match found(id, || instance(ec2, &token)).await? {
            Some(id) => {
                terminate(ec2, &id, young).await?;
                leftovers(ec2, &token).await
            }
            None => Ok(()),
        },
        Thing::Image { name, of, id } => match found(id, || image::named(ec2, &name, &of)).await? {
            Some(id) => image::remove(ec2, &id, true, young).await,
            None => Ok(()),
        },
        Thing::Snapshot { token, id } => match found(id, || snapshot(ec2, &token)).await? {
            Some(id) => delete_snapshot(ec2, &id, young).await,
            None => Ok(()),
        },
        Thing::Volume { token, id } => match found(id, || volume(ec2, &token)).await? {
            Some(id) => delete_volume(ec2, &id, young).await,
            None => Ok(()),
        },
        Thing::Profile { name } => profile::remove(ec2, &name).await,
        Thing::Upload { token, id } => bridge::undo::upload(ec2, &token, id).await,
        Thing::Parts { bucket, key, id } => bridge::undo::parts(ec2, &bucket, &key, id, since).await,
        Thing::Object { bucket, key, token } => bridge::undo::object(ec2, &bucket, &key, &token).await,
        Thing::Task { token, id } => bridge::undo::task(ec2, &token, id).await,
        Thing::Export { token, id, bucket, prefix } => bridge::undo::export(ec2, &token, id, &bucket, &prefix).await,
    }
}

/// The id that is known, or that of the thing once it shows itself.
pub async fn found<F, Fut>(id: Option<String>, look: F) -> Result<Option<String>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Option<String>, ApiError>>,
{
    match id {
        Some(id) => Ok(Some(id)),
        None => appears(look).await,
    }
}

/// None when it did not show itself in time: the call was never carried out.
async fn appears<F, Fut>(look: F) -> Result<Option<String>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Option<String>, ApiError>>,
{
    let looked = look_until(APPEARS, || {
        let looked = look();
        async move {
            Ok(match looked.await? {
                Some(id) => Look::Done(id),
                None => Look::Yet("nothing".into()),
            })
        }
    });
    match looked.await {
        Ok(id) => Ok(Some(id)),
        Err(Ended::Late { answered: true, .. }) => Ok(None),
        Err(ended) => Err(ended.waiting_for("what a request that was cut off may have made")),
    }
}

/// What is gone already is as it should be.
pub fn gone<T, E: Into<ApiError>>(answer: Result<T, E>) -> Result<(), ApiError> {
    match answer.map_err(Into::into) {
        Err(error) if !error.is(Reason::NotFound) => Err(error),
        _ => Ok(()),
    }
}

/// Tries until nothing uses it any more.
pub async fn freed<F, Fut>(what: &str, delete: F) -> Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<(), ApiError>>,
{
    poll(&format!("{what} to be free"), FREED, || {
        let deleted = delete();
        async move {
            match deleted.await {
                Ok(()) => Ok(Look::Done(())),
                Err(error) if error.is(Reason::InUse) => Ok(Look::Yet(error.to_string())),
                Err(error) => Err(Stop::Api(error)),
            }
        }
    })
    .await
}

pub async fn delete_snapshot(ec2: &Ec2, id: &str, young: Young) -> Result<()> {
    let delete = || async move { ec2.api.delete_snapshot().snapshot_id(id).send().await.map_err(ApiError::from) };
    freed(&format!("the snapshot {id}"), || young.gone(delete)).await
}

async fn delete_volume(ec2: &Ec2, id: &str, young: Young) -> Result<()> {
    let delete = || async move { ec2.api.delete_volume().volume_id(id).send().await.map_err(ApiError::from) };
    freed(&format!("the volume {id}"), || young.gone(delete)).await
}

async fn delete_security_group(ec2: &Ec2, id: &str, young: Young) -> Result<()> {
    let delete = || async move { ec2.api.delete_security_group().group_id(id).send().await.map_err(ApiError::from) };
    freed(&format!("the security group {id}"), || young.gone(delete)).await
}

/// Volumes that do not go with their instance, unless they lost our mark: those are the user's.
async fn leftovers(ec2: &Ec2, token: &str) -> Result<()> {
    let answer = ec2.api.describe_volumes().filters(by_run(token)).send().await.map_err(ApiError::from);
    let answer = answer.map_err(|error| Error::from(error).context("looking for the volumes of the instance"))?;
    for id in answer.volumes().iter().filter_map(|volume| volume.volume_id()) {
        delete_volume(ec2, id, Young::NOT).await?;
    }
    Ok(())
}

/// Ends an instance and waits until it is gone: its network card holds its security group.
async fn terminate(ec2: &Ec2, id: &str, young: Young) -> Result<()> {
    let end = || async move { ec2.api.terminate_instances().instance_ids(id).send().await.map_err(ApiError::from) };
    young.gone(end).await.map_err(|error| Error::from(error).context(format!("terminating {id}")))?;
    poll(&format!("the instance {id} to end"), ENDS, || async move {
        let answer = ec2.api.describe_instances().instance_ids(id).send().await.map_err(ApiError::from);
        let answer = match answer {
            Err(error) if error.is(Reason::NotFound) => return Ok(Look::Done(())),
            answer => answer?,
        };
        let states = answer.reservations().iter().flat_map(|reservation| reservation.instances());
        let state = states.filter_map(|instance| instance.state()?.name().cloned()).next();
        Ok(match state {
            None | Some(InstanceStateName::Terminated) => Look::Done(()),
            Some(state) => Look::Yet(state.as_str().to_owned()),
        })
    })
    .await
}

pub fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn by_run(token: &str) -> Filter {
    filter(&format!("tag:{RUN_TAG}"), token)
}

async fn key_pair(ec2: &Ec2, name: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_key_pairs().key_names(name).send().await?;
    Ok(answer.key_pairs().first().and_then(|pair| pair.key_name().map(str::to_owned)))
}

async fn security_group(ec2: &Ec2, name: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_security_groups().filters(filter("group-name", name)).send().await?;
    Ok(answer.security_groups().first().and_then(|group| group.group_id().map(str::to_owned)))
}

async fn instance(ec2: &Ec2, token: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_instances().filters(by_run(token)).send().await?;
    let mut instances = answer.reservations().iter().flat_map(|reservation| reservation.instances());
    Ok(instances.find_map(|instance| instance.instance_id().map(str::to_owned)))
}

pub async fn snapshot(ec2: &Ec2, token: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_snapshots().owner_ids("self").filters(by_run(token)).send().await?;
    Ok(answer.snapshots().first().and_then(|snapshot| snapshot.snapshot_id().map(str::to_owned)))
}

async fn volume(ec2: &Ec2, token: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_volumes().filters(by_run(token)).send().await?;
    Ok(answer.volumes().first().and_then(|volume| volume.volume_id().map(str::to_owned)))
}
