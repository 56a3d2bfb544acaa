//! What a file is that is said to be a disk, told by its bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{DiskError, qcow2};

const SECTOR: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Qcow2,
    Vmdk,
    Vhd,
    Vhdx,
    Vdi,
    Ova,
    Box,
    /// It has a partition table or a boot sector.
    Raw,
    /// None of these: a disk without partitions, or something else.
    Other,
}

impl Kind {
    /// As `qemu-img -f` calls it.
    pub fn qemu(self) -> Option<&'static str> {
        match self {
            Kind::Qcow2 => Some("qcow2"),
            Kind::Vmdk => Some("vmdk"),
            Kind::Vhd => Some("vpc"),
            Kind::Vhdx => Some("vhdx"),
            Kind::Vdi => Some("vdi"),
            Kind::Raw | Kind::Other => Some("raw"),
            Kind::Ova | Kind::Box => None,
        }
    }
}

pub fn kind(path: &Path) -> Result<Kind, DiskError> {
    let failed = |source| DiskError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let head = at(&file, 0, 2 * SECTOR).map_err(failed)?;
    let tail = at(&file, size.saturating_sub(SECTOR), SECTOR).map_err(failed)?;
    Ok(judge(&head, &tail))
}

fn judge(head: &[u8], tail: &[u8]) -> Kind {
    let has = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    match () {
        () if has(0, &qcow2::MAGIC) => Kind::Qcow2,
        () if has(0, b"KDMV") || has(0, b"COWD") || has(0, b"# Disk DescriptorFile") => Kind::Vmdk,
        () if has(0, b"vhdxfile") => Kind::Vhdx,
        () if has(0, b"conectix") || tail.starts_with(b"conectix") => Kind::Vhd,
        () if has(0x40, &[0x7f, 0x10, 0xda, 0xbe]) => Kind::Vdi,
        () if has(257, b"ustar") => tar(head),
        () if has(0, &[0x1f, 0x8b]) || has(0, &[0x28, 0xb5, 0x2f, 0xfd]) || has(0, b"\xfd7zXZ\0") => Kind::Box,
        () if has(510, &[0x55, 0xaa]) || has(512, b"EFI PART") => Kind::Raw,
        () => Kind::Other,
    }
}

/// The descriptor of an OVA is its first member.
fn tar(head: &[u8]) -> Kind {
    let name = head[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    if name.ends_with(b".ovf") { Kind::Ova } else { Kind::Box }
}

/// As much of it as there is.
fn at(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], offset + have as u64)? {
            0 => break,
            read => have += read,
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_bytes() {
        let with = |offset: usize, magic: &[u8]| {
            let mut head = vec![0; 1024];
            head[offset..offset + magic.len()].copy_from_slice(magic);
            judge(&head, &[])
        };
        assert_eq!(with(0, b"QFI\xfb"), Kind::Qcow2);
        assert_eq!(with(0, b"KDMV"), Kind::Vmdk);
        assert_eq!(with(0, b"vhdxfile"), Kind::Vhdx);
        assert_eq!(with(510, &[0x55, 0xaa]), Kind::Raw);
        assert_eq!(with(257, b"ustar"), Kind::Box);
        let mut ova = vec![0; 1024];
        ova[..8].copy_from_slice(b"tiny.ovf");
        ova[257..262].copy_from_slice(b"ustar");
        assert_eq!(judge(&ova, &[]), Kind::Ova);
        assert_eq!(judge(&[0; 1024], b"conectix and more"), Kind::Vhd);
        assert_eq!(judge(b"hello", b"hello"), Kind::Other);
        assert_eq!(judge(b"", b""), Kind::Other);
    }
}
