//! Writes stream-optimised VMDK disks: what OVF packages hold and VirtualBox imports. One pass, grains
//! compressed on every core.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::disk::{Disk, DiskError};
use crate::gzip::{deflater, is_zero};
use crate::parallel::{Encode, Pool};

const SECTOR: u64 = 512;
const GRAIN: usize = 64 * 1024;
const GRAIN_SECTORS: u64 = GRAIN as u64 / SECTOR;
/// Grains a grain table knows.
const TABLE: usize = 512;
/// Header and descriptor, before the first grain.
const OVERHEAD: u64 = 128;
const DESCRIPTOR_SECTORS: u64 = 20;
const LEVEL: u32 = 6;
/// Newline test, marked grains, compressed grains.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const AT_END: u64 = u64::MAX;

/// Kinds of metadata markers.
const END: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum VmdkError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Writes `disk` to `out`; `step` hears how many bytes of the disk each piece was, and may stop the work.
/// `name` is the file's own name, `id` any number that tells this disk from others.
pub fn write(
    disk: &mut dyn Disk,
    name: &str,
    id: u32,
    out: &mut dyn Write,
    step: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<(), VmdkError> {
    let capacity = disk.size().div_ceil(SECTOR);
    let mut writer = Writer { out, sector: 0, table: vec![0; TABLE], directory: Vec::new() };
    writer.put(&header(capacity, AT_END))?;
    let mut text = descriptor(capacity, name, id).into_bytes();
    text.resize(((OVERHEAD - 1) * SECTOR) as usize, 0);
    writer.put(&text)?;
    let mut pool = Pool::new(encoder)?;
    let mut order = VecDeque::new();
    for index in 0..capacity.div_ceil(GRAIN_SECTORS) {
        let mut block = vec![0; 8 + GRAIN];
        let (sector, grain) = block.split_at_mut(8);
        if disk.read(index * GRAIN as u64, grain)? && !is_zero(grain) {
            sector.copy_from_slice(&(index * GRAIN_SECTORS).to_le_bytes());
            order.push_back(index);
            if let Some(grain) = pool.submit(block)? {
                writer.grain(order.pop_front(), &grain)?;
            }
        }
        step(GRAIN as u64)?;
    }
    while let Some(grain) = pool.oldest()? {
        writer.grain(order.pop_front(), &grain)?;
    }
    writer.finish(capacity)?;
    Ok(())
}

/// From a block of sector number and data to a grain as it stands in the file.
fn encoder() -> io::Result<Encode> {
    let mut compressor = deflater(LEVEL)?;
    Ok(Box::new(move |block| {
        let (sector, data) = block.split_at(8);
        let mut grain = vec![0; 12 + compressor.zlib_compress_bound(data.len())];
        let size = compressor.zlib_compress(data, &mut grain[12..]).map_err(io::Error::other)?;
        grain[..8].copy_from_slice(sector);
        grain[8..12].copy_from_slice(&(size as u32).to_le_bytes());
        grain.truncate(12 + size);
        pad(&mut grain);
        Ok(grain)
    }))
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Where the next byte goes.
    sector: u64,
    /// Sectors of the grains of the table under way.
    table: Vec<u32>,
    /// Sectors of the tables so far.
    directory: Vec<u32>,
}

impl Writer<'_> {
    /// `bytes` are whole sectors.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.sector += bytes.len() as u64 / SECTOR;
        Ok(())
    }

    fn here(&self) -> io::Result<u32> {
        // Sector numbers have 32 bits: 2 TiB of compressed grains.
        u32::try_from(self.sector).map_err(|_| io::Error::other("a stream-optimised VMDK holds at most 2 TiB"))
    }

    fn grain(&mut self, index: Option<u64>, grain: &[u8]) -> io::Result<()> {
        let index = index.ok_or_else(|| io::Error::other("a grain without a number"))? as usize;
        while self.directory.len() < index / TABLE {
            self.end_table()?;
        }
        self.table[index % TABLE] = self.here()?;
        self.put(grain)
    }

    fn end_table(&mut self) -> io::Result<()> {
        if self.table.iter().all(|sector| *sector == 0) {
            self.directory.push(0);
            return Ok(());
        }
        let table = std::mem::replace(&mut self.table, vec![0; TABLE]);
        let at = self.put_table(GRAIN_TABLE, &table)?;
        self.directory.push(at);
        Ok(())
    }

    fn put_table(&mut self, kind: u32, entries: &[u32]) -> io::Result<u32> {
        let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        pad(&mut bytes);
        self.put(&marker(kind, bytes.len() as u64 / SECTOR))?;
        let at = self.here()?;
        self.put(&bytes)?;
        Ok(at)
    }

    fn finish(mut self, capacity: u64) -> io::Result<()> {
        let tables = capacity.div_ceil(GRAIN_SECTORS).div_ceil(TABLE as u64) as usize;
        while self.directory.len() < tables {
            self.end_table()?;
        }
        let directory = std::mem::take(&mut self.directory);
        let at = self.put_table(DIRECTORY, &directory)?;
        self.put(&marker(FOOTER, 1))?;
        self.put(&header(capacity, u64::from(at)))?;
        self.put(&marker(END, 0))
    }
}

fn marker(kind: u32, sectors: u64) -> Vec<u8> {
    let mut bytes = sectors.to_le_bytes().to_vec();
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    pad(&mut bytes);
    bytes
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    let mut bytes = b"KDMV".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(FLAGS.to_le_bytes());
    for field in [capacity, GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend((TABLE as u32).to_le_bytes());
    for field in [0, directory, OVERHEAD] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.push(0); // shut down cleanly
    bytes.extend(b"\n \r\n"); // broken by a transfer in text mode
    bytes.extend(1u16.to_le_bytes()); // deflate
    pad(&mut bytes);
    bytes
}

fn descriptor(capacity: u64, name: &str, id: u32) -> String {
    let cylinders = (capacity / (16 * 63)).clamp(1, 16383);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={id:08x}\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
         # Extent description\nRDONLY {capacity} SPARSE \"{name}\"\n\n\
         # The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"4\"\nddb.adapterType = \"ide\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\n"
    )
}
