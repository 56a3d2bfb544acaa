//! Packing a disk of 8 GiB with 1.5 GiB of data into a Vagrant box: against tar with gzip, tar with pigz,
//! and packer's own post-processor on the same file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Bench;
use crate::guest::quiet;
use crate::measure::{Measured, median, run};
use crate::row::{Goal, Row};

const DATA: u64 = 1536 << 20;
const RUNS: usize = 3;

/// Both tools read it. Packer makes a libvirt box of its own builder's artifacts only; what it does with the
/// file is the same for every provider whose files it copies.
const TEMPLATE: &str = r#"
source "null" "x" {
  communicator = "none"
}
build {
  sources = ["null.x"]
  post-processors {
    post-processor "artifice" {
      files               = ["DISK"]
      keep_input_artifact = true
    }
    post-processor "vagrant" {
      provider_override   = "PROVIDER"
      output              = "OUTPUT"
      keep_input_artifact = true
    }
  }
}
"#;

pub fn packing(bench: &Bench) -> Result<Vec<Row>, String> {
    let work = bench.work.path().join("boxes");
    std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
    let disk = make_disk(bench, &work)?;
    let (mut ours, mut packer, mut gzip, mut pigz, mut peak) = (vec![], vec![], vec![], vec![], 0.0f64);
    let seconds = |measured: &Measured| measured.wall.as_secs_f64();
    for _ in 0..RUNS {
        let measured = by_template(&bench.ours, "libvirt", &disk, &work.join("ours.box"))?;
        peak = peak.max(measured.peak_mib);
        ours.push(seconds(&measured));
        packer.push(seconds(&by_template(&bench.theirs, "vmware", &disk, &work.join("packer.box"))?));
        gzip.push(seconds(&by_tar(&disk, "gzip -6", &work.join("gzip.box"))?));
        pigz.push(seconds(&by_tar(&disk, "pigz -6", &work.join("pigz.box"))?));
    }
    let mib = |name: &str| work.join(name).metadata().map_or(f64::NAN, |meta| meta.len() as f64 / f64::from(1 << 20));
    let (ours, size) = (median(ours), mib("ours.box"));
    let row =
        |id, what: &str, ours, theirs, unit, goal| Row { id, what: what.into(), ours, theirs, unit, goal, runs: RUNS };
    Ok(vec![
        row("box-packer", "pack a box of 1.5 GiB, against packer", ours, Some(median(packer)), "s", Goal::Ratio(0.5)),
        row("box-gzip", "the same, against tar | gzip -6", ours, Some(median(gzip)), "s", Goal::Ratio(1.0)),
        row("box-pigz", "the same, against tar | pigz -6", ours, Some(median(pigz)), "s", Goal::Ratio(1.0)),
        row("box-size", "its size, against pigz -6", size, Some(mib("pigz.box")), "MiB", Goal::Ratio(1.02)),
        row("box-memory", "peak memory", peak, None, "MiB", Goal::AtMost(100.0)),
    ])
}

/// A file system's worth of real files over and over, and some that do not compress: as disks are.
fn make_disk(bench: &Bench, work: &Path) -> Result<PathBuf, String> {
    let (raw, disk) = (work.join("raw"), work.join("disk.qcow2"));
    let base = work.join("base.raw");
    quiet(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(&bench.base).arg(&base))?;
    fill(&base, &raw).map_err(|error| format!("making the disk: {error}"))?;
    quiet(Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(&disk))?;
    for done in [raw, base] {
        std::fs::remove_file(done).map_err(|error| error.to_string())?;
    }
    Ok(disk)
}

fn fill(base: &Path, raw: &Path) -> std::io::Result<()> {
    let base = std::fs::read(base)?;
    let mut out = BufWriter::new(File::create(raw)?);
    let (mut written, mut round) = (0u64, 0u8);
    while written < DATA {
        for piece in base.chunks(1 << 20).filter(|piece| piece.iter().any(|byte| *byte != 0)) {
            // Another round is other data to a compressor only where it differs.
            let piece: Vec<u8> = piece.iter().map(|byte| byte.wrapping_add(round)).collect();
            out.write_all(&piece)?;
            written += piece.len() as u64;
            if written >= DATA {
                break;
            }
        }
        round += 1;
    }
    out.into_inner()?.set_len(8 << 30)
}

fn by_template(binary: &Path, provider: &str, disk: &Path, output: &Path) -> Result<Measured, String> {
    let folder = output.with_extension("d");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let template = folder.join("t.pkr.hcl");
    let text = TEMPLATE
        .replace("PROVIDER", provider)
        .replace("DISK", &disk.display().to_string())
        .replace("OUTPUT", &output.display().to_string());
    std::fs::write(&template, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    command.args(["build", "-color=false"]).arg(&template).current_dir(&folder);
    // Both write their copies and their boxes on the same file system.
    command.env("CHECKPOINT_DISABLE", "1").env("TMPDIR", &folder);
    run(&mut command)
}

fn by_tar(disk: &Path, compressor: &str, output: &Path) -> Result<Measured, String> {
    let folder = disk.parent().unwrap_or(Path::new("."));
    let line = format!("set -e; tar -c disk.qcow2 | {compressor} >{}", output.display());
    run(Command::new("bash").args(["-o", "pipefail", "-c", &line]).current_dir(folder))
}
