//! Disk images, as far as packing needs them: their format, their size, their data.

mod kind;
mod qcow2;
mod raw;
mod reader;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use kind::{Kind, kind};
pub use qcow2::Qcow2;
pub use raw::Raw;
pub use reader::Reader;

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a qcow2 disk that can be read: {why}", path.display())]
    Qcow2 { path: PathBuf, why: String },
    #[error("{} stands on a backing file: it is no whole disk", path.display())]
    Backing { path: PathBuf },
}

impl From<DiskError> for bakehouse_api::Error {
    fn from(error: DiskError) -> Self {
        use bakehouse_api::{Error, Kind};
        match &error {
            DiskError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            DiskError::Qcow2 { .. } => Error::new(Kind::Input, &error).hint("`qemu-img check` says more about it"),
            DiskError::Backing { .. } => Error::new(Kind::Input, &error)
                .hint("flatten it: qemu-img convert -O qcow2 OLD NEW; or build without `use_backing_file`"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Qcow2,
    Raw,
}

/// What a guest sees of a disk.
pub trait Disk: Send {
    /// In bytes.
    fn size(&self) -> u64;
    /// Fills `buffer` with what is at `offset`. False: only zeroes are there, `buffer` is as it was.
    /// Reads beyond the end give zeroes.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<bool, DiskError>;
    /// Was anything ever written there, zeroes included? What a tool has rewritten since tells that no more.
    fn written(&mut self, offset: u64, length: u64) -> Result<bool, DiskError>;
}

/// The format, told by the first bytes: whatever is no qcow2 is raw.
pub fn format(path: &Path) -> Result<Format, DiskError> {
    let failed = |source| DiskError::Read { path: path.to_owned(), source };
    let mut magic = Vec::new();
    File::open(path).map_err(failed)?.take(4).read_to_end(&mut magic).map_err(failed)?;
    Ok(if magic == qcow2::MAGIC { Format::Qcow2 } else { Format::Raw })
}

pub fn open(path: &Path) -> Result<Box<dyn Disk>, DiskError> {
    Ok(match format(path)? {
        Format::Qcow2 => Box::new(Qcow2::open(path)?),
        Format::Raw => Box::new(Raw::open(path)?),
    })
}
