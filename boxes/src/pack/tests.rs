use std::fs::File;
use std::io::Cursor;
use std::process::Command;

use serde_json::json;

use super::*;

const MTIME: u64 = 1_700_000_000;

fn contents(members: &[(&str, Source)]) -> Contents {
    let member = |(name, source): &(&str, Source)| Member { name: name.to_string(), source: source.clone() };
    Contents {
        metadata: json!({"provider": "libvirt"}).as_object().unwrap().clone(),
        vagrantfile: "Vagrant.configure(\"2\") {}\n".into(),
        members: members.iter().map(member).collect(),
    }
}

fn packed(contents: &Contents, compression: Compression) -> Vec<u8> {
    let options = Options { compression, mtime: MTIME };
    write(Cursor::new(Vec::new()), contents, &options, &mut |_| Ok(())).unwrap().into_inner()
}

/// What bsdtar, which Vagrant calls, makes of a box.
fn bsdtar(dir: &Path, bytes: &[u8], member: &str) -> Vec<u8> {
    let path = dir.join("x.box");
    std::fs::write(&path, bytes).unwrap();
    let out = Command::new("bsdtar").arg("-xOf").arg(&path).arg(member).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

const ALL: [Compression; 4] = [Compression::None, Compression::Gzip(1), Compression::Gzip(9), Compression::Zstd(3)];

#[test]
fn bsdtar_reads_every_compression_of_disks_longer_than_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Vec<u8> = (0..9_000_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 & 31).collect();
    let path = dir.path().join("disk");
    std::fs::write(&path, &disk).unwrap();
    let contents = contents(&[("box.img", Source::File(path)), ("note", Source::Bytes(b"hi".into()))]);
    for compression in ALL {
        let bytes = packed(&contents, compression);
        assert!(bsdtar(dir.path(), &bytes, "box.img") == disk, "{compression:?}");
        assert_eq!(bsdtar(dir.path(), &bytes, "note"), b"hi");
        assert_eq!(bsdtar(dir.path(), &bytes, "metadata.json"), b"{\"provider\":\"libvirt\"}\n");
    }
}

#[test]
fn holes_are_zeroes_and_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"here", 40 << 20).unwrap();
    let contents = contents(&[("box.img", Source::File(path))]);
    let bytes = packed(&contents, Compression::Gzip(6));
    assert!(bytes.len() < 200_000, "{}", bytes.len());
    let disk = bsdtar(dir.path(), &bytes, "box.img");
    assert_eq!((disk.len(), &disk[40 << 20..(40 << 20) + 4]), (64 << 20, b"here".as_slice()));
}

#[test]
fn a_disk_becomes_a_vmdk_on_the_way_in_every_compression() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    std::fs::write(&path, vec![7; 300_000]).unwrap();
    let vmdk = Source::Vmdk(path);
    let contents = contents(&[("d.vmdk", vmdk), ("after", Source::Bytes(b"x".into()))]);
    let plain = bsdtar(dir.path(), &packed(&contents, Compression::None), "d.vmdk");
    assert_eq!(&plain[..4], b"KDMV");
    for compression in ALL {
        let bytes = packed(&contents, compression);
        assert!(bsdtar(dir.path(), &bytes, "d.vmdk") == plain, "{compression:?}");
        assert_eq!(bsdtar(dir.path(), &bytes, "after"), b"x", "{compression:?}");
    }
}

#[test]
fn equal_contents_give_equal_boxes() {
    let contents = contents(&[("box.img", Source::Bytes(vec![3; 5_000_000]))]);
    for compression in ALL {
        assert!(packed(&contents, compression) == packed(&contents, compression));
    }
}

#[test]
fn progress_counts_every_byte_and_can_stop_the_work() {
    let contents = contents(&[("a", Source::Bytes(vec![1; 1000])), ("b", Source::Bytes(vec![2; 500]))]);
    let options = Options { compression: Compression::Gzip(1), mtime: MTIME };
    let mut seen = 0;
    write(Cursor::new(Vec::new()), &contents, &options, &mut |bytes| {
        seen += bytes;
        Ok(())
    })
    .unwrap();
    assert_eq!((seen, contents.total().unwrap()), (1500, 1500));
    let stopped = write(Cursor::new(Vec::new()), &contents, &options, &mut |_| Err(io::Error::other("stop")));
    assert_eq!(stopped.unwrap_err().to_string(), "writing the box: stop");
}

#[test]
fn a_full_disk_is_said() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let contents = contents(&[("a", Source::Bytes(vec![1; 5_000_000]))]);
    let options = Options { compression: Compression::None, mtime: MTIME };
    let error = bakehouse_api::Error::from(write(full, &contents, &options, &mut |_| Ok(())).unwrap_err());
    assert!(error.message().contains("No space left"), "{error}");
    assert_eq!(error.hints(), ["free some space or choose another directory"]);
}

#[test]
fn names_that_are_taken_are_refused() {
    for name in ["metadata.json", "Vagrantfile", "a"] {
        let contents = contents(&[("a", Source::Bytes(vec![])), (name, Source::Bytes(vec![]))]);
        let options = Options { compression: Compression::None, mtime: MTIME };
        let error = write(Cursor::new(Vec::new()), &contents, &options, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), format!("a box cannot hold two members called `{name}`"));
    }
}
