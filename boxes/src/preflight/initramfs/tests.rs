use std::io::Write;

use super::*;

/// A cpio with the files of these names, four bytes in each.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut add = |name: &str, content: &[u8]| {
        let fields = [0, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0];
        bytes.extend(b"070701");
        bytes.extend(fields.map(|field| format!("{field:08x}")).concat().bytes());
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    names.iter().for_each(|name| add(name, b"data"));
    add("TRAILER!!!", b"");
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn modules(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().modules.into_iter().collect()
}

const NVME: &str = "usr/lib/modules/6.1/kernel/drivers/nvme/host/nvme-core.ko.zst";

#[test]
fn every_compression_of_kernels_is_read_behind_microcode() {
    let microcode = archive(&["kernel/x86/microcode/GenuineIntel.bin"]);
    let plain = [archive(&["init"]), archive(&["bin/sh", NVME])].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let lz4 = |legacy| {
        let info = lz4_flex::frame::FrameInfo::new().legacy_frame(legacy);
        let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    let compressed = [gzip.finish().unwrap(), xz.finish().unwrap(), zstd, lz4(true), lz4(false), plain.clone()];
    for bytes in compressed {
        assert_eq!(modules(&bytes), ["nvme_core"]);
        assert_eq!(modules(&[microcode.clone(), bytes].concat()), ["nvme_core"]);
    }
}

#[test]
fn only_modules_count_and_a_list_of_what_is_built_in() {
    assert_eq!(modules(&archive(&["nvme.ko", "lib/modules/6.1/ena.ko", "lib/modules/6.1/x.ko.txt"])), ["ena"]);
    assert_eq!(module("kernel/drivers/block/virtio_blk.ko"), Some("virtio_blk".into()));
    assert_eq!(module("modules.dep"), None);
}

#[test]
fn what_is_cut_short_or_unknown_is_told() {
    let whole = archive(&["init", NVME]);
    assert!(matches!(read(&whole[..150]), Err(InitramfsError::Damaged(_))));
    assert!(matches!(read(b"BZh9..."), Err(InitramfsError::Compression("bzip2"))));
    assert!(matches!(read(b"what is this"), Err(InitramfsError::Unknown)));
    let huge = String::from_utf8_lossy(&whole).replacen(&format!("{:08x}", "init".len() + 1), "ffffffff", 1);
    assert!(matches!(read(huge.as_bytes()), Err(InitramfsError::Damaged(_))));
    assert_eq!(read(b"").unwrap(), Contents::default());
}
