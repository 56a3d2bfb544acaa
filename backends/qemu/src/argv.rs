//! From a machine whose every part is decided to QEMU's command line. Pure.

mod storage;

use std::path::{Path, PathBuf};

use crate::options::{Cache, DetectZeroes, Discard, Format, Interface};

/// A switch with its value, or alone.
pub type Arg = (String, Option<String>);

#[derive(Clone, Debug)]
pub struct Hardware {
    pub name: String,
    pub machine_type: String,
    /// As `-accel` takes it; none leaves it to QEMU.
    pub accel: Option<String>,
    pub cpu: Option<String>,
    pub smp: Smp,
    pub memory_mib: u32,
    pub disks: Vec<Disk>,
    pub cdroms: Vec<Cdrom>,
    pub floppy: Option<PathBuf>,
    pub network: Network,
    pub screen: Screen,
    pub firmware: Firmware,
    pub tpm: Option<Tpm>,
    /// `-boot`'s value.
    pub boot: Option<String>,
    pub control: Control,
    /// It waits for a checkpoint to go on from.
    pub incoming: bool,
    pub user: Vec<Arg>,
    pub extra: Vec<Arg>,
}

#[derive(Clone, Debug, Default)]
pub struct Smp {
    pub cpus: u32,
    pub sockets: Option<u32>,
    pub cores: Option<u32>,
    pub threads: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Disk {
    pub file: PathBuf,
    pub format: Format,
    pub interface: Interface,
    pub cache: Cache,
    pub discard: Discard,
    pub detect_zeroes: DetectZeroes,
    pub read_only: bool,
}

#[derive(Clone, Debug)]
pub struct Cdrom {
    pub file: PathBuf,
    pub interface: Interface,
}

#[derive(Clone, Debug)]
pub struct Network {
    pub device: String,
    pub mac: String,
    /// Boot from the network is not wanted: no option ROM, which the BIOS would spend time on.
    pub without_rom: bool,
    pub link: Link,
}

#[derive(Clone, Debug)]
pub enum Link {
    /// Port of this machine -> port of the guest.
    User(Option<(u16, u16)>),
    /// A user network with addresses of its own: the rest of `-netdev user`'s value.
    Own(String),
    Bridge(String),
}

#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// `-display`'s value.
    pub display: Option<String>,
    pub vga: Option<String>,
    pub vnc: Option<Vnc>,
}

#[derive(Clone, Debug)]
pub struct Vnc {
    pub address: String,
    pub port: u16,
    pub password: bool,
}

