//! Where the kernel looks for its root, and what `/etc/fstab` mounts: names that hold on another machine.

use super::Report;
use super::boot_config::Entry;
use super::volume::{Holds, Volume};

/// How a device is named.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// By what lies on the disk itself.
    Stable(Tag, &'a str),
    /// A volume manager's name.
    Mapped,
    /// NVMe's name: right on EC2 (Nitro), wrong elsewhere.
    Nvme,
    /// `sda`, `vda`, `xvda`: the name of one kind of machine.
    OfMachine,
    /// Not a disk: tmpfs, a network share.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
    /// By a link that is made of the machine's wiring or the disk's serial number.
    Id,
}

fn name(device: &str) -> Name<'_> {
    const TAGS: [(&str, &str, Tag); 4] = [
        ("UUID=", "/dev/disk/by-uuid/", Tag::Uuid),
        ("LABEL=", "/dev/disk/by-label/", Tag::Label),
        ("PARTUUID=", "/dev/disk/by-partuuid/", Tag::PartUuid),
        ("PARTLABEL=", "/dev/disk/by-partlabel/", Tag::PartLabel),
    ];
    for (prefix, link, tag) in TAGS {
        if let Some(value) = device.strip_prefix(prefix).or_else(|| device.strip_prefix(link)) {
            return Name::Stable(tag, value.trim_matches('"'));
        }
    }
    if let Some(value) = device.strip_prefix("/dev/disk/by-") {
        return Name::Stable(Tag::Id, value);
    }
    let Some(short) = device.strip_prefix("/dev/") else { return Name::Other };
    match short {
        _ if short.starts_with("nvme") => Name::Nvme,
        _ if ["sd", "vd", "hd", "xvd"].iter().any(|kind| short.starts_with(kind)) => Name::OfMachine,
        _ if short.starts_with("mapper/") || short.contains('/') || short.starts_with("dm-") => Name::Mapped,
        _ => Name::Other,
    }
}

/// The volume that a stable name means.
fn find<'a>(volumes: &'a [Volume], tag: Tag, value: &str) -> Option<&'a Volume> {
    volumes.iter().find(|volume| {
        let is = |text: &Option<String>| text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(value));
        match tag {
            Tag::Uuid => is(&volume.uuid),
            Tag::Label => volume.label.as_deref() == Some(value),
            // `root=PARTUUID=.../PARTNROFF=1` counts from a partition that is named.
            Tag::PartUuid => volume.partition.uuid.eq_ignore_ascii_case(value.split('/').next().unwrap_or(value)),
            Tag::PartLabel => volume.partition.label == value,
            Tag::Id => false,
        }
    })
}

/// A volume manager or an unknown file system may hold what is not found.
fn all_known(volumes: &[Volume]) -> bool {
    !volumes.iter().any(|volume| matches!(volume.holds, Holds::Unread { .. }))
}

const CHECK: &str = "root-device";
const BY_UUID: &str = "name it by its UUID (`blkid` tells it): in /etc/fstab, and in the boot loader's configuration by \
                       `update-grub` or `grub2-mkconfig`";

