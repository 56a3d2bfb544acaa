//! Writes ISO 9660 images with Rock Ridge and Joliet: Linux guests see POSIX names and permissions,
//! Windows guests long names. Contents are streamed from disk. Equal trees make equal images.

mod layout;
mod names;
mod record;
mod rock;

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind};

use crate::tree::{Content, Tree};
use layout::{Hierarchy, Placed, Placement, sector};
use record::{Date, Flavour, Volume};
use rock::Continuation;

const SECTOR: usize = 2048;
/// The system area, then three volume descriptors.
const SYSTEM_AREA: usize = 16 * SECTOR;
const FIRST_FREE: u64 = 19;
/// The longest run of whole sectors whose length fits 32 bits; longer files take several.
const MAX_EXTENT: u64 = (u32::MAX as u64 + 1) - SECTOR as u64;
const MAX_LABEL: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    #[error("`{label}` cannot be the label of a CD: {reason}")]
    Label { label: String, reason: &'static str },
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} changed its size while it was put onto the CD", path.display())]
    Changed { path: PathBuf },
    #[error("a CD holds at most 65,535 directories, and these are {count}")]
    TooManyDirs { count: usize },
    #[error("the files are too big for one CD image (8 TiB)")]
    TooBig,
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl From<IsoError> for Error {
    fn from(error: IsoError) -> Self {
        match &error {
            IsoError::Label { .. } => {
                Error::new(Kind::Config, &error).hint("use up to 32 plain ASCII characters, like \"cidata\"")
            }
            IsoError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            IsoError::Write { path, source } => Error::io(format!("writing {}", path.display()), source),
            IsoError::Changed { .. } => Error::new(Kind::Input, &error).hint("run the build again"),
            IsoError::TooManyDirs { .. } | IsoError::TooBig => Error::new(Kind::Input, &error),
        }
    }
}

/// Writes the image to `to`, which appears only when it is complete.
pub fn write(label: &str, tree: &Tree, to: &Path) -> Result<(), IsoError> {
    write_with(label, tree, to, MAX_EXTENT)
}

fn write_with(label: &str, tree: &Tree, to: &Path, max_extent: u64) -> Result<(), IsoError> {
    check_label(label)?;
    let failed = |source| IsoError::Write { path: to.into(), source };
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temp = tempfile::Builder::new().prefix(".iso-").tempfile_in(dir).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, temp);
    Image::plan(label, tree, max_extent)?.write(&mut out).map_err(|fault| match fault {
        Fault::Out(source) => failed(source),
        Fault::Iso(error) => error,
    })?;
    let temp = out.into_inner().map_err(|error| failed(error.into_error()))?;
    temp.persist(to).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Also offline, when templates are validated.
pub fn check_label(label: &str) -> Result<(), IsoError> {
    let reason = match label {
        "" => "it is empty",
        _ if label.len() > MAX_LABEL => "it has more than 32 characters",
        _ if !label.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => "it has characters beyond ASCII",
        _ => return Ok(()),
    };
    Err(IsoError::Label { label: label.into(), reason })
}

/// Everything but the contents, placed.
struct Image<'t> {
    label: &'t str,
    date: Date,
    max_extent: u64,
    files: Vec<Placed<'t>>,
    trees: [(Flavour, Hierarchy); 2],
    /// First sectors of the path tables: for each tree little and big endian.
    tables: [[u32; 2]; 2],
    continuation: Continuation,
    continuation_sector: u32,
    sectors: u32,
}

enum Fault {
    Out(io::Error),
    Iso(IsoError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Out(error)
    }
}

impl<'t> Image<'t> {
    fn plan(label: &'t str, tree: &'t Tree, max_extent: u64) -> Result<Self, IsoError> {
        let date = Date::from_unix(tree.timestamp);
        let (files, by_node) = layout::files(tree)?;
        let mut continuation = Continuation::default();
        let primary = Hierarchy::primary(tree, &by_node, date, &mut continuation)?;
        let joliet = Hierarchy::joliet(tree, &by_node)?;
        let trees = [(Flavour::Primary, primary), (Flavour::Joliet, joliet)];
        let (tables, continuation_sector, sectors) = ([[0; 2]; 2], 0, 0);
        let mut image =
            Self { label, date, max_extent, files, trees, tables, continuation, continuation_sector, sectors };
        image.place()?;
        Ok(image)
    }

