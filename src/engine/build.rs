//! One build: its stages in order, what happens when one fails, and the clean-up at the end.

mod resume;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bakehouse_api::event::{Outcome, VERSION};
use bakehouse_api::{Artifact, Cx, Error, Event, EventKind, Facts, Guest, Kind, Machine, Result, Undo, UndoId};
use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chains::{Chains, Made};
use super::checkpoints::Checkpoints;
use super::prepare::Prepared;
use super::run::Run;
use super::stage::Stage;
use super::undo::Journal;
use super::{evidence, power, provisioning, reach, scratch};

/// `-on-error`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Undo everything in reverse.
    #[default]
    Cleanup,
    /// Leave everything as it is.
    Abort,
    Ask,
    /// Run the error-cleanup-provisioner and leave everything.
    RunCleanupProvisioner,
}

#[derive(Clone, Debug)]
pub struct StageTime {
    pub stage: String,
    pub outcome: Outcome,
    pub took: Duration,
}

/// What became of a build.
#[derive(Debug)]
pub struct Report {
    pub build: String,
    pub outcome: Outcome,
    pub stages: Vec<StageTime>,
    pub artifacts: Vec<Artifact>,
    pub errors: Vec<Error>,
    /// Acquired and not released.
    pub left: Vec<Undo>,
    pub took: Duration,
}

impl Report {
    fn new(build: &str, outcome: Outcome, errors: Vec<Error>) -> Self {
        let build = build.to_owned();
        Self { build, outcome, errors, stages: vec![], artifacts: vec![], left: vec![], took: Duration::ZERO }
    }

    /// Of a build that failed outside of its stages.
    pub fn lost(run: &Run, build: &str, error: Error) -> Self {
        let emit = |kind| run.sink.emit(Event { v: VERSION, time: SystemTime::now(), build: Some(build.into()), kind });
        emit(error_event(run, &error));
        emit(EventKind::BuildFinished { outcome: Outcome::Failed, millis: 0 });
        Self::new(build, Outcome::Failed, vec![error])
    }
}

pub async fn bake(build: &Prepared, run: &Run, index: usize) -> Report {
    if run.cancel.is_cancelled() {
        return Report::new(&build.name, Outcome::Skipped, vec![]);
    }
    let started = Instant::now();
    let mut baking = match Baking::open(build, run, index) {
        Ok(baking) => baking,
        Err(error) => return Report::lost(run, &build.name, error),
    };
    // A panic must not keep the clean-up from running.
    let done = AssertUnwindSafe(baking.stages()).catch_unwind().await;
    if let Err(panic) = done {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        baking.fail(Error::new(Kind::Internal, format!("a fault of Bakehouse itself: {said}")));
    }
    baking.close(started).await
}

/// What a build runs in, and the journal of what it acquires.
pub fn context(name: &str, run: &Run, index: usize) -> Result<(Cx, Arc<Journal>)> {
    let settings = &run.settings;
    let journal = Journal::create(&settings.state, &settings.run_uuid, index, name, run.undoers.clone())?;
    let journal = Arc::new(journal);
    let temp = scratch::make(settings, &*journal).inspect_err(|_| journal.close())?;
    let cx = Cx::new(
        name,
        temp,
        settings.clone(),
        run.sink.clone(),
        journal.clone(),
        run.prompter.clone(),
        run.secrets.clone(),
        run.cancel.clone(),
    );
    Ok((cx, journal))
}

struct Baking<'a> {
    build: &'a Prepared,
    run: &'a Run,
    cx: Cx,
    journal: Arc<Journal>,
    machine: Option<Box<dyn Machine>>,
    guest: Guest,
    chains: Option<Chains>,
    checkpoints: Option<Checkpoints>,
    /// What was acquired from here on belongs to the machine.
    machine_mark: UndoId,
    times: Vec<StageTime>,
    errors: Vec<Error>,
    interrupted: bool,
    /// Nothing is to be undone.
    leave: bool,
}

/// What to do about a stage that failed.
#[derive(PartialEq)]
enum Then {
    End,
    Retry,
    /// Only this chain of post-processors ends.
    GoOn,
}

