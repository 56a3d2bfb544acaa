//! CD and floppy images, read back by tools that are not ours: genisoimage's isoinfo, xorriso where
//! it is installed, blkid, mtools.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bakehouse_kit::tree::{Content, File, Tree};
use bakehouse_kit::{floppy, iso9660};
use proptest::prelude::*;

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new("timeout").args(["60", program]).args(args).env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {} (is it installed?)\n{stderr}", output.status);
    output.stdout
}

fn text(program: &str, args: &[&str]) -> String {
    String::from_utf8_lossy(&run(program, args)).into_owned()
}

fn isoinfo(image: &Path, args: &[&str]) -> String {
    text("isoinfo", &[&["-i", image.to_str().unwrap()], args].concat())
}

/// isoinfo shows the version of Joliet names, which guests hide.
fn plain(path: &str) -> &str {
    path.trim_start_matches('/').trim_end_matches(";1")
}

/// Every path that isoinfo lists, without the slash before it.
fn listed(image: &Path, tree: &str) -> Vec<String> {
    let mut paths: Vec<String> = isoinfo(image, &[tree, "-f"]).lines().map(|line| plain(line).to_owned()).collect();
    paths.sort();
    paths
}

fn sorted_paths(tree: &Tree) -> Vec<String> {
    let mut paths: Vec<String> = tree.walk().into_iter().map(|(path, _)| path).collect();
    paths.sort();
    paths
}

#[test]
fn a_seed_reads_the_same_in_every_tree() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("seed.iso");
    let mut tree = Tree::new();
    tree.add_bytes("user-data", "#cloud-config\n{}\n").unwrap();
    tree.add_bytes("meta-data", "instance-id: i-1\n").unwrap();
    iso9660::write("cidata", &tree, &image).unwrap();
    for (names, path) in [("-R", "/meta-data"), ("-J", "/meta-data;1")] {
        assert_eq!(listed(&image, names), ["meta-data", "user-data"]);
        assert_eq!(isoinfo(&image, &[names, "-x", path]), "instance-id: i-1\n");
    }
    assert_eq!(isoinfo(&image, &["-x", "/USER_DATA.;1"]), "#cloud-config\n{}\n");
    assert!(isoinfo(&image, &["-R", "-l"]).contains("-rw-r--r--"));
    assert_eq!(text("blkid", &["-p", "-o", "value", "-s", "LABEL", image.to_str().unwrap()]).trim(), "cidata");
    assert_eq!(text("blkid", &["-p", "-o", "value", "-s", "TYPE", image.to_str().unwrap()]).trim(), "iso9660");
}

#[test]
fn names_of_every_length_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("names.iso");
    let mut tree = Tree::new();
    for len in 1..=255 {
        tree.add_bytes(&"n".repeat(len), format!("{len}")).unwrap();
    }
    iso9660::write("names", &tree, &image).unwrap();
    assert_eq!(listed(&image, "-R"), sorted_paths(&tree));
    for len in [1, 62, 63, 100, 120, 200, 250, 251, 255] {
        assert_eq!(isoinfo(&image, &["-R", "-x", &format!("/{}", "n".repeat(len))]), format!("{len}"));
    }
    assert_eq!(listed(&image, "-J").len(), 255);
}

#[test]
fn unicode_depth_modes_and_many_files() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("mixed.iso");
    let mut tree = Tree::new();
    let deep = (0..40).map(|level| format!("level{level}")).collect::<Vec<_>>().join("/");
    tree.add_bytes(&format!("{deep}/bottom"), "deep").unwrap();
    tree.add_bytes("Übergröße/日本語.txt", "wide").unwrap();
    tree.add("run.sh", File { content: Content::Bytes(b"#!/bin/sh\n".to_vec()), mode: 0o755 }).unwrap();
    for i in 0..3000 {
        tree.add_bytes(&format!("many/file-{i:04}.txt"), format!("{i}")).unwrap();
    }
    iso9660::write("mixed", &tree, &image).unwrap();
    assert_eq!(listed(&image, "-R"), sorted_paths(&tree));
    // isoinfo cannot show Joliet names beyond the C locale's letters: those are looked for as bytes.
    let is_plain = |path: &String| path.is_ascii() && !path.contains(['?', '_']);
    let plain_only = |paths: Vec<String>| paths.into_iter().filter(is_plain).collect::<Vec<_>>();
    assert_eq!(plain_only(listed(&image, "-J")), plain_only(sorted_paths(&tree)));
    assert_eq!(listed(&image, "-J").len(), sorted_paths(&tree).len());
    let wide: Vec<u8> = "日本語.txt;1".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(std::fs::read(&image).unwrap().windows(wide.len()).any(|window| window == wide));
    assert_eq!(isoinfo(&image, &["-R", "-x", &format!("/{deep}/bottom")]), "deep");
    assert_eq!(isoinfo(&image, &["-R", "-x", "/Übergröße/日本語.txt"]), "wide");
    assert_eq!(isoinfo(&image, &["-R", "-x", "/many/file-2999.txt"]), "2999");
    assert!(isoinfo(&image, &["-R", "-l"]).lines().any(|line| line.contains("-rwxr-xr-x") && line.contains("run.sh")));
}

