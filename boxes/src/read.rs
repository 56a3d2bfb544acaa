//! Reads boxes, whoever made them: the list, the metadata, a check of the whole, the files. A box comes
//! from anywhere, so nothing in it is trusted: names stay inside, texts and counts are bounded.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};
use tar::EntryType;

use crate::gzip::is_zero;

const METADATA: &str = "metadata.json";
/// Texts that are read as a whole: metadata, descriptors.
pub const MAX_TEXT: u64 = 8 << 20;
const MAX_MEMBERS: usize = 10_000;
/// What the headers of one member may take: long names are some kilobytes.
const MAX_HEADERS: u64 = 1 << 20;
const PIECE: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a Vagrant box: {why}", path.display())]
    NotBox { path: PathBuf, why: String },
    #[error("{} is refused: {why}", path.display())]
    Refused { path: PathBuf, why: String },
}

impl From<ReadError> for bakehouse_api::Error {
    fn from(error: ReadError) -> Self {
        use bakehouse_api::{Error, Kind};
        match &error {
            ReadError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            ReadError::Write { path, source } => Error::io(format!("writing {}", path.display()), source),
            ReadError::NotBox { .. } => Error::new(Kind::Input, &error)
                .hint("a box is a tar, compressed or not, with a metadata.json that names its provider"),
            ReadError::Refused { .. } => {
                Error::new(Kind::Input, &error).hint("whoever made it may mean harm: do not use it")
            }
        }
    }
}

/// Hears how many bytes of the box were read since the last call; its error stops the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub size: u64,
}

/// What a box says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// "gzip", "zstd", "xz", "none".
    pub compression: &'static str,
    pub metadata: Map<String, Value>,
    pub members: Vec<Member>,
}

