//! Everything about the options that can be known without starting anything.

use std::net::IpAddr;
use std::path::Path;

use bakehouse_api::{Diagnostic, Diagnostics, Template};
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::digest::{Algorithm, Digest};
use bakehouse_kit::download::{Checksum, Location};

use crate::builder::Source;
use crate::elsewhere;
use crate::options::{AdditionsMode, Bus, CommonOptions, IsoBuildOptions, OvfBuildOptions, VmBuildOptions};

/// The one word that stands for a value which only the running machine knows.
const UNKNOWN: &str = "unknown";

pub fn check(source: &Source, found: &mut Diagnostics) {
    let common = source.common();
    let mut check = Check { common, found };
    match source {
        Source::Iso(options) => check.iso(options),
        Source::Ovf(options) => check.ovf(options),
        Source::Existing(options) => check.existing(options),
    }
    check.common();
    common.comm.check(check.found);
    // Packer's relative paths begin where it is started, and the program does not change that.
    let here = Path::new(".");
    common.media.check(here, check.found);
    common.http.check(here, check.found);
    common.boot.check(check.found);
}

struct Check<'a> {
    common: &'a CommonOptions,
    found: &'a mut Diagnostics,
}

impl Check<'_> {
    fn push(&mut self, option: &str, diagnostic: Diagnostic) {
        self.found.push(diagnostic.at(self.common.spans.at(option)));
    }

    fn error(&mut self, option: &str, summary: impl Into<String>) {
        self.push(option, Diagnostic::error(summary));
    }

    fn has(&self, option: &str) -> bool {
        self.common.spans.has(option)
    }

    fn common(&mut self) {
        let common = self.common;
        let ranges = [
            ("host_port_min", common.host_port_min, "host_port_max", common.host_port_max),
            ("vrdp_port_min", common.vrdp_port_min, "vrdp_port_max", common.vrdp_port_max),
        ];
        for (min_name, min, max_name, max) in ranges {
            if min > max {
                self.error(min_name, format!("`{min_name}` ({min}) is above `{max_name}` ({max})"));
            }
        }
        let address = &common.vrdp_bind_address;
        if !address.is_empty() && address != UNKNOWN && address.parse::<IpAddr>().is_err() {
            self.error("vrdp_bind_address", format!("`{address}` is not an IP address"));
        }
        self.lines("vboxmanage", &common.vboxmanage);
        self.lines("vboxmanage_post", &common.vboxmanage_post);
        self.additions();
        if let Some(name) = &common.output_filename {
            self.file_name("output_filename", elsewhere::base(name));
        }
        if common.skip_export && (self.has("format") || self.has("export_opts")) {
            let warning = Diagnostic::warning("`format` and `export_opts` have no effect with `skip_export`");
            self.push("skip_export", warning);
        }
    }

    fn lines(&mut self, option: &str, lines: &[Vec<Template>]) {
        if lines.iter().any(Vec::is_empty) {
            let error = Diagnostic::error(format!("a line of `{option}` is empty"));
            self.push(
                option,
                error.hint("each is a list of words: [\"modifyvm\", \"{{ .Name }}\", \"--memory\", \"1024\"]"),
            );
        }
    }

    fn additions(&mut self) {
        let common = self.common;
        if let Some(hex) = &common.guest_additions_sha256
            && hex != UNKNOWN
            && !hex.is_empty()
            && Digest::new(Algorithm::Sha256, hex).is_none()
        {
            self.error("guest_additions_sha256", "a SHA-256 has 64 hexadecimal digits");
        }
        let upload = common.guest_additions_mode == AdditionsMode::Upload;
        if upload && self.has("guest_additions_mode") && common.comm.communicator == CommKind::None {
            self.error("guest_additions_mode", "`upload` needs a communicator");
        }
        if common.guest_additions_interface == Some(Bus::Pcie) {
            self.error("guest_additions_interface", "a drive for CDs cannot hang on NVMe");
        }
    }

    /// VirtualBox makes a folder of the machine's name.
    fn file_name(&mut self, option: &str, name: &str) {
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            let error = Diagnostic::error(format!("`{name}` cannot be a file's name"));
            self.push(option, error.hint("a name without `/` that does not start with a dot"));
        }
    }

    fn iso(&mut self, options: &IsoBuildOptions) {
        let hardware = &options.hardware;
        options.iso.check(Path::new("."), self.found);
        for name in options.vm_name.iter() {
            self.file_name("vm_name", name);
        }
        if hardware.memory < 4 && self.has("memory") {
            self.push("memory", Diagnostic::error("`memory` is too small for any guest").hint("it counts MiB"));
        }
        if hardware.cpu_execution_cap.is_some_and(|cap| !(1..=100).contains(&cap)) && self.has("cpu_execution_cap") {
            self.error("cpu_execution_cap", "`cpu_execution_cap` lies between 1 and 100");
        }
        if hardware.gfx_vram_size.is_some_and(|mib| mib > 256) {
            self.error("gfx_vram_size", "VirtualBox gives at most 256 MiB of video memory");
        }
        if hardware.iso_interface == Bus::Pcie {
            self.error("iso_interface", "a drive for CDs cannot hang on NVMe");
        }
        self.disks(options);
        self.uefi(options);
    }

    fn disks(&mut self, options: &IsoBuildOptions) {
        let hardware = &options.hardware;
        if hardware.disk_additional_size.contains(&0) {
            self.error("disk_additional_size", "a disk needs at least 1 MiB");
        }
        let bus = hardware.hard_drive_interface;
        let drives = 1 + u32::from(options.common.media.has_cd());
        let disks = 1 + hardware.disk_additional_size.len() as u32;
        let wanted = disks + if hardware.iso_interface == bus { drives } else { 0 };
        if wanted > bus.places() {
            let error = format!(
                "a controller for {} takes {} drives, and this machine would have {wanted}",
                bus.as_str(),
                bus.places()
            );
            self.push(
                "disk_additional_size",
                Diagnostic::error(error).hint("use another `hard_drive_interface`, or fewer disks"),
            );
        }
        if hardware.hard_drive_discard && !matches!(bus, Bus::Sata | Bus::Virtio | Bus::Pcie) {
            self.error(
                "hard_drive_discard",
                format!("disks on {} know no discard: use `hard_drive_interface = \"sata\"`", bus.as_str()),
            );
        }
    }

    fn uefi(&mut self, options: &IsoBuildOptions) {
        let hardware = &options.hardware;
        let uefi = crate::hardware::firmware(hardware).is_uefi();
        for (option, set) in [
            ("gfx_efi_resolution", hardware.gfx_efi_resolution.is_some()),
            ("nvram_file", hardware.nvram_file.is_some()),
        ] {
            if set && !uefi {
                self.error(option, format!("`{option}` needs `firmware = \"efi\"`"));
            }
        }
        if hardware.efi_secure_boot && self.has("firmware") && !hardware.firmware.is_uefi() {
            self.error("efi_secure_boot", "secure boot needs `firmware = \"efi\"`");
        }
        if let Some(size) = &hardware.gfx_efi_resolution
            && size != UNKNOWN
            && !size.split_once('x').is_some_and(|(w, h)| w.parse::<u16>().is_ok() && h.parse::<u16>().is_ok())
        {
            self.error("gfx_efi_resolution", format!("`{size}` is no resolution like 1920x1080"));
        }
        if let Some(file) = &hardware.nvram_file
            && file != Path::new(UNKNOWN)
            && !file.is_file()
        {
            self.push("nvram_file", Diagnostic::error(format!("there is no file {}", file.display())).only_to_build());
        }
    }

    fn ovf(&mut self, options: &OvfBuildOptions) {
        for name in options.vm_name.iter() {
            self.file_name("vm_name", name);
        }
        let location = Location::parse(&options.source_path, Path::new("."));
        match &location {
            Err(error) => self.error("source_path", error.to_string()),
            Ok(Location::Local(path)) if !path.is_file() && options.source_path != UNKNOWN => {
                let missing = Diagnostic::error(format!("there is no file {}", path.display()));
                self.push("source_path", missing.only_to_build());
            }
            Ok(_) => {}
        }
        let remote = matches!(location, Ok(Location::Remote(_)));
        match options.checksum.as_deref().filter(|text| !text.is_empty()) {
            None if remote => {
                let error = Diagnostic::error("`checksum` is needed for a URL");
                self.push("source_path", error.hint("write the appliance's checksum, or \"none\""));
            }
            Some(text) if text != UNKNOWN => {
                if let Err(error) = text.parse::<Checksum>() {
                    self.error("checksum", error.to_string());
                }
            }
            _ => {}
        }
        for flag in &options.import_flags {
            if ["--vmname", "--vsys", "--basefolder"].contains(&flag.as_str()) {
                self.error("import_flags", format!("`{flag}` is set by the build itself: use `vm_name`"));
            }
        }
    }

    fn existing(&mut self, options: &VmBuildOptions) {
        if options.common.skip_export && options.target_snapshot.is_none() {
            let error = Diagnostic::error("nothing would come of this build");
            self.push("skip_export", error.hint("set `target_snapshot`, or leave `skip_export` out"));
        }
        if options.force_delete_snapshot && options.target_snapshot.is_none() {
            self.error("force_delete_snapshot", "`force_delete_snapshot` needs `target_snapshot`");
        }
        if !options.common.keep_registered && self.has("keep_registered") {
            let warning = Diagnostic::warning("the machine stays registered: `virtualbox-vm` never removes it");
            self.push("keep_registered", warning);
        }
    }
}

#[cfg(test)]
pub mod tests;
