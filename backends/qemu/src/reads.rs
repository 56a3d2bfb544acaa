//! What the keys of checkpoints hash of a source.

use std::path::{Path, PathBuf};

use bakehouse_api::decode::scalar_text;
use bakehouse_api::{Body, Cx, Entry, Error, Input, Kind, Result};
use bakehouse_kit::digest::{self, Algorithm};
use bakehouse_kit::tree::Tree;

use crate::options::QemuOptions;

/// What the program decides about a machine by itself is told by its version.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What an option has to do with the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The guest that boots may be another one.
    Boot,
    /// Only what is made of the machine in the end may be.
    Capture,
    /// Neither: how long to wait, what to look at, where things are. Or its contents are hashed instead of its words.
    Neither,
}

/// Options not named here count for the boot: a checkpoint too few is slow, one too many is wrong.
fn class(option: &str, options: &QemuOptions) -> Class {
    match option {
        "use_backing_file"
        | "skip_compaction"
        | "disk_compression"
        | "disk_compression_type"
        | "shutdown_command"
        | "efi_drop_efivars"
        | "vtpm_keep_state"
        | "ssh_clear_authorized_keys" => Class::Capture,
        // A disk image gets an overlay whatever becomes of it; an empty disk is made in its format.
        "format" if options.disk_image => Class::Capture,
        "vm_name" if !types_name(options) => Class::Capture,
        "accelerator"
        | "headless"
        | "display"
        | "use_default_display"
        | "output_directory"
        | "shutdown_timeout"
        | "qmp_enable"
        | "qmp_socket_path"
        | "disable_vnc"
        | "vnc_bind_address"
        | "vnc_port_min"
        | "vnc_port_max"
        | "vnc_use_password"
        | "vnc_password"
        | "host_port_min"
        | "host_port_max"
        | "ssh_host_port_min"
        | "ssh_host_port_max"
        | "boot_wait"
        | "boot_key_interval"
        | "boot_keygroup_interval" => Class::Neither,
        "ssh_timeout"
        | "ssh_wait_timeout"
        | "ssh_handshake_attempts"
        | "ssh_keep_alive_interval"
        | "ssh_read_write_timeout"
        | "pause_before_connecting"
        | "ssh_private_key_file"
        | "ssh_key_path"
        | "ssh_certificate_file" => Class::Neither,
        "iso_url" | "iso_urls" | "iso_checksum" | "iso_target_path" | "iso_target_extension" => Class::Neither,
        "cd_files" | "floppy_files" | "floppy_dirs" | "firmware" | "efi_firmware_code" | "efi_firmware_vars" => {
            Class::Neither
        }
        "http_directory" | "http_port_min" | "http_port_max" | "http_bind_address" | "http_interface" => Class::Neither,
        _ => Class::Boot,
    }
}

/// Does the machine's name reach the guest?
fn types_name(options: &QemuOptions) -> bool {
    let arguments = options.qemuargs.iter().chain(&options.qemuargs_extra).flatten();
    let typed = options.boot.boot_command.iter().chain(options.boot.boot_steps.iter().flatten());
    arguments.chain(typed).any(|word| word.text.contains(".Name"))
}

/// Options that people may read in the reason of a miss.
const SHOWN: [&str; 12] = [
    "cpu_model",
    "cpus",
    "disk_cache",
    "disk_compression",
    "disk_compression_type",
    "disk_interface",
    "disk_size",
    "efi_boot",
    "format",
    "machine_type",
    "memory",
    "net_device",
];

fn input(entry: &Entry) -> Input {
    let name = format!("option {}", entry.name);
    let value = &entry.node.value;
    match scalar_text(value).filter(|_| SHOWN.contains(&entry.name.as_str()) && !value.has_sensitive()) {
        Some(text) => Input::shown(name, text),
        None => Input::new(name, format!("{:?}", value.data)),
    }
}

fn of_class(body: &Body, options: &QemuOptions, wanted: Class) -> Vec<Input> {
    body.entries.iter().filter(|entry| class(&entry.name, options) == wanted).map(input).collect()
}

/// What the boot reads as it is written.
pub fn boot(body: &Body, options: &QemuOptions) -> Vec<Input> {
    let mut inputs = of_class(body, options, Class::Boot);
    inputs.push(Input::shown("Bakehouse", PROGRAM));
    inputs
}

