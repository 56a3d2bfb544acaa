//! How what an import acquires is released.

use std::time::Duration;

use aws_sdk_ec2::types::Tag;
use aws_sdk_s3::types::MultipartUpload;
use bakehouse_api::{Error, Result};

use super::export_task;
use super::task::{self, Made};
use crate::client::{ApiError, Ec2, Look, Pace, Reason, Stop, poll};
use crate::held::{self, RUN_TAG, Young, delete_snapshot, found};
use crate::image;

/// A task that was cancelled takes what it has made along.
const CANCELLED: Pace = Pace { deadline: Duration::from_secs(180), longest: Duration::from_secs(5) };
/// Between our clock and theirs.
const SKEW: u64 = 300;

pub async fn upload(ec2: &Ec2, token: &str, id: Option<String>) -> Result<()> {
    let Some(id) = found(id, || held::snapshot(ec2, token)).await? else { return Ok(()) };
    match mark(ec2, &id).await {
        // A new snapshot may be unknown for a while; it cannot have been taken over by then.
        Ok(None) => Ok(()),
        Ok(Some(mark)) if mark != token => Ok(()),
        Ok(Some(_)) => delete_snapshot(ec2, &id, Young::NOT).await,
        Err(error) if error.is(Reason::NotFound) => delete_snapshot(ec2, &id, Young::NOT).await,
        Err(error) => Err(Error::from(error).context(format!("looking at the snapshot {id}"))),
    }
}

/// By which run a snapshot is being filled; none when it is the user's.
pub async fn mark(ec2: &Ec2, id: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_snapshots().snapshot_ids(id).send().await?;
    let tags = answer.snapshots().first().map(|snapshot| snapshot.tags()).unwrap_or_default();
    Ok(value(tags, RUN_TAG))
}

pub fn value(tags: &[Tag], key: &str) -> Option<String> {
    tags.iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value().map(str::to_owned))
}

pub async fn parts(ec2: &Ec2, bucket: &str, key: &str, id: Option<String>, since: u64) -> Result<()> {
    let s3 = ec2.s3();
    let failed = |error: ApiError| Error::from(error).context(format!("removing the parts of s3://{bucket}/{key}"));
    let ids = match id {
        Some(id) => vec![id],
        None => match s3.list_multipart_uploads().bucket(bucket).prefix(key).send().await.map_err(ApiError::from) {
            Ok(answer) => begun(answer.uploads(), key, since),
            Err(error) if error.is(Reason::NotFound) => Vec::new(),
            Err(error) => return Err(failed(error)),
        },
    };
    for id in ids {
        let answer = s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await;
        held::gone(answer).map_err(failed)?;
    }
    Ok(())
}

/// Those of this very object that were begun after the undo was noted.
fn begun(uploads: &[MultipartUpload], key: &str, since: u64) -> Vec<String> {
    let ours = uploads.iter().filter(|upload| upload.key() == Some(key));
    let late =
        ours.filter(|upload| upload.initiated().is_none_or(|at| u64::try_from(at.secs()).unwrap_or(0) + SKEW >= since));
    late.filter_map(|upload| upload.upload_id().map(str::to_owned)).collect()
}

/// Another one may have been put under the same name meanwhile: that is not ours.
pub async fn object(ec2: &Ec2, bucket: &str, key: &str, token: &str) -> Result<()> {
    let s3 = ec2.s3();
    let failed = |error: ApiError| Error::from(error).context(format!("removing s3://{bucket}/{key}"));
    let head = match s3.head_object().bucket(bucket).key(key).send().await.map_err(ApiError::from) {
        Ok(head) => head,
        Err(error) if error.is(Reason::NotFound) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let ours = head.metadata().and_then(|all| all.get(RUN_TAG)).is_some_and(|mark| mark == token);
    if !ours {
        return Ok(());
    }
    held::gone(s3.delete_object().bucket(bucket).key(key).send().await).map_err(failed)
}

/// Cancels the task, or removes what it has made where it came to its end.
pub async fn task(ec2: &Ec2, token: &str, id: Option<String>) -> Result<()> {
    let Some(id) = found(id, || task::of_token(ec2, token)).await? else { return Ok(()) };
    let request = ec2.api.cancel_import_task().import_task_id(&id).cancel_reason("Interrupted");
    match request.send().await.map_err(ApiError::from) {
        Err(error) if error.passes() || error.is(Reason::Denied) => {
            return Err(Error::from(error).context(format!("cancelling {id}")));
        }
        // What has ended cannot be cancelled; its end says what is left of it.
        _ => {}
    }
    let made = poll(&format!("{id} to end"), CANCELLED, || async {
        match task::look(ec2, &id).await {
            Ok(task::Seen { active: true, status, .. }) => Ok(Look::Yet(status)),
            Ok(seen) => Ok(Look::Done(seen.made)),
            Err(error) if error.is(Reason::NotFound) => Ok(Look::Done(Made::default())),
            Err(error) => Err(Stop::Api(error)),
        }
    })
    .await?;
    if let Some(id) = made.image {
        image::remove(ec2, &id, true, Young::NOT).await?;
    }
    for snapshot in made.snapshots {
        delete_snapshot(ec2, &snapshot, Young::NOT).await?;
    }
    Ok(())
}

/// Cancels the task, and removes what it has written.
pub async fn export(ec2: &Ec2, token: &str, id: Option<String>, bucket: &str, prefix: &str) -> Result<()> {
    let Some(id) = found(id, || export_task::of_token(ec2, token)).await? else { return Ok(()) };
    match ec2.api.cancel_export_task().export_task_id(&id).send().await.map_err(ApiError::from) {
        Err(error) if error.passes() || error.is(Reason::Denied) => {
            return Err(Error::from(error).context(format!("cancelling {id}")));
        }
        _ => {} // as above
    }
    poll(&format!("{id} to end"), CANCELLED, || async {
        match export_task::active(ec2, &id).await {
            Ok(true) => Ok(Look::Yet("active".into())),
            Ok(false) => Ok(Look::Done(())),
            Err(error) if error.is(Reason::NotFound) => Ok(Look::Done(())),
            Err(error) => Err(Stop::Api(error)),
        }
    })
    .await?;
    let key = export_task::key(prefix, &id);
    let failed = |error: ApiError| Error::from(error).context(format!("removing s3://{bucket}/{key}"));
    held::gone(ec2.s3().delete_object().bucket(bucket).key(&key).send().await).map_err(failed)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::DateTime;

    use super::*;

    #[test]
    fn only_parts_of_that_object_begun_since_are_ours() {
        let upload = |key: &str, id: &str, at: i64| {
            MultipartUpload::builder().key(key).upload_id(id).initiated(DateTime::from_secs(at)).build()
        };
        let all = [upload("disk", "1", 10_000), upload("disk", "2", 1000), upload("disk.old", "3", 10_000)];
        assert_eq!(begun(&all, "disk", 10_100), ["1"]);
    }
}
