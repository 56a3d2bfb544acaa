//! `preflight`: could EC2 boot this disk?

use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::preflight::{self, Finding, Report, Severity};

use super::{End, put, say};

#[derive(clap::Args)]
#[command(after_help = "It ends with 3 where EC2 could not boot the disk, and with 1 where it could not be looked at.")]
pub struct Args {
    /// A disk (qcow2 or raw).
    disk: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<End> {
    let report = preflight::of_file(&args.disk)?;
    if args.json {
        say(serde_json::to_string_pretty(&report).map_err(|error| Error::new(Kind::Internal, error))?);
    } else {
        put(&told(&args.disk, &report));
    }
    Ok(if report.worst() == Severity::Error { End::Different } else { End::Success })
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
