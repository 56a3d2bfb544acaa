//! The undo stack of one build, written through to a journal on disk, so that what a killed run
//! left can be found and undone by another one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bakehouse_api::{Error, EventKind, Kind, Result, Undo, UndoId, UndoLog, Undoer, async_trait};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// For all undos of a build. How long one may take, its undoer says.
const ALL: Duration = Duration::from_secs(600);

/// The undoers of every kind of thing that can be acquired.
pub type Undoers = Arc<[Arc<dyn Undoer>]>;

/// One line of a journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Opened { run: String, build: String, pid: u32 },
    Push { id: UndoId, undo: Undo },
    Forget(UndoId),
}

/// The folder of the journals.
pub fn folder(state: &Path) -> PathBuf {
    state.join("undo")
}

pub struct Journal {
    path: PathBuf,
    /// Whose journal it is, for people.
    pub build: String,
    undoers: Undoers,
    stack: Mutex<Stack>,
}

struct Stack {
    /// Holds the lock by which others see that this run lives.
    file: File,
    held: Vec<(UndoId, Undo)>,
    next: u64,
}

impl Journal {
    /// Starts the journal of a build.
    pub fn create(state: &Path, run: &str, index: usize, build: &str, undoers: Undoers) -> Result<Self> {
        let folder = folder(state);
        let path = folder.join(format!("{run}-{index}.jsonl"));
        let file = create_locked(&folder, &path).map_err(|error| {
            Error::io(format!("creating the undo journal {}", path.display()), &error)
                .hint("set XDG_STATE_HOME to a directory that can be written")
        })?;
        let stack = Mutex::new(Stack { file, held: Vec::new(), next: 1 });
        let journal = Self { path, build: build.into(), undoers, stack };
        let opened = Line::Opened { run: run.into(), build: build.into(), pid: std::process::id() };
        journal.append(&mut journal.lock(), &opened)?;
        Ok(journal)
    }

    /// Takes over the journal of a run that is dead; none when its process lives.
    pub fn adopt(path: &Path, undoers: Undoers) -> Result<Option<Self>> {
        let doing = || format!("opening the undo journal {}", path.display());
        let mut file = OpenOptions::new().append(true).open(path).map_err(|error| Error::io(doing(), &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io(doing(), &error)),
        }
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(doing(), &error))?;
        if !text.ends_with('\n') {
            file.write_all(b"\n").map_err(|error| Error::io(doing(), &error))?;
        }
        let (build, held) = replay(&text);
        let next = held.last().map_or(1, |(id, _)| id.0 + 1);
        Ok(Some(Self { path: path.into(), build, undoers, stack: Mutex::new(Stack { file, held, next }) }))
    }

    /// What is acquired and not released, the oldest first.
    pub fn held(&self) -> Vec<Undo> {
        self.lock().held.iter().map(|(_, undo)| undo.clone()).collect()
    }

    /// What is pushed from now on has this id or a later one.
    pub fn mark(&self) -> UndoId {
        UndoId(self.lock().next)
    }

    /// Undoes everything from `mark` on, the youngest first. What fails stays in the journal and the
    /// rest goes on; `stop` and the deadlines leave the remainder. Returns what is left of it.
    pub async fn drain(&self, mark: UndoId, stop: &CancellationToken, tell: &(dyn Fn(EventKind) + Sync)) -> Vec<Undo> {
        let end = Instant::now() + ALL;
        let mut below = UndoId(u64::MAX);
        while let Some((id, undo)) = self.youngest(mark, below) {
            below = id;
            if stop.is_cancelled() || Instant::now() >= end {
                break;
            }
            tell(EventKind::Undoing { what: undo.what.clone() });
            let limit = end.min(Instant::now() + self.patience(&undo));
            let undone = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                done = tokio::time::timeout_at(limit, self.undo(&undo)) => done.unwrap_or_else(|_| Err(too_long())),
            };
            match undone {
                Ok(()) => self.forget(id),
                Err(error) => tell(EventKind::UndoFailed { what: undo.what, text: error.to_string() }),
            }
        }
        self.lock().held.iter().filter(|(id, _)| *id >= mark).map(|(_, undo)| undo.clone()).collect()
    }

    /// Removes the journal when nothing is left in it.
    pub fn close(&self) {
        if self.lock().held.is_empty() {
            // An empty journal that cannot be removed is removed by the next `gc`.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    pub async fn undo(&self, undo: &Undo) -> Result<()> {
        undo_with(&self.undoers, undo).await
    }

    fn patience(&self, undo: &Undo) -> Duration {
        undoer(&self.undoers, undo).map_or(Duration::ZERO, |undoer| undoer.patience())
    }

    fn youngest(&self, mark: UndoId, below: UndoId) -> Option<(UndoId, Undo)> {
        self.lock().held.iter().rev().find(|(id, _)| *id >= mark && *id < below).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, stack: &mut Stack, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::new(Kind::Internal, error))?;
        text.push('\n');
        let written = stack.file.write_all(text.as_bytes()).and_then(|()| stack.file.sync_data());
        written.map_err(|error| Error::io(format!("writing the undo journal {}", self.path.display()), &error))
    }
}

