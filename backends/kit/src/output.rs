//! Files that appear only when they are complete.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Result, UndoId};
use tempfile::NamedTempFile;

use crate::undo;

/// A file in the making, beside its final place under another name.
pub struct Output {
    cx: Cx,
    path: PathBuf,
    temp: NamedTempFile,
    undo: UndoId,
}

impl Output {
    /// Makes the folder where it is missing.
    pub fn create(cx: &Cx, path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io(format!("writing {}", path.display()), &error);
        let dir = folder(path);
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
        let temp = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .permissions(Permissions::from_mode(0o666)) // less the umask, like any new file
            .tempfile_in(dir)
            .map_err(failed)?;
        let undo = cx.hold(undo::path(&std::path::absolute(temp.path()).map_err(failed)?))?;
        Ok(Self { cx: cx.clone(), path: path.to_owned(), temp, undo })
    }

    /// Another handle on the unfinished file.
    pub fn file(&self) -> Result<File> {
        self.temp.as_file().try_clone().map_err(|error| self.failed(&error))
    }

    /// What went wrong while it was written.
    pub fn failed(&self, error: &io::Error) -> Error {
        if self.cx.cancel().is_cancelled() {
            return Error::interrupted();
        }
        Error::io(format!("writing {}", self.path.display()), error)
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.temp.write_all(bytes).map_err(|error| self.failed(&error))
    }

    /// Puts it in its place, over what may be there.
    pub fn commit(self) -> Result<()> {
        let Self { cx, path, temp, undo } = self;
        let failed = |error: io::Error| Error::io(format!("writing {}", path.display()), &error);
        let kept = temp.as_file().sync_data().and_then(|()| temp.persist(&path).map_err(|error| error.error));
        cx.forget(undo);
        kept.map(|_| ()).map_err(failed)
    }

    /// Removes it.
    pub fn discard(self) {
        let Self { cx, temp, undo, .. } = self;
        drop(temp);
        cx.forget(undo);
    }

    /// Keeps it or removes it, as `result` says.
    pub fn settle<T>(self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => self.commit().map(|()| value),
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }
}

/// The folder a file lies in.
pub fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        let path = dir.path().join("new/folder/file");
        let mut output = Output::create(&cx, &path).unwrap();
        output.write_all(b"half").unwrap();
        assert!(!path.exists() && recorder.held().len() == 1);
        output.discard();
        assert_eq!(folder(&path).read_dir().unwrap().count(), 0);
        assert!(recorder.held().is_empty());

        let mut output = Output::create(&cx, &path).unwrap();
        output.write_all(b"whole").unwrap();
        output.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o600, 0o600);
        assert!(recorder.held().is_empty());
    }
}
