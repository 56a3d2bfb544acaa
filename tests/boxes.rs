//! `bakehouse box` on boxes made elsewhere, good and bad.
#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::path::Path;
use std::process::Command;

use support::Sandbox;

/// A box as people make them by hand.
fn make_box(sandbox: &Sandbox, name: &str, provider: &str) {
    sandbox.write("made/metadata.json", &format!("{{\"provider\": \"{provider}\"}}"));
    sandbox.write("made/Vagrantfile", "# none\n");
    tar(&sandbox.path("made"), &sandbox.path(name), &["-czf"], &["./metadata.json", "./Vagrantfile"]);
}

fn tar(from: &Path, to: &Path, flags: &[&str], names: &[&str]) {
    let made = Command::new("tar").args(flags).arg(to).arg("-C").arg(from).args(names).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn list<'a>(version: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["box", "catalog", "-name", "org/x", "-version", version], more].concat()
}

#[test]
fn boxes_are_shown_and_verified() {
    let sandbox = Sandbox::new();
    make_box(&sandbox, "x.box", "aws");
    let shown = sandbox.run(&["box", "ls", "x.box"]).ok().stdout;
    assert!(shown.starts_with("x.box: a box for aws, ") && shown.contains("compression gzip"), "{shown}");
    assert!(shown.contains("metadata.json") && shown.contains("Vagrantfile"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["box", "ls", "-json", "x.box"]).ok().stdout).unwrap();
    assert_eq!(json["metadata"]["provider"], "aws");
    assert_eq!(json["members"][0]["name"], "metadata.json");
    let verified = sandbox.run(&["box", "verify", "x.box"]).ok().stdout;
    assert!(verified.starts_with("x.box: whole, a box for aws, "), "{verified}");
}

#[test]
fn bad_boxes_say_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.write("made/note", "x");
    tar(&sandbox.path("made"), &sandbox.path("empty.box"), &["-czf"], &["note"]);
    sandbox
        .run(&["box", "verify", "empty.box"])
        .fails_saying(&["empty.box is not a Vagrant box: it has no metadata.json"]);
    sandbox.run(&list("1.0", &["empty.box"])).fails_saying(&["it has no metadata.json"]);
    let absolute = sandbox.path("made/note");
    tar(Path::new("/"), &sandbox.path("abs.box"), &["-cPzf"], &[absolute.to_str().unwrap()]);
    sandbox.run(&["box", "ls", "abs.box"]).fails_saying(&["abs.box is refused", "leads out of the box"]);
    sandbox.write("rubbish.box", "rubbish");
    make_box(&sandbox, "good.box", "aws");
    let all = sandbox.run(&["box", "verify", "rubbish.box", "good.box", "none.box"]);
    assert!(all.stdout.contains("good.box: whole"), "{}", all.all());
    all.fails_saying(&["rubbish.box is not a Vagrant box", "reading none.box"]);
    assert!(!sandbox.path("metadata.json").exists());
}

#[test]
fn a_catalog_takes_versions_and_stays_whole() {
    let sandbox = Sandbox::new();
    make_box(&sandbox, "x.box", "aws");
    sandbox.run(&list("1.0", &["x.box"])).ok();
    let said = sandbox.run(&list("1.10", &["-description=Ours", "x.box"])).ok().stdout;
    let catalog = sandbox.path("metadata.json").canonicalize().unwrap();
    assert!(said.contains(&format!("vagrant box add {}", catalog.display())), "{said}");
    sandbox.run(&["box", "verify", "metadata.json"]).ok();
    let before = sandbox.read("metadata.json");
    sandbox.run(&list("1.10", &["x.box"])).fails_saying(&["version 1.10 already has a box for aws"]);
    sandbox.run(&list("v2", &["x.box"])).fails_saying(&["`v2` is not a version"]);
    let other = ["box", "catalog", "-name=org/y", "-version=2.0", "x.box"];
    sandbox.run(&other).fails_saying(&["the catalog is of the box `org/x`, not of `org/y`"]);
    sandbox.run(&list("2.0", &["-url-template=boxes/{{file}}", "x.box"])).fails_saying(&["is no absolute URL"]);
    assert_eq!(sandbox.read("metadata.json"), before);
    sandbox.run(&list("1.10", &["-force", "-keep-versions=1", "x.box"])).ok();
    let json: serde_json::Value = serde_json::from_str(&sandbox.read("metadata.json")).unwrap();
    assert_eq!(json["versions"].as_array().unwrap().len(), 1);
    assert_eq!((&json["description"], &json["versions"][0]["version"]), (&"Ours".into(), &"1.10".into()));
    sandbox.write("metadata.json", "not json");
    sandbox.run(&list("2.0", &["x.box"])).fails_saying(&["metadata.json is not a catalog"]);
    assert_eq!(sandbox.read("metadata.json"), "not json");
}

#[test]
fn a_box_that_was_changed_is_found_by_its_catalog() {
    let sandbox = Sandbox::new();
    make_box(&sandbox, "x.box", "aws");
    sandbox.run(&list("1.0", &["x.box"])).ok();
    make_box(&sandbox, "x.box", "libvirt");
    sandbox.run(&["box", "verify", "metadata.json"]).fails_saying(&["is a box for libvirt, and is listed for aws"]);
    make_box(&sandbox, "x.box", "aws");
    let mut bytes = std::fs::read(sandbox.path("x.box")).unwrap();
    bytes.push(0);
    std::fs::write(sandbox.path("x.box"), bytes).unwrap();
    sandbox.run(&["box", "verify", "metadata.json"]).fails_saying(&["the sha256 of", "and the catalog says"]);
}

#[test]
fn a_full_disk_leaves_no_half_box() {
    let sandbox = Sandbox::new();
    let small = sandbox.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| assert!(Command::new(args[0]).args(&args[1..]).arg(&small).status().unwrap().success());
    mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    let disk = sandbox.path("disk.qcow2");
    let noise: Vec<u8> = (0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    std::fs::write(sandbox.path("raw"), noise).unwrap();
    let convert = ["convert", "-f", "raw", "-O", "qcow2"];
    let made = Command::new("qemu-img").args(convert).arg(sandbox.path("raw")).arg(&disk).status();
    assert!(made.unwrap().success());
    sandbox.write(
        "t.pkr.hcl",
        r#"
source "null" "x" { communicator = "none" }
build {
  sources = ["null.x"]
  post-processors {
    post-processor "artifice" { files = ["disk.qcow2"] }
    post-processor "vagrant" {
      provider_override = "libvirt"
      output            = "small/x.box"
      compression_level = 0
    }
  }
}
"#,
    );
    let outcome = sandbox.run(&["build", "t.pkr.hcl"]);
    let left = std::fs::read_dir(&small).unwrap().count();
    mount(&["umount"]);
    outcome.fails_saying(&["No space left", "free some space"]);
    assert_eq!(left, 0);
    assert!(disk.exists(), "a failed step keeps its input");
}
