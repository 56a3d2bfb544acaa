//! Making room: what was not used for longest goes first, and nothing that a build uses goes at all.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_kit::{extents, shelf};

use super::note::{NOTE, is_read_later};
use super::store::{Entry, Store, StoreError, since};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub checkpoints: usize,
    pub bytes: u64,
}

impl Store {
    /// The room that everything takes.
    pub fn usage(&self) -> Result<u64, StoreError> {
        Ok(self.folders()?.iter().map(|dir| extents::usage(dir).unwrap_or(0)).sum())
    }

    /// Removes what was not used within `older_than`, then the least recently used until all fit into `keep`.
    pub fn prune(&self, keep: Option<u64>, older_than: Option<Duration>) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        self.sweep(&mut pruned)?;
        let mut entries = self.entries()?;
        entries.reverse();
        for entry in entries {
            let old = older_than.is_some_and(|limit| since(entry.used) > limit);
            let full = match keep {
                Some(keep) if !old => self.usage()? > keep,
                _ => false,
            };
            if old || full {
                self.remove_into(&entry, &mut pruned)?;
            }
        }
        Ok(pruned)
    }

    /// Removes what the checkpoint in `dir` stands for from now on.
    pub fn supersede(&self, dir: &Path) -> Result<(), StoreError> {
        let entries = self.entries()?;
        let Some(new) = entries.iter().find(|entry| entry.dir == dir) else { return Ok(()) };
        for old in entries.iter().filter(|old| old.dir != dir && old.note.key == new.note.key) {
            self.remove(old)?;
        }
        Ok(())
    }

    /// False when a build uses it.
    pub fn remove(&self, entry: &Entry) -> Result<bool, StoreError> {
        let mut pruned = Pruned::default();
        self.remove_into(entry, &mut pruned)?;
        Ok(pruned.checkpoints > 0)
    }

    fn remove_into(&self, entry: &Entry, pruned: &mut Pruned) -> Result<(), StoreError> {
        let Some(lock) = shelf::own(&entry.dir).map_err(|error| self.failed(error))? else { return Ok(()) };
        pruned.checkpoints += 1;
        pruned.bytes += self.thin(&entry.dir)?;
        drop(lock);
        self.drop_unused(&entry.dir, pruned)
    }

    /// No checkpoint any more; only what others build upon stays.
    fn thin(&self, dir: &Path) -> Result<u64, StoreError> {
        let before = extents::usage(dir).unwrap_or(0);
        // First the note: what is half removed must not count.
        std::fs::remove_file(dir.join(NOTE)).map_err(|error| self.failed(error))?;
        for entry in dir.read_dir().map_err(|error| self.failed(error))?.flatten() {
            let name = entry.file_name();
            if !is_read_later(Path::new(&name)) && !shelf::is_ours(&name.to_string_lossy()) {
                let gone = if entry.path().is_dir() {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                };
                gone.map_err(|error| self.failed(error))?;
            }
        }
        Ok(before.saturating_sub(extents::usage(dir).unwrap_or(0)))
    }

    /// Removes the folder, and those below it that were only kept for it.
    fn drop_unused(&self, dir: &Path, pruned: &mut Pruned) -> Result<(), StoreError> {
        let mut next = Some(dir.to_owned());
        while let Some(dir) = next.take() {
            if dir.join(NOTE).exists() || !dir.exists() || !self.above(&dir)?.is_empty() {
                return Ok(());
            }
            let Some(_lock) = shelf::own(&dir).map_err(|error| self.failed(error))? else { return Ok(()) };
            next = shelf::parent(&dir);
            pruned.bytes += extents::usage(&dir).unwrap_or(0);
            std::fs::remove_dir_all(&dir).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// The folders that build upon this one.
    pub fn above(&self, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        Ok(self.folders()?.into_iter().filter(|folder| shelf::parent(folder).as_deref() == Some(dir)).collect())
    }

    /// Folders of builds that are no more.
    fn sweep(&self, pruned: &mut Pruned) -> Result<(), StoreError> {
        for dir in self.folders()? {
            if dir.join(NOTE).exists() || !dir.exists() {
                continue;
            }
            let lock = shelf::own(&dir).map_err(|error| self.failed(error))?;
            if lock.is_some() && self.above(&dir)?.is_empty() {
                let bytes = extents::usage(&dir).unwrap_or(0);
                match std::fs::remove_dir_all(&dir) {
                    Ok(()) => pruned.bytes += bytes,
                    // A build that made it a moment ago has come to its lock now, or given it up.
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {}
                    Err(error) => return Err(self.failed(error)),
                }
            }
        }
        Ok(())
    }
}
