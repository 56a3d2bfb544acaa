//! What running code is given instead of globals: where events go, what to undo, when to stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::event::{OutputStream, VERSION};
use crate::{Error, Event, EventKind, Kind, Progress, Result, Secrets, Sink, Undo, UndoId, UndoLog, async_trait};

/// Asks the person at the terminal: a breakpoint, `-debug`, `-on-error=ask`.
#[async_trait]
pub trait Prompter: Send + Sync {
    /// Shows `question` and returns the chosen index into `choices` (letter, meaning).
    /// An error when nobody can answer (standard input is not a terminal).
    async fn ask(&self, question: &str, choices: &[(char, &str)]) -> Result<usize>;
}

/// What holds for a whole run. Read from argv and the environment once, by the command line.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub force: bool,
    pub debug: bool,
    pub run_uuid: String,
    /// Downloads and derived images that outlive the run.
    pub cache: PathBuf,
    /// Where machines may keep checkpoints; none: nowhere.
    pub checkpoints: Option<PathBuf>,
    /// Nothing is fetched: only what is here already counts.
    pub offline: bool,
    /// The journal of undos.
    pub state: PathBuf,
    pub cwd: PathBuf,
    /// The environment as it was when the program started.
    pub env: BTreeMap<String, String>,
}

/// The context of one build. Cheap to clone.
#[derive(Clone)]
pub struct Cx(Arc<Inner>);

struct Inner {
    build: Arc<str>,
    /// Scratch space of this build; its removal is already registered.
    temp: PathBuf,
    settings: Arc<Settings>,
    sink: Arc<dyn Sink>,
    undo: Arc<dyn UndoLog>,
    prompter: Arc<dyn Prompter>,
    secrets: Secrets,
    cancel: CancellationToken,
}

impl Cx {
    #[allow(clippy::too_many_arguments)] // one constructor, called by the engine and the test kit
    pub fn new(
        build: impl Into<Arc<str>>,
        temp: PathBuf,
        settings: Arc<Settings>,
        sink: Arc<dyn Sink>,
        undo: Arc<dyn UndoLog>,
        prompter: Arc<dyn Prompter>,
        secrets: Secrets,
        cancel: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner { build: build.into(), temp, settings, sink, undo, prompter, secrets, cancel }))
    }

    /// The same context under other settings.
    pub fn with_settings(&self, settings: Arc<Settings>) -> Self {
        let Inner { build, temp, sink, undo, prompter, secrets, cancel, .. } = &*self.0;
        Self(Arc::new(Inner {
            build: build.clone(),
            temp: temp.clone(),
            settings,
            sink: sink.clone(),
            undo: undo.clone(),
            prompter: prompter.clone(),
            secrets: secrets.clone(),
            cancel: cancel.clone(),
        }))
    }

    pub fn build(&self) -> &str {
        &self.0.build
    }

    pub fn temp(&self) -> &PathBuf {
        &self.0.temp
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    pub fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    pub fn prompter(&self) -> &dyn Prompter {
        &*self.0.prompter
    }

    pub fn emit(&self, kind: EventKind) {
        let build = Some(self.0.build.clone());
        self.0.sink.emit(Event { v: VERSION, time: SystemTime::now(), build, kind });
    }

    pub fn say(&self, text: impl Into<String>) {
        self.emit(EventKind::Say { text: text.into() });
    }

    pub fn message(&self, text: impl Into<String>) {
        self.emit(EventKind::Message { text: text.into() });
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.emit(EventKind::Warning { text: text.into() });
    }

    pub fn output(&self, stream: OutputStream, text: impl Into<String>) {
        self.emit(EventKind::Output { stream, text: text.into() });
    }

    pub fn progress(&self, progress: Progress) {
        self.emit(EventKind::Progress(progress));
    }

    /// Registers an undo; call it in the statement after the thing's id is known.
    pub fn hold(&self, undo: Undo) -> Result<UndoId> {
        self.0.undo.push(undo)
    }

    /// The thing is gone, or the user's now.
    pub fn forget(&self, id: UndoId) {
        self.0.undo.forget(id);
    }

    /// Undoes one thing now.
    pub async fn release(&self, id: UndoId) -> Result<()> {
        self.0.undo.run(id).await
    }

    /// Runs `work` until it ends or the run is interrupted, whichever is first.
    pub async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.0.cancel.cancelled() => Err(Error::interrupted()),
            result = work => result,
        }
    }

    /// Polls `probe` every `every` until it gives something. The error names `what` was awaited.
    pub async fn wait_for<T, F, Fut>(&self, what: &str, deadline: Duration, every: Duration, mut probe: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        let poll = async {
            loop {
                if let Some(found) = probe().await? {
                    return Ok(found);
                }
                tokio::time::sleep(every).await;
            }
        };
        match tokio::time::timeout(deadline, self.interruptible(poll)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(Kind::Timeout, format!("gave up waiting for {what} after {deadline:?}"))),
        }
    }
}