    /// Gives away the sectors in the order in which [`Image::write`] fills them.
    fn place(&mut self) -> Result<(), IsoError> {
        let mut next = FIRST_FREE;
        for (i, (_, tree)) in self.trees.iter().enumerate() {
            let table = sectors_of(tree.path_table(u32::to_le_bytes, u16::to_le_bytes).len() as u64);
            self.tables[i] = [sector(next)?, sector(next + table)?];
            next += 2 * table;
        }
        let Self { files, trees, max_extent, date, .. } = self;
        for (_, tree) in trees.iter_mut() {
            let placement = Placement { files, continuation: 0, max_extent: *max_extent, date: *date };
            next = tree.place(next, &placement)?;
        }
        self.continuation_sector = sector(next)?;
        next += sectors_of(self.continuation.bytes.len() as u64);
        for file in &mut self.files {
            file.sector = sector(next)?;
            next += sectors_of(file.size);
        }
        self.sectors = sector(next)?;
        Ok(())
    }

    fn write(&self, out: &mut impl Write) -> Result<(), Fault> {
        out.write_all(&[0; SYSTEM_AREA])?;
        out.write_all(&self.descriptors())?;
        for (_, tree) in &self.trees {
            write_padded(out, &tree.path_table(u32::to_le_bytes, u16::to_le_bytes))?;
            write_padded(out, &tree.path_table(u32::to_be_bytes, u16::to_be_bytes))?;
        }
        let (files, continuation) = (&self.files, self.continuation_sector);
        let placement = Placement { files, continuation, max_extent: self.max_extent, date: self.date };
        for (_, tree) in &self.trees {
            for bytes in tree.bytes(&placement) {
                out.write_all(&bytes)?;
            }
        }
        write_padded(out, &self.continuation.bytes)?;
        self.files.iter().try_for_each(|file| write_file(out, file))
    }

    fn descriptors(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for ((flavour, tree), [little_table, big_table]) in self.trees.iter().zip(self.tables) {
            let volume = Volume {
                flavour: *flavour,
                label: self.label,
                sectors: self.sectors,
                path_table_len: tree.path_table(u32::to_le_bytes, u16::to_le_bytes).len() as u32,
                little_table,
                big_table,
                root: &tree.root_record(self.date),
                date: self.date,
            };
            volume.write(&mut bytes);
        }
        record::terminator(&mut bytes);
        bytes
    }
}

fn sectors_of(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR as u64)
}

fn write_padded(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    pad(out, bytes.len() as u64)
}

fn pad(out: &mut impl Write, written: u64) -> io::Result<()> {
    let missing = (sectors_of(written) * SECTOR as u64 - written) as usize;
    out.write_all(&[0; SECTOR][..missing])
}

fn write_file(out: &mut impl Write, file: &Placed<'_>) -> Result<(), Fault> {
    match &file.file.content {
        Content::Bytes(bytes) => out.write_all(bytes)?,
        Content::File(path) => copy(out, path, file.size)?,
    }
    Ok(pad(out, file.size)?)
}

/// Copies exactly `size` bytes; the directories already say so.
fn copy(out: &mut impl Write, path: &Path, size: u64) -> Result<(), Fault> {
    let unreadable = |source| Fault::Iso(IsoError::Read { path: path.into(), source });
    let mut from = std::fs::File::open(path).map_err(unreadable)?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = size;
    loop {
        let read = from.read(&mut buffer).map_err(unreadable)?;
        if read as u64 > left || (read == 0 && left > 0) {
            return Err(Fault::Iso(IsoError::Changed { path: path.into() }));
        }
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read])?;
        left -= read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isoinfo(image: &Path, args: &[&str]) -> Vec<u8> {
        let output = std::process::Command::new("isoinfo").arg("-i").arg(image).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// As files of 4 GiB and more are written, with small extents.
    #[test]
    fn long_files_take_several_extents_that_follow_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("multi.iso");
        let bytes: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        let mut tree = Tree::new();
        tree.add_bytes("long", bytes.clone()).unwrap();
        tree.add_bytes("next", "x").unwrap();
        write_with("multi", &tree, &image, 4 * SECTOR as u64).unwrap();
        let listing = String::from_utf8(isoinfo(&image, &["-R", "-l"])).unwrap();
        assert_eq!(listing.matches("long").count(), 5, "{listing}");
        let read = isoinfo(&image, &["-R", "-x", "/long"]);
        assert!(read == bytes, "isoinfo gave {} of {} bytes", read.len(), bytes.len());
        assert_eq!(isoinfo(&image, &["-R", "-x", "/next"]), b"x");
    }
}
