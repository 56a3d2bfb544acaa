//! Packs a box in one pass: what its members hold is read once, and no copy of a disk is made on the way.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::disk::{self, Disk, DiskError, Raw};
use crate::parallel::{Encode, Parallel};
use crate::vmdk::{self, VmdkError};
use crate::{gzip, zstd_frames};

const PIECE: usize = 256 * 1024;
static ZEROES: [u8; PIECE] = [0; PIECE];
const METADATA: &str = "metadata.json";
const VAGRANTFILE: &str = "Vagrantfile";

#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("writing the box: {0}")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{} changed while it was packed", path.display())]
    Changed { path: PathBuf },
    #[error("a box cannot hold two members called `{name}`")]
    Twice { name: String },
}

impl From<PackError> for bakehouse_api::Error {
    fn from(error: PackError) -> Self {
        use bakehouse_api::{Error, Kind};
        match error {
            PackError::Write(source) => Error::io("writing the box", &source),
            PackError::Disk(error) => error.into(),
            PackError::Changed { .. } => Error::new(Kind::Input, &error).hint("is something still writing to it?"),
            PackError::Twice { .. } => Error::new(Kind::Config, &error).hint("rename one of the files"),
        }
    }
}

impl From<VmdkError> for PackError {
    fn from(error: VmdkError) -> Self {
        match error {
            VmdkError::Disk(error) => Self::Disk(error),
            VmdkError::Write(error) => Self::Write(error),
        }
    }
}

/// What goes into a box.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    pub metadata: Map<String, Value>,
    pub vagrantfile: String,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// In the box, without folders.
    pub name: String,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// Some bytes of a file.
    Part {
        path: PathBuf,
        offset: u64,
        size: u64,
    },
    /// A qcow2 or raw disk that becomes a stream-optimised VMDK on the way.
    Vmdk(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// 1 to 9.
    Gzip(u32),
    /// 1 to 19. Clients whose bsdtar is old cannot read it.
    Zstd(u32),
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub compression: Compression,
    /// The time of all members, in seconds since 1970: equal contents then give equal boxes.
    pub mtime: u64,
}

/// Hears how many bytes of the members were dealt with since the last call; its error stops the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

impl Contents {
    /// What progress counts up to.
    pub fn total(&self) -> Result<u64, PackError> {
        self.members.iter().try_fold(0, |sum, member| {
            Ok(sum
                + match &member.source {
                    Source::Bytes(bytes) => bytes.len() as u64,
                    Source::File(path) => Raw::open(path)?.size(),
                    Source::Part { size, .. } => *size,
                    Source::Vmdk(path) => disk::open(path)?.size(),
                })
        })
    }

    fn check(&self) -> Result<(), PackError> {
        let mut names = vec![METADATA, VAGRANTFILE];
        for member in &self.members {
            if names.contains(&member.name.as_str()) {
                return Err(PackError::Twice { name: member.name.clone() });
            }
            names.push(&member.name);
        }
        Ok(())
    }
}

/// Writes the box and hands `out` back, flushed.
pub fn write<W: Write + Seek>(
    out: W,
    contents: &Contents,
    options: &Options,
    progress: Progress<'_>,
) -> Result<W, PackError> {
    contents.check()?;
    let mut archive = Archive { out: Encoder::new(out, options.compression)?, mtime: options.mtime };
    let mut metadata = serde_json::to_vec(&contents.metadata).map_err(io::Error::from)?;
    metadata.push(b'\n');
    archive.bytes(METADATA, &metadata)?;
    archive.bytes(VAGRANTFILE, contents.vagrantfile.as_bytes())?;
    let mut later = Vec::new();
    for member in &contents.members {
        match &member.source {
            Source::Bytes(bytes) => {
                archive.bytes(&member.name, bytes)?;
                progress(bytes.len() as u64)?;
            }
            Source::File(path) => archive.file(&member.name, path, 0, None, progress)?,
            Source::Part { path, offset, size } => archive.file(&member.name, path, *offset, Some(*size), progress)?,
            Source::Vmdk(path) => later.push(archive.vmdk(&member.name, path, progress)?),
        }
    }
    archive.out.write_all(&[0; 1024])?; // the end of a tar
    let mut out = archive.out.finish()?;
    for Later { at, header } in later {
        out.seek(SeekFrom::Start(at))?;
        out.write_all(&header)?;
    }
    out.seek(SeekFrom::End(0))?;
    out.flush()?;
    Ok(out)
}

