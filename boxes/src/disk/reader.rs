//! A disk as a stream with a position.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Disk, DiskError};

pub struct Reader {
    disk: Box<dyn Disk>,
    at: u64,
}

impl Reader {
    pub fn new(disk: Box<dyn Disk>) -> Self {
        Self { disk, at: 0 }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.disk.size().saturating_sub(self.at);
        let wanted = left.min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..wanted];
        if !self.disk.read(self.at, buffer).map_err(io_error)? {
            buffer.fill(0);
        }
        self.at += wanted as u64;
        Ok(wanted)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.disk.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn io_error(error: DiskError) -> io::Error {
    match error {
        DiskError::Read { source, .. } => source,
        other => io::Error::other(other),
    }
}
