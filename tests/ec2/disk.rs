//! The files of a disk image, read without mounting it: the ext4 file system of its largest partition.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// All that two images can have in common but times: what it is, whose, who may do what, and what is in it.
#[derive(Debug, PartialEq)]
pub struct Entry {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// The target of a link, the digest of a file.
    content: String,
}

/// By path, without a leading slash.
pub type Files = BTreeMap<PathBuf, Entry>;

/// `work` is an empty folder for what is unpacked.
pub fn files(image: &Path, work: &Path) -> Files {
    let (raw, tree) = (work.join("raw"), work.join("tree"));
    std::fs::create_dir_all(&tree).unwrap();
    run(Command::new("qemu-img").args(["convert", "-U", "-O", "raw"]).arg(image).arg(&raw));
    let offset = largest_partition(&raw);
    // Without a pager, and without the questions that it asks about special files.
    let request = format!("rdump / {}", tree.display());
    run(Command::new("debugfs").args(["-R", &request, &format!("{}?offset={offset}", raw.display())]));
    std::fs::remove_file(raw).unwrap();
    let mut found = Files::new();
    walk(&tree, &tree, &mut found);
    std::fs::remove_dir_all(tree).unwrap();
    assert!(found.len() > 50, "{}: only {} files", image.display(), found.len());
    found
}

fn largest_partition(raw: &Path) -> u64 {
    let table: Value = serde_json::from_str(&run(Command::new("sfdisk").arg("--json").arg(raw))).unwrap();
    let table = &table["partitiontable"];
    let partitions = table["partitions"].as_array().unwrap();
    let largest = partitions.iter().max_by_key(|partition| partition["size"].as_u64()).unwrap();
    largest["start"].as_u64().unwrap() * table["sectorsize"].as_u64().unwrap_or(512)
}

fn walk(root: &Path, folder: &Path, found: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        found.insert(path.strip_prefix(root).unwrap().to_owned(), entry_of(&path, &meta));
        if meta.is_dir() {
            walk(root, &path, found);
        }
    }
}

fn entry_of(path: &Path, meta: &Metadata) -> Entry {
    let kind = meta.file_type();
    let (kind, content) = match () {
        () if kind.is_dir() => ("folder", String::new()),
        () if kind.is_symlink() => ("link", std::fs::read_link(path).unwrap().display().to_string()),
        () if kind.is_file() => ("file", hex::encode(Sha256::digest(std::fs::read(path).unwrap()))),
        () if kind.is_fifo() => ("fifo", String::new()),
        () => ("device", meta.rdev().to_string()),
    };
    Entry { kind, mode: meta.mode() & 0o7777, owner: (meta.uid(), meta.gid()), content }
}

fn run(command: &mut Command) -> String {
    let made = command.output().unwrap();
    assert!(made.status.success(), "{command:?}: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}
