//! The way of ExportImage: Amazon's service writes the disk into a bucket, from where it is fetched, and removed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_sdk_ec2::types::{DiskImageFormat, ExportImageTask, ExportTaskS3LocationRequest, ResourceType, Tag};
use bakehouse_api::bridge::{Export, Object};
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result};
use bakehouse_boxes::gzip::is_zero;
use tokio::task::JoinSet;

use super::export::Brought;
use super::lanes::{Lanes, lock, persist};
use super::meter::Meter;
use super::task::PACE;
use super::undo::value;
use super::{bucket, store};
use crate::client::{ApiError, Ec2, Look, Reason, Stop, tagged, token, wait};
use crate::held::{RUN_TAG, Thing, acquire};

/// Of one request, of which a few are under way.
const PIECE: u64 = 8 << 20;
const LANES: usize = 8;

pub async fn image(cx: &Cx, ec2: &Ec2, export: &Export) -> Result<Brought> {
    let bucket = export.bucket.clone().unwrap_or_default();
    if let Some(region) = cx.interruptible(store::region_of(ec2, &bucket)).await?.filter(|region| *region != ec2.region) {
        let error = format!("the bucket `{bucket}` is in {region}, and the image is in {}", ec2.region);
        return Err(Error::new(Kind::Config, error).hint(format!("take a bucket of {}", ec2.region)));
    }
    let token = token(cx);
    let prefix = export.prefix.clone().unwrap_or_else(|| "bakehouse-export-".into());
    let location = ExportTaskS3LocationRequest::builder().s3_bucket(&bucket).s3_prefix(&prefix).build();
    let mark = [(RUN_TAG.to_owned(), token.clone())];
    let request = ec2
        .api
        .export_image()
        .image_id(&export.image)
        .disk_image_format(DiskImageFormat::Raw)
        .s3_export_location(location)
        .set_role_name(export.role.clone())
        .client_token(&token)
        .set_tag_specifications(tagged([(ResourceType::ExportImageTask, mark.as_slice())]));
    let thing = |id| Thing::Export { token: token.clone(), id, bucket: bucket.clone(), prefix: prefix.clone() };
    let doing = format!("exporting {}", export.image);
    let begun = acquire(cx, ec2, &doing, thing(None), async {
        let id = request.send().await.map_err(ApiError::from)?.export_image_task_id;
        Ok((id.clone(), thing(id)))
    });
    let (id, undo) = begun.await.map_err(bucket::explained)?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS began an export and did not say which"))?;
    ended(cx, ec2, &id).await?;
    let object = Object { key: key(&prefix, &id), bucket };
    let path = export.into.join("disk0.raw");
    cx.say(format!("Fetching {object}"));
    // What came of it is of no use to another run, whose object is another one.
    let partial = cx.hold(bakehouse_kit::undo::path(&path))?;
    let size = cx.interruptible(fetch(cx, ec2, &object, &path, export.lanes.unwrap_or(LANES))).await?;
    cx.forget(partial);
    cx.message(format!("Removing {object}"));
    cx.release(undo).await?;
    Ok(Brought { disks: vec![path], bytes: size, received: size })
}

/// The service makes the name.
pub fn key(prefix: &str, id: &str) -> String {
    format!("{prefix}{id}.raw")
}

async fn ended(cx: &Cx, ec2: &Ec2, id: &str) -> Result<()> {
    cx.say(format!("Waiting for {id}"));
    wait(cx, &format!("{id} to complete"), PACE, || async {
        let Some(task) = look(ec2, id).await? else { return Ok(Look::Yet("not there".into())) };
        let message = task.status_message().unwrap_or_default();
        let done = task.progress().and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or(0);
        let finished = task.status() == Some("completed");
        let what = format!("{id} {message}").trim_end().to_owned();
        cx.progress(Progress { what, done, total: Some(100), unit: Unit::Percent, finished });
        match task.status() {
            Some("completed") => Ok(Look::Done(())),
            Some("active") | None => Ok(Look::Yet(format!("active {message} {done} %"))),
            Some(status) => {
                let message = if message.is_empty() { "EC2 gives no reason" } else { message };
                let error = Error::new(Kind::Input, format!("{id} is {status}: {message}"));
                Err(Stop::Final(error.hint("`ebs-direct` needs neither the service nor a bucket")))
            }
        }
    })
    .await
}

