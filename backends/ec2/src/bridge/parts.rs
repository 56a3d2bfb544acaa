//! What becomes an object, cut into parts: a file as it is, or a disk written as stream-optimised VMDK on the way. It
//! is made on a thread of its own, the same bytes each time.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::vmdk::VmdkError;
use bakehouse_boxes::{disk, vmdk};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use super::ledger::Sum;

/// S3 takes at most so many parts.
const MOST_PARTS: u64 = 10_000;
const SMALLEST: u64 = 8 << 20;
/// S3's own bounds of a part.
pub const PART: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// From 1 on.
    pub number: u32,
    pub data: Bytes,
    pub sum: Sum,
    /// How far the input was read for it.
    pub read: u64,
}

#[derive(Clone, Debug)]
pub enum Input {
    File(PathBuf),
    /// A qcow2 or raw disk, to be written as VMDK under this name.
    Vmdk(PathBuf, String),
}

impl Input {
    /// Bytes of the input; those of the object may be fewer.
    pub fn size(&self) -> Result<u64> {
        Ok(match self {
            Input::File(path) => {
                path.metadata().map_err(|error| Error::io(format!("reading {}", path.display()), &error))?.len()
            }
            Input::Vmdk(path, _) => disk::open(path)?.size(),
        })
    }

    /// Makes the parts. Ends early when nobody listens any more.
    pub fn cut(&self, part: u64, to: Sender<Part>) -> Result<()> {
        let size = usize::try_from(part).map_err(|_| Error::new(Kind::Config, "a part is too large"))?;
        let mut cutter = Cutter { to, size, buffer: Vec::new(), number: 0, read: 0, deaf: false };
        match self {
            Input::File(path) => {
                let done = std::fs::File::open(path).and_then(|file| copy(file, &mut cutter));
                cutter.judge(done.map_err(|error| Error::io(format!("reading {}", path.display()), &error)))
            }
            Input::Vmdk(path, name) => {
                let mut disk = disk::open(path)?;
                let read = std::sync::atomic::AtomicU64::new(0);
                let mut out = Progressing { cutter: &mut cutter, read: &read };
                let mut step = |bytes| {
                    read.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                    Ok(())
                };
                // A number that does not change keeps the bytes the same from run to run.
                let written = vmdk::write(&mut *disk, name, 1, &mut out, &mut step);
                cutter.judge(written.map_err(|error| match error {
                    VmdkError::Disk(error) => error.into(),
                    VmdkError::Write(error) => Error::io(format!("writing {name}"), &error),
                }))
            }
        }
    }
}

/// Large enough that there are not too many.
pub fn size_of_part(total: u64) -> u64 {
    total.div_ceil(MOST_PARTS).next_multiple_of(1 << 20).max(SMALLEST)
}

fn copy(mut from: impl Read, to: &mut Cutter) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.read += read as u64;
        to.write_all(&buffer[..read])?;
    }
}

/// Collects bytes into parts.
struct Cutter {
    to: Sender<Part>,
    size: usize,
    buffer: Vec<u8>,
    number: u32,
    read: u64,
    /// Nobody listens any more.
    deaf: bool,
}

impl Cutter {
    fn send(&mut self) -> io::Result<()> {
        self.number += 1;
        let data = Bytes::from(std::mem::take(&mut self.buffer));
        let sum = Sha256::digest(&data).into();
        let part = Part { number: self.number, data, sum, read: std::mem::take(&mut self.read) };
        if self.to.blocking_send(part).is_err() {
            self.deaf = true;
            return Err(io::Error::other("nobody takes the parts"));
        }
        Ok(())
    }

    /// The last part, where there is one. An empty object has one, too.
    fn judge(mut self, done: Result<()>) -> Result<()> {
        let done = match done {
            Ok(()) if !self.buffer.is_empty() || self.number == 0 => {
                self.send().map_err(|error| Error::new(Kind::Internal, error))
            }
            done => done,
        };
        if self.deaf { Ok(()) } else { done }
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(self.size);
        }
        let taken = bytes.len().min(self.size - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == self.size {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells the cutter how far the disk has been read.
struct Progressing<'a> {
    cutter: &'a mut Cutter,
    read: &'a std::sync::atomic::AtomicU64,
}

impl Write for Progressing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cutter.read += self.read.swap(0, std::sync::atomic::Ordering::Relaxed);
        self.cutter.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(input: &Input, size: u64) -> Vec<Part> {
        let (to, mut from) = tokio::sync::mpsc::channel(1000);
        input.cut(size, to).unwrap();
        std::iter::from_fn(|| from.blocking_recv()).collect()
    }

    #[test]
    fn a_file_is_cut_into_numbered_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..2_500_000u32).map(|n| (n / 7) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let made = parts(&Input::File(path.clone()), 1 << 20);
        assert_eq!(made.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(made.iter().map(|part| part.data.len()).collect::<Vec<_>>(), [1 << 20, 1 << 20, 402_848]);
        assert!(made.iter().flat_map(|part| part.data.to_vec()).eq(bytes));
        assert_eq!(made.iter().map(|part| part.read).sum::<u64>(), 2_500_000);
        std::fs::write(&path, "").unwrap();
        assert_eq!(parts(&Input::File(path), 1 << 20).len(), 1, "an empty object is one, too");
    }

    #[test]
    fn a_disk_is_the_same_vmdk_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(&path, noise).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(8 << 20).unwrap();
        let input = Input::Vmdk(path, "disk.vmdk".into());
        let (first, second) = (parts(&input, 64 << 10), parts(&input, 64 << 10));
        assert!(first.len() > 2 && first == second);
        assert!(first[0].data.starts_with(b"KDMV"));
        assert!(first.iter().map(|part| part.read).sum::<u64>() <= input.size().unwrap());
    }

    #[test]
    fn parts_suit_the_size() {
        assert_eq!(size_of_part(100), 8 << 20);
        assert_eq!(size_of_part(80 << 30), 9 << 20);
        assert!(size_of_part(5 << 40) * MOST_PARTS >= 5 << 40);
    }
}
