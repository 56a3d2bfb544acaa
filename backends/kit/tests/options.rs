//! What is said offline about options of media, images, the web server and boot commands, and what
//! media options put where.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bakehouse_api::body::Verbatim;
use bakehouse_api::keyboard::BootStep;
use bakehouse_api::{Body, Diagnostics, Entry, Form, Node, Options, Span, SpanTree, Value};
use bakehouse_kit::boot_command::BootOptions;
use bakehouse_kit::download::IsoOptions;
use bakehouse_kit::http::HttpOptions;
use bakehouse_kit::media::MediaOptions;
use bakehouse_kit::tree::Tree;

fn list(items: &[&str]) -> Value {
    Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
}

fn map(fields: &[(&str, &str)]) -> Value {
    Value::object(fields.iter().map(|(name, text)| (name.to_string(), Value::from(*text))).collect::<BTreeMap<_, _>>())
}

fn decode<T: Options>(entries: &[(&str, Value)]) -> T {
    let entry = |(name, value): &(&str, Value)| Entry {
        name: name.to_string(),
        name_span: Span::default(),
        form: Form::Attribute,
        node: Node::new(value.clone(), SpanTree::default()),
    };
    let body = Body {
        kind: "qemu".into(),
        name: "x".into(),
        build: "qemu.x".into(),
        build_name: "x".into(),
        builder_type: "qemu".into(),
        root: ".".into(),
        span: Span::default(),
        entries: entries.iter().map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    };
    let mut diagnostics = Diagnostics::default();
    let options = T::from_body(&body, &mut diagnostics);
    options.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn found(check: impl FnOnce(&mut Diagnostics)) -> Vec<String> {
    let mut diagnostics = Diagnostics::default();
    check(&mut diagnostics);
    diagnostics.0.into_iter().map(|diagnostic| diagnostic.summary).collect()
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.walk().into_iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path).collect()
}

fn files(dir: &Path, names: &[&str]) {
    for name in names {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, *name).unwrap();
    }
}

#[test]
fn a_cd_keeps_directories_and_content_wins() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), &["seed/user-data", "seed/meta-data", "scripts/a/run.sh", "answers.xml", "more/x"]);
    let options: MediaOptions = decode(&[
        ("cd_files", list(&["./seed/*", "scripts", "answers.xml", "more/"])),
        ("cd_content", map(&[("meta-data", "ours"), ("/sub/new", "2")])),
        ("cd_label", Value::from("cidata")),
    ]);
    assert_eq!(found(|diagnostics| options.check(dir.path(), diagnostics)), [""; 0]);
    let tree = options.cd_tree(dir.path()).unwrap();
    assert_eq!(paths(&tree), ["answers.xml", "meta-data", "scripts/a/run.sh", "sub/new", "user-data", "x"]);
    let image = dir.path().join("cd.iso");
    options.build_cd(dir.path(), &image).unwrap();
    let output = std::process::Command::new("isoinfo").arg("-i").arg(&image).args(["-R", "-x", "/meta-data"]).output();
    assert_eq!(output.unwrap().stdout, b"ours");
}

#[test]
fn a_floppy_flattens_files_and_keeps_directories() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), &["answers/deep/Autounattend.xml", "drivers/amd64/vio.inf", "one.cmd"]);
    let options: MediaOptions = decode(&[
        ("floppy_files", list(&["answers", "*.cmd"])),
        ("floppy_dirs", list(&["drivers"])),
        ("floppy_content", map(&[("two.cmd", "2")])),
    ]);
    assert_eq!(found(|diagnostics| options.check(dir.path(), diagnostics)), [""; 0]);
    let tree = options.floppy_tree(dir.path()).unwrap();
    assert_eq!(paths(&tree), ["Autounattend.xml", "drivers/amd64/vio.inf", "one.cmd", "two.cmd"]);
    options.build_floppy(dir.path(), &dir.path().join("floppy.img")).unwrap();
}

#[test]
fn everything_wrong_with_media_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options: MediaOptions = decode(&[
        ("cd_files", list(&["*.cfg", "missing"])),
        ("cd_content", map(&[("../out", "")])),
        ("cd_label", Value::from("x".repeat(33))),
        ("floppy_label", Value::from("a/b")),
    ]);
    let found = found(|diagnostics| options.check(dir.path(), diagnostics));
    let starts = ["`*.cfg` matches no file in ", "cd_files: ", "`xxx", "`a/b` cannot be", "`../out` cannot be"];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn everything_wrong_with_an_image_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let check = |entries: &[(&str, Value)]| {
        let options: IsoOptions = decode(entries);
        found(|diagnostics| options.check(dir.path(), diagnostics))
    };
    assert_eq!(check(&[]), ["one of `iso_url` and `iso_urls` is needed", "`iso_checksum` is needed"]);
    let wrong = check(&[
        ("iso_url", Value::from("s3::bucket://x/y.iso")),
        ("iso_urls", list(&["https://example.org/y.iso"])),
        ("iso_checksum", Value::from("sha256:12")),
    ]);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    let missing = check(&[("iso_url", Value::from("disk.qcow2")), ("iso_checksum", Value::from("none"))]);
    assert_eq!(missing, ["there is no file `disk.qcow2`"]);
    files(dir.path(), &["disk.qcow2"]);
    let there = [("iso_url", Value::from("disk.qcow2")), ("iso_checksum", Value::from("none"))];
    assert_eq!(check(&there), [""; 0]);
    let remote = [("iso_url", Value::from("https://example.org/y.iso")), ("iso_checksum", Value::from("none"))];
    assert_eq!(check(&remote), ["a download without a checksum"]);
    let no_sums = [("iso_url", Value::from("disk.qcow2")), ("iso_checksum", Value::from("file:SUMS"))];
    assert!(check(&no_sums)[0].starts_with("there is no checksum file "));
}

#[test]
fn everything_wrong_with_the_web_server_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options: HttpOptions = decode(&[
        ("http_directory", Value::from("www")),
        ("http_content", map(&[("/a", "1")])),
        ("http_port_min", Value::from(9000)),
        ("http_port_max", Value::from(8000)),
        ("http_bind_address", Value::from("localhost")),
        ("http_interface", Value::from("eth0")),
    ]);
    let found = found(|diagnostics| options.check(dir.path(), diagnostics));
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[2..4], ["9000 to 8000 is no range of ports", "`localhost` is not an IP address"]);
}

#[test]
fn boot_commands_are_checked_and_joined() {
    let options: BootOptions = decode(&[("boot_command", list(&["a<en", "ter>", "ü"]))]);
    let summaries = found(|diagnostics| options.check(diagnostics));
    assert_eq!(summaries, ["`ü` in the boot command is on no key of a US keyboard"]);
    let options: BootOptions = decode(&[("boot_command", list(&["a<en", "ter>"]))]);
    assert_eq!(options.steps(&[]).unwrap().len(), 2);
    let options: BootOptions =
        decode(&[("boot_command", list(&["a", "b"])), ("boot_keygroup_interval", Value::from("1s"))]);
    let steps = options.steps(&[]).unwrap();
    assert!(matches!(steps[..], [BootStep::Press(_), BootStep::Wait(_), BootStep::Press(_), BootStep::Wait(_)]));
    let step = |items: &[&str]| list(items);
    let options: BootOptions =
        decode(&[("boot_steps", Value::tuple(vec![step(&["<enter>", "start"]), step(&["x", "y", "z"])]))]);
    assert_eq!(options.pieces(&[]).unwrap()[0].description.as_deref(), Some("start"));
    assert_eq!(found(|diagnostics| options.check(diagnostics)).len(), 1);
}
