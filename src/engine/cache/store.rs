//! The folder of all checkpoints.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bakehouse_kit::shelf;

use super::key::Salt;
use super::note::{Care, NOTE, Note};

#[derive(Debug, thiserror::Error)]
#[error("the checkpoints in {}: {source}", dir.display())]
pub struct StoreError {
    pub dir: PathBuf,
    pub source: io::Error,
}

#[derive(Clone)]
pub struct Store {
    pub dir: PathBuf,
    pub salt: Salt,
}

/// A checkpoint.
#[derive(Clone, Debug)]
pub struct Entry {
    pub dir: PathBuf,
    pub note: Note,
    /// When it was taken, or a build last went on from it.
    pub used: SystemTime,
}

impl Entry {
    pub fn id(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn read(dir: &Path) -> io::Result<Self> {
        let used = dir.join(NOTE).metadata()?.modified()?;
        Ok(Self { dir: dir.to_owned(), note: Note::read(dir)?, used })
    }

    /// What is wrong with its files. Blocking.
    pub fn damage(&mut self, care: Care) -> Option<String> {
        let dir = self.dir.clone();
        self.note.damage(&dir, care)
    }
}

impl Store {
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let make = || -> io::Result<Salt> {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            Salt::of(dir)
        };
        let salt = make().map_err(|source| StoreError { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), salt })
    }

    pub fn failed(&self, source: io::Error) -> StoreError {
        StoreError { dir: self.dir.clone(), source }
    }

    /// Every folder, complete or not.
    pub fn folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = Vec::new();
        for entry in self.dir.read_dir().map_err(|error| self.failed(error))? {
            let path = entry.map_err(|error| self.failed(error))?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("c-")) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The checkpoints, the last used first. A note that does not read makes no checkpoint.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut found: Vec<Entry> = self.folders()?.iter().filter_map(|dir| Entry::read(dir).ok()).collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        Ok(found)
    }

    /// Keeps the checkpoint from being removed while it is looked at and used; none when it is gone.
    pub fn hold(&self, entry: &Entry) -> Option<File> {
        shelf::share(&entry.dir).filter(|_| entry.dir.join(NOTE).exists())
    }

    /// It was of use right now.
    pub fn touch(&self, entry: &Entry) {
        let note = File::options().write(true).open(entry.dir.join(NOTE));
        let _ = note.and_then(|note| note.set_modified(SystemTime::now())); // it only goes earlier
    }
}

/// How long ago `at` was; zero for a clock that went back.
pub fn since(at: SystemTime) -> Duration {
    at.elapsed().unwrap_or_default()
}