impl<'a> Baking<'a> {
    fn open(build: &'a Prepared, run: &'a Run, index: usize) -> Result<Self> {
        let (cx, journal) = context(&build.name, run, index)?;
        let machine_mark = journal.mark();
        Ok(Self {
            build,
            run,
            cx,
            journal,
            machine_mark,
            checkpoints: None,
            machine: None,
            guest: Guest::new(None, None, Facts::new()),
            chains: None,
            times: Vec::new(),
            errors: Vec::new(),
            interrupted: false,
            leave: false,
        })
    }

    /// Runs the stages until the last one or the first that ends the build.
    async fn stages(&mut self) {
        let stages = Stage::of(self.build);
        let names = stages.iter().map(|stage| stage.name(self.build)).collect();
        self.cx.emit(EventKind::BuildStarted { stages: names });
        for (index, stage) in stages.into_iter().enumerate() {
            let left_out = matches!((stage, &self.chains),
                (Stage::PostProcess { chain, .. }, Some(chains)) if chains.failed(chain));
            if !left_out && self.stage(index, stage).await == Then::End {
                return;
            }
        }
    }

    /// One stage, as often as the person at the terminal wants it tried.
    async fn stage(&mut self, index: usize, stage: Stage) -> Then {
        loop {
            let mark = self.journal.mark();
            let error = match self.attempt(index, stage).await {
                Ok(outcome) => {
                    self.ended(stage, outcome).await;
                    return Then::GoOn;
                }
                Err(error) => error,
            };
            if error.kind() == Kind::Interrupted || self.run.cancel.is_cancelled() {
                self.interrupted = true;
                self.cx.say("Interrupted: cleaning up; a second interrupt stops waiting for it");
                return Then::End;
            }
            let error = self.explain(stage, error).await;
            self.tell(&error);
            let then = self.after_failure(stage).await;
            self.interrupted |= self.run.cancel.is_cancelled();
            match then {
                Then::Retry => {
                    self.drain(mark).await;
                    if let Err(error) = self.rewind(stage).await {
                        self.fail(error.context("going back to the checkpoint before the step"));
                        return Then::End;
                    }
                }
                then => {
                    self.errors.push(error);
                    return then;
                }
            }
        }
    }

