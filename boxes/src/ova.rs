//! OVA: an OVF package in a tar. VirtualBox refuses the pax format, so names are short and plain.

mod write;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::checksum::{self, Algorithm};
use crate::ovf::{self, Descriptor, OvfError};

pub use write::write;

/// A package has a descriptor, a manifest, and some disks.
const MAX_MEMBERS: usize = 1000;
const MAX_MANIFEST: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum OvaError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no OVA: {why}", path.display())]
    Wrong { path: PathBuf, why: String },
    #[error(transparent)]
    Ovf(#[from] OvfError),
    #[error("`{name}` is damaged: the manifest says {expected}, and it is {found}")]
    Digest { name: String, expected: String, found: String },
}

impl From<OvaError> for bakehouse_api::Error {
    fn from(error: OvaError) -> Self {
        use bakehouse_api::{Error, Kind};
        match &error {
            OvaError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            OvaError::Digest { .. } => Error::new(Kind::Input, &error).hint("fetch or export it again"),
            _ => Error::new(Kind::Input, &error),
        }
    }
}

/// Where a member's bytes are in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub offset: u64,
    pub size: u64,
}

#[derive(Debug)]
pub struct Ova {
    path: PathBuf,
    pub descriptor: Descriptor,
    pub descriptor_name: String,
    pub members: Vec<Part>,
}

/// Reads the table and the descriptor; [`Ova::verify`] reads the rest.
pub fn open(path: &Path) -> Result<Ova, OvaError> {
    let failed = |source| OvaError::Read { path: path.to_owned(), source };
    let wrong = |why: String| OvaError::Wrong { path: path.to_owned(), why };
    let file = File::open(path).map_err(failed)?;
    let mut members = Vec::new();
    let mut archive = tar::Archive::new(&file);
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(|error| wrong(error.to_string()))?;
        let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || name.contains('/') || members.len() >= MAX_MEMBERS {
            return Err(wrong(format!("`{name}` has no place in it")));
        }
        members.push(Part { name, offset: entry.raw_file_position(), size: entry.size() });
    }
    let first = members.iter().find(|part| part.name.ends_with(".ovf"));
    let part = first.ok_or_else(|| wrong("it holds no .ovf".into()))?.clone();
    let bytes = small(&file, &part, ovf::MAX_BYTES).map_err(failed)?;
    Ok(Ova { path: path.to_owned(), descriptor: ovf::parse(&bytes)?, descriptor_name: part.name, members })
}

fn small(mut file: &File, part: &Part, limit: u64) -> io::Result<Vec<u8>> {
    if part.size > limit {
        return Err(io::Error::other(format!("`{}` is longer than {limit} bytes", part.name)));
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(part.offset))?;
    file.take(part.size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Ova {
    /// Checks every file that the descriptor names and every line of the manifest. The number of digests
    /// that were compared: 0 where there is no manifest.
    pub fn verify(&self) -> Result<usize, OvaError> {
        let failed = |source| OvaError::Read { path: self.path.clone(), source };
        let wrong = |why: String| OvaError::Wrong { path: self.path.clone(), why };
        let find = |name: &str| self.members.iter().find(|part| part.name == name);
        for file in &self.descriptor.files {
            find(&file.href).ok_or_else(|| wrong(format!("`{}` is missing", file.href)))?;
        }
        let manifest = Path::new(&self.descriptor_name).with_extension("mf");
        let Some(part) = manifest.to_str().and_then(find) else { return Ok(0) };
        let file = File::open(&self.path).map_err(failed)?;
        let text = small(&file, part, MAX_MANIFEST).map_err(failed)?;
        let lines = manifest_lines(&String::from_utf8_lossy(&text)).map_err(wrong)?;
        for line in &lines {
            let part = find(&line.name).ok_or_else(|| wrong(format!("`{}` is missing", line.name)))?;
            let found = digest(&file, part, &line.algorithm).map_err(failed)?;
            let found = found.ok_or_else(|| wrong(format!("its manifest uses {}", line.algorithm)))?;
            if found != line.hex {
                return Err(OvaError::Digest { name: line.name.clone(), expected: line.hex.clone(), found });
            }
        }
        Ok(lines.len())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    algorithm: String,
    name: String,
    hex: String,
}

/// `SHA256 (disk.vmdk) = 0123...` or `SHA256(disk.vmdk)= 0123...`
fn manifest_lines(text: &str) -> Result<Vec<Line>, String> {
    let parse = |line: &str| {
        let (algorithm, rest) = line.split_once('(')?;
        let (name, hex) = rest.rsplit_once(')')?;
        let hex = hex.trim().strip_prefix('=')?.trim().to_ascii_lowercase();
        Some(Line { algorithm: algorithm.trim().to_ascii_uppercase(), name: name.to_owned(), hex })
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| parse(line).ok_or_else(|| format!("its manifest has the line `{line}`"))).collect()
}

fn digest(mut file: &File, part: &Part, algorithm: &str) -> io::Result<Option<String>> {
    let Some(algorithm) = Algorithm::named(algorithm) else { return Ok(None) };
    file.seek(SeekFrom::Start(part.offset))?;
    checksum::of(file.take(part.size), algorithm, &mut |_| Ok(())).map(Some)
}

#[cfg(test)]
mod tests;
