//! The way of ExportImage: Amazon's service writes the disk into a bucket, from where it is fetched, and removed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_ec2::types::{DiskImageFormat, ExportImageTask, ExportTaskS3LocationRequest, ResourceType, Tag};
use bakehouse_api::bridge::{Export, Object};
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result};
use bakehouse_boxes::gzip::is_zero;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::export::Brought;
use super::lanes::{Lanes, lock, persist};
use super::meter::Meter;
use super::task::PACE;
use super::undo::value;
use super::{bucket, store};
use crate::client::{ApiError, Ec2, Look, Reason, Stop, tagged, token, wait};
use crate::held::{RUN_TAG, Thing, acquire};

/// Written at once.
const PIECE: u64 = 4 << 20;
const HOLE: usize = 64 << 10;
/// Requests under way.
const LANES: usize = 8;

pub async fn image(cx: &Cx, ec2: &Ec2, export: &Export) -> Result<Brought> {
    let bucket = export.bucket.clone().unwrap_or_default();
    if let Some(region) = cx.interruptible(store::region_of(ec2, &bucket)).await?.filter(|region| *region != ec2.region)
    {
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
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // A range for each lane: whoever serves them may find each from the beginning.
    let range = size.div_ceil(most as u64).next_multiple_of(PIECE).max(PIECE);
    let mut gets: JoinSet<Result<()>> = JoinSet::new();
    for start in (0..size).step_by(range as usize) {
        let (getter, file, ec2, told) = (getter.clone(), file.clone(), ec2.clone(), told.clone());
        gets.spawn(async move { getter.range(&ec2, &file, start, size.min(start + range), &told).await });
    }
    drop(told);
    loop {
        tokio::select! {
            Some(bytes) = heard.recv() => meter.add(bytes),
            done = gets.join_next() => match done {
                Some(done) => done.map_err(|error| Error::new(Kind::Internal, error))??,
                None => break,
            },
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
    /// Writes what is between `start` and `end`; a connection that breaks is taken up where it broke.
    async fn range(
        &self,
        ec2: &Ec2,
        file: &Arc<File>,
        start: u64,
        end: u64,
        told: &UnboundedSender<u64>,
    ) -> Result<()> {
        let at = AtomicU64::new(start);
        let read = persist(&self.lanes, || async {
            while at.load(Ordering::Relaxed) < end {
                self.stream(file, &at, end, told).await?;
            }
            Ok(())
        });
        match read.await {
            Ok(()) => Ok(()),
            Err(error) => Err(ec2.explain(format!("reading {}", self.object), error).await),
        }
    }

    async fn stream(
        &self,
        file: &Arc<File>,
        at: &AtomicU64,
        end: u64,
        told: &UnboundedSender<u64>,
    ) -> Result<(), ApiError> {
        let unclear =
            |error: String| ApiError { reason: Reason::Unclear, code: String::new(), message: error, request_id: None };
        let Object { bucket, key } = &self.object;
        let range = format!("bytes={}-{}", at.load(Ordering::Relaxed), end - 1);
        let mut body =
            self.s3.get_object().bucket(bucket).key(key).range(range).if_match(&self.etag).send().await?.body;
        let mut piece = Vec::new();
        loop {
            let next = body.try_next().await.map_err(|error| unclear(error.to_string()))?;
            let over = next.is_none();
            piece.extend(next.into_iter().flatten());
            if piece.len() as u64 >= PIECE || over && !piece.is_empty() {
                let (place, length) = (at.load(Ordering::Relaxed), piece.len() as u64);
                let (file, data) = (file.clone(), std::mem::take(&mut piece));
                let written = tokio::task::spawn_blocking(move || write(&file, &data, place)).await;
                written.map_err(std::io::Error::other).flatten().map_err(|error| refused(error.to_string()))?;
                at.store(place + length, Ordering::Relaxed);
                let _ = told.send(length); // only for the display
                lock(&self.lanes).success();
            }
            if over {
                let whole = at.load(Ordering::Relaxed) == end;
                return if whole { Ok(()) } else { Err(unclear("the answer was cut short".into())) };
            }
        }
    }
}

/// Zeroes stay a hole.
fn write(file: &File, data: &[u8], at: u64) -> std::io::Result<()> {
    let mut places = (at..).step_by(HOLE).zip(data.chunks(HOLE));
    places.try_for_each(|(at, part)| if is_zero(part) { Ok(()) } else { file.write_all_at(part, at) })
}

/// No other try would help.
fn refused(message: String) -> ApiError {
    ApiError { reason: Reason::Refused, code: String::new(), message, request_id: None }
}