/// A tar header that is written again once the size of its member is known.
struct Later {
    at: u64,
    header: Vec<u8>,
}

/// The same user and the same rights for all: nobody's umask reaches the box.
pub(crate) fn header(name: &str, size: u64, mtime: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

struct Archive<W: Write + Seek> {
    out: Encoder<W>,
    mtime: u64,
}

impl<W: Write + Seek> Archive<W> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let header = header(name, bytes.len() as u64, self.mtime)?;
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.out.write_all(&ZEROES[..(size.next_multiple_of(512) - size) as usize])
    }

    /// The file from `offset` on, `size` bytes of it or all. Holes are not read.
    fn file(
        &mut self,
        name: &str,
        path: &Path,
        offset: u64,
        size: Option<u64>,
        progress: Progress<'_>,
    ) -> Result<(), PackError> {
        let mut file = Raw::open(path)?;
        let size = size.unwrap_or(file.size());
        if offset.checked_add(size).is_none_or(|end| end > file.size()) {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        let header = header(name, size, self.mtime)?;
        self.out.write_all(header.as_bytes())?;
        let mut buffer = vec![0; PIECE];
        let mut done = 0;
        while done < size {
            let piece = (size - done).min(PIECE as u64) as usize;
            let data = file.read(offset + done, &mut buffer[..piece]).map_err(|error| changed(error, path))?;
            self.out.write_all(if data { &buffer[..piece] } else { &ZEROES[..piece] })?;
            progress(piece as u64)?;
            done += piece as u64;
        }
        Ok(self.pad(size)?)
    }

    fn vmdk(&mut self, name: &str, path: &Path, progress: Progress<'_>) -> Result<Later, PackError> {
        let mut disk = disk::open(path)?;
        let at = self.out.replaceable(header(name, 0, self.mtime)?.as_bytes())?;
        let id = libdeflater::crc32(name.as_bytes());
        let mut counted = Counted { out: &mut self.out, size: 0 };
        vmdk::write(&mut *disk, name, id, &mut counted, progress)?;
        let size = counted.size;
        self.pad(size)?;
        let header = self.out.replacement(header(name, size, self.mtime)?.as_bytes());
        Ok(Later { at, header })
    }
}

fn changed(error: DiskError, path: &Path) -> PackError {
    match error {
        DiskError::Read { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
            PackError::Changed { path: path.to_owned() }
        }
        error => error.into(),
    }
}

struct Counted<'a, W> {
    out: &'a mut W,
    size: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A stream of frames that follow each other, so that one of them can stay uncompressed and be replaced.
enum Encoder<W: Write + Seek> {
    Plain(io::BufWriter<W>),
    Gzip(Parallel<W>),
    Zstd(Parallel<W>),
}

impl<W: Write + Seek> Encoder<W> {
    fn new(out: W, compression: Compression) -> io::Result<Self> {
        let parallel = |out, size, make: &dyn Fn() -> io::Result<Encode>| Parallel::new(out, size, make);
        Ok(match compression {
            Compression::None => Self::Plain(io::BufWriter::with_capacity(PIECE, out)),
            Compression::Gzip(level) => Self::Gzip(parallel(out, gzip::BLOCK, &|| gzip::encoder(level))?),
            Compression::Zstd(level) => Self::Zstd(parallel(out, zstd_frames::BLOCK, &|| zstd_frames::encoder(level))?),
        })
    }

    /// Writes `bytes` so that they can be replaced later, and says where they are.
    fn replaceable(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let frame = self.replacement(bytes);
        match self {
            Self::Plain(out) => {
                let at = out.stream_position()?;
                out.write_all(&frame)?;
                Ok(at)
            }
            Self::Gzip(out) | Self::Zstd(out) => {
                let out = out.barrier()?;
                let at = out.stream_position()?;
                out.write_all(&frame)?;
                Ok(at)
            }
        }
    }

    /// As `bytes` stand in the stream when they can be replaced.
    fn replacement(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain(_) => bytes.to_vec(),
            Self::Gzip(_) => gzip::stored(bytes),
            Self::Zstd(_) => zstd_frames::stored(bytes),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => out.into_inner().map_err(io::IntoInnerError::into_error),
            Self::Gzip(out) | Self::Zstd(out) => out.finish(),
        }
    }
}

impl<W: Write + Seek> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) | Self::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
