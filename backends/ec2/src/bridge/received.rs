//! A disk that is being received: a raw file with holes, and beside it which blocks are there, each with its digest.
//! Whoever goes on with it reads them again: what a crash has left half written does not count.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::gzip::is_zero;
use sha2::{Digest, Sha256};

use super::blocks::BLOCK;
use super::ledger::Sum;

/// Index and digest.
const RECORD: usize = 4 + 32;

pub struct Received {
    pub path: PathBuf,
    disk: Arc<File>,
    list: File,
    listed: PathBuf,
    /// Blocks that are there and whole.
    pub there: BTreeMap<u32, Sum>,
}

impl Received {
    /// `of` tells what is received: another one begins anew. Blocking.
    pub fn open(path: &Path, of: &str, size: u64) -> Result<Self> {
        let listed = path.with_extension("received");
        let failed = |error: io::Error| Error::io(format!("writing {}", path.display()), &error);
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let (disk, list) = (open(path).map_err(failed)?, open(&listed).map_err(failed)?);
        if list.try_lock().is_err() {
            let error = format!("another export is writing {}", path.display());
            return Err(Error::new(Kind::Config, error).hint("wait for it, or export to another file"));
        }
        let text = std::fs::read(&listed).map_err(failed)?;
        let header = format!("{of}\n").into_bytes();
        let records = text.strip_prefix(header.as_slice());
        if records.is_none() {
            disk.set_len(0).map_err(failed)?;
            list.set_len(0).map_err(failed)?;
            list.write_all_at(&header, 0).map_err(failed)?;
        }
        disk.set_len(size).map_err(failed)?;
        let there = records.map(|records| whole(&disk, records)).unwrap_or_default();
        // What is listed and not whole is listed again once it is.
        let mut received = Self { path: path.to_owned(), disk: Arc::new(disk), list, listed, there };
        received.rewrite(&header).map_err(failed)?;
        Ok(received)
    }

    fn rewrite(&mut self, header: &[u8]) -> io::Result<()> {
        let records: Vec<u8> = self.there.iter().flat_map(|(index, sum)| record(*index, sum)).collect();
        self.list.set_len(0)?;
        self.list.write_all_at(&[header, &records].concat(), 0)?;
        io::Seek::seek(&mut self.list, io::SeekFrom::End(0)).map(drop)
    }

    /// For those who write blocks.
    pub fn disk(&self) -> Arc<File> {
        self.disk.clone()
    }

    /// The block is written.
    pub fn add(&mut self, index: u32, sum: Sum) -> Result<()> {
        let written = self.list.write_all(&record(index, &sum));
        written.map_err(|error| Error::io(format!("writing {}", self.listed.display()), &error))?;
        self.there.insert(index, sum);
        Ok(())
    }

    /// The disk is complete, and on the disk of this machine. Its list stays beside it: should what comes next fail,
    /// nothing is received again. Blocking.
    pub fn finish(self) -> Result<PathBuf> {
        let synced = self.disk.sync_all();
        synced.map_err(|error| Error::io(format!("writing {}", self.path.display()), &error))?;
        Ok(self.path)
    }
}

/// Writes a block; zeroes stay a hole. Blocking.
pub fn write(disk: &File, index: u32, data: &[u8]) -> io::Result<()> {
    if is_zero(data) { Ok(()) } else { disk.write_all_at(data, u64::from(index) * BLOCK) }
}

fn record(index: u32, sum: &Sum) -> Vec<u8> {
    [&index.to_le_bytes()[..], sum].concat()
}

/// The blocks that have the digests they are listed with.
fn whole(disk: &File, records: &[u8]) -> BTreeMap<u32, Sum> {
    let mut block = vec![0; BLOCK as usize];
    let known = records.chunks_exact(RECORD).filter_map(|record| {
        let index = u32::from_le_bytes(record[..4].try_into().ok()?);
        let sum: Sum = record[4..].try_into().ok()?;
        disk.read_exact_at(&mut block, u64::from(index) * BLOCK).ok()?;
        let found: Sum = Sha256::digest(&block).into();
        (found == sum).then_some((index, sum))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(data: &[u8]) -> Sum {
        Sha256::digest(data).into()
    }

    #[test]
    fn blocks_that_are_whole_are_not_received_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        let (one, zero) = (vec![7; BLOCK as usize], vec![0; BLOCK as usize]);
        let mut first = Received::open(&path, "snap-1", 4 * BLOCK).unwrap();
        for (index, data) in [(0, &one), (2, &one), (3, &zero)] {
            write(&first.disk(), index, data).unwrap();
            first.add(index, sum(data)).unwrap();
        }
        assert!(
            Received::open(&path, "snap-1", 4 * BLOCK).is_err_and(|error| error.message().contains("another export"))
        );
        drop(first);
        // A crash: one block is listed and was not written, and a record is cut short.
        File::options().write(true).open(&path).unwrap().write_all_at(b"x", 2 * BLOCK + 9).unwrap();
        File::options().append(true).open(path.with_extension("received")).unwrap().write_all(&[1; 20]).unwrap();
        let second = Received::open(&path, "snap-1", 4 * BLOCK).unwrap();
        assert_eq!(second.there.keys().copied().collect::<Vec<_>>(), [0, 3]);
        drop(second);
        let other = Received::open(&path, "snap-2", 2 * BLOCK).unwrap();
        assert!(other.there.is_empty());
        assert_eq!(std::fs::read(other.finish().unwrap()).unwrap(), vec![0; 2 * BLOCK as usize]);
    }
}