/// Does one undo, whoever's it is.
pub async fn undo_with(undoers: &[Arc<dyn Undoer>], undo: &Undo) -> Result<()> {
    match undoer(undoers, undo) {
        Some(undoer) => undoer.undo(undo).await,
        None => Err(Error::new(Kind::Internal, format!("this version cannot undo a `{}`", undo.kind))),
    }
}

fn undoer<'a>(undoers: &'a [Arc<dyn Undoer>], undo: &Undo) -> Option<&'a dyn Undoer> {
    undoers.iter().find(|undoer| undoer.kinds().contains(&undo.kind.as_str())).map(|undoer| &**undoer)
}

fn too_long() -> Error {
    Error::new(Kind::Timeout, "it took too long")
}

/// The file gets its name only once it is locked: `gc` must never see it unlocked while we live.
fn create_locked(folder: &Path, path: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let made = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    made.as_file().lock()?;
    let file = made.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// The build's name and what it still holds. A line cut off by a crash is no line.
fn replay(text: &str) -> (String, Vec<(UndoId, Undo)>) {
    let mut whose = String::new();
    let mut held: Vec<(UndoId, Undo)> = Vec::new();
    for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            Line::Opened { build, .. } => whose = build,
            Line::Push { id, undo } => held.push((id, undo)),
            Line::Forget(id) => held.retain(|(pushed, _)| *pushed != id),
        }
    }
    (whose, held)
}

#[async_trait]
impl UndoLog for Journal {
    fn push(&self, undo: Undo) -> Result<UndoId> {
        let mut stack = self.lock();
        let id = UndoId(stack.next);
        self.append(&mut stack, &Line::Push { id, undo: undo.clone() })?;
        stack.next += 1;
        stack.held.push((id, undo));
        Ok(id)
    }

    fn forget(&self, id: UndoId) {
        let mut stack = self.lock();
        let before = stack.held.len();
        stack.held.retain(|(held, _)| *held != id);
        if stack.held.len() < before {
            // Lost in a crash it is undone once more, and undoing what is gone does nothing. What is
            // given to the user is protected by this line, hence the sync in `append`.
            let _ = self.append(&mut stack, &Line::Forget(id));
        }
    }

