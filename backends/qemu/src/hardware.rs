//! From options and what was made for them to the machine's parts. Pure.

use std::path::PathBuf;

use crate::argv::{Arg, Cdrom, Control, Disk, Firmware, Hardware, Link, Network, Screen, Smp, Tpm, Vnc};
use crate::options::{Accelerator, Cache, DetectZeroes, Discard, Format, Interface, QemuOptions};

/// What exists by now.
pub struct Parts {
    pub name: String,
    pub accelerator: Accelerator,
    pub disks: Vec<(PathBuf, Format)>,
    /// The installer, when the build starts from one.
    pub iso: Option<PathBuf>,
    /// `cd_files` and `cd_content`.
    pub cd: Option<PathBuf>,
    /// The seed that is ours alone.
    pub seed: Option<PathBuf>,
    pub floppy: Option<PathBuf>,
    pub ssh_port: Option<u16>,
    pub vnc_port: Option<u16>,
    pub mac: String,
    pub firmware: Firmware,
    pub tpm: Option<PathBuf>,
    /// Can this QEMU open a window here?
    pub window: Option<&'static str>,
    pub control: Control,
    pub incoming: bool,
    pub user: Vec<Arg>,
    pub extra: Vec<Arg>,
}

pub fn hardware(options: &QemuOptions, parts: Parts) -> Hardware {
    let machine_type = options.machine().to_owned();
    let boot = boot(options);
    Hardware {
        accel: accel(parts.accelerator).map(str::to_owned),
        cpu: options.cpu_model.clone().or_else(|| cpu(parts.accelerator, &options.qemu_binary).map(str::to_owned)),
        smp: smp(options),
        memory_mib: options.memory,
        disks: disks(options, &parts),
        cdroms: cdroms(options, &parts),
        network: network(options, &parts, boot.is_none()),
        screen: screen(options, &parts),
        tpm: parts.tpm.map(|socket| Tpm { socket, device: options.tpm_device_type.clone() }),
        name: parts.name,
        machine_type,
        floppy: parts.floppy,
        firmware: parts.firmware,
        boot,
        control: parts.control,
        incoming: parts.incoming,
        user: parts.user,
        extra: parts.extra,
    }
}

pub fn accel(accelerator: Accelerator) -> Option<&'static str> {
    match accelerator {
        Accelerator::None => None,
        // One thread for each processor of the guest.
        Accelerator::Tcg => Some("tcg,thread=multi"),
        other => Some(other.as_str()),
    }
}

/// `qemu64`, QEMU's own default, lacks what distributions now compile for (x86-64-v2 and later). An emulated
/// SVM only makes guests spend seconds of their boot on kvm modules.
pub fn cpu(accelerator: Accelerator, binary: &str) -> Option<&'static str> {
    let x86 = binary.ends_with("x86_64") || binary.ends_with("i386");
    match accelerator {
        Accelerator::Kvm | Accelerator::Hvf => Some("host"),
        Accelerator::Tcg if x86 => Some("max,-svm"),
        Accelerator::Tcg => Some("max"),
        Accelerator::None | Accelerator::Xen | Accelerator::Whpx => None,
    }
}

fn smp(options: &QemuOptions) -> Smp {
    let QemuOptions { cpus, sockets, cores, threads, .. } = *options;
    let product = sockets.unwrap_or(1) * cores.unwrap_or(1) * threads.unwrap_or(1);
    // Without `cpus` the topology counts; with it QEMU completes the topology.
    let cpus = if options.spans.has("cpus") { cpus } else { product.max(cpus) };
    Smp { cpus, sockets, cores, threads }
}

/// The installer boots once; after its reboot the disk does.
fn boot(options: &QemuOptions) -> Option<String> {
    (!options.disk_image).then(|| "once=d".to_owned())
}

fn disks(options: &QemuOptions, parts: &Parts) -> Vec<Disk> {
    let disk = |(file, format): &(PathBuf, Format)| Disk {
        file: file.clone(),
        format: *format,
        interface: options.disk_interface,
        cache: options.disk_cache,
        discard: options.disk_discard,
        detect_zeroes: options.disk_detect_zeroes,
        read_only: false,
    };
    let seed = parts.seed.iter().filter(|_| seed_is_disk(options)).map(|file| Disk {
        file: file.clone(),
        format: Format::Raw,
        interface: options.disk_interface,
        cache: Cache::Writeback,
        discard: Discard::Ignore,
        detect_zeroes: DetectZeroes::Off,
        read_only: true,
    });
    parts.disks.iter().map(disk).chain(seed).collect()
}

/// The seed goes where the guest's own disk is: a cloud kernel may have no driver for a CD drive. ATA
/// knows no read-only disks, but whoever drives an ATA disk drives an ATA CD.
fn seed_is_disk(options: &QemuOptions) -> bool {
    !matches!(options.disk_interface, Interface::Ide | Interface::Sata)
}

fn cdroms(options: &QemuOptions, parts: &Parts) -> Vec<Cdrom> {
    let machine = options.machine();
    let ide = ["pc", "q35", "isapc"].contains(&machine) || machine.starts_with("pc-");
    let usual = if ide { Interface::Ide } else { Interface::VirtioScsi };
    let interface = options.cdrom_interface.unwrap_or(usual);
    let media = parts.iso.iter().chain(&parts.cd).map(|file| Cdrom { file: file.clone(), interface });
    let seed = parts.seed.iter().filter(|_| !seed_is_disk(options));
    media.chain(seed.map(|file| Cdrom { file: file.clone(), interface: options.disk_interface })).collect()
}

fn network(options: &QemuOptions, parts: &Parts, without_rom: bool) -> Network {
    let guest = options.comm.ssh.ssh_port;
    let link = match &options.net_bridge {
        Some(bridge) => Link::Bridge(bridge.clone()),
        None => Link::User(parts.ssh_port.map(|host| (host, guest))),
    };
    // Whoever chooses another boot order may want to boot from the network.
    let chosen = parts.user.iter().chain(&parts.extra).any(|(switch, _)| switch == "-boot");
    let without_rom = without_rom && !chosen && options.net_device.starts_with("virtio-net");
    Network { device: options.net_device.clone(), mac: parts.mac.clone(), without_rom, link }
}

fn screen(options: &QemuOptions, parts: &Parts) -> Screen {
    let display = match (&options.display, options.use_default_display, options.headless) {
        (_, true, _) => None,
        (Some(display), false, _) => Some(display.clone()),
        (None, false, true) => Some("none".into()),
        (None, false, false) => Some(parts.window.unwrap_or("none").into()),
    };
    let vnc = parts.vnc_port.map(|port| Vnc {
        address: options.vnc_bind_address.clone(),
        port,
        password: options.vnc_password(),
    });
    Screen { display, vga: options.vga.clone(), vnc }
}
