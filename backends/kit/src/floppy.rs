//! A 1.44 MB floppy image: FAT12 with long names.

use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind};
use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};

use crate::tree::{Content, File, Tree};

const SECTOR: usize = 512;
const SECTORS: u32 = 2880;
/// Directory entries of a floppy's root; more are made where long names need them.
const ROOT_ENTRIES: usize = 224;
const ENTRY: usize = 32;
/// Characters of a long name that one directory entry carries.
const NAME_PART: usize = 13;
const MAX_LABEL: usize = 11;

#[derive(Debug, thiserror::Error)]
pub enum FloppyError {
    #[error("`{label}` cannot be the label of a floppy: {reason}")]
    Label { label: String, reason: &'static str },
    #[error("the files take {needed} bytes of a floppy disk that has room for {room}")]
    TooBig { needed: usize, room: usize },
    #[error("`{path}` and another file differ only in upper and lower case, which a floppy does not tell apart")]
    SameName { path: String },
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("putting `{path}` onto the floppy: {source}")]
    Add { path: String, source: io::Error },
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl From<FloppyError> for Error {
    fn from(error: FloppyError) -> Self {
        match &error {
            FloppyError::Label { .. } => {
                Error::new(Kind::Config, &error).hint("use up to 11 letters, digits, `-` and `_`")
            }
            FloppyError::TooBig { .. } => {
                Error::new(Kind::Input, &error).hint("put big files onto a CD with `cd_files`")
            }
            FloppyError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            FloppyError::Write { path, source } => Error::io(format!("writing {}", path.display()), source),
            FloppyError::SameName { .. } | FloppyError::Add { .. } => Error::new(Kind::Input, &error),
        }
    }
}

/// Writes the image to `to`.
pub fn write(label: &str, tree: &Tree, to: &Path) -> Result<(), FloppyError> {
    check_label(label)?;
    let entries: Vec<_> = tree.walk().into_iter().map(|(path, file)| Entry { path, file }).collect();
    let root_entries = root_entries(&entries);
    let mut disk = Cursor::new(vec![0; SECTOR * SECTORS as usize]);
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| FloppyError::Add { path, source }
    };
    format(&mut disk, label, root_entries).map_err(failed("/"))?;
    {
        let fs = FileSystem::new(&mut disk, FsOptions::new().time_provider(&Epoch)).map_err(failed("/"))?;
        let room = fs.stats().map_err(failed("/"))?.free_clusters() as usize * SECTOR;
        let needed = needed(&entries)?;
        if needed > room {
            return Err(FloppyError::TooBig { needed, room });
        }
        for entry in &entries {
            add(&fs, entry)?;
        }
        fs.unmount().map_err(failed("/"))?;
    }
    std::fs::write(to, disk.into_inner()).map_err(|source| FloppyError::Write { path: to.into(), source })
}

/// Also offline, when templates are validated.
pub fn check_label(label: &str) -> Result<(), FloppyError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b" -_".contains(&byte);
    let reason = match label {
        "" => "it is empty",
        _ if label.len() > MAX_LABEL => "it has more than 11 characters",
        _ if !label.bytes().all(legal) => "it has other characters than letters, digits, `-` and `_`",
        _ => return Ok(()),
    };
    Err(FloppyError::Label { label: label.into(), reason })
}

struct Entry<'t> {
    path: String,
    /// None: a directory.
    file: Option<&'t File>,
}

impl Entry<'_> {
    /// Bytes of its directory entries: one, and its long name.
    fn head(&self) -> usize {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        (1 + name.encode_utf16().count().div_ceil(NAME_PART)) * ENTRY
    }

    fn is_in(&self, dir: &str) -> bool {
        self.path.rsplit_once('/').map_or("", |(above, _)| above) == dir
    }
}

fn root_entries(entries: &[Entry<'_>]) -> u16 {
    let bytes: usize = entries.iter().filter(|entry| entry.is_in("")).map(Entry::head).sum();
    let label = 1;
    // More than fit would not fit onto the disk either.
    (bytes / ENTRY + label).max(ROOT_ENTRIES).next_multiple_of(SECTOR / ENTRY).min(16_384) as u16
}

/// Bytes of all clusters that contents and directories below the root take.
fn needed(entries: &[Entry<'_>]) -> Result<usize, FloppyError> {
    let mut needed = 0;
    for entry in entries {
        let bytes = match entry.file.map(|file| &file.content) {
            Some(Content::Bytes(bytes)) => bytes.len(),
            Some(Content::File(path)) => {
                let meta = std::fs::metadata(path);
                meta.map_err(|source| FloppyError::Read { path: path.clone(), source })?.len() as usize
            }
            None => 2 * ENTRY + entries.iter().filter(|e| e.is_in(&entry.path)).map(Entry::head).sum::<usize>(),
        };
        needed += bytes.next_multiple_of(SECTOR);
    }
    Ok(needed)
}

fn format(disk: &mut Cursor<Vec<u8>>, label: &str, root_entries: u16) -> io::Result<()> {
    let mut name = [b' '; MAX_LABEL];
    name[..label.len()].copy_from_slice(label.to_ascii_uppercase().as_bytes());
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat12)
        .bytes_per_sector(SECTOR as u16)
        .bytes_per_cluster(SECTOR as u32)
        .total_sectors(SECTORS)
        .max_root_dir_entries(root_entries)
        .media(0xF0)
        .sectors_per_track(18)
        .heads(2)
        .drive_num(0)
        .volume_id(0x1200_2026)
        .volume_label(name);
    fatfs::format_volume(disk, options)
}

fn add(fs: &FileSystem<&mut Cursor<Vec<u8>>>, entry: &Entry<'_>) -> Result<(), FloppyError> {
    let path = &entry.path;
    let failed = |source| FloppyError::Add { path: path.clone(), source };
    let root = fs.root_dir();
    if root.open_file(path).is_ok() || root.open_dir(path).is_ok() {
        return Err(FloppyError::SameName { path: path.clone() });
    }
    let Some(file) = entry.file else {
        return root.create_dir(path).map(|_| ()).map_err(failed);
    };
    let mut out = root.create_file(path).map_err(failed)?;
    match &file.content {
        Content::Bytes(bytes) => out.write_all(bytes).map_err(failed),
        Content::File(local) => {
            let bytes = std::fs::read(local).map_err(|source| FloppyError::Read { path: local.clone(), source })?;
            out.write_all(&bytes).map_err(failed)
        }
    }?;
    out.flush().map_err(failed)
}

/// One date for everything, so that equal trees make equal images.
#[derive(Debug)]
struct Epoch;

impl TimeProvider for Epoch {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}
