//! Reads qcow2 disks: versions 2 and 3, compressed clusters, no backing file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Disk, DiskError};

pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
const HEADER: usize = 112;
/// The format's own limits; QEMU refuses what lies beyond them too.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
const MAX_L1: u32 = 32 * 1024 * 1024 / 8;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// Bits of `incompatible_features`.
const DIRTY: u64 = 1;
const COMPRESSION_TYPE: u64 = 1 << 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Deflate,
    Zstd,
}

pub struct Qcow2 {
    path: PathBuf,
    file: File,
    size: u64,
    cluster_bits: u32,
    compression: Compression,
    l1: Vec<u64>,
    /// The table that was used last, with its offset.
    l2: (u64, Vec<u64>),
    /// The compressed cluster that was read last, with its entry.
    unpacked: (u64, Vec<u8>),
}

impl Qcow2 {
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let failed = |source| DiskError::Read { path: path.to_owned(), source };
        let wrong = |why: &str| DiskError::Qcow2 { path: path.to_owned(), why: why.into() };
        let file = File::open(path).map_err(failed)?;
        let mut header = Vec::new();
        (&file).take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
        if header.len() < 72 || header[..4] != MAGIC {
            return Err(wrong("it has no qcow2 header"));
        }
        header.resize(HEADER, 0);
        let (version, cluster_bits, l1_size) = (be32(&header, 4), be32(&header, 20), be32(&header, 36));
        if be64(&header, 8) != 0 {
            return Err(DiskError::Backing { path: path.to_owned() });
        }
        let features = if version >= 3 { be64(&header, 72) } else { 0 };
        match () {
            () if !(2..=3).contains(&version) => return Err(wrong("its version is neither 2 nor 3")),
            () if !CLUSTER_BITS.contains(&cluster_bits) => return Err(wrong("its cluster size is out of range")),
            () if be32(&header, 32) != 0 => return Err(wrong("it is encrypted")),
            () if l1_size > MAX_L1 => return Err(wrong("its first table is too large")),
            () if features & !(DIRTY | COMPRESSION_TYPE) != 0 => {
                return Err(wrong("it is marked corrupt or uses an external data file or extended L2 entries"));
            }
            () => {}
        }
        let compression = match header[104] {
            1 if features & COMPRESSION_TYPE != 0 => Compression::Zstd,
            0 => Compression::Deflate,
            _ if features & COMPRESSION_TYPE == 0 => Compression::Deflate,
            _ => return Err(wrong("its compression type is unknown")),
        };
        let l1 = table(&file, be64(&header, 40), l1_size as usize).map_err(failed)?;
        let size = be64(&header, 24);
        let (l2, unpacked) = ((0, Vec::new()), (0, Vec::new()));
        Ok(Self { path: path.to_owned(), file, size, cluster_bits, compression, l1, l2, unpacked })
    }

    fn failed(&self, source: std::io::Error) -> DiskError {
        DiskError::Read { path: self.path.clone(), source }
    }

    /// The entry of the cluster that holds `offset`; 0 where nothing was ever written.
    fn entry(&mut self, offset: u64) -> Result<u64, DiskError> {
        let l2_bits = self.cluster_bits - 3;
        let cluster = offset >> self.cluster_bits;
        let table_at = self.l1.get((cluster >> l2_bits) as usize).map_or(0, |entry| entry & OFFSET);
        if table_at == 0 {
            return Ok(0);
        }
        if self.l2.0 != table_at {
            let read = table(&self.file, table_at, 1 << l2_bits).map_err(|source| self.failed(source))?;
            self.l2 = (table_at, read);
        }
        Ok(self.l2.1[(cluster & ((1 << l2_bits) - 1)) as usize])
    }

    /// Fills `buffer` from within one cluster.
    fn read_in_cluster(&mut self, offset: u64, buffer: &mut [u8]) -> Result<bool, DiskError> {
        let entry = self.entry(offset)?;
        let within = (offset & ((1 << self.cluster_bits) - 1)) as usize;
        if entry & COMPRESSED != 0 {
            self.unpack(entry)?;
            buffer.copy_from_slice(&self.unpacked.1[within..within + buffer.len()]);
            return Ok(true);
        }
        let at = entry & OFFSET;
        if entry & ZERO != 0 || at == 0 {
            return Ok(false);
        }
        self.file.read_exact_at(buffer, at + within as u64).map_err(|source| self.failed(source))?;
        Ok(true)
    }

    fn unpack(&mut self, entry: u64) -> Result<(), DiskError> {
        if self.unpacked.0 == entry {
            return Ok(());
        }
        let offset_bits = 62 - (self.cluster_bits - 8);
        let at = entry & ((1 << offset_bits) - 1);
        let sectors = ((entry & !COMPRESSED & !(1 << 63)) >> offset_bits) + 1;
        let mut packed = vec![0; (sectors * 512 - (at & 511)) as usize];
        // The last sector may be the file's last one, cut short.
        let have = read_up_to(&self.file, &mut packed, at).map_err(|source| self.failed(source))?;
        let size = 1 << self.cluster_bits;
        let mut whole = Vec::with_capacity(size);
        let packed = &packed[..have];
        let done = match self.compression {
            Compression::Deflate => flate2::read::DeflateDecoder::new(packed).take(size as u64).read_to_end(&mut whole),
            Compression::Zstd => zstd::stream::read::Decoder::with_buffer(packed)
                .and_then(|decoder| decoder.single_frame().take(size as u64).read_to_end(&mut whole)),
        };
        if done.is_err() || whole.len() != size {
            let why = format!("the compressed cluster at byte {at} is damaged");
            return Err(DiskError::Qcow2 { path: self.path.clone(), why });
        }
        self.unpacked = (entry, whole);
        Ok(())
    }
}

impl Disk for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<bool, DiskError> {
        let wanted = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let cluster = 1u64 << self.cluster_bits;
        let (mut done, mut any) = (0, false);
        while done < wanted {
            let at = offset + done as u64;
            let part = ((cluster - at % cluster) as usize).min(wanted - done);
            let piece = &mut buffer[done..done + part];
            let data = self.read_in_cluster(at, piece)?;
            match (data, any) {
                (true, false) => buffer[..done].fill(0), // what was skipped so far
                (false, true) => buffer[done..done + part].fill(0),
                _ => {}
            }
            any |= data;
            done += part;
        }
        if any {
            buffer[wanted..].fill(0);
        }
        Ok(any)
    }

    fn written(&mut self, offset: u64, length: u64) -> Result<bool, DiskError> {
        let end = offset.saturating_add(length).min(self.size);
        let cluster = 1u64 << self.cluster_bits;
        let mut at = offset;
        while at < end {
            let entry = self.entry(at)?;
            if entry & (COMPRESSED | ZERO | OFFSET) != 0 {
                return Ok(true);
            }
            at = (at | (cluster - 1)) + 1;
        }
        Ok(false)
    }
}

fn table(file: &File, at: u64, entries: usize) -> std::io::Result<Vec<u64>> {
    let mut bytes = vec![0; entries * 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.chunks_exact(8).map(|entry| be64(entry, 0)).collect())
}

fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
