//! What is said to VBoxManage: plain functions from what is meant to the words of a command line. Words that
//! every version from 6.1 on takes are the old spellings.

use std::path::Path;

use super::version::{Feature, Version};

pub type Args = Vec<String>;

fn words(words: &[&str]) -> Args {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn path(path: &Path) -> &str {
    // Every path here was made of UTF-8 texts: options of the template and answers of VBoxManage.
    path.to_str().unwrap_or_default()
}

pub fn version() -> Args {
    words(&["--version"])
}

pub fn list(what: &str) -> Args {
    words(&["list", what])
}

pub fn showvminfo(machine: &str) -> Args {
    words(&["showvminfo", machine, "--machinereadable"])
}

pub fn createvm(version: Version, name: &str, uuid: &str, os_type: &str) -> Args {
    let mut args = words(&["createvm", "--name", name, "--uuid", uuid, "--ostype", os_type, "--register"]);
    if version.has(Feature::Architecture) {
        let architecture = if os_type.to_ascii_lowercase().ends_with("arm64") { "arm" } else { "x86" };
        args.extend(words(&["--platform-architecture", architecture]));
    }
    args
}

pub fn modifyvm(machine: &str, settings: &[(String, String)]) -> Args {
    let mut args = words(&["modifyvm", machine]);
    args.extend(settings.iter().flat_map(|(flag, value)| [format!("--{flag}"), value.clone()]));
    args
}

/// A rule: a port of this machine that leads to one of the guest.
pub fn forwarding(rule: &str, host_port: u16, guest_port: u16) -> String {
    format!("{rule},tcp,127.0.0.1,{host_port},,{guest_port}")
}

pub fn forward(machine: &str, rule: &str, host_port: u16, guest_port: u16) -> Args {
    words(&["modifyvm", machine, "--natpf1", &forwarding(rule, host_port, guest_port)])
}

pub fn unforward(machine: &str, rule: &str) -> Args {
    words(&["modifyvm", machine, "--natpf1", "delete", rule])
}

/// Writes what the guest says on its first serial line into a file.
pub fn serial_file(machine: &str, file: &Path) -> Args {
    words(&["modifyvm", machine, "--uart1", "0x3F8", "4", "--uartmode1", "file", path(file)])
}

pub fn createmedium(file: &Path, mib: u64) -> Args {
    words(&["createmedium", "disk", "--filename", path(file), "--size", &mib.to_string(), "--format", "VDI"])
}

/// `kind` is `disk`, `dvd` or `floppy`.
pub fn closemedium(kind: &str, file: &str) -> Args {
    words(&["closemedium", kind, file])
}

pub fn add_controller(machine: &str, name: &str, add: &str, controller: &str, ports: Option<u32>) -> Args {
    let mut args = words(&["storagectl", machine, "--name", name, "--add", add, "--controller", controller]);
    if let Some(ports) = ports {
        args.extend(["--portcount".to_owned(), ports.to_string()]);
    }
    args
}

pub fn set_ports(machine: &str, name: &str, ports: u32) -> Args {
    words(&["storagectl", machine, "--name", name, "--portcount", &ports.to_string()])
}

pub fn remove_controller(machine: &str, name: &str) -> Args {
    words(&["storagectl", machine, "--name", name, "--remove"])
}

/// A place on a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub controller: String,
    pub port: u32,
    pub device: u32,
}

/// `kind` is `hdd`, `dvddrive` or `fdd`; `medium` a path, `emptydrive`, or `none` for no drive at all.
pub fn attach(machine: &str, place: &Place, kind: &str, medium: &str) -> Args {
    let (port, device) = (place.port.to_string(), place.device.to_string());
    words(&[
        "storageattach",
        machine,
        "--storagectl",
        &place.controller,
        "--port",
        &port,
        "--device",
        &device,
        "--type",
        kind,
        "--medium",
        medium,
    ])
}