#[derive(Clone, Debug)]
pub enum Firmware {
    /// The machine type's own.
    Builtin,
    Bios(PathBuf),
    /// A flash image without a variable store.
    Flash(PathBuf),
    Uefi {
        code: PathBuf,
        code_format: Format,
        vars: Option<(PathBuf, Format)>,
        /// The firmware guards its variables by system management mode.
        smm: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Tpm {
    pub socket: PathBuf,
    pub device: String,
}

/// What we hold the machine by. Not part of Packer's defaults, so `qemuargs` does not drop it.
#[derive(Clone, Debug)]
pub struct Control {
    pub qmp: PathBuf,
    /// The user's own monitor.
    pub user_qmp: Option<PathBuf>,
    pub agent: PathBuf,
    pub serial: PathBuf,
    /// Where the command line itself is kept.
    pub command: PathBuf,
}

/// Where [`crate::courier`] plugs disks in.
pub const HOTPLUG_PORT: &str = "bakehouse-port";

impl Hardware {
    /// Everything after the program's name.
    pub fn argv(&self) -> Vec<String> {
        let overridden = |switch: &str| self.user.iter().any(|(user, _)| same_switch(user, switch));
        let mut args: Vec<Arg> = self.defaults();
        args.retain(|(switch, _)| !overridden(switch));
        args.extend(self.control_args());
        args.extend(self.user.iter().chain(&self.extra).cloned());
        args.into_iter().flat_map(|(switch, value)| std::iter::once(switch).chain(value)).collect()
    }

    fn defaults(&self) -> Vec<Arg> {
        let mut args = vec![arg("-name", escaped(&self.name)), arg("-machine", self.machine())];
        if !self.user.iter().any(|(switch, value)| chooses_accel(switch, value.as_deref())) {
            args.extend(self.accel.iter().map(|accel| arg("-accel", accel)));
        }
        args.extend(self.cpu.iter().map(|cpu| arg("-cpu", cpu)));
        args.push(arg("-smp", self.smp()));
        args.push(arg("-m", format!("{}M", self.memory_mib)));
        args.extend(self.boot.iter().map(|boot| arg("-boot", boot)));
        args.extend(self.firmware());
        args.extend(storage::args(self));
        args.extend(self.network());
        args.extend(self.screen());
        args.push(arg("-serial", format!("file:{}", escaped_path(&self.control.serial))));
        args
    }

    fn machine(&self) -> String {
        let smm = matches!(self.firmware, Firmware::Uefi { smm: true, .. });
        format!("type={}{}", self.machine_type, if smm { ",smm=on" } else { "" })
    }

    fn smp(&self) -> String {
        let Smp { cpus, sockets, cores, threads } = self.smp;
        let parts = [("sockets", sockets), ("cores", cores), ("threads", threads)];
        let parts = parts.iter().filter_map(|(name, count)| count.map(|count| format!(",{name}={count}")));
        format!("cpus={cpus}{}", parts.collect::<String>())
    }

    fn firmware(&self) -> Vec<Arg> {
        let flash = |path: &Path, format: Format, unit: u8, read_only: bool| {
            let read_only = if read_only { ",readonly=on" } else { "" };
            arg(
                "-drive",
                format!("if=pflash,unit={unit},format={}{read_only},file={}", format.as_str(), escaped_path(path)),
            )
        };
        match &self.firmware {
            Firmware::Builtin => Vec::new(),
            Firmware::Bios(path) => vec![arg("-bios", path.display().to_string())],
            Firmware::Flash(path) => vec![flash(path, Format::Raw, 0, true)],
            Firmware::Uefi { code, code_format, vars, smm } => {
                let mut args = vec![flash(code, *code_format, 0, true)];
                args.extend(vars.iter().map(|(path, format)| flash(path, *format, 1, false)));
                if *smm {
                    args.push(arg("-global", "driver=cfi.pflash01,property=secure,value=on"));
                }
                args
            }
        }
    }

    fn network(&self) -> Vec<Arg> {
        let link = match &self.network.link {
            Link::User(None) => "user,id=user.0".to_owned(),
            Link::User(Some((host, guest))) => format!("user,id=user.0,hostfwd=tcp:127.0.0.1:{host}-:{guest}"),
            Link::Own(rest) => format!("user,id=user.0,{rest}"),
            Link::Bridge(bridge) => format!("bridge,id=user.0,br={}", escaped(bridge)),
        };
        let Network { device, mac, without_rom, .. } = &self.network;
        let rom = if *without_rom { ",romfile=" } else { "" };
        vec![arg("-netdev", link), arg("-device", format!("{device},netdev=user.0,mac={mac}{rom}"))]
    }

    fn screen(&self) -> Vec<Arg> {
        let Screen { display, vga, vnc } = &self.screen;
        let mut args: Vec<Arg> = display.iter().map(|display| arg("-display", display)).collect();
        args.extend(vga.iter().map(|vga| arg("-vga", vga)));
        args.extend(vnc.iter().map(|Vnc { address, port, password }| {
            // QEMU counts VNC displays from port 5900.
            let password = if *password { ",password=on" } else { "" };
            arg("-vnc", format!("{address}:{}{password}", port - 5900))
        }));
        args
    }

    fn control_args(&self) -> Vec<Arg> {
        let Control { qmp, user_qmp, agent, .. } = &self.control;
        let socket = |id: &str, path: &Path| {
            arg("-chardev", format!("socket,id={id},path={},server=on,wait=off", escaped_path(path)))
        };
        let mut args = vec![socket("bakehouse-qmp", qmp), arg("-mon", "chardev=bakehouse-qmp,mode=control")];
        args.extend(user_qmp.iter().map(|path| arg("-qmp", format!("unix:{},server=on,wait=off", escaped_path(path)))));
        if self.has_pci() {
            if self.is_pcie() {
                // A slot of the root complex takes no disk while the machine runs; a root port does.
                args.push(arg("-device", format!("pcie-root-port,id={HOTPLUG_PORT},chassis=99,slot=99")));
            }
            if !self.user_mentions("virtio-rng") {
                args.push(arg("-device", "virtio-rng-pci")); // a guest without entropy stalls before sshd has keys
            }
            if !self.user_mentions("org.qemu.guest_agent.0") {
                args.push(socket("bakehouse-agent", agent));
                args.push(arg("-device", "virtio-serial-pci,id=bakehouse-serial"));
                let port = "virtserialport,bus=bakehouse-serial.0,chardev=bakehouse-agent,name=org.qemu.guest_agent.0";
                args.push(arg("-device", port));
            }
        }
        if self.has_generation_id() && !self.user_mentions("vmgenid") {
            // By another number the guest learns that it goes on from a checkpoint, and reseeds its random pool.
            args.push(arg("-device", "vmgenid,guid=auto"));
        }
        if let Some(Tpm { socket, device }) = &self.tpm {
            args.push(arg("-chardev", format!("socket,id=bakehouse-tpm,path={}", escaped_path(socket))));
            args.push(arg("-tpmdev", "emulator,id=tpm0,chardev=bakehouse-tpm"));
            args.push(arg("-device", format!("{device},tpmdev=tpm0")));
        }
        if self.incoming {
            args.push(arg("-incoming", "defer"));
        }
        args
    }

    /// PCs tell it by ACPI; others have no such device.
    fn has_generation_id(&self) -> bool {
        let machine = self.effective_machine();
        ["pc", "q35"].contains(&machine) || machine.starts_with("pc-")
    }

    /// Does the guest agent's channel lead to us?
    pub fn has_agent_channel(&self) -> bool {
        self.has_pci() && !self.user_mentions("org.qemu.guest_agent.0")
    }

    /// The bus that takes a disk while the machine runs.
    pub fn hotplug_bus(&self) -> Option<&'static str> {
        match (self.has_pci(), self.is_pcie()) {
            (false, _) => None,
            (true, true) => Some(HOTPLUG_PORT),
            (true, false) => Some("pci.0"),
        }
    }

    /// What `-machine` ends up saying, `qemuargs` included.
    fn effective_machine(&self) -> &str {
        let user = self.user.iter().rev().find(|(switch, _)| same_switch(switch, "-machine"));
        let named = user.and_then(|(_, value)| value.as_deref()).and_then(machine_name);
        named.unwrap_or(&self.machine_type)
    }

    pub fn is_pcie(&self) -> bool {
        let machine = self.effective_machine();
        machine == "q35" || machine.starts_with("pc-q35") || machine == "virt" || machine.starts_with("virt-")
    }

    fn has_pci(&self) -> bool {
        let machine = self.effective_machine();
        !["isapc", "microvm", "none"].contains(&machine) && !machine.starts_with("s390")
    }

    fn user_mentions(&self, word: &str) -> bool {
        self.user.iter().chain(&self.extra).any(|(_, value)| value.as_ref().is_some_and(|value| value.contains(word)))
    }
}

/// The type that a `-machine` value names.
fn machine_name(value: &str) -> Option<&str> {
    let mut parts = value.split(',');
    let first = parts.next()?;
    if !first.contains('=') {
        return Some(first);
    }
    value.split(',').find_map(|part| part.strip_prefix("type="))
}

/// QEMU takes `--switch` for `-switch`, and a few switches have two names.
fn same_switch(left: &str, right: &str) -> bool {
    canonical(left) == canonical(right)
}

fn canonical(switch: &str) -> &str {
    match switch.trim_start_matches('-') {
        "M" => "machine",
        other => other,
    }
}

/// A second opinion on the accelerator is an error to QEMU.
fn chooses_accel(switch: &str, value: Option<&str>) -> bool {
    match canonical(switch) {
        "accel" | "enable-kvm" => true,
        "machine" => value.is_some_and(|value| value.split(',').any(|part| part.starts_with("accel="))),
        _ => false,
    }
}

fn arg(switch: &str, value: impl Into<String>) -> Arg {
    (switch.to_owned(), Some(value.into()))
}

/// Commas separate options in QEMU's values; a doubled one is a comma.
pub fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

pub fn escaped_path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

#[cfg(test)]
mod tests;
