//! Could EC2 boot this disk? Read offline: partition table, boot loader, kernel and its drivers, where the root is
//! looked for, network, metadata, console. What cannot be read is said, and nothing is claimed about it.

mod boot_config;
mod boot_loader;
mod checks;
mod drivers;
mod fat;
mod initramfs;
mod kernel;
mod network;
mod root;
mod source;
mod system;
mod table;
mod tree;
mod volume;

use std::io::{Read, Seek};
use std::path::Path;

use serde::Serialize;

use crate::disk::{self, DiskError};
use source::Source;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    /// It may boot, with something amiss; or something could not be read.
    Warning,
    /// It would not boot, or nobody could reach it.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: "partition-table", "driver-nvme", ...
    pub check: &'static str,
    pub severity: Severity,
    pub seen: String,
    /// What to do about it; none where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    #[serde(rename = "x86_64")]
    X86_64,
    Arm64,
    /// 32-bit x86.
    I386,
}

impl Architecture {
    /// As EC2 names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
            Architecture::I386 => "i386",
        }
    }
}

/// What an import and a local boot need to know of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// In bytes.
    pub size: u64,
    pub architecture: Option<Architecture>,
    /// A BIOS finds a boot loader.
    pub bios: bool,
    /// A UEFI without stored variables finds a boot loader.
    pub uefi: bool,
    /// The kernel drives EC2's network card; none where that could not be read.
    pub ena: Option<bool>,
    /// `PRETTY_NAME` of its os-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The user that cloud-init puts an instance's key in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
}

impl Facts {
    /// `BootMode` of RegisterImage; none where nothing boots.
    pub fn boot_mode(&self) -> Option<&'static str> {
        match (self.bios, self.uefi) {
            (true, true) => Some("uefi-preferred"),
            (false, true) => Some("uefi"),
            (true, false) => Some("legacy-bios"),
            (false, false) => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub facts: Facts,
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// The findings that are no good news.
    pub fn troubles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity != Severity::Ok)
    }

    fn ok(&mut self, check: &'static str, seen: impl Into<String>) {
        self.findings.push(Finding { check, severity: Severity::Ok, seen: seen.into(), todo: None });
    }

    fn warn(&mut self, check: &'static str, seen: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Severity::Warning, seen, todo);
    }

    fn fail(&mut self, check: &'static str, seen: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Severity::Error, seen, todo);
    }

    fn add(&mut self, check: &'static str, severity: Severity, seen: impl Into<String>, todo: impl Into<String>) {
        self.findings.push(Finding { check, severity, seen: seen.into(), todo: Some(todo.into()) });
    }
}

/// Examines a qcow2 or raw disk.
pub fn of_file(path: &Path) -> Result<Report, DiskError> {
    Ok(examine(disk::Reader::new(disk::open(path)?)))
}

/// Examines what a guest would see. Damage is a finding, never an error.
pub fn examine(disk: impl Read + Seek + 'static) -> Report {
    let mut report = Report::default();
    match Source::new(disk) {
        Ok(source) => checks::run(&source, &mut report),
        Err(error) => report.fail("disk", format!("the disk cannot be read: {error}"), "get the disk again"),
    }
    report
}
