use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::pack::{self, Compression, Contents, Source};

/// A member of a tar as hostile as one likes.
struct Raw<'a> {
    name: &'a str,
    kind: EntryType,
    link: &'a str,
    data: &'a [u8],
}

fn file<'a>(name: &'a str, data: &'a [u8]) -> Raw<'a> {
    Raw { name, kind: EntryType::Regular, link: "", data }
}

fn tarball(members: &[Raw<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.as_old_mut().linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_entry_type(member.kind);
        header.set_size(member.data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, member.data).unwrap();
    }
    archive.into_inner().unwrap()
}

const GOOD: &[u8] = b"{\"provider\":\"aws\"}";

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("x.box");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn say<T: std::fmt::Debug>(&self, result: Result<T, ReadError>) -> String {
        result.unwrap_err().to_string().replace(self.dir.path().to_str().unwrap(), "DIR")
    }

    fn verify(&self, bytes: &[u8]) -> Result<Summary, ReadError> {
        verify(&self.write(bytes), &mut |_| Ok(()))
    }

    fn extract(&self, bytes: &[u8]) -> Result<Summary, ReadError> {
        extract(&self.write(bytes), &self.dir.path().join("out"), 1 << 30, &mut |_| Ok(()))
    }
}

fn packed(compression: Compression) -> (Vec<u8>, Vec<u8>) {
    let disk: Vec<u8> = (0..3_000_000u32).map(|i| if i / 1_000_000 == 1 { 0 } else { (i % 251) as u8 }).collect();
    let contents = Contents {
        metadata: serde_json::json!({"provider": "libvirt", "architecture": "amd64"}).as_object().unwrap().clone(),
        vagrantfile: "# none\n".into(),
        members: vec![pack::Member { name: "box.img".into(), source: Source::Bytes(disk.clone()) }],
    };
    let options = pack::Options { compression, mtime: 0 };
    let out = pack::write(io::Cursor::new(Vec::new()), &contents, &options, &mut |_| Ok(())).unwrap();
    (out.into_inner(), disk)
}

#[test]
fn boxes_of_every_compression_are_read_back() {
    for (compression, name) in
        [(Compression::None, "none"), (Compression::Gzip(6), "gzip"), (Compression::Zstd(3), "zstd")]
    {
        let bench = Bench::new();
        let (bytes, disk) = packed(compression);
        let mut seen = 0;
        let path = bench.write(&bytes);
        let summary = verify(&path, &mut |bytes| {
            seen += bytes;
            Ok(())
        })
        .unwrap();
        assert!(seen > 0 && seen <= bytes.len() as u64);
        assert_eq!((summary.compression, summary.provider(), summary.architecture()), (name, "libvirt", Some("amd64")));
        assert_eq!(summary.members[2], Member { name: "box.img".into(), size: 3_000_000 });
        assert_eq!(metadata(&path).unwrap(), summary.metadata);
        assert_eq!(bench.extract(&bytes).unwrap(), summary);
        assert!(std::fs::read(bench.dir.path().join("out/box.img")).unwrap() == disk);
    }
}

#[test]
fn boxes_of_other_tools_are_read() {
    let bench = Bench::new();
    let made = bench.dir.path().join("made");
    std::fs::create_dir_all(made.join("sub")).unwrap();
    std::fs::write(made.join("metadata.json"), GOOD).unwrap();
    std::fs::write(made.join("sub/file"), "x").unwrap();
    for (tool, flags) in [("tar", "-cJf"), ("tar", "-czf"), ("bsdtar", "-czf"), ("bsdtar", "--zstd -cf")] {
        let path = bench.dir.path().join("x.box");
        let run = Command::new(tool).args(flags.split(' ')).arg(&path).arg("-C").arg(&made).arg(".").status();
        assert!(run.unwrap().success());
        let summary = verify(&path, &mut |_| Ok(())).unwrap();
        let mut names: Vec<&str> = summary.members.iter().map(|member| member.name.as_str()).collect();
        names.sort();
        assert_eq!(names, ["metadata.json", "sub/file"], "{tool} {flags}");
    }
}

