//! Work emits events; only reporters print. The JSON form (`--events json`) is one event a line,
//! documented in docs/reference/events.md; `v` changes when a field changes its meaning.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::Artifact;

pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub v: u32,
    /// Seconds since 1970 with milliseconds.
    #[serde(serialize_with = "unix_seconds")]
    pub time: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Arc<str>>,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    RunStarted {
        version: String,
        run_uuid: String,
        builds: Vec<String>,
    },
    BuildStarted {
        stages: Vec<String>,
    },
    StageStarted {
        index: usize,
        stage: String,
    },
    StageFinished {
        index: usize,
        stage: String,
        outcome: Outcome,
        millis: u64,
    },
    /// A headline of what is going on ("Connecting to the guest").
    Say {
        text: String,
    },
    /// A detail below the headline.
    Message {
        text: String,
    },
    Warning {
        text: String,
    },
    /// A line that a command wrote: in the guest, or on this machine.
    Output {
        stream: OutputStream,
        text: String,
    },
    Progress(Progress),
    Error {
        kind: String,
        text: String,
        hints: Vec<String>,
        evidence: Vec<String>,
        place: Option<String>,
    },
    /// `from` is the builder or post-processor that made it.
    Artifact {
        from: String,
        artifact: Artifact,
    },
    BuildFinished {
        outcome: Outcome,
        millis: u64,
    },
    Undoing {
        what: String,
    },
    UndoFailed {
        what: String,
        text: String,
    },
    RunFinished {
        outcome: Outcome,
        millis: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// A checkpoint had it already.
    Cached,
    Skipped,
    Failed,
    Interrupted,
}

/// How far something with a size is. Emitted at most every 100 ms and once at its end.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// "download debian.iso", "convert disk", "upload site/".
    pub what: String,
    /// Bytes, or percent of a hundred when `unit` says so.
    pub done: u64,
    pub total: Option<u64>,
    pub unit: Unit,
    pub finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Bytes,
    Percent,
    Files,
}

/// Where events go. Never blocks the sender for long.
pub trait Sink: Send + Sync {
    fn emit(&self, event: Event);
}

fn unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    serializer.serialize_f64(millis as f64 / 1000.0)
}