pub fn check_argument(entry: &Entry, volumes: &[Volume], report: &mut Report) {
    let Some(arguments) = &entry.arguments else {
        let seen =
            format!("no boot loader configuration was found that says where {} looks for its root", entry.kernel);
        return report.warn(CHECK, seen, "run `update-grub` or what the boot loader has for it");
    };
    let Some(device) = entry.values("root").last() else {
        let seen = format!("the kernel is told no `root=`: {arguments}");
        return report.warn(CHECK, seen, "check that its initramfs finds the root by itself");
    };
    match name(device) {
        Name::Stable(Tag::Uuid | Tag::Label | Tag::Id, _) if entry.initramfs.is_none() => {
            let seen = format!("`root={device}`, but there is no initramfs, and the kernel alone knows no such names");
            report.fail(CHECK, seen, "boot with an initramfs, or name the root as root=PARTUUID=...");
        }
        Name::Stable(Tag::Id, _) => {
            report.fail(CHECK, format!("`root={device}` is made of this machine's wiring or serial numbers"), BY_UUID);
        }
        Name::Stable(tag, value) => match find(volumes, tag, value) {
            Some(volume) => {
                report.ok(CHECK, format!("`root={device}`, which is partition {}", volume.partition.number));
            }
            None if all_known(volumes) => {
                report.fail(CHECK, format!("`root={device}`, and nothing on this disk is called that"), BY_UUID);
            }
            None => report.ok(CHECK, format!("`root={device}`, a name that holds on every machine")),
        },
        Name::Mapped => report.ok(CHECK, format!("`root={device}`, which its volume manager makes")),
        Name::Nvme => {
            let seen = format!("`root={device}` is right on EC2's instances of the Nitro system, and nowhere else");
            report.warn(CHECK, seen, BY_UUID);
        }
        Name::OfMachine => {
            let seen = format!("`root={device}`: on EC2's instances of the Nitro system the disk is /dev/nvme0n1");
            report.fail(CHECK, seen, BY_UUID);
        }
        Name::Other => {
            report.warn(CHECK, format!("`root={device}` is no disk that is known here"), "check where its root is");
        }
    }
}

pub fn check_fstab(text: &str, volumes: &[Volume], report: &mut Report) {
    let before = report.findings.len();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [device, at, rest @ ..] = fields.as_slice() else { continue };
        let optional =
            rest.get(1).is_some_and(|options| options.split(',').any(|one| one == "nofail" || one == "noauto"));
        fstab_line(device, at, optional || *at == "none" || *at == "swap", volumes, report);
    }
    if report.findings.len() == before {
        report.ok("fstab", "/etc/fstab names its file systems so that every machine finds them");
    }
}

fn fstab_line(device: &str, at: &str, optional: bool, volumes: &[Volume], report: &mut Report) {
    const CHECK: &str = "fstab";
    const OPTIONAL: &str = "name it by its UUID, or take the line away; `nofail` lets the boot go on without it";
    match name(device) {
        Name::OfMachine if optional => {
            report.warn(CHECK, format!("{device} for {at} is a name that EC2's disks do not have"), OPTIONAL);
        }
        Name::OfMachine => {
            let seen = format!("{device} for {at} is a name that EC2's disks do not have: the boot stops there");
            report.fail(CHECK, seen, BY_UUID);
        }
        Name::Stable(Tag::Id, _) => {
            report.warn(
                CHECK,
                format!("{device} for {at} is made of this machine's wiring or serial numbers"),
                OPTIONAL,
            );
        }
        Name::Stable(tag, value) if !optional && all_known(volumes) && find(volumes, tag, value).is_none() => {
            let seen = format!("{device} for {at} is not on this disk: without another disk the boot stops there");
            report.warn(CHECK, seen, OPTIONAL);
        }
        Name::Nvme => {
            report.warn(
                CHECK,
                format!("{device} for {at} is right on EC2's instances of the Nitro system only"),
                BY_UUID,
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (device, expected) in [
            ("UUID=1-2", Name::Stable(Tag::Uuid, "1-2")),
            ("/dev/disk/by-label/x", Name::Stable(Tag::Label, "x")),
            ("PARTUUID=ab", Name::Stable(Tag::PartUuid, "ab")),
            ("/dev/disk/by-id/ata-x", Name::Stable(Tag::Id, "id/ata-x")),
            ("/dev/xvda1", Name::OfMachine),
            ("/dev/vda", Name::OfMachine),
            ("/dev/nvme0n1p1", Name::Nvme),
            ("/dev/mapper/vg-root", Name::Mapped),
            ("/dev/vg/root", Name::Mapped),
            ("tmpfs", Name::Other),
        ] {
            assert_eq!(name(device), expected, "{device}");
        }
    }
}