#[test]
fn names_and_links_that_lead_out_are_refused() {
    let bench = Bench::new();
    let good = || file("metadata.json", GOOD);
    let link = |kind, name, link| Raw { name, kind, link, data: b"" };
    for (bad, why) in [
        (file("/etc/evil", b"x"), "`/etc/evil` in it leads out of the box"),
        (file("../evil", b"x"), "`../evil` in it leads out of the box"),
        (file("a/../../evil", b"x"), "`a/../../evil` in it leads out of the box"),
        (link(EntryType::Symlink, "out", "/etc"), "`out` in it is a link, and a box holds files"),
        (link(EntryType::Link, "out", "/etc/passwd"), "`out` in it is a hard link, and a box holds files"),
        (link(EntryType::Char, "tty", ""), "`tty` in it is a device, and a box holds files"),
        (file("metadata.json", GOOD), "it holds `metadata.json` twice"),
        (file(".", b"x"), "`.` in it is no name for a file"),
        (file("..\\evil", b"x"), "`..\\evil` in it is no name for a file"),
    ] {
        let bytes = tarball(&[good(), bad]);
        let expected = format!("DIR/x.box is refused: {why}");
        assert_eq!(bench.say(bench.verify(&bytes)), expected);
        assert_eq!(bench.say(bench.extract(&bytes)), expected);
        let _ = std::fs::remove_file(bench.dir.path().join("out/metadata.json"));
    }
    assert!(!bench.dir.path().join("evil").exists());
}

#[test]
fn what_is_no_box_says_why() {
    let bench = Bench::new();
    let say = |bytes: &[u8]| bench.say(bench.verify(bytes));
    assert_eq!(say(&tarball(&[file("x", b"")])), "DIR/x.box is not a Vagrant box: it has no metadata.json");
    assert_eq!(say(b""), "DIR/x.box is not a Vagrant box: it has no metadata.json");
    assert!(say(&tarball(&[file("metadata.json", b"{}")])).ends_with("its metadata.json names no provider"));
    assert!(say(&tarball(&[file("metadata.json", b"no")])).contains("is not a JSON object"));
    assert!(say(&[7; 2000]).contains("it is damaged or cut short"));
    let libvirt = tarball(&[file("metadata.json", b"{\"provider\":\"libvirt\",\"disks\":[{\"path\":\"a\"}]}")]);
    assert!(say(&libvirt).ends_with("it lacks a"));
    assert!(say(&tarball(&[file("metadata.json", b"{\"provider\":\"virtualbox\"}")])).ends_with("it lacks box.ovf"));
}

#[test]
fn damage_is_found() {
    let bench = Bench::new();
    for compression in [Compression::Gzip(6), Compression::Zstd(3)] {
        let (mut bytes, _) = packed(compression);
        let cut = &bytes[..bytes.len() / 2];
        assert!(bench.say(bench.verify(cut)).contains("damaged or cut short"));
        if compression == Compression::Gzip(6) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            assert!(bench.say(bench.verify(&bytes)).contains("damaged or cut short"));
        }
    }
}

#[test]
fn bombs_are_bounded() {
    let bench = Bench::new();
    let path = bench.write(&tarball(&[file("metadata.json", GOOD), file("big", &vec![0; 3_000_000])]));
    let out = bench.dir.path().join("out");
    let error = extract(&path, &out, 1_000_000, &mut |_| Ok(())).unwrap_err();
    assert_eq!(bench.say(Err::<(), _>(error)), "DIR/x.box is refused: it unpacks to more than 1000000 bytes");
    let name = Raw { name: "././@LongLink", kind: EntryType::GNULongName, link: "", data: &vec![b'a'; 3_000_000] };
    assert!(bench.say(bench.verify(&tarball(&[name, file("x", b"")]))).contains("a header in it is longer than 1 MiB"));
}

#[test]
fn files_that_are_there_stay() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("/tmp/elsewhere", bench.dir.path().join("out/metadata.json")).unwrap();
    let error = bench.extract(&tarball(&[file("metadata.json", GOOD)])).unwrap_err();
    assert!(matches!(error, ReadError::Write { .. }), "{error}");
}

proptest! {
    /// Whatever the bytes, reading ends, and nothing appears outside of the folder.
    #[test]
    fn any_bytes_end_in_a_summary_or_an_error(
        names in proptest::collection::vec("[./a-c\\\\]{1,12}", 0..4),
        flips in proptest::collection::vec((0usize..4000, any::<u8>()), 0..6),
    ) {
        let members: Vec<Raw<'_>> =
            std::iter::once(file("metadata.json", GOOD)).chain(names.iter().map(|name| file(name, b"data"))).collect();
        let mut bytes = tarball(&members);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let bench = Bench::new();
        let _ = bench.verify(&bytes);
        let _ = bench.extract(&bytes);
        let names: Vec<String> = bench.dir.path().read_dir().unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        prop_assert!(names.iter().all(|name| name == "out" || name == "x.box"), "{names:?}");
    }
}
