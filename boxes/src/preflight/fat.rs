//! Reads FAT12, FAT16 and FAT32: folders and small files. The crate for it subtracts from cluster numbers that a
//! damaged table makes up.

use std::io;

use super::source::{Window, le16, le32};

/// Entries of one folder.
const MAX_ENTRIES: usize = 4096;
const ENTRY: usize = 32;
const FOLDER: u8 = 0x10;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

pub struct Fat {
    disk: Window,
    bits: u32,
    /// In bytes, as are the places.
    cluster: u64,
    table: u64,
    data: u64,
    clusters: u32,
    root: Root,
    pub serial: String,
    pub label: String,
}

#[derive(Clone, Copy)]
enum Root {
    Fixed { at: u64, size: u64 },
    Cluster(u32),
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    folder: bool,
    cluster: u32,
    size: u32,
}

impl Fat {
    /// None: it is none.
    pub fn open(disk: &Window) -> io::Result<Option<Self>> {
        let boot = disk.bytes(0, 512)?;
        let sector = u64::from(le16(&boot, 11));
        let per_cluster = u64::from(boot[13]);
        let (reserved, tables) = (u64::from(le16(&boot, 14)), u64::from(boot[16]));
        let sizes = [512, 1024, 2048, 4096].contains(&sector) && per_cluster.is_power_of_two();
        if boot[510..] != [0x55, 0xaa] || !sizes || reserved == 0 || !(1..=2).contains(&tables) {
            return Ok(None);
        }
        let table_size = match le16(&boot, 22) {
            0 => u64::from(le32(&boot, 36)),
            short => u64::from(short),
        };
        let total = match le16(&boot, 19) {
            0 => u64::from(le32(&boot, 32)),
            short => u64::from(short),
        };
        let root_at = (reserved + tables * table_size) * sector;
        let root_size = u64::from(le16(&boot, 17)) * ENTRY as u64;
        let data = (root_at + root_size).next_multiple_of(sector);
        let Some(bytes) = (total * sector).checked_sub(data).filter(|_| table_size > 0) else { return Ok(None) };
        let cluster = per_cluster * sector;
        let clusters = u32::try_from(bytes / cluster).unwrap_or(u32::MAX);
        let (bits, root, extended) = match clusters {
            0 => return Ok(None),
            1..4085 => (12, Root::Fixed { at: root_at, size: root_size }, 36),
            4085..65525 => (16, Root::Fixed { at: root_at, size: root_size }, 36),
            _ => (32, Root::Cluster(le32(&boot, 44)), 64),
        };
        let serial = le32(&boot, extended + 3);
        let label = String::from_utf8_lossy(&boot[extended + 7..extended + 18]).trim_end().to_owned();
        let serial = format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff);
        let (disk, table) = (disk.clone(), reserved * sector);
        let mut fat = Self { disk, bits, cluster, table, data, clusters, root, serial, label };
        // The root's own label is the one that counts.
        if let Some(label) = fat.root_label() {
            fat.label = label;
        }
        Ok(Some(fat))
    }

    /// A whole file of at most `limit` bytes; none where there is no such file.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.find(path)?.filter(|entry| !entry.folder && u64::from(entry.size) <= limit) else {
            return Ok(None);
        };
        let mut bytes = self.chain(entry.cluster, u64::from(entry.size))?;
        bytes.truncate(entry.size as usize);
        Ok(Some(bytes))
    }

    /// The beginning of a file.
    pub fn head(&self, path: &str, length: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.find(path)?.filter(|entry| !entry.folder) else { return Ok(None) };
        let length = length.min(u64::from(entry.size));
        let mut bytes = self.chain(entry.cluster, length)?;
        bytes.truncate(length as usize);
        Ok(Some(bytes))
    }

    /// The names in a folder; empty where there is none.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match self.find(path)? {
            Some(entry) if entry.folder => self.entries(entry.cluster)?,
            _ => Vec::new(),
        };
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    pub fn exists(&self, path: &str) -> bool {
        self.find(path).is_ok_and(|found| found.is_some())
    }

    fn find(&self, path: &str) -> io::Result<Option<Entry>> {
        let mut here = Entry { name: String::new(), folder: true, cluster: 0, size: 0 };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !here.folder {
                return Ok(None);
            }
            let mut entries = self.entries(here.cluster)?.into_iter();
            match entries.find(|entry| entry.name.eq_ignore_ascii_case(part)) {
                Some(entry) => here = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// Cluster 0 is the root.
    fn folder(&self, cluster: u32) -> io::Result<Vec<u8>> {
        let most = (MAX_ENTRIES * ENTRY) as u64;
        match (cluster, self.root) {
            (0, Root::Fixed { at, size }) => self.disk.bytes(at, size.min(most) as usize),
            (0, Root::Cluster(root)) => self.chain(root, most),
            _ => self.chain(cluster, most),
        }
    }

    fn entries(&self, cluster: u32) -> io::Result<Vec<Entry>> {
        let bytes = self.folder(cluster)?;
        let mut found = Vec::new();
        let mut long = Vec::new();
        for entry in bytes.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0) {
            match entry[11] {
                _ if entry[0] == 0xe5 => long.clear(),
                LONG_NAME => long.splice(0..0, long_part(entry)).for_each(drop),
                kind if kind & LABEL != 0 => long.clear(),
                kind => {
                    let name = if long.is_empty() { short_name(entry) } else { String::from_utf16_lossy(&long) };
                    long.clear();
                    let cluster = u32::from(le16(entry, 20)) << 16 | u32::from(le16(entry, 26));
                    let cluster = if self.bits == 32 { cluster } else { cluster & 0xffff };
                    found.push(Entry { name, folder: kind & FOLDER != 0, cluster, size: le32(entry, 28) });
                }
            }
        }
        Ok(found)
    }

    fn root_label(&self) -> Option<String> {
        let bytes = self.folder(0).ok()?;
        let mut entries = bytes.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0);
        let entry = entries.find(|entry| entry[0] != 0xe5 && entry[11] & 0x3f == LABEL)?;
        Some(String::from_utf8_lossy(&entry[..11]).trim_end().to_owned())
    }

    /// What a chain of clusters holds, up to `most` bytes.
    fn chain(&self, first: u32, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = first;
        while (bytes.len() as u64) < most && (2..self.clusters.saturating_add(2)).contains(&at) {
            let place = self.data + u64::from(at - 2) * self.cluster;
            bytes.extend(self.disk.bytes(place, self.cluster as usize)?);
            at = self.next(at)?;
        }
        Ok(bytes)
    }

    fn next(&self, cluster: u32) -> io::Result<u32> {
        let at = self.table + u64::from(cluster) * u64::from(self.bits) / 8;
        let bytes = self.disk.bytes(at, if self.bits == 32 { 4 } else { 2 })?;
        Ok(match self.bits {
            12 if cluster % 2 == 1 => u32::from(le16(&bytes, 0) >> 4),
            12 => u32::from(le16(&bytes, 0) & 0xfff),
            16 => u32::from(le16(&bytes, 0)),
            _ => le32(&bytes, 0) & 0x0fff_ffff,
        })
    }
}

/// Thirteen UTF-16 units in three places; the last ones come first on the disk.
fn long_part(entry: &[u8]) -> Vec<u16> {
    let units = entry[1..11].chunks_exact(2).chain(entry[14..26].chunks_exact(2)).chain(entry[28..32].chunks_exact(2));
    units.map(|unit| le16(unit, 0)).take_while(|unit| ![0, 0xffff].contains(unit)).collect()
}

/// `GRUBX64 EFI` is `GRUBX64.EFI`, or `grubx64.efi` where the entry says that its letters are small.
fn short_name(entry: &[u8]) -> String {
    let text = |bytes: &[u8], small: u8| {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if entry[12] & small != 0 { text.to_ascii_lowercase() } else { text }
    };
    let (stem, extension) = (text(&entry[..8], 0x08), text(&entry[8..11], 0x10));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}