    async fn run(&self, id: UndoId) -> Result<()> {
        let found = self.lock().held.iter().find(|(held, _)| *held == id).cloned();
        let Some((_, undo)) = found else { return Ok(()) };
        let done = tokio::time::timeout(self.patience(&undo), self.undo(&undo)).await;
        done.unwrap_or_else(|_| Err(too_long())).map_err(|error| error.context(format!("undoing {}", undo.what)))?;
        self.forget(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Log(Mutex<Vec<String>>);

    #[async_trait]
    impl Undoer for Log {
        fn kinds(&self) -> &'static [&'static str] {
            &["log", "fail", "hang"]
        }

        async fn undo(&self, undo: &Undo) -> Result<()> {
            match undo.kind.as_str() {
                "fail" => return Err(Error::new(Kind::Host, "no")),
                "hang" => std::future::pending().await,
                _ => {}
            }
            self.0.lock().unwrap().push(undo.what.clone());
            Ok(())
        }
    }

    fn undo(kind: &str, what: &str) -> Undo {
        Undo { kind: kind.into(), what: what.into(), data: serde_json::Value::Null }
    }

    fn journal(state: &Path) -> (Arc<Log>, Journal) {
        let log = Arc::new(Log(Mutex::default()));
        let undoers: Undoers = Arc::new([log.clone() as Arc<dyn Undoer>]);
        (log, Journal::create(state, "run", 0, "qemu.x", undoers).unwrap())
    }

    fn files(state: &Path) -> usize {
        std::fs::read_dir(folder(state)).unwrap().count()
    }

    #[tokio::test]
    async fn drains_in_reverse_and_disappears() {
        let state = tempfile::tempdir().unwrap();
        let (log, journal) = journal(state.path());
        journal.push(undo("log", "a")).unwrap();
        let b = journal.push(undo("log", "b")).unwrap();
        journal.push(undo("log", "c")).unwrap();
        journal.forget(b);
        let left = journal.drain(UndoId(0), &CancellationToken::new(), &|_| {}).await;
        journal.close();
        assert_eq!(left, []);
        assert_eq!(*log.0.lock().unwrap(), ["c", "a"]);
        assert_eq!(files(state.path()), 0);
    }

    #[tokio::test]
    async fn what_fails_stays_and_the_rest_goes_on() {
        let state = tempfile::tempdir().unwrap();
        let (log, journal) = journal(state.path());
        for (kind, what) in [("log", "a"), ("fail", "b"), ("log", "c")] {
            journal.push(undo(kind, what)).unwrap();
        }
        let told = Mutex::new(Vec::new());
        let tell = |event: EventKind| {
            if let EventKind::UndoFailed { what, text } = event {
                told.lock().unwrap().push((what, text));
            }
        };
        let left = journal.drain(UndoId(0), &CancellationToken::new(), &tell).await;
        journal.close();
        assert_eq!(left, [undo("fail", "b")]);
        assert_eq!(*log.0.lock().unwrap(), ["c", "a"]);
        assert_eq!(*told.lock().unwrap(), [("b".to_owned(), "no".to_owned())]);
        assert_eq!(files(state.path()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_undo_has_a_deadline() {
        let state = tempfile::tempdir().unwrap();
        let (log, journal) = journal(state.path());
        journal.push(undo("log", "a")).unwrap();
        journal.push(undo("hang", "b")).unwrap();
        let left = journal.drain(UndoId(0), &CancellationToken::new(), &|_| {}).await;
        assert_eq!(left, [undo("hang", "b")]);
        assert_eq!(*log.0.lock().unwrap(), ["a"]);
    }

    #[tokio::test]
    async fn stop_ends_a_drain_at_once() {
        let state = tempfile::tempdir().unwrap();
        let (log, journal) = journal(state.path());
        journal.push(undo("log", "a")).unwrap();
        journal.push(undo("hang", "b")).unwrap();
        let stop = CancellationToken::new();
        let (left, ()) = tokio::join!(journal.drain(UndoId(0), &stop, &|_| {}), async {
            tokio::task::yield_now().await;
            stop.cancel();
        });
        assert_eq!(left.len(), 2);
        assert!(log.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn only_what_came_after_a_mark() {
        let state = tempfile::tempdir().unwrap();
        let (log, journal) = journal(state.path());
        journal.push(undo("log", "a")).unwrap();
        let mark = journal.mark();
        journal.push(undo("log", "b")).unwrap();
        assert_eq!(journal.drain(mark, &CancellationToken::new(), &|_| {}).await, []);
        assert_eq!(*log.0.lock().unwrap(), ["b"]);
        assert_eq!(journal.held(), [undo("log", "a")]);
    }

    #[test]
    fn the_living_keep_their_journal_and_the_dead_lose_it() {
        let state = tempfile::tempdir().unwrap();
        let (_, journal) = journal(state.path());
        let a = journal.push(undo("log", "a")).unwrap();
        journal.push(undo("log", "b")).unwrap();
        journal.forget(a);
        let path = journal.path.clone();
        assert!(Journal::adopt(&path, Arc::new([])).unwrap().is_none());
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"push\":{\"id\":3,\"un").unwrap();
        let adopted = Journal::adopt(&path, Arc::new([])).unwrap().unwrap();
        assert_eq!(adopted.build, "qemu.x");
        assert_eq!(adopted.held(), [undo("log", "b")]);
    }
}
