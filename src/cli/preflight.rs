//! `preflight`: could EC2 boot this disk?

use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::disk::{self, DiskError};
use bakehouse_boxes::preflight::{self, Finding, Report, Severity};
use bakehouse_kit::disks::{self, blocking};

use super::errand::quietly;
use super::{End, put, say};

#[derive(clap::Args)]
#[command(after_help = "It ends with 3 where EC2 could not boot the disk, and with 1 where it could not be looked at.")]
pub struct Args {
    /// A disk (qcow2, raw, vmdk, vhd, vhdx, vdi), an OVA or a Vagrant box: the first of its disks.
    disk: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<End> {
    let Some(report) = report(args)? else { return Ok(End::Failure) };
    if args.json {
        say(serde_json::to_string_pretty(&report).map_err(|error| Error::new(Kind::Internal, error))?);
    } else {
        put(&told(&args.disk, &report));
    }
    Ok(if report.worst() == Severity::Error { End::Different } else { End::Success })
}

/// What has to be converted or unpacked is an errand with scratch space; none when that failed, and was told.
fn report(args: &Args) -> Result<Option<Report>> {
    if matches!(disk::kind(&args.disk)?, disk::Kind::Qcow2 | disk::Kind::Raw | disk::Kind::Other) {
        match preflight::of_file(&args.disk) {
            // A chain of files, or a feature that our reader lacks: QEMU's own knows them.
            Err(DiskError::Backing { .. } | DiskError::Qcow2 { .. }) => {}
            looked => return Ok(Some(looked?)),
        }
    }
    let mut found = None;
    quietly("preflight", async |cx| {
        let disks = disks::open(cx, std::slice::from_ref(&args.disk)).await?;
        let missing = || Error::new(Kind::Input, format!("{} holds no disk", args.disk.display()));
        let path = disks.into_iter().next().ok_or_else(missing)?.path;
        found = Some(blocking(cx, move || Ok(preflight::of_file(&path)?)).await?);
        Ok(())
    })?;
    Ok(found)
}

fn told(disk: &Path, report: &Report) -> String {
    let lines: String = report.findings.iter().map(line).collect();
    let count = |severity, name: &str| {
        let count = report.findings.iter().filter(|finding| finding.severity == severity).count();
        format!("{count} {name}{}", if count == 1 { "" } else { "s" })
    };
    let (errors, warnings) = (count(Severity::Error, "error"), count(Severity::Warning, "warning"));
    let verdict = match report.worst() {
        Severity::Ok => "EC2 could boot it".to_owned(),
        Severity::Warning => format!("EC2 could boot it, as far as can be seen: {warnings}"),
        Severity::Error => format!("EC2 could not boot or reach it: {errors}, {warnings}"),
    };
    let system = report.facts.system.as_ref().map(|system| format!(" ({system})")).unwrap_or_default();
    format!("{lines}{}{system}: {verdict}\n", disk.display())
}

fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let todo = finding.todo.as_ref().map(|todo| format!("{:28}try: {todo}\n", "")).unwrap_or_default();
    format!("{severity:8} {:18} {}\n{todo}", finding.check, finding.seen)
}
