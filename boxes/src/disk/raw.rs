//! Raw disks and other files with holes.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::{Disk, DiskError};

pub struct Raw {
    path: PathBuf,
    file: File,
    size: u64,
    extent: Extent,
}

/// Where data is: `start..end` from some offset on; between the offset and `start` is a hole.
#[derive(Clone, Copy)]
pub struct Extent {
    from: u64,
    pub start: u64,
    pub end: u64,
}

impl Raw {
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), file, size, extent: Extent { from: 1, start: 0, end: 0 } })
    }

    /// The next data at or after `offset`.
    pub fn extent(&mut self, offset: u64) -> Result<Extent, DiskError> {
        if (self.extent.from..self.extent.end).contains(&offset) {
            return Ok(self.extent);
        }
        let failed = |errno: Errno| DiskError::Read { path: self.path.clone(), source: errno.into() };
        let seek = |at: u64, whence| lseek(self.file.as_fd(), at as i64, whence).map(|found| found as u64);
        let start = match seek(offset, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => self.size, // a hole up to the end
            Err(Errno::EINVAL) => offset,   // a file system that knows no holes
            Err(errno) => return Err(failed(errno)),
        };
        let end = if start >= self.size { self.size } else { seek(start, Whence::SeekHole).unwrap_or(self.size) };
        self.extent = Extent { from: offset, start, end };
        Ok(self.extent)
    }
}

impl Disk for Raw {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<bool, DiskError> {
        let wanted = self.size.saturating_sub(offset).min(buffer.len() as u64);
        if wanted == 0 || self.extent(offset)?.start >= offset + wanted {
            return Ok(false);
        }
        let (data, beyond) = buffer.split_at_mut(wanted as usize);
        let failed = |source| DiskError::Read { path: self.path.clone(), source };
        self.file.read_exact_at(data, offset).map_err(failed)?;
        beyond.fill(0);
        Ok(true)
    }

    fn written(&mut self, offset: u64, length: u64) -> Result<bool, DiskError> {
        let wanted = self.size.saturating_sub(offset).min(length);
        Ok(wanted > 0 && self.extent(offset)?.start < offset + wanted)
    }
}