async fn look(ec2: &Ec2, id: &str) -> Result<Option<ExportImageTask>, ApiError> {
    let answer = ec2.api.describe_export_image_tasks().export_image_task_ids(id).send().await?;
    Ok(answer.export_image_tasks().first().cloned())
}

/// Is it still at work?
pub async fn active(ec2: &Ec2, id: &str) -> Result<bool, ApiError> {
    let task = look(ec2, id).await?;
    Ok(task.is_some_and(|task| matches!(task.status(), Some("active" | "deleting"))))
}

/// The task of a run whose answer was lost.
pub async fn of_token(ec2: &Ec2, token: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_export_image_tasks().send().await?;
    let ours = |tags: &[Tag]| value(tags, RUN_TAG).as_deref() == Some(token);
    let task = answer.export_image_tasks().iter().find(|task| ours(task.tags()));
    Ok(task.and_then(|task| task.export_image_task_id().map(str::to_owned)))
}

/// The object as a file with holes, by parts.
async fn fetch(cx: &Cx, ec2: &Ec2, object: &Object, path: &PathBuf, most: usize) -> Result<u64> {
    let s3 = ec2.s3();
    let head = match s3.head_object().bucket(&object.bucket).key(&object.key).send().await.map_err(ApiError::from) {
        Ok(head) => head,
        Err(error) => return Err(ec2.explain(format!("looking at {object}"), error).await),
    };
    let size = head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
    let failed = |error: std::io::Error| Error::io(format!("writing {}", path.display()), &error);
    let file = Arc::new(File::create(path).map_err(failed)?);
    file.set_len(size).map_err(failed)?;
    let getter = Arc::new(Getter {
        s3,
        object: object.clone(),
        etag: head.e_tag().unwrap_or_default().to_owned(),
        lanes: Mutex::new(Lanes::new(most)),
    });
    let mut meter = Meter::new(cx, format!("fetch {object}"), size, Unit::Bytes);
    let mut pieces = (0..size.div_ceil(PIECE)).map(|number| (number * PIECE, PIECE.min(size - number * PIECE)));
    let mut next = pieces.next();
    let mut gets: JoinSet<Result<u64>> = JoinSet::new();
    while next.is_some() || !gets.is_empty() {
        while gets.len() < lock(&getter.lanes).open()
            && let Some((at, length)) = next
        {
            let (getter, file, ec2) = (getter.clone(), file.clone(), ec2.clone());
            gets.spawn(async move { getter.piece(&ec2, &file, at, length).await });
            next = pieces.next();
        }
        if let Some(done) = gets.join_next().await {
            meter.add(done.map_err(|error| Error::new(Kind::Internal, error))??);
        }
    }
    let synced = tokio::task::spawn_blocking(move || file.sync_all()).await;
    synced.map_err(std::io::Error::other).flatten().map_err(failed)?;
    meter.finish();
    Ok(size)
}

struct Getter {
    s3: aws_sdk_s3::Client,
    object: Object,
    /// Only the object as it was when its size was asked for.
    etag: String,
    lanes: Mutex<Lanes>,
}

impl Getter {
    async fn piece(&self, ec2: &Ec2, file: &Arc<File>, at: u64, length: u64) -> Result<u64> {
        let got = persist(&self.lanes, || {
            let Object { bucket, key } = &self.object;
            let range = format!("bytes={at}-{}", at + length - 1);
            let request = self.s3.get_object().bucket(bucket).key(key).range(range).if_match(&self.etag);
            async move {
                let unclear = |message| ApiError { reason: Reason::Unclear, code: String::new(), message, request_id: None };
                let answer = request.send().await?;
                let data = answer.body.collect().await.map_err(|error| unclear(error.to_string()))?.into_bytes();
                let whole = data.len() as u64 == length;
                whole.then_some(data).ok_or_else(|| unclear("the answer was cut short".into()))
            }
        })
        .await;
        let data = match got {
            Ok(data) => data,
            Err(error) => return Err(ec2.explain(format!("reading {}", self.object), error).await),
        };
        let file = file.clone();
        let written = tokio::task::spawn_blocking(move || if is_zero(&data) { Ok(()) } else { file.write_all_at(&data, at) });
        written.await.map_err(std::io::Error::other).flatten().map_err(|error| Error::io("writing the disk", &error))?;
        Ok(length)
    }
}
