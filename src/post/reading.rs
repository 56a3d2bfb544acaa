//! How post-processors read large files: beside the async threads, metered, interruptible.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result};

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

    /// So many more bytes are done. An error at an interrupt.
    pub fn count(&mut self, bytes: u64) -> io::Result<()> {
        // Not `ErrorKind::Interrupted`: the copying functions would try again.
        if self.cx.cancel().is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.done += bytes;
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
        self.meter.count(read as u64)?;
        Ok(read)
    }
}
