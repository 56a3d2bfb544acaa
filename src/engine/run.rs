//! Builds side by side.

use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::event::{Outcome, VERSION};
use bakehouse_api::{Error, Event, EventKind, Kind, Prompter, Secrets, Settings, Sink, SourceMap};
use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::build::{self, OnError, Report};
use super::cache::Policy;
use super::prepare::Prepared;
use super::undo::Undoers;

/// What holds for all builds of a run.
pub struct Run {
    pub settings: Arc<Settings>,
    pub sink: Arc<dyn Sink>,
    pub prompter: Arc<dyn Prompter>,
    pub secrets: Secrets,
    /// To say where in the template something stands.
    pub sources: SourceMap,
    pub undoers: Undoers,
    pub on_error: OnError,
    pub cache: Policy,
    /// How many builds at once; 0: all.
    pub parallel: usize,
    /// Ends every build: the first Ctrl-C or a SIGTERM.
    pub cancel: CancellationToken,
    /// Ends the clean-up too: the second one.
    pub stop: CancellationToken,
}

/// What became of every build, in the order of the plan.
#[derive(Debug)]
pub struct Summary {
    pub builds: Vec<Report>,
}

impl Summary {
    pub fn outcome(&self) -> Outcome {
        let any = |outcome| self.builds.iter().any(|build| build.outcome == outcome);
        match () {
            () if any(Outcome::Interrupted) => Outcome::Interrupted,
            () if any(Outcome::Failed) => Outcome::Failed,
            () => Outcome::Done,
        }
    }
}

pub async fn run(builds: Vec<Prepared>, run: Run) -> Summary {
    let run = Arc::new(run);
    let started = Instant::now();
    let emit = |kind| run.sink.emit(Event { v: VERSION, time: SystemTime::now(), build: None, kind });
    emit(EventKind::RunStarted {
        version: env!("CARGO_PKG_VERSION").into(),
        run_uuid: run.settings.run_uuid.clone(),
        builds: builds.iter().map(|build| build.name.clone()).collect(),
    });
    let limit = match run.parallel {
        _ if run.settings.debug => 1,
        0 => usize::MAX,
        count => count,
    };
    let mut reports: Vec<(usize, Report)> = futures::stream::iter(builds.into_iter().enumerate())
        .map(|(index, build)| bake_apart(build, run.clone(), index))
        .buffer_unordered(limit)
        .collect()
        .await;
    reports.sort_by_key(|(index, _)| *index);
    let summary = Summary { builds: reports.into_iter().map(|(_, report)| report).collect() };
    emit(EventKind::RunFinished { outcome: summary.outcome(), millis: started.elapsed().as_millis() as u64 });
    summary
}

/// On a task of its own, so that a fault of ours in one build does not take the others with it.
async fn bake_apart(build: Prepared, run: Arc<Run>, index: usize) -> (usize, Report) {
    let name = build.name.clone();
    let shared = run.clone();
    let baked = tokio::spawn(async move { build::bake(&build, &shared, index).await }).await;
    (index, baked.unwrap_or_else(|fault| Report::lost(&run, &name, Error::new(Kind::Internal, fault))))
}
