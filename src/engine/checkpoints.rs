//! One build and its checkpoints: where it goes on from, and what it leaves for the next one.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use bakehouse_api::{Artifact, Builder, Checkpoint, Cx, Error, Facts, Input, Machine, Result, Value};
use bakehouse_kit::shelf::Folder;
use tokio::task::JoinHandle;

use super::cache::{Care, Course, Decision, Entry, Kind, Ledger, Note, Policy, Ran, Remembered, Store, Verdict};
use super::prepare::Prepared;
use super::stage::Stage;

/// Where an artifact's files are kept in its folder, and what `build.*` says of the machine that made it.
const FILES: &str = "files";
const FACTS: &str = "facts.json";

pub struct Checkpoints {
    store: Store,
    policy: Policy,
    course: Course,
    ledger: Ledger,
    /// What the run before this one has left.
    previous: Option<Remembered>,
    pub decision: Decision,
    /// Checkpoints that were of no use: of which leg, and why.
    passed: Vec<(usize, PathBuf, String)>,
    /// When each leg up to now really ran.
    ran: Vec<Ran>,
    /// Every leg up to now ended well and has a key.
    sound: bool,
    /// The checkpoint that the machine was last frozen in or went on from, and its lock.
    last: Option<(usize, PathBuf, Option<File>)>,
    /// One that is being read through.
    pending: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// What can be gone on from; none where checkpoints are not used. Starts nothing.
    pub fn find(cx: &Cx, build: &Prepared, found: Vec<Input>, policy: &Policy) -> Option<Self> {
        let dir = cx.settings().checkpoints.as_ref().filter(|_| build.builder.has_machine())?;
        let opened = Store::open(dir).and_then(|store| store.entries().map(|entries| (store, entries)));
        let (store, entries) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                cx.warn(format!("no checkpoints in this build: {error}"));
                return None;
            }
        };
        let course = Course::of(build, found, &store.salt, policy);
        let ledger = Ledger::open(&store.dir, &template(cx, build), &build.name);
        let previous = ledger.last();
        let decision = Decision::make(&course, &entries, previous.as_ref());
        Some(Self {
            store,
            policy: policy.clone(),
            course,
            ledger,
            previous,
            decision,
            passed: Vec::new(),
            ran: Vec::new(),
            sound: true,
            last: None,
            pending: None,
        })
    }

    /// The verdict on the stage; none for those that run each time.
    pub fn verdict(&self, stage: Stage) -> Option<&Verdict> {
        self.course.leg_of(stage).and_then(|leg| self.decision.verdicts.get(leg))
    }

    /// Says what is cached and what will run, and why.
    pub fn tell(&mut self, cx: &Cx) {
        let known = self.previous.is_some();
        for (leg, verdict) in self.course.legs.iter().zip(&self.decision.verdicts) {
            match verdict {
                Verdict::Cached(_) => {}
                Verdict::Run(why) if known || self.decision.from.is_some() => {
                    cx.message(format!("`{}` runs: {why}", leg.name));
                }
                Verdict::Run(_) => {}
            }
        }
        self.note(|ledger, course, decision| ledger.begin(course, &decision.verdicts));
    }

    /// The checkpoint to go on from, looked through and held. One that is damaged is dropped for the one before it.
    pub async fn choose(&mut self, cx: &Cx) -> Option<Chosen> {
        loop {
            let (leg, entry) = self.decision.from.clone()?;
            let name = self.course.legs[leg].name.clone();
            let Some((lock, damage)) = self.look(&entry).await else {
                self.pass_by("its checkpoint was removed meanwhile");
                continue;
            };
            let Some(damage) = damage else {
                self.store.touch(&entry);
                self.ran = entry.note.ran.clone();
                self.last = Some((leg, entry.dir.clone(), Some(lock)));
                return Some(Chosen { dir: entry.dir, kind: entry.note.kind, name });
            };
            match entry.note.kind {
                // It shares its files with the output, which is the user's to change.
                Kind::Artifact => cx.message(format!("The artifact is not what it was, and is made anew: {damage}")),
                Kind::Machine => {
                    cx.warn(format!("the checkpoint after `{name}` is damaged and dropped: {damage}"));
                }
            }
            drop(lock);
            if let Err(error) = self.store.remove(&entry) {
                cx.warn(format!("it cannot be removed: {error}"));
            }
            self.pass_by("its checkpoint was damaged");
        }
    }

    /// As [`Self::choose`], but touches and removes nothing.
    pub async fn peek(&mut self) {
        while let Some((_, entry)) = self.decision.from.clone() {
            match self.look(&entry).await {
                Some((_, None)) => return,
                Some((_, Some(damage))) => self.pass_by(&format!("its checkpoint is damaged: {damage}")),
                None => self.pass_by("its checkpoint was removed meanwhile"),
            }
        }
    }

    /// Its lock, and what is wrong with it; none when it is gone.
    async fn look(&self, entry: &Entry) -> Option<(File, Option<String>)> {
        let lock = self.store.hold(entry)?;
        let mut looked = entry.clone();
        let damage = tokio::task::spawn_blocking(move || looked.damage(Care::Quick)).await;
        Some((lock, damage.ok()?)) // the thread ends early only with the run
    }

    /// The chosen checkpoint is of no use in this run: the one before it is next.
    pub fn pass_by(&mut self, why: &str) {
        let Some((gone, entry)) = self.decision.from.take() else { return };
        self.passed.push((gone, entry.dir, why.to_owned()));
        let mut entries = self.store.entries().unwrap_or_default();
        entries.retain(|entry| !self.passed.iter().any(|(_, dir, _)| *dir == entry.dir));
        self.decision = Decision::make(&self.course, &entries, self.previous.as_ref());
        for (leg, _, why) in &self.passed {
            if let Some(verdict @ Verdict::Run(_)) = self.decision.verdicts.get_mut(*leg) {
                *verdict = Verdict::Run(why.clone());
            }
        }
        (self.last, self.ran) = (None, Vec::new());
    }

    /// Has a checkpoint this stage already?
    pub fn has(&self, stage: Stage) -> bool {
        matches!(self.verdict(stage), Some(Verdict::Cached(_)))
    }

    /// The leg of a stage ended well: freezes the machine. Trouble is told once and costs only checkpoints.
    pub async fn after(&mut self, cx: &Cx, build: &Prepared, stage: Stage, machine: &mut dyn Machine) {
        if !self.leg_ended(cx, build, stage) {
            return;
        }
        let Some(leg) = self.course.leg_of(stage) else { return };
        self.settle().await;
        let began = Instant::now();
        match machine.checkpoint(cx).await {
            Ok(Some(checkpoint)) => {
                let took = began.elapsed().as_secs_f64();
                cx.message(format!("Checkpoint after `{}`, in {took:.1} s", self.course.legs[leg].name));
                self.last = Some((leg, checkpoint.dir.clone(), None));
                self.complete(cx, build, leg, checkpoint, Kind::Machine);
            }
            Ok(None) => self.sound = false,
            Err(error) => {
                self.sound = false;
                cx.warn(format!("no checkpoints from here on: {error}"));
                error.hints().iter().for_each(|hint| cx.message(format!("try: {hint}")));
            }
        }
    }

    /// Notes it. True when a checkpoint can be found again by what the leg has read.
    fn leg_ended(&mut self, cx: &Cx, build: &Prepared, stage: Stage) -> bool {
        let Some(leg) = self.course.leg_of(stage) else { return false };
        self.note(|ledger, _, _| ledger.done(leg));
        self.ran.truncate(leg);
        self.ran.push(Ran { leg: self.course.legs[leg].name.clone(), at: super::cache::now() });
        // A step may have made what a later one reads, and someone may edit what is being read.
        let (known, now) = (&self.course.legs[leg].recipe, self.course.read_again(leg, build, &self.store.salt));
        let same = now == *known;
        if !same && self.sound {
            let (name, what) = (&self.course.legs[leg].name, now.differences(known).join("; "));
            cx.message(format!("No checkpoints from `{name}` on: {what} while the build ran"));
        }
        self.sound &= same && self.course.legs[leg].key.is_some() && self.ran.len() == leg + 1;
        self.sound
    }

    /// A step is tried again, and may read something else by now.
    pub fn read_again(&mut self, build: &Prepared, stage: Stage) {
        let Some(leg) = self.course.leg_of(stage) else { return };
        let now = self.course.read_again(leg, build, &self.store.salt);
        self.course.replace(leg, now, build, &self.store.salt);
        self.note(|ledger, course, decision| ledger.begin(course, &decision.verdicts));
    }

    /// A step failed, and the build went on all the same.
    pub fn spoil(&mut self) {
        self.sound = false;
    }

    /// Reads through what was frozen while the build goes on, and lets it count.
    fn complete(&mut self, cx: &Cx, build: &Prepared, leg: usize, checkpoint: Checkpoint, kind: Kind) {
        let Some(key) = self.course.legs[leg].key.clone() else { return };
        let (store, cx, limit) = (self.store.clone(), cx.clone(), self.policy.limit);
        let (name, after, ran) = (build.name.clone(), self.course.legs[leg].name.clone(), self.ran.clone());
        self.pending = Some(tokio::spawn(async move {
            let Checkpoint { dir, undo } = checkpoint;
            let work = move || {
                Note::take(&dir, key, kind, &name, &after, ran)?.write(&dir)?;
                Ok(store.supersede(&dir).and_then(|()| store.prune(Some(limit), None)))
            };
            let done: std::io::Result<_> =
                tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Ok(Ok(Default::default())));
            match done {
                Ok(pruned) => {
                    cx.forget(undo);
                    if let Err(error) = pruned {
                        cx.warn(format!("cannot make room: {error}"));
                    }
                }
                Err(error) => cx.warn(format!("a checkpoint is lost: {error}")),
            }
        }));
    }

    /// Waits for the checkpoint that is being read through.
    pub async fn settle(&mut self) {
        if let Some(pending) = self.pending.take() {
            let _ = pending.await; // what went wrong has been told
        }
    }

    /// The machine as it was before the stage, if that was kept.
    pub fn before(&self, stage: Stage) -> Option<PathBuf> {
        let leg = self.course.leg_of(stage)?;
        self.last.as_ref().filter(|(at, ..)| at + 1 == leg).map(|(_, dir, _)| dir.clone())
    }

    /// The stage that the next build goes on after.
    pub fn reached(&self) -> Option<&str> {
        self.last.as_ref().map(|(leg, ..)| self.course.legs[*leg].name.as_str())
    }

    /// Keeps the artifact, so that nothing has to run when nothing changed.
    pub async fn keep(&mut self, cx: &Cx, build: &Prepared, artifact: &Artifact, facts: &Facts) {
        if !self.leg_ended(cx, build, Stage::Capture) {
            return;
        }
        self.settle().await;
        if let Err(error) = self.try_keep(cx, build, artifact, facts).await {
            cx.warn(format!("the artifact is not kept for the next build: {error}"));
        }
    }

    async fn try_keep(&mut self, cx: &Cx, build: &Prepared, artifact: &Artifact, facts: &Facts) -> Result<()> {
        let folder = Folder::create(cx, None)?;
        let files = folder.dir.join(FILES);
        std::fs::create_dir(&files).map_err(|error| Error::io(format!("making {}", files.display()), &error))?;
        if !build.builder.keep(cx, artifact, &files).await? {
            return folder.discard(cx).await;
        }
        write_facts(&folder.dir.join(FACTS), facts)?;
        let (checkpoint, _lock) = folder.freeze();
        self.complete(cx, build, self.course.legs.len() - 1, checkpoint, Kind::Artifact);
        self.settle().await;
        Ok(())
    }

    fn note(&mut self, write: impl FnOnce(&mut Ledger, &Course, &Decision) -> std::io::Result<()>) {
        // Without it the next run only says less.
        let _ = write(&mut self.ledger, &self.course, &self.decision);
    }
}

