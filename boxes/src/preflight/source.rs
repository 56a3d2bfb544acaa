//! The bytes of a disk under examination. What is read is bounded: a damaged file system can send its reader in
//! circles.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Several times what a kernel, its initramfs and the lists of its modules take.
const MOST: u64 = 1 << 30;

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

#[derive(Clone)]
pub struct Source(Rc<RefCell<Inner>>);

struct Inner {
    disk: Box<dyn ReadSeek>,
    size: u64,
    left: u64,
    /// The first failure of the disk itself, which readers of file systems would call damage.
    failed: Option<String>,
}

impl Source {
    pub fn new(mut disk: impl Read + Seek + 'static) -> io::Result<Self> {
        let size = disk.seek(SeekFrom::End(0))?;
        Ok(Self(Rc::new(RefCell::new(Inner { disk: Box::new(disk), size, left: MOST, failed: None }))))
    }

    pub fn size(&self) -> u64 {
        self.0.borrow().size
    }

    pub fn failure(&self) -> Option<String> {
        self.0.borrow().failed.clone()
    }

    /// The whole disk.
    pub fn whole(&self) -> Window {
        self.window(0, self.size())
    }

    pub fn window(&self, start: u64, size: u64) -> Window {
        Window { source: self.clone(), start, size }
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let length = buffer.len() as u64;
        if at.checked_add(length).is_none_or(|end| end > inner.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(left) = inner.left.checked_sub(length.max(512)) else {
            let why = format!("its file systems ask for more than {} MiB to be read", MOST >> 20);
            inner.failed.get_or_insert(why.clone());
            return Err(io::Error::other(why));
        };
        inner.left = left;
        let read = inner.disk.seek(SeekFrom::Start(at)).and_then(|_| inner.disk.read_exact(buffer));
        read.inspect_err(|error| {
            inner.failed.get_or_insert_with(|| format!("reading {length} bytes at {at}: {error}"));
        })
    }
}

/// A part of the disk, as if it were one by itself.
#[derive(Clone)]
pub struct Window {
    source: Source,
    start: u64,
    pub size: u64,
}

impl Window {
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        let place = end.and_then(|_| self.start.checked_add(at));
        self.source.read(place.ok_or(io::ErrorKind::UnexpectedEof)?, buffer)
    }

    /// `length` is ours, not the disk's: it is allocated.
    pub fn bytes(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }
}

impl ext4_view::Ext4Read for Window {
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.read_at(at, buffer)?)
    }
}

pub fn le16(bytes: &[u8], at: usize) -> u16 {
    le(bytes, at, 2) as u16
}

pub fn le32(bytes: &[u8], at: usize) -> u32 {
    le(bytes, at, 4) as u32
}

pub fn le64(bytes: &[u8], at: usize) -> u64 {
    le(bytes, at, 8)
}

/// Zero beyond the end.
fn le(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes.get(at..at + length).unwrap_or_default();
    field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