impl Summary {
    pub fn provider(&self) -> &str {
        self.metadata.get("provider").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn architecture(&self) -> Option<&str> {
        self.metadata.get("architecture").and_then(Value::as_str)
    }

    /// Files that the metadata names and the box does not hold.
    fn missing(&self) -> Vec<String> {
        let has = |name: &str| self.members.iter().any(|member| member.name == name);
        let disks = self.metadata.get("disks").and_then(Value::as_array);
        let mut wanted: Vec<String> = disks
            .into_iter()
            .flatten()
            .filter_map(|disk| disk.get("path").and_then(Value::as_str).map(str::to_owned))
            .collect();
        match self.provider() {
            "libvirt" | "qemu" if wanted.is_empty() => wanted.push("box.img".into()),
            "virtualbox" => wanted.push("box.ovf".into()),
            _ => {}
        }
        wanted.retain(|name| !has(name));
        wanted
    }
}

/// Reads the whole box, every checksum of its compression included, and checks what can be known
/// without running it.
pub fn verify(path: &Path, progress: Progress<'_>) -> Result<Summary, ReadError> {
    let summary = list(path, progress)?;
    let missing = summary.missing();
    if !missing.is_empty() {
        return Err(not_box(path, format!("it lacks {}", missing.join(", "))));
    }
    Ok(summary)
}

/// What the box holds. Compressed boxes are read as a whole for that.
pub fn list(path: &Path, progress: Progress<'_>) -> Result<Summary, ReadError> {
    walk(path, progress, &mut |_, entry| {
        io::copy(entry, &mut io::sink()).map(|_| ()).map_err(|source| damaged(path, &source))
    })
}

/// The provider and the rest of the metadata, read no further than needed.
pub fn metadata(path: &Path) -> Result<Map<String, Value>, ReadError> {
    let (archive, _) = Archive::open(path)?;
    let mut found = None;
    archive.each(path, &mut |_| Ok(()), &mut |name, entry| {
        if name == METADATA {
            found = Some(parse_metadata(path, entry)?);
        }
        Ok(found.is_none())
    })?;
    found.ok_or_else(|| lacks_metadata(path))
}

/// Unpacks a box into `folder`, which must exist. Zeroes become holes. `limit`: more bytes are refused.
pub fn extract(path: &Path, folder: &Path, limit: u64, progress: Progress<'_>) -> Result<Summary, ReadError> {
    let mut left = limit;
    walk(path, progress, &mut |name, entry| {
        let target = folder.join(name);
        let failed = |source| ReadError::Write { path: target.clone(), source };
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        // Never through a link, never over something: the box brought the name.
        let mut file = OpenOptions::new().write(true).create_new(true).open(&target).map_err(failed)?;
        let mut buffer = vec![0; PIECE];
        let mut size = 0;
        loop {
            let read = fill(entry, &mut buffer).map_err(|source| damaged(path, &source))?;
            if read == 0 {
                break;
            }
            left = left
                .checked_sub(read as u64)
                .ok_or_else(|| refused(path, format!("it unpacks to more than {limit} bytes")))?;
            size += read as u64;
            let piece = &buffer[..read];
            let written =
                if is_zero(piece) { file.seek(SeekFrom::Start(size)).map(|_| ()) } else { file.write_all(piece) };
            written.map_err(failed)?;
        }
        file.set_len(size).map_err(failed)
    })
}

fn walk(
    path: &Path,
    progress: Progress<'_>,
    each: &mut dyn FnMut(&str, &mut dyn Read) -> Result<(), ReadError>,
) -> Result<Summary, ReadError> {
    let (archive, compression) = Archive::open(path)?;
    let (mut members, mut names, mut metadata) = (Vec::new(), BTreeSet::new(), None);
    archive.each(path, progress, &mut |name, entry| {
        if !names.insert(name.to_owned()) {
            return Err(refused(path, format!("it holds `{name}` twice")));
        }
        let mut counted = Counted { inner: entry, size: 0 };
        if name == METADATA {
            let text = small(path, &mut counted)?;
            each(name, &mut text.as_slice())?;
            metadata = Some(parse_metadata(path, &mut text.as_slice())?);
        } else {
            each(name, &mut counted)?;
        }
        members.push(Member { name: name.to_owned(), size: counted.size });
        Ok(true)
    })?;
    let metadata = metadata.ok_or_else(|| lacks_metadata(path))?;
    Ok(Summary { compression, metadata, members })
}

fn small(path: &Path, entry: &mut dyn Read) -> Result<Vec<u8>, ReadError> {
    let mut text = Vec::new();
    entry.take(MAX_TEXT + 1).read_to_end(&mut text).map_err(|source| damaged(path, &source))?;
    if text.len() as u64 > MAX_TEXT {
        return Err(refused(path, "its metadata.json is longer than 8 MiB".into()));
    }
    Ok(text)
}

fn parse_metadata(path: &Path, entry: &mut dyn Read) -> Result<Map<String, Value>, ReadError> {
    let text = small(path, entry)?;
    let metadata: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| not_box(path, format!("its metadata.json is not a JSON object: {error}")))?;
    match metadata.get("provider") {
        Some(Value::String(provider)) if !provider.is_empty() => Ok(metadata),
        _ => Err(not_box(path, "its metadata.json names no provider".into())),
    }
}

fn lacks_metadata(path: &Path) -> ReadError {
    not_box(path, "it has no metadata.json".into())
}

fn not_box(path: &Path, why: String) -> ReadError {
    ReadError::NotBox { path: path.to_owned(), why }
}

fn refused(path: &Path, why: String) -> ReadError {
    ReadError::Refused { path: path.to_owned(), why }
}

/// Decompressors and the tar reader tell damage as an I/O error; what the caller's progress said stays.
fn damaged(path: &Path, source: &io::Error) -> ReadError {
    if source.kind() == io::ErrorKind::Interrupted || source.raw_os_error().is_some() {
        return ReadError::Read { path: path.to_owned(), source: io::Error::new(source.kind(), source.to_string()) };
    }
    not_box(path, format!("it is damaged or cut short: {source}"))
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match from.read(&mut buffer[done..])? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

struct Counted<'a> {
    inner: &'a mut dyn Read,
    size: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.size += read as u64;
        Ok(read)
    }
}

