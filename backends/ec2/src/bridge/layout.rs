//! What the image must say of the disk: for which processor it is, and how it boots. Read from the disk, before
//! anything is sent.

use bakehouse_api::bridge::{Architecture, BootMode, Import};
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::preflight::{self, Finding, Report, Severity};

use super::source::{Source, blocking};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    pub architecture: Architecture,
    pub boot_mode: BootMode,
}

pub async fn find(cx: &Cx, source: &Source, import: &Import) -> Result<Layout> {
    let path = source.path.clone();
    let report = blocking(cx, move || Ok(preflight::of_file(&path)?)).await?;
    for finding in report.troubles() {
        cx.warn(told(finding));
    }
    let layout = judge(&report, import)?;
    let system = report.facts.system.as_deref().unwrap_or("an unknown system");
    let (architecture, mode) = (layout.architecture.as_str(), layout.boot_mode.as_str());
    let mode = if mode.is_empty() { "as EC2 chooses" } else { mode };
    cx.message(format!("The disk holds {system} for {architecture}; it boots by {mode}"));
    Ok(layout)
}

fn told(finding: &Finding) -> String {
    match &finding.todo {
        Some(todo) => format!("{}: {todo}", finding.seen),
        None => finding.seen.clone(),
    }
}

fn judge(report: &Report, import: &Import) -> Result<Layout> {
    if report.worst() == Severity::Error && !import.unchecked {
        let first = report.findings.iter().find(|finding| finding.severity == Severity::Error);
        let seen = first.map(|finding| finding.seen.clone()).unwrap_or_default();
        let error = Error::new(Kind::Input, format!("EC2 could not boot this disk: {seen}"));
        let todo = first.and_then(|finding| finding.todo.clone());
        let error = if let Some(todo) = todo { error.hint(todo) } else { error };
        return Err(error.hint("-force imports it all the same"));
    }
    let found = report.facts.architecture.and_then(|found| Architecture::named(found.as_str()));
    let architecture = import.architecture.or(found).ok_or_else(|| {
        Error::new(Kind::Config, "the disk does not tell for which processor it is")
            .hint("say it: `architecture`, x86_64 or arm64")
    })?;
    let found = report.facts.boot_mode().and_then(BootMode::named).unwrap_or(BootMode::Unset);
    let boot_mode = import.boot_mode.filter(|mode| *mode != BootMode::Unset).unwrap_or(match architecture {
        Architecture::Arm64 | Architecture::Arm64Mac => BootMode::Uefi,
        _ => found,
    });
    if import.tpm && boot_mode != BootMode::Uefi {
        let error = format!("a TPM needs the boot mode `uefi`, and the disk boots by `{}`", boot_mode.as_str());
        return Err(Error::new(Kind::Config, error).hint("set `boot_mode` to uefi if the disk boots by UEFI alone"));
    }
    Ok(Layout { architecture, boot_mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(bios: bool, uefi: bool) -> Report {
        let mut report = Report::default();
        (report.facts.bios, report.facts.uefi) = (bios, uefi);
        report
    }

    #[test]
    fn the_disk_tells_how_it_boots_unless_the_user_does() {
        let told = Import { architecture: Some(Architecture::X86_64), ..Import::default() };
        let mode = |report: &Report, import: &Import| judge(report, import).map(|layout| layout.boot_mode);
        assert_eq!(mode(&report(true, true), &told).unwrap(), BootMode::UefiPreferred);
        assert_eq!(mode(&report(true, false), &told).unwrap(), BootMode::LegacyBios);
        let arm = Import { architecture: Some(Architecture::Arm64), ..Import::default() };
        assert_eq!(mode(&report(false, false), &arm).unwrap(), BootMode::Uefi);
        let forced = Import { boot_mode: Some(BootMode::Uefi), ..told.clone() };
        assert_eq!(mode(&report(true, false), &forced).unwrap(), BootMode::Uefi);
        let tpm = Import { tpm: true, ..told };
        assert!(mode(&report(true, true), &tpm).unwrap_err().message().contains("TPM"));
        let unknown = judge(&report(true, false), &Import::default()).unwrap_err();
        assert!(unknown.message().contains("processor"), "{unknown}");
    }
}