/// What switching off and capturing read.
pub fn capture(body: &Body, options: &QemuOptions, vm_name: &str) -> Vec<Input> {
    let mut inputs = of_class(body, options, Class::Capture);
    inputs.push(Input::new("name of the machine", vm_name));
    inputs
}

/// The contents of everything that the guest is given and that options only name.
pub fn contents(cx: &Cx, options: &QemuOptions) -> Result<Vec<Input>> {
    let here = &cx.settings().cwd;
    let mut inputs = Vec::new();
    if options.media.has_cd() {
        inputs.push(Input::new("files of the CD", tree(options.media.cd_tree(here)?)?));
    }
    if options.media.has_floppy() {
        inputs.push(Input::new("files of the floppy disk", tree(options.media.floppy_tree(here)?)?));
    }
    if let Some(dir) = &options.http.http_directory {
        let mut files = Tree::new();
        files.add_local("", &here.join(dir)).map_err(unreadable)?;
        inputs.push(Input::new("http_directory", tree(files)?));
    }
    let firmware = [&options.firmware, &options.efi_firmware_code, &options.efi_firmware_vars];
    for path in firmware.into_iter().flatten() {
        inputs.push(file(cx, "firmware", path)?);
    }
    for path in named_files(here, options) {
        inputs.push(file(cx, "file of qemuargs", &path)?);
    }
    Ok(inputs)
}

fn tree(tree: Tree) -> Result<String> {
    tree.digest().map_err(unreadable)
}

fn unreadable(error: bakehouse_kit::tree::TreeError) -> Error {
    Error::new(Kind::Input, error)
}

/// A file by its content.
pub fn file(cx: &Cx, what: &str, path: &Path) -> Result<Input> {
    let path = cx.settings().cwd.join(path);
    let digest = digest::of_file(&cx.settings().cache, &path, Algorithm::Sha256, &mut |_| Ok(()));
    let digest = digest.map_err(|error| Error::io(format!("reading {}", path.display()), &error))?;
    Ok(Input::new(format!("{what} {}", path.display()), digest.to_string()))
}

/// The files that arguments of the user's own name.
fn named_files(here: &Path, options: &QemuOptions) -> Vec<PathBuf> {
    let words = options.qemuargs.iter().chain(&options.qemuargs_extra).flatten();
    let parts = words.flat_map(|word| word.text.split([',', '=']));
    parts.filter(|part| !part.is_empty()).map(|part| here.join(part)).filter(|path| path.is_file()).collect()
}

/// Why arguments of the user's own let no checkpoint be taken.
pub fn obstacle(options: &QemuOptions) -> Option<String> {
    const OBSTACLES: [&str; 8] =
        ["virtfs", "fsdev", "vfio", "vhost-user", "usb-host", "fat:", "snapshot", "host_device"];
    let mut words = options.qemuargs.iter().chain(&options.qemuargs_extra).flatten();
    let found = words.find_map(|word| OBSTACLES.into_iter().find(|obstacle| word.text.contains(obstacle)))?;
    Some(format!("`{found}` in qemuargs ties the machine to more than a checkpoint keeps"))
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Decode, Options};

    use super::*;

    fn options(disk_image: bool) -> QemuOptions {
        QemuOptions { disk_image, ..QemuOptions::placeholder() }
    }

    #[test]
    fn every_option_that_is_named_exists() {
        let fields = QemuOptions::fields();
        let named = |name: &str| fields.iter().any(|field| field.names().any(|known| known == name));
        assert_eq!(SHOWN.into_iter().filter(|name| !named(name)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn what_changes_the_guest_counts_for_its_boot() {
        for option in ["memory", "cpus", "qemuargs", "boot_command", "cd_content", "ssh_password", "cloud_init"] {
            assert_eq!(class(option, &options(true)), Class::Boot, "{option}");
        }
        for option in ["disk_compression", "vm_name", "shutdown_command"] {
            assert_eq!(class(option, &options(true)), Class::Capture, "{option}");
        }
        for option in ["headless", "output_directory", "ssh_timeout", "vnc_port_min", "iso_url", "boot_wait"] {
            assert_eq!(class(option, &options(true)), Class::Neither, "{option}");
        }
        assert_eq!(class("format", &options(true)), Class::Capture);
        assert_eq!(class("format", &options(false)), Class::Boot);
    }
}
