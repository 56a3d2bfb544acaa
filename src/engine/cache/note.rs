//! What lies in a checkpoint's folder to make it one: whose it is, what it was made of, and every file in the state
//! in which it counts.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_kit::{extents, shelf};
use serde::{Deserialize, Serialize};

use super::key::Key;

pub const NOTE: &str = "checkpoint.json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A machine that goes on.
    Machine,
    /// The finished artifact.
    Artifact,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    pub key: Key,
    pub kind: Kind,
    pub build: String,
    /// The stage that it was taken after.
    pub after: String,
    /// The legs up to it, in order: when each of them really ran.
    pub ran: Vec<Ran>,
    /// The boot of this machine that saw all files written. After a crash a file may have the right length and time
    /// and hold something else.
    boot: String,
    files: Vec<Filed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    pub leg: String,
    /// Seconds since 1970.
    pub at: u64,
}

/// A file by its path from the checkpoint's folder: one of its own, or a disk below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Filed {
    path: PathBuf,
    state: State,
    digest: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    length: u64,
    modified: i64,
    nanos: i64,
    inode: u64,
}

impl State {
    fn of(meta: &Metadata) -> Self {
        Self { length: meta.len(), modified: meta.mtime(), nanos: meta.mtime_nsec(), inode: meta.ino() }
    }
}

/// How much of a checkpoint is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// A file whose length, time and place are the same holds the same, unless this machine was restarted since.
    Quick,
    /// Every byte is read.
    Whole,
}

impl Note {
    /// Reads every file of the folder once. Blocking.
    pub fn take(dir: &Path, key: Key, kind: Kind, build: &str, after: &str, ran: Vec<Ran>) -> io::Result<Self> {
        let mut files = Vec::new();
        for path in own_files(dir)? {
            files.push(Filed::take(dir, path)?);
        }
        let mut below = shelf::parent(dir).filter(|_| kind == Kind::Machine);
        while let Some(folder) = below {
            files.extend(disks_of(dir, &folder)?);
            below = shelf::parent(&folder);
        }
        let (build, after) = (build.to_owned(), after.to_owned());
        Ok(Self { key, kind, build, after, ran, boot: boot(), files })
    }

    pub fn read(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(dir.join(NOTE))?)?)
    }

    /// From here on the folder is a checkpoint.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let mut made = tempfile::Builder::new().prefix(".note-").tempfile_in(dir)?;
        serde_json::to_writer(&mut made, self)?;
        made.persist(dir.join(NOTE))?;
        Ok(())
    }

    /// What is wrong with its files; none when they are as they were. Blocking.
    pub fn damage(&mut self, dir: &Path, care: Care) -> Option<String> {
        let trusted = care == Care::Quick && self.boot == boot();
        let mut stale = self.boot != boot();
        for file in &mut self.files {
            match file.check(dir, trusted) {
                Ok(same) => stale |= !same,
                Err(reason) => return Some(format!("{}: {reason}", file.path.display())),
            }
        }
        if stale {
            self.boot = boot();
            let _ = self.write(dir); // the next look reads the files once more
        }
        None
    }
}

impl Filed {
    fn take(dir: &Path, path: PathBuf) -> io::Result<Self> {
        let file = dir.join(&path);
        let state = State::of(&file.metadata()?);
        Ok(Self { digest: extents::digest(&file)?, state, path })
    }

    /// True when even its state is the same.
    fn check(&mut self, dir: &Path, trusted: bool) -> Result<bool, String> {
        let file = dir.join(&self.path);
        let now = State::of(&file.metadata().map_err(|error| error.to_string())?);
        if now.length != self.state.length {
            return Err(format!("it has {} bytes and should have {}", now.length, self.state.length));
        }
        let same = now == self.state;
        if same && trusted {
            return Ok(true);
        }
        if extents::digest(&file).map_err(|error| error.to_string())? != self.digest {
            return Err("its contents changed".into());
        }
        self.state = now;
        Ok(same)
    }
}

/// Paths below the folder that say something of the machine.
fn own_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        for entry in dir.join(&below).read_dir()? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = below.as_os_str().is_empty() && (shelf::is_ours(&name) || name == NOTE || name.starts_with('.'));
            match entry.file_type()?.is_dir() {
                true => pending.push(path),
                false if !ours => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a later machine reads of an earlier checkpoint: all but its memory, which may be dropped. From its own note
/// where it has one.
fn disks_of(dir: &Path, folder: &Path) -> io::Result<Vec<Filed>> {
    let above = Path::new("..").join(folder.file_name().unwrap_or_default());
    let noted = Note::read(folder).map(|note| note.files).unwrap_or_default();
    let mut found = Vec::new();
    for path in own_files(folder)?.into_iter().filter(|path| is_read_later(path)) {
        let there = above.join(&path);
        found.push(match noted.iter().find(|file| file.path == path) {
            Some(known) => Filed { path: there, ..known.clone() },
            None => Filed::take(dir, there)?,
        });
    }
    Ok(found)
}

/// Disks and media; memory and what else tells a machine alone are not.
pub fn is_read_later(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.starts_with("disk") || name.ends_with(".iso") || name.ends_with(".img")
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
