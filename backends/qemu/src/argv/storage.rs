//! Disks, CD drives and the floppy, with the controllers they need.

use crate::options::{DetectZeroes, Discard, Interface};

use super::{Arg, Cdrom, Disk, Hardware, arg, escaped_path};

pub fn args(hardware: &Hardware) -> Vec<Arg> {
    let mut args = controllers(hardware);
    let mut counts = Units::default();
    for (index, disk) in hardware.disks.iter().enumerate() {
        args.extend(disk_args(disk, index, &mut counts));
    }
    for (index, cdrom) in hardware.cdroms.iter().enumerate() {
        args.extend(cdrom_args(cdrom, index, &mut counts));
    }
    if let Some(floppy) = &hardware.floppy {
        args.push(arg("-drive", format!("if=floppy,index=0,format=raw,file={}", escaped_path(floppy))));
    }
    args
}

/// The next free unit of each controller.
#[derive(Default)]
struct Units {
    scsi: u32,
    sata: u32,
}

fn controllers(hardware: &Hardware) -> Vec<Arg> {
    let used = |interface: Interface| {
        hardware.disks.iter().any(|disk| disk.interface == interface)
            || hardware.cdroms.iter().any(|cdrom| cdrom.interface == interface)
    };
    let known = [
        (Interface::VirtioScsi, "virtio-scsi-pci,id=virtio-scsi"),
        (Interface::Scsi, "lsi53c895a,id=scsi"),
        (Interface::Sata, "ich9-ahci,id=sata"),
    ];
    known.into_iter().filter(|(interface, _)| used(*interface)).map(|(_, device)| arg("-device", device)).collect()
}

fn disk_args(disk: &Disk, index: usize, units: &mut Units) -> Vec<Arg> {
    let file = format!("file={},format={}", escaped_path(&disk.file), disk.format.as_str());
    let mut options = format!(",cache={}", disk.cache.as_str());
    if disk.discard != Discard::Ignore {
        options += &format!(",discard={}", disk.discard.as_str());
    }
    if disk.detect_zeroes != DetectZeroes::Off {
        options += &format!(",detect-zeroes={}", disk.detect_zeroes.as_str());
    }
    if disk.read_only {
        options = ",readonly=on".into();
    }
    let id = format!("disk{index}");
    match bus(disk.interface, units) {
        None => vec![arg("-drive", format!("{file},if={}{options}", disk.interface.as_str()))],
        Some(place) => {
            let device = if disk.interface == Interface::Sata { "ide-hd" } else { "scsi-hd" };
            vec![
                arg("-drive", format!("{file},if=none,id={id}{options}")),
                arg("-device", format!("{device},drive={id},{place}")),
            ]
        }
    }
}

fn cdrom_args(cdrom: &Cdrom, index: usize, units: &mut Units) -> Vec<Arg> {
    let file = format!("file={},media=cdrom,readonly=on,format=raw", escaped_path(&cdrom.file));
    let id = format!("cdrom{index}");
    match bus(cdrom.interface, units) {
        None if cdrom.interface == Interface::Virtio => {
            // There is no virtio CD drive: the guest sees a read-only disk.
            vec![arg("-drive", format!("file={},if=virtio,readonly=on,format=raw", escaped_path(&cdrom.file)))]
        }
        None => vec![arg("-drive", format!("{file},if={}", cdrom.interface.as_str()))],
        Some(place) => {
            let device = if cdrom.interface == Interface::Sata { "ide-cd" } else { "scsi-cd" };
            vec![
                arg("-drive", format!("{file},if=none,id={id}")),
                arg("-device", format!("{device},drive={id},{place}")),
            ]
        }
    }
}

/// Where on a controller of ours the next drive goes; none where `-drive if=` does it all.
fn bus(interface: Interface, units: &mut Units) -> Option<String> {
    let next = |unit: &mut u32| {
        *unit += 1;
        *unit - 1
    };
    match interface {
        Interface::Virtio | Interface::Ide => None,
        Interface::VirtioScsi => Some(format!("bus=virtio-scsi.0,scsi-id={}", next(&mut units.scsi))),
        Interface::Scsi => Some(format!("bus=scsi.0,scsi-id={}", next(&mut units.scsi))),
        Interface::Sata => Some(format!("bus=sata.{}", next(&mut units.sata))),
    }
}