    async fn attempt(&mut self, index: usize, stage: Stage) -> Result<Outcome> {
        let name = stage.name(self.build);
        if stage != Stage::Start && self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.has(stage)) {
            return Ok(self.pass_over(index, name));
        }
        if self.cx.settings().debug {
            let question = format!("{}: pausing before the stage `{name}`.", self.build.name);
            self.cx.interruptible(self.cx.prompter().ask(&question, &[('c', "continue")])).await?;
        }
        self.cx.emit(EventKind::StageStarted { index, stage: name.clone() });
        let started = Instant::now();
        let cx = self.cx.clone();
        let mut done = cx.interruptible(self.perform(stage)).await;
        let outcome = match &done {
            Ok(outcome) => *outcome,
            Err(error) if error.kind() == Kind::Interrupted => Outcome::Interrupted,
            Err(_) => Outcome::Failed,
        };
        let took = started.elapsed();
        let millis = took.as_millis() as u64;
        self.cx.emit(EventKind::StageFinished { index, stage: name.clone(), outcome, millis });
        self.times.push(StageTime { stage: name, outcome, took });
        if let (Stage::Provision(n), Outcome::Failed) = (stage, outcome)
            && self.build.provisioners[n].plan.continue_on_error
            && let Err(error) = &done
        {
            self.cx.warn(format!("{error}; going on, as continue_on_error says"));
            done = Ok(outcome);
        }
        done
    }

    /// A checkpoint has the stage already.
    fn pass_over(&mut self, index: usize, stage: String) -> Outcome {
        let outcome = Outcome::Cached;
        self.cx.emit(EventKind::StageStarted { index, stage: stage.clone() });
        self.cx.emit(EventKind::StageFinished { index, stage: stage.clone(), outcome, millis: 0 });
        self.times.push(StageTime { stage, outcome, took: Duration::ZERO });
        outcome
    }

    /// After a stage that ended: keeps the machine as it is now.
    async fn ended(&mut self, stage: Stage, outcome: Outcome) {
        let (Some(checkpoints), Some(machine)) = (&mut self.checkpoints, &mut self.machine) else { return };
        match (stage, outcome) {
            (Stage::Connect | Stage::Provision(_), Outcome::Done) => {
                let cx = self.cx.clone();
                let work = async {
                    checkpoints.after(&cx, self.build, stage, machine.as_mut()).await;
                    Ok(())
                };
                let _ = cx.interruptible(work).await; // the next stage ends the build
            }
            (_, Outcome::Failed) => checkpoints.spoil(),
            _ => {}
        }
    }

    async fn perform(&mut self, stage: Stage) -> Result<Outcome> {
        match stage {
            Stage::Start => {
                let found = self.build.builder.resolve(&self.cx).await?;
                self.checkpoints = Checkpoints::find(&self.cx, self.build, found, &self.run.cache);
                return self.start().await;
            }
            Stage::Type => return reach::type_in(&self.cx, running(&mut self.machine)?).await,
            Stage::Connect => {
                self.guest = reach::connect(&self.cx, running(&mut self.machine)?).await?;
                return Ok(if self.guest.has_communicator() { Outcome::Done } else { Outcome::Skipped });
            }
            Stage::Provision(n) => {
                provisioning::provision(&self.cx, &self.build.provisioners[n], &self.guest).await?;
            }
            Stage::PowerOff => {
                self.guest.finish(&self.cx).await?;
                if let Some(shutdown) = self.build.builder.shutdown() {
                    power::power_off(&self.cx, running(&mut self.machine)?, &self.guest, &shutdown).await?;
                }
                provisioning::close(&self.guest).await;
            }
            Stage::Disconnect => {
                self.guest.finish(&self.cx).await?;
                provisioning::close(&self.guest).await;
            }
            Stage::Capture => {
                let machine = self.machine.take().ok_or_else(no_machine)?;
                let artifact = machine.capture(&self.cx).await?;
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.keep(&self.cx, self.build, &artifact, &self.guest.facts).await;
                }
                self.begin_chains(artifact);
            }
            Stage::PostProcess { chain, step } => {
                let chains = self.chains.as_mut().ok_or_else(no_machine)?;
                chains.step(&self.cx, chain, step, &self.build.post[chain][step], &self.guest.facts).await?;
            }
        }
        Ok(Outcome::Done)
    }

    fn begin_chains(&mut self, artifact: Artifact) {
        let made = Made { from: self.build.kind.clone(), artifact };
        self.chains = Some(Chains::new(made, self.build.post.len(), self.run.undoers.clone()));
    }

    /// Adds the place in the template and what there is to look at.
    async fn explain(&mut self, stage: Stage, error: Error) -> Error {
        let span = match stage {
            Stage::Provision(n) => self.build.provisioners[n].plan.span,
            Stage::PostProcess { chain, step } => self.build.post[chain][step].plan.span,
            _ => self.build.span,
        };
        let files: Vec<PathBuf> = match &mut self.machine {
            Some(machine) => evidence::collect(&self.cx, machine.as_mut()).await,
            None => Vec::new(),
        };
        error.at(span).evidence(files)
    }

    fn fail(&mut self, error: Error) {
        self.tell(&error);
        self.errors.push(error);
    }

    fn tell(&self, error: &Error) {
        self.cx.emit(error_event(self.run, error));
    }

    async fn after_failure(&mut self, stage: Stage) -> Then {
        let mut on_error = self.run.on_error;
        if on_error == OnError::Ask {
            on_error = match self.ask(stage).await {
                Some(answer) => answer,
                None => return Then::Retry,
            };
        }
        self.leave |= matches!(on_error, OnError::Abort | OnError::RunCleanupProvisioner);
        if let (Stage::Provision(_), Some(step)) = (stage, &self.build.on_error)
            && on_error != OnError::Abort
        {
            self.cx.say("Running the error-cleanup-provisioner");
            let work = provisioning::provision(&self.cx, step, &self.guest);
            if let Err(error) = self.cx.interruptible(work).await {
                self.cx.warn(error.context("error-cleanup-provisioner").to_string());
            }
        }
        match (stage, &mut self.chains) {
            (Stage::PostProcess { chain, .. }, Some(chains)) => {
                chains.fail(chain);
                Then::GoOn
            }
            _ => Then::End,
        }
    }

    /// None: the stage is to be tried again.
    async fn ask(&mut self, stage: Stage) -> Option<OnError> {
        let mut choices = vec![('c', "clean up and end"), ('a', "abort and leave everything as it is")];
        // Capturing uses the machine up.
        if stage != Stage::Capture {
            let kept = self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.before(stage).is_some());
            let back = kept && matches!(stage, Stage::Provision(_));
            choices.push(('r', if back { "retry the step from the checkpoint before it" } else { "retry the step" }));
        }
        let question = format!("{}: the stage `{}` failed.", self.build.name, stage.name(self.build));
        match self.cx.interruptible(self.cx.prompter().ask(&question, &choices)).await {
            Ok(0) => Some(OnError::Cleanup),
            Ok(1) => Some(OnError::Abort),
            Ok(_) => None,
            Err(error) => {
                self.cx.warn(format!("{error}; cleaning up"));
                Some(OnError::Cleanup)
            }
        }
    }

    async fn drain(&mut self, mark: UndoId) -> Vec<Undo> {
        let cx = &self.cx;
        self.journal.drain(mark, &self.run.stop, &|event| cx.emit(event)).await
    }

    /// Post-processors' leavings, the clean-up, and the closing event.
    async fn close(mut self, started: Instant) -> Report {
        let outcome = match (self.interrupted, self.errors.is_empty()) {
            (true, _) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
            (false, true) => Outcome::Done,
        };
        let made = match self.chains.take() {
            Some(chains) => chains.finish(&self.cx, outcome == Outcome::Done).await,
            None => Vec::new(),
        };
        self.machine = None;
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.settle().await;
            if let Some(reached) = checkpoints.reached().filter(|_| outcome != Outcome::Done && made.is_empty()) {
                self.cx.message(format!("The next build goes on from the checkpoint after `{reached}`"));
            }
        }
        let left = self.clean_up(outcome).await;
        for Made { from, artifact } in &made {
            self.cx.emit(EventKind::Artifact { from: from.clone(), artifact: artifact.clone() });
            if outcome != Outcome::Done {
                self.cx.message(format!("The artifact of {from} stays: {}", artifact.text));
            }
        }
        let took = started.elapsed();
        self.cx.emit(EventKind::BuildFinished { outcome, millis: took.as_millis() as u64 });
        Report {
            build: self.build.name.clone(),
            outcome,
            stages: self.times,
            artifacts: made.into_iter().map(|made| made.artifact).collect(),
            errors: self.errors,
            left,
            took,
        }
    }

    /// Undoes what is still held, unless an interrupted or failed build is to be left alone. Returns
    /// what is left.
    async fn clean_up(&mut self, outcome: Outcome) -> Vec<Undo> {
        let leave = self.leave && !self.interrupted;
        clean_up(&self.cx, &self.journal, &self.run.stop, outcome, leave).await
    }
}

