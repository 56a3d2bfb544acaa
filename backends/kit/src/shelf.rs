//! The folders that checkpoints are kept in. A folder has its name for good, so that disks can build upon each
//! other by relative paths; whoever uses it shares its lock, so that nobody else removes it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use bakehouse_api::{Checkpoint, Cx, Error, Kind, Result, UndoId};

use crate::undo;

const LOCK: &str = "lock";
/// Holds the name of the folder whose disks this one's build upon.
const PARENT: &str = "parent";

/// A folder in the making.
pub struct Folder {
    pub dir: PathBuf,
    undo: UndoId,
    lock: File,
}

impl Folder {
    /// A new folder, which only this user can enter.
    pub fn create(cx: &Cx, parent: Option<&Path>) -> Result<Self> {
        let root = cx.settings().checkpoints.as_ref();
        let root = root.ok_or_else(|| Error::new(Kind::Internal, "there is no place for checkpoints"))?;
        let doing = format!("making a folder for a checkpoint in {}", root.display());
        let failed = |error: io::Error| Error::io(&doing, &error);
        std::fs::create_dir_all(root).map_err(failed)?;
        let (dir, undo, lock) = loop {
            let made = tempfile::Builder::new().prefix("c-").rand_bytes(12).tempdir_in(root);
            let dir = made.map_err(failed)?.keep();
            let undo = cx.hold(undo::path(&dir))?;
            match lock_new(&dir).map_err(failed)? {
                Some(lock) => break (dir, undo, lock),
                None => cx.forget(undo),
            }
        };
        if let Some(name) = parent.and_then(Path::file_name) {
            std::fs::write(dir.join(PARENT), name.as_encoded_bytes()).map_err(failed)?;
        }
        Ok(Self { dir, undo, lock })
    }

    /// What is in it, is a checkpoint. The lock is to be held for as long as the machine needs the folder.
    pub fn freeze(self) -> (Checkpoint, File) {
        (Checkpoint { dir: self.dir, undo: self.undo }, self.lock)
    }

    pub async fn discard(self, cx: &Cx) -> Result<()> {
        cx.release(self.undo).await
    }
}

/// The file that is locked, made where it is missing; none when the folder is gone.
fn lock_file(dir: &Path) -> io::Result<Option<File>> {
    match File::options().write(true).create(true).truncate(false).open(dir.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// None when somebody else took the folder for one that nobody uses before it had its lock, and removed it.
fn lock_new(dir: &Path) -> io::Result<Option<File>> {
    let Some(lock) = lock_file(dir)? else { return Ok(None) };
    lock.lock_shared()?;
    Ok(dir.join(LOCK).exists().then_some(lock))
}

/// Shares the lock; none when the folder is being removed, or is gone.
pub fn share(dir: &Path) -> Option<File> {
    let lock = File::open(dir.join(LOCK)).ok()?;
    lock.try_lock_shared().ok()?;
    dir.join(LOCK).exists().then_some(lock)
}

/// Takes the lock for oneself; none while anybody uses the folder, or when it is gone.
pub fn own(dir: &Path) -> io::Result<Option<File>> {
    let Some(lock) = lock_file(dir)? else { return Ok(None) };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The folder that this one builds upon.
pub fn parent(dir: &Path) -> Option<PathBuf> {
    let name = std::fs::read_to_string(dir.join(PARENT)).ok()?;
    Some(dir.with_file_name(name.trim()))
}

/// Is it one of our own files, which say nothing of the machine?
pub fn is_ours(name: &str) -> bool {
    name == LOCK || name == PARENT
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bakehouse_api::{Settings, testing};

    use super::*;

    #[tokio::test]
    async fn a_folder_in_use_is_nobody_elses_and_goes_when_it_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, recorder) = testing::cx(dir.path(), undo::undoers());
        let settings = Settings { checkpoints: Some(dir.path().join("cache/checkpoints")), ..plain.settings().clone() };
        let cx = plain.with_settings(Arc::new(settings));
        let first = Folder::create(&cx, None).unwrap();
        let second = Folder::create(&cx, Some(&first.dir)).unwrap();
        assert_eq!(parent(&second.dir), Some(first.dir.clone()));
        assert!(own(&first.dir).unwrap().is_none(), "it is in use");
        assert!(share(&first.dir).is_some());
        let path = second.dir.clone();
        second.discard(&cx).await.unwrap();
        assert!(!path.exists() && share(&path).is_none());
        let unlucky = dir.path().join("unlucky");
        std::fs::create_dir(&unlucky).unwrap();
        let swept = own(&unlucky).unwrap();
        std::fs::remove_dir_all(&unlucky).unwrap();
        drop(swept);
        assert!(lock_new(&unlucky).unwrap().is_none(), "it was removed before it had its lock");
        assert!(own(&unlucky).unwrap().is_none());
        let (checkpoint, lock) = first.freeze();
        drop(lock);
        assert!(own(&checkpoint.dir).unwrap().is_some());
        assert_eq!(recorder.held().len(), 1, "until the engine vouches for it");
    }
}
