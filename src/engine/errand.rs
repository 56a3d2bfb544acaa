//! Work that is no build of a template, in the same surroundings: a journal, a scratch folder, interrupts, the clean-up
//! and the closing words.

use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use bakehouse_api::event::{Outcome, VERSION};
use bakehouse_api::{Cx, Error, Event, EventKind, Kind, Result};
use futures::FutureExt;
use tokio::time::Instant;

use super::build::{clean_up, context, error_event};
use super::run::Run;

/// Runs `work` under the name `name`; none when it failed or was interrupted, which has been told then. With `leave`,
/// a failure or an interrupt undoes nothing.
pub async fn errand<T>(run: &Run, name: &str, leave: bool, work: impl AsyncFnOnce(&Cx) -> Result<T>) -> Option<T> {
    let emit = |build: Option<&str>, kind| {
        run.sink.emit(Event { v: VERSION, time: SystemTime::now(), build: build.map(Into::into), kind });
    };
    let started = Instant::now();
    let millis = || started.elapsed().as_millis() as u64;
    emit(
        None,
        EventKind::RunStarted {
            version: env!("CARGO_PKG_VERSION").into(),
            run_uuid: run.settings.run_uuid.clone(),
            builds: vec![name.to_owned()],
        },
    );
    let (cx, journal) = match context(name, run, 0) {
        Ok(made) => made,
        Err(error) => {
            emit(Some(name), error_event(run, &error));
            emit(None, EventKind::RunFinished { outcome: Outcome::Failed, millis: millis() });
            return None;
        }
    };
    cx.emit(EventKind::BuildStarted { stages: vec![name.to_owned()] });
    cx.emit(EventKind::StageStarted { index: 0, stage: name.to_owned() });
    // A panic must not keep the clean-up from running.
    let done = AssertUnwindSafe(cx.interruptible(work(&cx))).catch_unwind().await;
    let done = done.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a fault of Bakehouse itself")));
    let outcome = match &done {
        Ok(_) => Outcome::Done,
        Err(error) if error.kind() == Kind::Interrupted || run.cancel.is_cancelled() => {
            cx.say("Interrupted: cleaning up; a second interrupt stops waiting for it");
            Outcome::Interrupted
        }
        Err(error) => {
            cx.emit(error_event(run, error));
            Outcome::Failed
        }
    };
    cx.emit(EventKind::StageFinished { index: 0, stage: name.to_owned(), outcome, millis: millis() });
    clean_up(&cx, &journal, &run.stop, outcome, leave && outcome != Outcome::Done).await;
    cx.emit(EventKind::BuildFinished { outcome, millis: millis() });
    emit(None, EventKind::RunFinished { outcome, millis: millis() });
    done.ok()
}