#[test]
fn equal_trees_make_equal_images_and_a_failure_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("local");
    std::fs::write(&local, vec![7; 5000]).unwrap();
    let mut tree = Tree::new();
    tree.add_local("big", &local).unwrap();
    let (one, two) = (dir.path().join("1.iso"), dir.path().join("2.iso"));
    iso9660::write("x", &tree, &one).unwrap();
    iso9660::write("x", &tree, &two).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    std::fs::remove_file(&local).unwrap();
    let three = dir.path().join("3.iso");
    assert!(iso9660::write("x", &tree, &three).is_err());
    assert!(!three.exists());
    assert!(iso9660::write("way too long a label for any CD that there is", &tree, &three).is_err());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9._-]{1,20}", "[a-z]{50,255}", "[a-zäöüß€ ]{1,40}",]
        .prop_filter("these are no names", |name| !matches!(name.as_str(), "." | ".."))
}

fn random_tree() -> impl Strategy<Value = BTreeMap<Vec<String>, Vec<u8>>> {
    let path = proptest::collection::vec(name(), 1..5);
    let bytes = proptest::collection::vec(any::<u8>(), 0..5000);
    proptest::collection::btree_map(path, bytes, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn random_trees_come_back(files in random_tree()) {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("random.iso");
        let mut tree = Tree::new();
        for (path, bytes) in &files {
            // A random path may run through a file; the tree refuses it.
            let _ = tree.add_bytes(&path.join("/"), bytes.clone());
        }
        iso9660::write("random", &tree, &image).unwrap();
        prop_assert_eq!(listed(&image, "-R"), sorted_paths(&tree));
        for (path, file) in tree.walk() {
            if let Some(File { content: Content::Bytes(bytes), .. }) = file {
                let read = run("isoinfo", &["-i", image.to_str().unwrap(), "-R", "-x", &format!("/{path}")]);
                prop_assert!(&read == bytes, "{} differs", path);
            }
        }
    }
}

#[test]
fn a_floppy_is_read_back_by_mtools() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("floppy.img");
    let mut tree = Tree::new();
    for i in 0..200 {
        tree.add_bytes(&format!("a rather long name of a file {i:03}.txt"), format!("{i}\n")).unwrap();
    }
    tree.add_bytes("drivers/amd64/Vio Stor.inf", "driver").unwrap();
    floppy::write("packer", &tree, &image).unwrap();
    let image = image.to_str().unwrap();
    let listing = text("mdir", &["-i", image, "-/", "-b", "::"]);
    assert_eq!(listing.lines().filter(|line| line.ends_with(".txt")).count(), 200, "{listing}");
    assert_eq!(text("mtype", &["-i", image, "::/drivers/amd64/Vio Stor.inf"]), "driver");
    assert_eq!(text("mtype", &["-i", image, "::/a rather long name of a file 199.txt"]), "199\n");
    assert_eq!(text("blkid", &["-p", "-o", "value", "-s", "LABEL", image]).trim(), "PACKER");
    assert_eq!(std::fs::metadata(image).unwrap().len(), 1_474_560);
}

#[test]
fn what_does_not_fit_onto_a_floppy_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("floppy.img");
    let mut tree = Tree::new();
    tree.add_bytes("big", vec![0; 2 << 20]).unwrap();
    let error = floppy::write("packer", &tree, &image).unwrap_err().to_string();
    assert_eq!(error, "the files take 2097152 bytes of a floppy disk that has room for 1457664");
    let mut tree = Tree::new();
    tree.add_bytes("a", "").unwrap();
    tree.add_bytes("A", "").unwrap();
    assert!(floppy::write("packer", &tree, &image).is_err());
    assert!(!image.exists());
}