pub fn detach(machine: &str, place: &Place) -> Args {
    let (port, device) = (place.port.to_string(), place.device.to_string());
    words(&[
        "storageattach",
        machine,
        "--storagectl",
        &place.controller,
        "--port",
        &port,
        "--device",
        &device,
        "--medium",
        "none",
    ])
}

pub fn startvm(machine: &str, window: bool) -> Args {
    words(&["startvm", machine, "--type", if window { "gui" } else { "headless" }])
}

pub fn controlvm(machine: &str, what: &[&str]) -> Args {
    let mut args = words(&["controlvm", machine]);
    args.extend(words(what));
    args
}

pub fn discard_state(machine: &str) -> Args {
    words(&["discardstate", machine])
}

pub fn import(from: &Path, name: &str, options: Option<&str>, flags: &[String]) -> Args {
    let mut args = words(&["import", path(from), "--vsys", "0", "--vmname", name]);
    args.extend_from_slice(flags);
    args.extend(options.into_iter().flat_map(|options| words(&["--options", options])));
    args
}

pub fn export(machine: &str, to: &Path, with_media: bool, more: &[String]) -> Args {
    let mut args = words(&["export", machine, "--output", path(to)]);
    if with_media {
        args.extend(words(&["--options", "iso"]));
    }
    args.extend_from_slice(more);
    args
}

pub fn unregister(machine: &str, delete: bool) -> Args {
    let mut args = words(&["unregistervm", machine]);
    args.extend(delete.then(|| "--delete".to_owned()));
    args
}

/// `verb` is `take`, `restore` or `delete`.
pub fn snapshot(machine: &str, verb: &str, snapshot: &str) -> Args {
    words(&["snapshot", machine, verb, snapshot])
}

pub fn nvram(machine: &str, what: &[&str]) -> Args {
    let mut args = words(&["modifynvram", machine]);
    args.extend(words(what));
    args
}

pub fn extra_data(machine: &str, key: &str, value: &str) -> Args {
    words(&["setextradata", machine, key, value])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[Args]) -> String {
        args.iter().map(|args| args.join(" ") + "\n").collect()
    }

    #[test]
    fn words_of_each_verb() {
        let (old, new) = (Version { major: 6, minor: 1, patch: 50 }, Version { major: 7, minor: 2, patch: 0 });
        let place = Place { controller: "IDE Controller".into(), port: 1, device: 0 };
        let file = Path::new("/m/x.vdi");
        let more = ["--manifest".to_owned()];
        insta::assert_snapshot!(shown(&[
            createvm(old, "x", "uuid", "Linux_64"),
            createvm(new, "x", "uuid", "Linux_64"),
            createvm(new, "x", "uuid", "Debian_arm64"),
            modifyvm("x", &[("memory".into(), "512".into()), ("rtcuseutc".into(), "on".into())]),
            forward("x", "packercomm", 2222, 22),
            unforward("x", "packercomm"),
            serial_file("x", Path::new("/t/serial.log")),
            createmedium(file, 40000),
            closemedium("dvd", "/t/cd.iso"),
            add_controller("x", "SATA Controller", "sata", "IntelAhci", Some(2)),
            add_controller("x", "IDE Controller", "ide", "PIIX4", None),
            set_ports("x", "SATA Controller", 3),
            remove_controller("x", "Floppy Controller"),
            attach("x", &place, "dvddrive", "/t/cd.iso"),
            detach("x", &place),
            startvm("x", false),
            startvm("x", true),
            controlvm("x", &["acpipowerbutton"]),
            import(Path::new("/a.ova"), "x", Some("keepallmacs"), &["--eula".into(), "accept".into()]),
            export("x", Path::new("/o/x.ovf"), true, &more),
            export("x", Path::new("/o/x.ova"), false, &[]),
            unregister("x", true),
            unregister("x", false),
            snapshot("x", "take", "clean"),
            nvram("x", &["secureboot", "--enable"]),
            extra_data("x", "VBoxInternal2/EfiGraphicsResolution", "1920x1080"),
            discard_state("x"),
        ]));
    }
}
