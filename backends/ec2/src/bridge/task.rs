//! Tasks of VM Import: begun, watched, explained.

use std::time::Duration;

use aws_sdk_ec2::types::{ImportImageTask, ImportSnapshotTask};
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result};

use super::undo::value;
use crate::client::{ApiError, Ec2, Look, Pace, Stop, wait};
use crate::held::RUN_TAG;

/// Amazon's service takes up to an hour for a large disk, now and then several.
pub const PACE: Pace = Pace { deadline: Duration::from_secs(6 * 3600), longest: Duration::from_secs(15) };
const SNAPSHOT: &str = "import-snap-";

/// What a task has made so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    pub image: Option<String>,
    pub snapshots: Vec<String>,
}

/// A task as it was just seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub active: bool,
    pub completed: bool,
    pub status: String,
    /// What it is at, or why it failed.
    pub message: String,
    pub percent: u64,
    pub made: Made,
    token: Option<String>,
}

/// What a task has made that ended well.
pub async fn ended(cx: &Cx, ec2: &Ec2, id: &str) -> Result<Made> {
    cx.say(format!("Waiting for {id}"));
    wait(cx, &format!("{id} to complete"), PACE, || async {
        let seen = look(ec2, id).await?;
        cx.progress(Progress {
            what: format!("{id} {}", seen.message).trim_end().to_owned(),
            done: seen.percent,
            total: Some(100),
            unit: Unit::Percent,
            finished: seen.completed,
        });
        match () {
            () if seen.completed => Ok(Look::Done(seen.made)),
            () if seen.active => Ok(Look::Yet(format!("{} {} {} %", seen.status, seen.message, seen.percent))),
            () => Err(Stop::Final(explained(id, &seen))),
        }
    })
    .await
}

pub async fn look(ec2: &Ec2, id: &str) -> Result<Seen, ApiError> {
    let gone = || Seen { status: "gone".into(), ..Seen::default() };
    if id.starts_with(SNAPSHOT) {
        let answer = ec2.api.describe_import_snapshot_tasks().import_task_ids(id).send().await?;
        return Ok(answer.import_snapshot_tasks().first().map_or_else(gone, of_snapshot));
    }
    let answer = ec2.api.describe_import_image_tasks().import_task_ids(id).send().await?;
    Ok(answer.import_image_tasks().first().map_or_else(gone, of_image))
}

/// The task that was begun with this token.
pub async fn of_token(ec2: &Ec2, token: &str) -> Result<Option<String>, ApiError> {
    let ours = |seen: &Seen| seen.token.as_deref() == Some(token);
    let snapshots = ec2.api.describe_import_snapshot_tasks().send().await?;
    let found = snapshots.import_snapshot_tasks().iter().find(|task| ours(&of_snapshot(task)));
    if let Some(id) = found.and_then(|task| task.import_task_id()) {
        return Ok(Some(id.to_owned()));
    }
    let images = ec2.api.describe_import_image_tasks().send().await?;
    let found = images.import_image_tasks().iter().find(|task| ours(&of_image(task)));
    Ok(found.and_then(|task| task.import_task_id().map(str::to_owned)))
}

fn of_snapshot(task: &ImportSnapshotTask) -> Seen {
    let detail = task.snapshot_task_detail();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let made = Made {
        image: None,
        snapshots: detail.and_then(|detail| detail.snapshot_id().map(str::to_owned)).into_iter().collect(),
    };
    let seen = Seen {
        status: text(detail.and_then(|detail| detail.status())),
        message: text(detail.and_then(|detail| detail.status_message())),
        percent: percent(detail.and_then(|detail| detail.progress())),
        made,
        token: value(task.tags(), RUN_TAG),
        ..Seen::default()
    };
    seen.judged()
}

fn of_image(task: &ImportImageTask) -> Seen {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let snapshots = task.snapshot_details().iter().filter_map(|detail| detail.snapshot_id().map(str::to_owned));
    let seen = Seen {
        status: text(task.status()),
        message: text(task.status_message()),
        percent: percent(task.progress()),
        made: Made { image: task.image_id().map(str::to_owned), snapshots: snapshots.collect() },
        token: value(task.tags(), RUN_TAG),
        ..Seen::default()
    };
    seen.judged()
}

fn percent(text: Option<&str>) -> u64 {
    text.and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or(0)
}

impl Seen {
    fn judged(mut self) -> Self {
        self.completed = self.status == "completed";
        self.active = matches!(self.status.as_str(), "active" | "pending" | "deleting" | "");
        self
    }
}

/// EC2's own words, and what to do about them.
fn explained(id: &str, seen: &Seen) -> Error {
    let message = if seen.message.is_empty() { "EC2 gives no reason" } else { &seen.message };
    let error = Error::new(Kind::Input, format!("{id} is {}: {message}", seen.status));
    match hint(message) {
        Some(hint) => error.hint(hint),
        None => error.hint("https://docs.aws.amazon.com/vm-import/latest/userguide/import-troubleshooting.html"),
    }
}

fn hint(message: &str) -> Option<&'static str> {
    let low = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| low.contains(word));
    Some(match () {
        () if says(&["invalid s3 source", "access denied", "not have sufficient", "no access"]) => {
            "let the role `vmimport` read the bucket: docs/guides/aws.md has its policy"
        }
        () if says(&["vmdk file format", "disk validation", "unsupported vhd", "unsupported raw"]) => {
            "leave `format` out, so that the disk is converted to what EC2 takes; `qemu-img check` looks for damage"
        }
        () if says(&["unknown os", "os files", "kernel", "grub", "boot", "fstab", "initrd", "driver"]) => {
            "this way edits the guest and knows few systems; `ebs-direct` and `snapshot` take any disk as it is"
        }
        () if says(&["kms", "encrypt"]) => "let the role `vmimport` use the key (kms:CreateGrant, kms:Decrypt, ...)",
        () if says(&["cancel"]) => "somebody cancelled it: import the disk again",
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{SnapshotTaskDetail, Tag};

    use super::*;

    #[test]
    fn a_task_is_told_by_its_status() {
        let task = |status: &str, message: &str| {
            let detail = SnapshotTaskDetail::builder().status(status).status_message(message).progress("40");
            let mark = Tag::builder().key(RUN_TAG).value("t").build();
            ImportSnapshotTask::builder().snapshot_task_detail(detail.snapshot_id("snap-1").build()).tags(mark).build()
        };
        let seen = of_snapshot(&task("active", "converting"));
        assert!(seen.active && !seen.completed);
        assert_eq!((seen.percent, seen.token.as_deref()), (40, Some("t")));
        let seen = of_snapshot(&task("completed", ""));
        assert!(seen.completed && !seen.active);
        assert_eq!(seen.made.snapshots, ["snap-1"]);
        let failed =
            of_snapshot(&task("deleted", "ClientError: Disk validation failed [Unsupported VMDK File Format]"));
        assert!(!failed.active && !failed.completed);
        let error = explained("import-snap-1", &failed);
        assert!(error.message().contains("Unsupported VMDK File Format"), "{error}");
        assert!(error.hints()[0].contains("`format`"), "{:?}", error.hints());
    }
}
