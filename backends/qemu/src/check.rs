//! Everything about the options that can be known without starting anything.

use std::path::Path;

use bakehouse_api::{Diagnostic, Diagnostics, Template};

use crate::firmware;
use crate::options::{Format, Interface, QemuOptions};
use crate::size::Size;

/// IDE has two channels of two drives.
const IDE_DRIVES: usize = 4;

pub fn check(options: &QemuOptions, found: &mut Diagnostics) {
    let mut check = Check { options, found };
    check.processor();
    check.disks();
    check.drives();
    check.ports();
    check.display();
    check.firmware();
    check.tpm();
    check.args("qemuargs", &options.qemuargs);
    check.args("qemuargs_extra", &options.qemuargs_extra);
    check.names();
}

struct Check<'a> {
    options: &'a QemuOptions,
    found: &'a mut Diagnostics,
}

impl Check<'_> {
    fn push(&mut self, option: &str, diagnostic: Diagnostic) {
        self.found.push(diagnostic.at(self.options.spans.at(option)));
    }

    fn error(&mut self, option: &str, summary: impl Into<String>) {
        self.push(option, Diagnostic::error(summary));
    }

    fn needs(&mut self, option: &str, set: bool, other: &str, fulfilled: bool) {
        if set && !fulfilled {
            self.error(option, format!("`{option}` needs `{other}`"));
        }
    }

    /// Packer lets these pass, so a template may carry them.
    fn without_effect(&mut self, option: &str, set: bool, other: &str) {
        if set {
            self.push(option, Diagnostic::warning(format!("`{option}` has no effect without `{other}`")));
        }
    }

    fn processor(&mut self) {
        let QemuOptions { cpus, sockets, cores, threads, memory, .. } = *self.options;
        if memory < 4 && self.options.spans.has("memory") {
            self.push("memory", Diagnostic::error("`memory` is too small for any guest").hint("it counts MiB"));
        }
        if let (Some(sockets), Some(cores), Some(threads)) = (sockets, cores, threads)
            && self.options.spans.has("cpus")
            && u64::from(sockets) * u64::from(cores) * u64::from(threads) != u64::from(cpus)
        {
            let error = format!("{sockets} sockets x {cores} cores x {threads} threads are not {cpus} cpus");
            self.push("cpus", Diagnostic::error(error).hint("leave `cpus` out: it follows from the other three"));
        }
    }

    fn disks(&mut self) {
        let options = self.options;
        let overlay = options.use_backing_file;
        self.needs("use_backing_file", overlay, "disk_image = true", options.disk_image);
        let qcow2 = options.format == Format::Qcow2;
        self.needs("use_backing_file", overlay, "format = \"qcow2\"", qcow2);
        self.without_effect("disk_compression", options.disk_compression && !qcow2, "format = \"qcow2\"");
        self.needs("skip_resize_disk", options.skip_resize_disk, "disk_image = true", options.disk_image);
        let typed = options.spans.has("disk_compression_type") && !options.disk_compression;
        self.without_effect("disk_compression_type", typed, "disk_compression = true");
        if options.disk_size < Size::mib(1) && options.spans.has("disk_size") {
            self.error("disk_size", "a disk needs at least 1 MiB");
        }
        if options.disk_additional_size.iter().any(|size| *size < Size::mib(1)) {
            self.error("disk_additional_size", "a disk needs at least 1 MiB");
        }
        if options.skip_compaction && options.disk_image && !overlay {
            let warning = Diagnostic::warning("`skip_compaction` cannot leave the last pass out here")
                .detail("the disk is an overlay of the image, and the pass is what makes it stand alone")
                .hint("with `use_backing_file = true` the artifact stays an overlay and no pass is needed");
            self.push("skip_compaction", warning);
        }
    }

    fn drives(&mut self) {
        let options = self.options;
        let on_ide = |interface: Option<Interface>| interface == Some(Interface::Ide);
        let disks = if on_ide(Some(options.disk_interface)) { 1 + options.disk_additional_size.len() } else { 0 };
        let cdroms = usize::from(on_ide(options.cdrom_interface) && !options.disk_image);
        if disks + cdroms > IDE_DRIVES {
            let error = format!("IDE takes {IDE_DRIVES} drives, and this machine would have {}", disks + cdroms);
            let hint = "use `disk_interface = \"virtio\"`, or fewer disks";
            self.push("disk_additional_size", Diagnostic::error(error).hint(hint));
        }
    }

    fn ports(&mut self) {
        let options = self.options;
        let ranges = [
            ("host_port_min", options.host_port_min, "host_port_max", options.host_port_max),
            ("vnc_port_min", options.vnc_port_min, "vnc_port_max", options.vnc_port_max),
        ];
        for (min_name, min, max_name, max) in ranges {
            if min > max {
                self.error(min_name, format!("`{min_name}` ({min}) is above `{max_name}` ({max})"));
            }
        }
        if options.vnc_port_min < 5900 && options.spans.has("vnc_port_min") {
            let error = Diagnostic::error("`vnc_port_min` must be at least 5900");
            self.push("vnc_port_min", error.detail("QEMU counts VNC displays from port 5900 on"));
        }
        let bridge = options.net_bridge.is_some();
        self.without_effect("skip_nat_mapping", options.skip_nat_mapping && bridge, "user networking");
    }

    fn display(&mut self) {
        let options = self.options;
        if options.use_default_display && options.display.is_some() {
            self.push("display", Diagnostic::warning("`display` has no effect with `use_default_display`"));
        }
        if options.disable_vnc && (options.vnc_use_password || options.vnc_password.is_some()) {
            self.error("disable_vnc", "`disable_vnc` leaves nothing that a VNC password could protect");
        }
        let length = options.vnc_password.as_ref().map_or(0, |password| password.reveal().len());
        if length > 8 {
            let error = Diagnostic::error("a VNC password has at most 8 characters");
            self.push("vnc_password", error.detail("the protocol ignores all further ones"));
        }
        let socket = options.qmp_socket_path.is_some() && !options.qmp_enable;
        self.without_effect("qmp_socket_path", socket, "qmp_enable = true");
    }

    fn firmware(&mut self) {
        let options = self.options;
        let uefi = options.uefi();
        self.without_effect("use_pflash", options.use_pflash && options.firmware.is_none(), "firmware");
        if options.firmware.is_some() && uefi {
            self.error("firmware", "`firmware` and the `efi_*` options exclude each other");
        }
        if options.efi_firmware_vars.is_some() && options.efi_firmware_code.is_none() {
            self.error("efi_firmware_vars", "`efi_firmware_vars` needs `efi_firmware_code`: the two belong together");
        }
        self.without_effect("efi_drop_efivars", options.efi_drop_efivars && !uefi, "efi_boot = true");
        if options.efi_secure_boot && !firmware::has_smm(options.machine()) {
            let error = format!("secure boot needs the machine type q35, and this one is `{}`", options.machine());
            self.push("efi_secure_boot", Diagnostic::error(error).hint("set `machine_type = \"q35\"`"));
        }
        let files = [
            ("firmware", &options.firmware),
            ("efi_firmware_code", &options.efi_firmware_code),
            ("efi_firmware_vars", &options.efi_firmware_vars),
        ];
        for (name, file) in files {
            if let Some(file) = file
                && file != Path::new("unknown") // stands for a value that only the running machine knows
                && !file.is_file()
                && !(name == "firmware" && file.components().count() == 1)
            {
                let finding = Diagnostic::error(format!("there is no file {}", file.display()));
                self.push(name, finding.only_to_build());
            }
        }
    }

    fn tpm(&mut self) {
        let options = self.options;
        let without = !options.vtpm;
        self.without_effect("use_tpm1", without && options.use_tpm1, "vtpm = true");
        self.without_effect("vtpm_keep_state", without && options.vtpm_keep_state, "vtpm = true");
        self.without_effect("tpm_device_type", without && options.spans.has("tpm_device_type"), "vtpm = true");
    }

    fn args(&mut self, option: &str, args: &[Vec<Template>]) {
        for arg in args {
            match arg.first() {
                Some(switch) if switch.text.starts_with('-') => {}
                Some(switch) => {
                    let error = Diagnostic::error(format!("`{}` is not a switch of QEMU", switch.text))
                        .at(switch.span)
                        .hint("each entry is [\"-switch\"] or [\"-switch\", \"value\"]");
                    self.found.push(error);
                }
                None => self.error(option, format!("an entry of `{option}` is empty")),
            }
        }
    }

    fn names(&mut self) {
        let Some(name) = &self.options.vm_name else { return };
        if name.contains('/') || name.starts_with('.') {
            let error = Diagnostic::error(format!("`{name}` cannot be the name of a disk file"));
            self.push("vm_name", error.hint("a name without `/` that does not start with a dot"));
        }
    }
}

#[cfg(test)]
mod tests;