/// Bounds what is read while the tar reader is at headers, which it would otherwise keep in memory
/// however long they claim to be.
struct Guard<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other("a header in it is longer than 1 MiB"));
        }
        let most = buffer.len().min(usize::try_from(self.left.get()).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

/// The compressed bytes, with the number of those that nobody was told of yet.
struct Metered {
    file: File,
    fresh: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.fresh.set(self.fresh.get() + read as u64);
        Ok(read)
    }
}

struct Archive {
    tar: tar::Archive<Guard<Box<dyn Read>>>,
    left: Rc<Cell<u64>>,
    fresh: Rc<Cell<u64>>,
}

impl Archive {
    fn open(path: &Path) -> Result<(Self, &'static str), ReadError> {
        let failed = |source| ReadError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 6];
        let have = fill(&mut file, &mut magic).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let fresh = Rc::new(Cell::new(0));
        let source = BufReader::with_capacity(PIECE, Metered { file, fresh: fresh.clone() });
        let (inner, compression): (Box<dyn Read>, _) = match &magic[..have] {
            [0x1f, 0x8b, ..] => (Box::new(flate2::bufread::MultiGzDecoder::new(source)), "gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                (Box::new(zstd::stream::read::Decoder::with_buffer(source).map_err(failed)?), "zstd")
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0] => {
                (Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(source)), "xz")
            }
            _ => (Box::new(source), "none"),
        };
        let left = Rc::new(Cell::new(MAX_HEADERS));
        let tar = tar::Archive::new(Guard { inner, left: left.clone() });
        Ok((Self { tar, left, fresh }, compression))
    }

    /// Hands out every file, until `each` says false. Folders are passed over; anything else is refused.
    fn each(
        mut self,
        path: &Path,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&str, &mut dyn Read) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let (left, fresh) = (self.left.clone(), self.fresh.clone());
        let mut entries = self.tar.entries().map_err(|source| damaged(path, &source))?;
        let mut count = 0;
        loop {
            left.set(MAX_HEADERS);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|source| damaged(path, &source))?;
            count += 1;
            if count > MAX_MEMBERS {
                return Err(refused(path, format!("it holds more than {MAX_MEMBERS} members")));
            }
            left.set(u64::MAX);
            let name = checked_name(path, &entry)?;
            match entry.header().entry_type() {
                EntryType::Directory => continue,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
                other => {
                    return Err(refused(path, format!("`{name}` in it is {}, and a box holds files", kind(other))));
                }
            }
            let mut told = Told { inner: &mut entry, fresh: &fresh, progress: &mut *progress };
            let more = each(&name, &mut told)?;
            if !more {
                return Ok(());
            }
            // The rest counts as data, not as a header.
            io::copy(&mut told, &mut io::sink()).map_err(|source| damaged(path, &source))?;
        }
        Ok(())
    }
}

/// Tells the progress while a member is read.
struct Told<'a, 'b, R> {
    inner: &'a mut R,
    fresh: &'a Cell<u64>,
    progress: &'a mut (dyn FnMut(u64) -> io::Result<()> + 'b),
}

impl<R: Read> Read for Told<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if self.fresh.get() > 0 {
            (self.progress)(self.fresh.take())?;
        }
        Ok(read)
    }
}

/// The name with its folders, without `.`; one that leads out of the box is refused.
fn checked_name<R: Read>(path: &Path, entry: &tar::Entry<'_, R>) -> Result<String, ReadError> {
    let raw = entry.path_bytes();
    let shown = String::from_utf8_lossy(&raw).into_owned();
    let Ok(text) = std::str::from_utf8(&raw) else {
        return Err(refused(path, format!("the name `{shown}` in it is no text")));
    };
    let mut parts = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy()),
            Component::CurDir => {}
            _ => return Err(refused(path, format!("`{text}` in it leads out of the box"))),
        }
    }
    if text.contains(['\0', '\\']) || parts.is_empty() && !entry.header().entry_type().is_dir() {
        return Err(refused(path, format!("`{shown}` in it is no name for a file")));
    }
    Ok(parts.join("/"))
}

fn kind(entry: EntryType) -> &'static str {
    match entry {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests;
