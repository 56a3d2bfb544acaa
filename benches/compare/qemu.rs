//! Whole builds of a Debian disk image.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::measure::{Measured, median, run};
use crate::row::{Goal, Row};
use crate::{Bench, guest};

const BIG_MIB: usize = 256;
const SMALL_FILES: usize = 5000;
const SMALL_BYTES: usize = 4096;

/// Accepted by both tools, each with its own defaults; what varies comes as variables. The key comes to root by
/// a credential in SMBIOS, so that the guest's boot, which both tools wait for, is short.
const TEMPLATE: &str = r#"
variable "base" {
  type = string
}
variable "work" {
  type = string
}
variable "login" {
  type = string
}
source "qemu" "bench" {
  accelerator          = "tcg"
  disk_image           = true
  iso_url              = var.base
  iso_checksum         = "none"
  format               = "qcow2"
  disk_compression     = COMPRESS
  skip_compaction      = SKIP
  headless             = true
  memory               = 1024
  cpus                 = 2
  output_directory     = "${var.work}/out"
  vm_name              = "disk.qcow2"
  ssh_username         = "root"
  ssh_private_key_file = "${var.work}/key"
  ssh_timeout          = "10m"
  shutdown_command     = "poweroff"
  qemuargs             = [["-smbios", var.login]]
}
build {
  sources = ["source.qemu.bench"]
  PROVISION
}
"#;

const SCRIPT: &str = r#"provisioner "shell" {
    inline = ["echo baked"]
  }"#;

const FILES: &str = r#"provisioner "file" {
    source      = "${var.work}/big.bin"
    destination = "/tmp/big.bin"
  }
  provisioner "file" {
    source      = "${var.work}/small"
    destination = "/tmp"
  }"#;

/// Without checkpoints, so that every build is a whole one.
const WHOLE: &[&str] = &["--no-cache"];

/// Keys and payload, once.
pub fn prepare(work: &Path) -> Result<(), String> {
    let key = work.join("key");
    if key.exists() {
        return Ok(());
    }
    guest::quiet(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    let write = |name: &str, bytes: &[u8]| std::fs::write(work.join(name), bytes).map_err(|error| error.to_string());
    write("big.bin", &noise(BIG_MIB << 20))?;
    std::fs::create_dir_all(work.join("small")).map_err(|error| error.to_string())?;
    let noise = noise(SMALL_FILES * SMALL_BYTES);
    for (n, chunk) in noise.chunks(SMALL_BYTES).enumerate() {
        write(&format!("small/file-{n:05}"), chunk)?;
    }
    Ok(())
}

/// Bytes that do not compress, the same in every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn template(bench: &Bench, compress: bool, provision: &str) -> Result<std::path::PathBuf, String> {
    let text = TEMPLATE
        .replace("COMPRESS", &compress.to_string())
        .replace("SKIP", &(!compress).to_string())
        .replace("PROVISION", provision);
    let path = bench.work.path().join("bench.pkr.hcl");
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    Ok(path)
}

fn build(bench: &Bench, binary: &Path, flag: Option<&[&str]>, template: &Path) -> Result<Measured, String> {
    let base = format!("base={}", bench.base.display());
    let work = format!("work={}", bench.work.path().display());
    let login = format!("login={}", guest::login(bench.work.path())?);
    let cache = bench.work.path().join("packer-cache");
    run(Command::new(binary)
        .current_dir(bench.work.path())
        .env("PACKER_CACHE_DIR", cache)
        .env("CHECKPOINT_DISABLE", "1")
        .arg("build")
        .args(flag.unwrap_or_default())
        .args(["-force", "-var", &base, "-var", &work, "-var", &login])
        .arg(template))
}

fn seconds(measured: &[Measured]) -> f64 {
    median(measured.iter().map(|it| it.wall.as_secs_f64()).collect())
}

pub fn whole_build(bench: &Bench) -> Result<Vec<Row>, String> {
    prepare(bench.work.path())?;
    let template = template(bench, true, SCRIPT)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        ours.push(build(bench, &bench.ours, Some(WHOLE), &template)?);
        theirs.push(build(bench, &bench.theirs, None, &template)?);
    }
    let peak = ours.iter().map(|it| it.peak_mib).fold(0.0, f64::max);
    Ok(vec![
        Row {
            id: "qemu-whole-build",
            what: "disk_image, one-line script, compression".into(),
            ours: seconds(&ours),
            theirs: Some(seconds(&theirs)),
            unit: "s",
            goal: Goal::Ratio(0.65),
            runs: bench.runs,
        },
        Row {
            id: "qemu-memory",
            what: "peak memory of the tool during that build".into(),
            ours: peak,
            theirs: Some(theirs.iter().map(|it| it.peak_mib).fold(0.0, f64::max)),
            unit: "MiB",
            goal: Goal::AtMost(100.0),
            runs: bench.runs,
        },
    ])
}

/// Whole build without any pass over the disk, less the guest's own work measured beside it.
pub fn added_time(bench: &Bench) -> Result<Vec<Row>, String> {
    prepare(bench.work.path())?;
    let template = template(bench, false, SCRIPT)?;
    let (mut ours, mut own) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        own.push(guest::own_work(&bench.base, bench.work.path())?);
        ours.push(build(bench, &bench.ours, Some(WHOLE), &template)?);
    }
    Ok(vec![Row {
        id: "qemu-added-time",
        what: "time that the tool adds to the guest's own work".into(),
        ours: seconds(&ours) - median(own),
        theirs: None,
        unit: "s",
        goal: Goal::AtMost(2.0),
        runs: bench.runs,
    }])
}

pub fn uploads(bench: &Bench) -> Result<Vec<Row>, String> {
    prepare(bench.work.path())?;
    let template = template(bench, false, FILES)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        ours.push(our_uploads(&build(bench, &bench.ours, Some(&["--events", "json", "--no-cache"]), &template)?)?);
        theirs.push(their_uploads(&build(bench, &bench.theirs, None, &template)?)?);
    }
    Ok(vec![Row {
        id: "qemu-uploads",
        what: format!("file provisioner: {BIG_MIB} MiB and {SMALL_FILES} files of 4 KiB"),
        ours: median(ours),
        theirs: Some(median(theirs)),
        unit: "s",
        goal: Goal::Ratio(1.0 / 3.0),
        runs: bench.runs,
    }])
}

/// The time of both file provisioners' stages.
fn our_uploads(measured: &Measured) -> Result<f64, String> {
    let events = measured.lines.iter().filter_map(|(_, line)| serde_json::from_str::<Value>(line).ok());
    let stages = events.filter(|event| event["event"] == "stage_finished");
    let files = stages.filter(|event| event["stage"].as_str().is_some_and(|stage| stage.contains("file")));
    let millis: Vec<u64> = files.filter_map(|event| event["millis"].as_u64()).collect();
    match millis.as_slice() {
        [_, _] => Ok(millis.iter().sum::<u64>() as f64 / 1000.0),
        _ => Err(format!("expected two file provisioner stages, saw {}", millis.len())),
    }
}

/// From its first "Uploading" to the line after the last upload.
fn their_uploads(measured: &Measured) -> Result<f64, String> {
    let at = |word: &str| measured.lines.iter().find(|(_, line)| line.contains(word)).map(|(at, _)| *at);
    let first = at("Uploading").ok_or("packer printed no line about an upload")?;
    let after = at("Gracefully halting").ok_or("packer printed no line about halting")?;
    Ok((after - first).max(Duration::ZERO).as_secs_f64())
}
