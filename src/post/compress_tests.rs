use std::process::{Command, Stdio};

use bakehouse_api::{EventKind, Value, testing};

use super::*;
use crate::script::testing::{body, findings};

/// Compressible, not by much, longer than several blocks of every format.
fn sample(size: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..size)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if i % 3 == 0 { (state >> 24) as u8 } else { (i / 1000) as u8 }
        })
        .collect()
}

struct Bench {
    dir: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Bench {
    fn new(contents: &[(&str, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |(name, content): &(&str, Vec<u8>)| {
            let path = dir.path().join("in").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        };
        let files = contents.iter().map(write).collect();
        Self { dir, files }
    }

    fn output(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    async fn pack(&self, name: &str, more: &[(&str, Value)]) -> Result<Outcome> {
        let (cx, _) = testing::cx(self.dir.path(), vec![]);
        self.pack_in(&cx, name, more).await
    }

    async fn pack_in(&self, cx: &Cx, name: &str, more: &[(&str, Value)]) -> Result<Outcome> {
        let mut entries = vec![("output", Value::from(self.output(name).to_str().unwrap()))];
        entries.extend_from_slice(more);
        let compress = prepare(&body("compress", &entries), &mut Diagnostics::default()).unwrap();
        compress.run(cx, &Artifact { files: self.files.clone(), ..Artifact::default() }).await
    }
}

/// What a real tool makes of a file.
fn read_by(tool: &str, args: &[&str], path: &Path) -> Vec<u8> {
    let out = Command::new(tool).args(args).arg(path).stderr(Stdio::inherit()).output().unwrap();
    assert!(out.status.success(), "{tool} {args:?} {}", path.display());
    out.stdout
}

#[tokio::test]
async fn one_file_of_each_kind_is_read_back_by_the_real_tool() {
    for size in [0, 1, 1_300_000] {
        let content = sample(size);
        let bench = Bench::new(&[("disk.img", content.clone())]);
        for (name, tool, args) in [
            ("a.gz", "gzip", vec!["-dc"]),
            ("a.bgzf", "gzip", vec!["-dcS", ".bgzf"]),
            ("a.lz4", "lz4", vec!["-dc"]),
            ("a.xz", "xz", vec!["-dc"]),
            ("a.bz2", "bzip2", vec!["-dc"]),
        ] {
            for level in [None, Some(9)] {
                let more: Vec<_> = level.map(|level| ("compression_level", Value::from(level))).into_iter().collect();
                let outcome = bench.pack(name, &more).await.unwrap();
                assert!(!outcome.keep_by_default && !outcome.must_keep);
                assert_eq!(outcome.artifact.unwrap().files, [bench.output(name)]);
                assert!(read_by(tool, &args, &bench.output(name)) == content, "{name} {size} {level:?}");
            }
        }
        assert_eq!(bench.output("").read_dir().unwrap().count(), 5, "nothing half-written stays");
    }
}

#[tokio::test]
async fn python_reads_the_multi_part_streams() {
    let bench = Bench::new(&[("disk.img", sample(1_300_000))]);
    for (name, module) in [("a.gz", "gzip"), ("a.bgzf", "gzip"), ("a.bz2", "bz2"), ("a.xz", "lzma")] {
        bench.pack(name, &[]).await.unwrap();
        let code = format!("import {module},sys; sys.stdout.buffer.write({module}.open(sys.argv[1]).read())");
        assert!(read_by("python3", &["-c", &code], &bench.output(name)) == sample(1_300_000), "{name}");
    }
}

#[tokio::test]
async fn archives_hold_all_files() {
    let bench = Bench::new(&[("one.img", sample(100_000)), ("deep/two.img", sample(5))]);
    for name in ["a.tar", "a.tar.gz", "a", "a.tar.xz", "a.tar.bz2", "a.tar.bgzf"] {
        bench.pack(name, &[]).await.unwrap();
        let flag = if name.ends_with("bgzf") || name == "a" { "-z" } else { "-a" };
        let listed = read_by("tar", &[flag, "-tf"], &bench.output(name));
        assert_eq!(String::from_utf8(listed).unwrap(), "one.img\ntwo.img\n", "{name}");
        let content = Command::new("tar").args([flag, "-xOf"]).arg(bench.output(name)).arg("one.img").output().unwrap();
        assert!(content.stdout == sample(100_000), "{name}");
    }
    bench.pack("a.zip", &[]).await.unwrap();
    read_by("unzip", &["-tq"], &bench.output("a.zip"));
    let one = relative(&bench.files[0]);
    let content = Command::new("unzip").arg("-p").arg(bench.output("a.zip")).arg(&one).output().unwrap();
    assert!(content.stdout == sample(100_000));
}

#[tokio::test]
async fn equal_names_keep_their_folders_in_a_tar() {
    let bench = Bench::new(&[("a/disk", vec![1]), ("b/disk", vec![2]), ("c", vec![3])]);
    bench.pack("x.tar", &[]).await.unwrap();
    let listed = String::from_utf8(read_by("tar", &["-tf"], &bench.output("x.tar"))).unwrap();
    let names: Vec<&str> = listed.lines().collect();
    assert!(names[0].ends_with("in/a/disk") && names[1].ends_with("in/b/disk") && names[2] == "c", "{names:?}");
}

#[tokio::test]
async fn the_format_can_be_given_and_must_fit() {
    let bench = Bench::new(&[("one", vec![1]), ("two", vec![2])]);
    bench.pack("a.box", &[("format", "tar.xz".into())]).await.unwrap();
    assert_eq!(read_by("tar", &["-Jtf"], &bench.output("a.box")), b"one\ntwo\n");
    let error = bench.pack("a.gz", &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"gz holds one file, and the artifact has 2");
    assert_eq!(error.hints(), ["name the output `something.tar.gz`"]);
    let error = bench.pack("../in/one", &[]).await.unwrap_err();
    assert!(error.to_string().ends_with("is itself a file of the artifact"), "{error}");
    assert_eq!(std::fs::read(&bench.files[0]).unwrap(), [1]);
}

#[tokio::test]
async fn an_interrupt_leaves_nothing_and_progress_is_shown() {
    let bench = Bench::new(&[("disk.img", sample(3_000_000))]);
    let (cx, recorder) = testing::cx(bench.dir.path(), vec![]);
    bench.pack_in(&cx, "a.gz", &[]).await.unwrap();
    let finished = recorder.events.lock().unwrap().iter().any(
        |event| matches!(&event.kind, EventKind::Progress(p) if p.finished && p.done == 3_000_000 && p.total == Some(3_000_000)),
    );
    assert!(finished);
    cx.cancel().cancel();
    for name in ["b.gz", "b.tar.xz", "b.zip", "b.lz4", "b.bz2"] {
        assert_eq!(bench.pack_in(&cx, name, &[]).await.unwrap_err().kind(), Kind::Interrupted, "{name}");
    }
    assert_eq!(bench.output("").read_dir().unwrap().count(), 1);
    assert!(recorder.held().is_empty());
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let mut bench = Bench::new(&[]);
    bench.files.push("/no/such/disk".into());
    let error = bench.pack("a.tar", &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"reading /no/such/disk: No such file or directory (os error 2)");
    assert!(!bench.output("a.tar").exists());
}

#[test]
fn mistakes_are_found_without_an_artifact() {
    let mut diagnostics = Diagnostics::default();
    let entries = [("format", "tar.gx".into()), ("compression_level", 10.into()), ("output", "out/..".into())];
    assert!(prepare(&body("compress", &entries), &mut diagnostics).is_none());
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    `tar.gx` is not one of tar, zip, gz, bgzf, lz4, xz, bzip2, bz2, tar.gz, tar.bgzf, tar.lz4, tar.xz, tar.bzip2, tar.bz2, tgz, txz, tbz2 (did you mean `tar.gz`?)
    `compression_level` must lie between 1 and 9, and it is 10
    `output` must name a file
    ");
}
