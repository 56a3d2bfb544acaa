//! Partition tables: GPT and MBR with logical partitions. The crates there assert on fields of a damaged table.

use std::io;

use super::source::{Source, Window, le16, le32, le64};

const SECTOR: u64 = 512;
/// Linux takes no more either.
const MAX_LOGICAL: usize = 256;
/// 128 entries of 128 bytes is what tools make.
const MAX_ENTRIES: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Gpt,
    Mbr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// EFI system partition.
    Esp,
    /// Where GRUB for a BIOS puts itself on a GPT disk.
    BiosBoot,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub number: u32,
    /// In bytes, as is the size.
    pub start: u64,
    pub size: u64,
    pub role: Role,
    /// As `root=PARTUUID=` has it, in small letters.
    pub uuid: String,
    pub label: String,
    /// The MBR's flag.
    pub active: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub scheme: Scheme,
    pub partitions: Vec<Partition>,
    /// The primary table is damaged, and this is the backup.
    pub backup: bool,
    /// Of the table: what is in use ends there.
    pub ends: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Table(Table),
    /// A GPT for 4096-byte sectors.
    LargeSectors,
    /// A GPT whose checksums are wrong, in both copies.
    Damaged,
    None,
}

pub fn read(source: &Source) -> io::Result<Found> {
    let disk = source.whole();
    if disk.size < 2 * SECTOR {
        return Ok(Found::None);
    }
    let first = disk.bytes(0, SECTOR as usize)?;
    let has_mbr = first[510..] == [0x55, 0xaa];
    let entries: Vec<&[u8]> = if has_mbr { first[446..510].chunks_exact(16).collect() } else { Vec::new() };
    let protective = entries.iter().any(|entry| entry[4] == 0xee);
    if protective {
        if let Some(table) = gpt(&disk, SECTOR)? {
            return Ok(Found::Table(table));
        }
        let last = disk.size / SECTOR * SECTOR - SECTOR;
        if let Some(table) = gpt(&disk, last)? {
            return Ok(Found::Table(Table { backup: true, ..table }));
        }
        let large = disk.size >= 8192 && disk.bytes(4096, 8)? == *b"EFI PART";
        return Ok(if large { Found::LargeSectors } else { Found::Damaged });
    }
    let plausible = entries.iter().all(|entry| entry[0] & 0x7f == 0) && entries.iter().any(|entry| entry[4] != 0);
    if !plausible {
        return Ok(Found::None);
    }
    Ok(Found::Table(mbr(&disk, &first)))
}

fn gpt(disk: &Window, at: u64) -> io::Result<Option<Table>> {
    let header = disk.bytes(at, SECTOR as usize)?;
    let length = le32(&header, 12) as usize;
    if !header.starts_with(b"EFI PART") || !(92..=SECTOR as usize).contains(&length) {
        return Ok(None);
    }
    let mut summed = header[..length].to_vec();
    summed[16..20].fill(0);
    if crc32(&summed) != le32(&header, 16) {
        return Ok(None);
    }
    let (count, size) = (u64::from(le32(&header, 80)), u64::from(le32(&header, 84)));
    let bytes = count.saturating_mul(size);
    let Some(start) = le64(&header, 72).checked_mul(SECTOR) else { return Ok(None) };
    if size < 128 || bytes > MAX_ENTRIES || start.checked_add(bytes).is_none_or(|end| end > disk.size) {
        return Ok(None);
    }
    let entries = disk.bytes(start, bytes as usize)?;
    if crc32(&entries) != le32(&header, 88) {
        return Ok(None);
    }
    let used = (1..).zip(entries.chunks_exact(size as usize)).filter(|(_, entry)| entry[..16] != [0; 16]);
    let partitions: Vec<Partition> = used.filter_map(|(number, entry)| gpt_entry(number, entry)).collect();
    let ends = le64(&header, 48).saturating_add(1).saturating_mul(SECTOR);
    Ok(Some(Table { scheme: Scheme::Gpt, partitions, backup: false, ends }))
}

fn gpt_entry(number: u32, entry: &[u8]) -> Option<Partition> {
    let (first, last) = (le64(entry, 32), le64(entry, 40));
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    let name: Vec<u16> = entry[56..128].chunks_exact(2).map(|unit| le16(unit, 0)).take_while(|u| *u != 0).collect();
    let role = match guid(&entry[..16]).as_str() {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => Role::Esp,
        "21686148-6449-6e6f-744e-656564454649" => Role::BiosBoot,
        _ => Role::Other,
    };
    Some(Partition {
        number,
        start: first.checked_mul(SECTOR)?,
        size: sectors.checked_mul(SECTOR)?,
        role,
        uuid: guid(&entry[16..32]),
        label: String::from_utf16_lossy(&name),
        active: false,
    })
}

/// The first three fields of a GUID lie with their least byte first.
fn guid(bytes: &[u8]) -> String {
    let (first, second, third) = (le32(bytes, 0), le16(bytes, 4), le16(bytes, 6));
    let rest = hex::encode(&bytes[8..16]);
    format!("{first:08x}-{second:04x}-{third:04x}-{}-{}", &rest[..4], &rest[4..])
}

fn mbr(disk: &Window, first: &[u8]) -> Table {
    let signature = le32(first, 440);
    let mut partitions = Vec::new();
    let mut extended = None;
    for (number, entry) in (1..).zip(first[446..510].chunks_exact(16)) {
        if is_extended(entry[4]) {
            extended.get_or_insert(u64::from(le32(entry, 8)));
        } else if entry[4] != 0 {
            partitions.push(mbr_entry(number, entry, 0, signature));
        }
    }
    if let Some(start) = extended {
        partitions.extend(logical(disk, start, signature));
    }
    let ends = partitions.iter().map(|one| one.start.saturating_add(one.size)).max().unwrap_or(0);
    Table { scheme: Scheme::Mbr, partitions, backup: false, ends }
}

/// A chain of tables with two entries each: the partition, and where the next table is. A broken link ends it.
fn logical(disk: &Window, extended: u64, signature: u32) -> Vec<Partition> {
    let mut found = Vec::new();
    let mut at = extended;
    for number in (5..).take(MAX_LOGICAL) {
        let Ok(table) = disk.bytes(at * SECTOR, SECTOR as usize) else { break };
        if table[510..] != [0x55, 0xaa] {
            break;
        }
        let (this, next) = (&table[446..462], &table[462..478]);
        if this[4] != 0 {
            found.push(mbr_entry(number, this, at, signature));
        }
        if !is_extended(next[4]) {
            break;
        }
        at = extended + u64::from(le32(next, 8));
    }
    found
}

fn mbr_entry(number: u32, entry: &[u8], base: u64, signature: u32) -> Partition {
    Partition {
        number,
        start: (base + u64::from(le32(entry, 8))) * SECTOR,
        size: u64::from(le32(entry, 12)) * SECTOR,
        role: if entry[4] == 0xef { Role::Esp } else { Role::Other },
        uuid: format!("{signature:08x}-{number:02x}"),
        label: String::new(),
        active: entry[0] & 0x80 != 0,
    }
}

fn is_extended(kind: u8) -> bool {
    [0x05, 0x0f, 0x85].contains(&kind)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