/// Undoes what is still held, unless it is to be left. Returns what is left.
pub async fn clean_up(
    cx: &Cx,
    journal: &Journal,
    stop: &CancellationToken,
    outcome: Outcome,
    leave: bool,
) -> Vec<Undo> {
    // The scratch directory of work that went well is not worth a word.
    let tell = |event| {
        if outcome != Outcome::Done || matches!(event, EventKind::UndoFailed { .. }) {
            cx.emit(event);
        }
    };
    let left = if leave { journal.held() } else { journal.drain(UndoId(0), stop, &tell).await };
    journal.close();
    if !left.is_empty() {
        let list: Vec<&str> = left.iter().map(|undo| undo.what.as_str()).collect();
        cx.warn(format!("left as it is: {}\n`bakehouse gc` removes it", list.join(", ")));
    }
    left
}

pub fn error_event(run: &Run, error: &Error) -> EventKind {
    let place = |span| run.sources.place(span);
    let mut text = error.to_string();
    for finding in &error.findings().0 {
        let at = finding.span.and_then(place).map(|place| format!(" ({place})")).unwrap_or_default();
        text.push_str(&format!("\n{}{at}", finding.summary));
    }
    EventKind::Error {
        kind: error.kind().heading().into(),
        text,
        hints: error.hints().to_vec(),
        evidence: error.evidence_files().iter().map(|file| file.display().to_string()).collect(),
        place: error.span().and_then(place),
    }
}

fn running(machine: &mut Option<Box<dyn Machine>>) -> Result<&mut dyn Machine> {
    match machine {
        Some(machine) => Ok(machine.as_mut()),
        None => Err(no_machine()),
    }
}

fn no_machine() -> Error {
    Error::new(Kind::Internal, "there is no machine at this stage")
}
