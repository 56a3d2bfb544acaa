//! How post-processors read large files and leave new ones: metered, interruptible, all or nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result, UndoId};
use bakehouse_kit::undo;
use tempfile::NamedTempFile;

const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` beside the async threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal, error)),
    }
}

/// The sum of the sizes of `files`; a missing one is an error.
pub fn total_size(files: &[PathBuf]) -> Result<u64> {
    files.iter().try_fold(0, |sum, path| {
        let meta = path.metadata().map_err(|error| unreadable(path, &error))?;
        if !meta.is_file() {
            return Err(Error::new(Kind::Input, format!("`{}` is not a file", path.display())));
        }
        Ok(sum + meta.len())
    })
}

pub fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("reading {}", path.display()), error)
}

/// Counts what is read, shows it, and stops at an interrupt.
pub struct Meter {
    cx: Cx,
    what: String,
    done: u64,
    total: u64,
    shown: Instant,
}

impl Meter {
    pub fn new(cx: &Cx, what: impl Into<String>, total: u64) -> Self {
        Self { cx: cx.clone(), what: what.into(), done: 0, total, shown: Instant::now() }
    }

    fn add(&mut self, bytes: usize) -> io::Result<()> {
        // Not `ErrorKind::Interrupted`: the copying functions would try again.
        if self.cx.cancel().is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.done += bytes as u64;
        if self.shown.elapsed() >= SHOW_EVERY {
            self.shown = Instant::now();
            self.show(false);
        }
        Ok(())
    }

    pub fn finish(self) {
        self.show(true);
    }

    fn show(&self, finished: bool) {
        let (what, done, total) = (self.what.clone(), self.done, Some(self.total));
        self.cx.progress(Progress { what, done, total, unit: Unit::Bytes, finished });
    }
}

/// A file that is read through a meter.
pub struct Metered<'a> {
    file: File,
    meter: &'a mut Meter,
}

impl<'a> Metered<'a> {
    pub fn open(path: &Path, meter: &'a mut Meter) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, meter })
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.meter.add(read)?;
        Ok(read)
    }
}

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
            .permissions(std::fs::Permissions::from_mode(0o666)) // less the umask, like any new file
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
