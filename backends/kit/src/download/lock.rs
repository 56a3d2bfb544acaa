//! One download of a file at a time, over all builds and all runs on this machine.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Held until it is dropped; the lock file goes with it.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// None while somebody else holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The holder before us may have removed this file after we opened it.
        let same = path.metadata().is_ok_and(|there| file.metadata().is_ok_and(|own| own.ino() == there.ino()));
        Ok(same.then(|| Self { path: path.into(), _file: file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // a lock file that stays is taken by the next one
    }
}