/// The folder of the build's template, by whatever path it was named.
fn template(cx: &Cx, build: &Prepared) -> PathBuf {
    let root = cx.settings().cwd.join(&build.root);
    root.canonicalize().unwrap_or(root)
}

/// A checkpoint to go on from.
pub struct Chosen {
    pub dir: PathBuf,
    pub kind: Kind,
    /// The stage that it was taken after.
    pub name: String,
}

impl Chosen {
    /// The kept artifact, put where the build's own would be, and the facts of its machine.
    pub async fn recall(&self, cx: &Cx, builder: &dyn Builder) -> Result<(Artifact, Facts)> {
        let facts = read_facts(&self.dir.join(FACTS))?;
        Ok((builder.recall(cx, &self.dir.join(FILES)).await?, facts))
    }
}

fn write_facts(path: &std::path::Path, facts: &Facts) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let text = |(name, value): (&String, &Value)| {
        Some((name.clone(), (bakehouse_api::decode::scalar_text(value)?, value.sensitive)))
    };
    let facts: std::collections::BTreeMap<_, _> = facts.iter().filter_map(text).collect();
    let failed = |error: std::io::Error| Error::io(format!("writing {}", path.display()), &error);
    let bytes = serde_json::to_vec(&facts).map_err(|error| failed(error.into()))?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(&bytes)).map_err(failed)
}

fn read_facts(path: &std::path::Path) -> Result<Facts> {
    let failed = |error: std::io::Error| Error::io(format!("reading {}", path.display()), &error);
    let bytes = std::fs::read(path).map_err(failed)?;
    let facts: std::collections::BTreeMap<String, (String, bool)> =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
    let value = |(name, (text, sensitive)): (String, (String, bool))| (name, Value::from(text).sensitive(sensitive));
    Ok(facts.into_iter().map(value).collect())
}
