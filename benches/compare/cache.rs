//! Rebuilds of one template with six provisioners: what checkpoints save, and what they cost.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::measure::{Measured, median, run};
use crate::row::{Goal, Row};
use crate::{Bench, guest};

const STEPS: usize = 6;

/// Accepted by both tools.
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
source "qemu" "cache" {
  accelerator          = "tcg"
  disk_image           = true
  iso_url              = var.base
  iso_checksum         = "none"
  format               = "qcow2"
  disk_compression     = true
  headless             = true
  memory               = 1024
  cpus                 = 2
  output_directory     = "${var.work}/cache-out"
  vm_name              = "disk.qcow2"
  ssh_username         = "root"
  ssh_private_key_file = "${var.work}/key"
  ssh_timeout          = "10m"
  shutdown_command     = "poweroff"
  qemuargs             = [["-smbios", var.login]]
}
build {
  sources = ["source.qemu.cache"]
STEPS}
"#;

/// A step of some seconds under emulation: files, a digest, a package query.
const SCRIPT: &str = "#!/bin/sh -e\n# STEP\nmkdir -p /opt/baked\ndd if=/dev/urandom of=/opt/baked/STEP bs=1M count=8 2>/dev/null\n\
                      sha256sum /opt/baked/STEP\ndpkg -l | tail -1\nfind /usr/share -type f | wc -l\n";

struct Kitchen<'a> {
    bench: &'a Bench,
    template: PathBuf,
}

impl<'a> Kitchen<'a> {
    fn new(bench: &'a Bench) -> Result<Self, String> {
        let work = bench.work.path();
        crate::qemu::prepare(work)?;
        let step = |n: usize| format!("  provisioner \"shell\" {{\n    script = \"${{var.work}}/step-{n}.sh\"\n  }}\n");
        let template = work.join("cache.pkr.hcl");
        let text = TEMPLATE.replace("STEPS", &(1..=STEPS).map(step).collect::<String>());
        std::fs::write(&template, text).map_err(|error| error.to_string())?;
        for n in 1..=STEPS {
            script(work, n, &n.to_string())?;
        }
        Ok(Self { bench, template })
    }

    fn build(&self, binary: &Path, flags: &[&str], cache: &str) -> Result<Measured, String> {
        let work = self.bench.work.path();
        let var = |name: &str, value: &str| format!("{name}={value}");
        run(Command::new(binary)
            .current_dir(work)
            .env("PACKER_CACHE_DIR", work.join(cache))
            .env("CHECKPOINT_DISABLE", "1")
            .arg("build")
            .args(flags)
            .args(["-force", "-var", &var("base", &self.bench.base.display().to_string())])
            .args(["-var", &var("work", &work.display().to_string()), "-var", &var("login", &guest::login(work)?)])
            .arg(&self.template))
    }

    /// MiB of each checkpoint of a machine.
    fn sizes(&self, cache: &str) -> Result<Vec<f64>, String> {
        let listed = Command::new(&self.bench.ours)
            .env("PACKER_CACHE_DIR", self.bench.work.path().join(cache))
            .args(["cache", "ls", "--json"])
            .output()
            .map_err(|error| error.to_string())?;
        let all: Vec<Value> = serde_json::from_slice(&listed.stdout).map_err(|error| error.to_string())?;
        let machines = all.iter().filter(|entry| entry["kind"] == "machine");
        Ok(machines.filter_map(|entry| entry["bytes"].as_f64()).map(|bytes| bytes / f64::from(1 << 20)).collect())
    }
}

fn script(work: &Path, n: usize, step: &str) -> Result<(), String> {
    std::fs::write(work.join(format!("step-{n}.sh")), SCRIPT.replace("STEP", step)).map_err(|error| error.to_string())
}

pub fn rebuilds(bench: &Bench) -> Result<Vec<Row>, String> {
    let kitchen = Kitchen::new(bench)?;
    let (mut theirs, mut first, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let (mut same, mut last, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..bench.runs {
        let cache = format!("cache-{turn}");
        let seconds = |measured: Measured| measured.wall.as_secs_f64();
        theirs.push(seconds(kitchen.build(&bench.theirs, &[], "packer-cache")?));
        whole.push(seconds(kitchen.build(&bench.ours, &["--no-cache"], &cache)?));
        first.push(seconds(kitchen.build(&bench.ours, &[], &cache)?));
        same.push(seconds(kitchen.build(&bench.ours, &[], &cache)?));
        script(bench.work.path(), STEPS, &format!("changed-{turn}"))?;
        last.push(seconds(kitchen.build(&bench.ours, &[], &cache)?));
        sizes.extend(kitchen.sizes(&cache)?);
        std::fs::remove_dir_all(bench.work.path().join(&cache)).map_err(|error| error.to_string())?;
    }
    let (theirs, same) = (median(theirs), median(same));
    let row = |id, what: &str, ours, theirs, unit, goal| Row {
        id,
        what: what.into(),
        ours,
        theirs,
        unit,
        goal,
        runs: bench.runs,
    };
    Ok(vec![
        row("cache-same", "rebuild, nothing changed", same, Some(theirs), "s", Goal::Ratio(0.03)),
        row("cache-same-time", "rebuild, nothing changed: its time", same, None, "s", Goal::AtMost(2.0)),
        row(
            "cache-last",
            "rebuild, last of six provisioners changed",
            median(last),
            Some(theirs),
            "s",
            Goal::Ratio(0.2),
        ),
        row(
            "cache-first",
            "first build, against one without checkpoints",
            median(first),
            Some(median(whole)),
            "s",
            Goal::Ratio(1.05),
        ),
        row("cache-size", "disk used per checkpoint", median(sizes), None, "MiB", Goal::AtMost(400.0)),
    ])
}
