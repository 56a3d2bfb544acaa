//! A context for tests of backends, kit, provisioners and post-processors: records events, keeps
//! undos in memory, answers prompts from a list.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    Cx, Error, Event, EventKind, Kind, Prompter, Result, Settings, Sink, Undo, UndoId, UndoLog, Undoer, async_trait,
};

#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<Event>>,
    held: Mutex<Vec<(UndoId, Undo)>>,
    undoers: Vec<Arc<dyn Undoer>>,
    pub answers: Mutex<Vec<usize>>,
}

impl Recorder {
    /// What is still acquired.
    pub fn held(&self) -> Vec<Undo> {
        lock(&self.held).iter().map(|(_, undo)| undo.clone()).collect()
    }

    /// Every headline, message, warning and output line, in order.
    pub fn lines(&self) -> Vec<String> {
        let text = |event: &Event| match &event.kind {
            EventKind::Say { text } | EventKind::Message { text } | EventKind::Warning { text } => Some(text.clone()),
            EventKind::Output { text, .. } => Some(text.clone()),
            _ => None,
        };
        lock(&self.events).iter().filter_map(text).collect()
    }

    /// Undoes everything in reverse, as the engine does at the end of a failed build.
    pub async fn drain(&self) -> Result<()> {
        loop {
            let Some((id, _)) = lock(&self.held).last().cloned() else { return Ok(()) };
            self.run(id).await?;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for Recorder {
    fn emit(&self, event: Event) {
        lock(&self.events).push(event);
    }
}

#[async_trait]
impl UndoLog for Recorder {
    fn push(&self, undo: Undo) -> Result<UndoId> {
        let mut held = lock(&self.held);
        let id = UndoId(held.last().map_or(1, |(last, _)| last.0 + 1));
        held.push((id, undo));
        Ok(id)
    }

    fn forget(&self, id: UndoId) {
        lock(&self.held).retain(|(held, _)| *held != id);
    }

    async fn run(&self, id: UndoId) -> Result<()> {
        let Some((_, undo)) = lock(&self.held).iter().find(|(held, _)| *held == id).cloned() else { return Ok(()) };
        self.forget(id);
        let undoer = self.undoers.iter().find(|undoer| undoer.kinds().contains(&undo.kind.as_str()));
        match undoer {
            Some(undoer) => undoer.undo(&undo).await,
            None => Err(Error::new(Kind::Internal, format!("nobody undoes `{}`", undo.kind))),
        }
    }
}

#[async_trait]
impl Prompter for Recorder {
    async fn ask(&self, question: &str, _choices: &[(char, &str)]) -> Result<usize> {
        lock(&self.answers).pop().ok_or_else(|| Error::new(Kind::Host, format!("nobody answers: {question}")))
    }
}

/// A context whose scratch space, cache and state lie under `dir`.
pub fn cx(dir: &Path, undoers: Vec<Arc<dyn Undoer>>) -> (Cx, Arc<Recorder>) {
    let recorder = Arc::new(Recorder { undoers, ..Recorder::default() });
    let settings = Settings {
        run_uuid: "00000000-0000-4000-8000-000000000000".into(),
        cache: dir.join("cache"),
        state: dir.join("state"),
        cwd: dir.to_owned(),
        ..Settings::default()
    };
    let temp = dir.join("temp");
    for made in [&temp, &settings.cache, &settings.state] {
        let _ = std::fs::create_dir_all(made); // a test that needs it fails on its first write
    }
    let cx = Cx::new(
        "test",
        temp,
        Arc::new(settings),
        recorder.clone(),
        recorder.clone(),
        recorder.clone(),
        Default::default(),
        Default::default(),
    );
    (cx, recorder)
}
