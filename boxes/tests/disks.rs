//! Our readers and writers of disks against qemu-img.
#![allow(clippy::unwrap_used)] // a test may panic

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use bakehouse_boxes::disk::{self, Disk};
use bakehouse_boxes::vmdk;

fn qemu_img(args: &[&str], dir: &Path) {
    let out = Command::new("qemu-img").args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "qemu-img {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A raw disk with data in some places, the last of which ends it.
fn raw_disk(dir: &Path, size: u64) {
    let file = File::create(dir.join("raw")).unwrap();
    file.set_len(size).unwrap();
    let noise: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    for at in [0, 1_000_001, 40 << 20, size - 200_000] {
        file.write_all_at(&noise, at).unwrap();
    }
}

fn read_all(disk: &mut dyn Disk, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0xee; piece];
    while (all.len() as u64) < disk.size() {
        let data = disk.read(all.len() as u64, &mut buffer).unwrap();
        let wanted = piece.min((disk.size() - all.len() as u64) as usize);
        if data { all.extend(&buffer[..wanted]) } else { all.resize(all.len() + wanted, 0) }
    }
    all
}

#[test]
fn qcow2_disks_of_every_kind_are_read_as_qemu_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    raw_disk(dir.path(), (100 << 20) + 512);
    let expected = std::fs::read(dir.path().join("raw")).unwrap();
    for (options, compressed) in [
        ("compat=1.1", false),
        ("compat=0.10", false),
        ("compat=1.1", true),
        ("compat=1.1,compression_type=zstd", true),
        ("cluster_size=512", false),
        ("cluster_size=2M", true),
    ] {
        let mut args = vec!["convert", "-O", "qcow2", "-o", options];
        args.extend(compressed.then_some("-c"));
        args.extend(["-f", "raw", "raw", "disk.qcow2"]);
        qemu_img(&args, dir.path());
        let mut disk = disk::open(&dir.path().join("disk.qcow2")).unwrap();
        for piece in [65_536, 100_003] {
            assert!(read_all(&mut *disk, piece) == expected, "{options} {compressed} {piece}");
        }
    }
    let mut raw = disk::open(&dir.path().join("raw")).unwrap();
    assert!(read_all(&mut *raw, 65_536) == expected);
}

#[test]
fn a_vmdk_of_ours_is_read_by_qemu() {
    let dir = tempfile::tempdir().unwrap();
    for size in [(100 << 20) + 512, (41 << 20) + 65_536] {
        raw_disk(dir.path(), size);
        let mut disk = disk::open(&dir.path().join("raw")).unwrap();
        let mut out = Vec::new();
        let mut seen = 0;
        vmdk::write(&mut *disk, "d.vmdk", 7, &mut out, &mut |bytes| {
            seen += bytes;
            Ok(())
        })
        .unwrap();
        assert!(seen >= size && out.len() < 2_000_000, "{seen} {}", out.len());
        std::fs::write(dir.path().join("d.vmdk"), out).unwrap();
        qemu_img(&["compare", "-f", "vmdk", "-F", "raw", "d.vmdk", "raw"], dir.path());
        qemu_img(&["check", "-f", "vmdk", "d.vmdk"], dir.path());
    }
}

#[test]
fn disks_that_cannot_be_read_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.qcow2");
    let say = || match disk::open(&path) {
        Ok(_) => panic!("it was read"),
        Err(error) => error.to_string().replace(dir.path().to_str().unwrap(), "DIR"),
    };
    std::fs::write(&path, b"QFI\xfb short").unwrap();
    assert_eq!(say(), "DIR/d.qcow2 is not a qcow2 disk that can be read: it has no qcow2 header");
    qemu_img(&["create", "-q", "-f", "qcow2", "base.qcow2", "1M"], dir.path());
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", "d.qcow2"], dir.path());
    assert_eq!(say(), "DIR/d.qcow2 stands on a backing file: it is no whole disk");
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "d.qcow2", "1M"], dir.path());
    assert!(say().contains("extended L2 entries"), "{}", say());
}
