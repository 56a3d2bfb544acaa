//! Is there anything for a BIOS or a UEFI to start?

use super::source::Source;
use super::table::{Partition, Role, Scheme, Table};
use super::tree::Tree;
use super::volume::Volume;
use super::{Architecture, Report};

const CHECK: &str = "boot-loader";
/// The boot code of an MBR ends where its disk signature begins.
const BOOT_CODE: usize = 440;
/// Where firmware looks that has nothing stored, as that of a new instance.
const FALLBACK: [(&str, Architecture); 2] =
    [("/EFI/BOOT/BOOTX64.EFI", Architecture::X86_64), ("/EFI/BOOT/BOOTAA64.EFI", Architecture::Arm64)];

/// A way to boot: what there is of it, or what it lacks.
enum Way {
    Works(String),
    Broken { seen: String, todo: &'static str },
    Absent,
}

pub fn check(source: &Source, table: &Table, volumes: &[Volume], report: &mut Report) {
    let bios = bios(source, table);
    let uefi = uefi(volumes, report);
    report.facts.bios = matches!(bios, Way::Works(_));
    report.facts.uefi = matches!(uefi, Way::Works(_));
    let boots = report.facts.bios || report.facts.uefi;
    let absent = matches!((&bios, &uefi), (Way::Absent, Way::Absent));
    for way in [bios, uefi] {
        match way {
            Way::Works(seen) => report.ok(CHECK, seen),
            Way::Broken { seen, todo } if boots => report.warn(CHECK, seen, todo),
            Way::Broken { seen, todo } => report.fail(CHECK, seen, todo),
            Way::Absent => {}
        }
    }
    if absent {
        let seen = "no boot code in the first sector, and no EFI system partition";
        report.fail(CHECK, seen, "install a boot loader on the disk: `grub-install`, for a BIOS or for UEFI");
    }
}

fn bios(source: &Source, table: &Table) -> Way {
    let disk = source.whole();
    let Ok(code) = disk.bytes(0, BOOT_CODE) else { return Way::Absent };
    if code.iter().all(|byte| *byte == 0) {
        return Way::Absent;
    }
    let used = |at: u64| disk.bytes(at, 512).is_ok_and(|sector| sector.iter().any(|byte| *byte != 0));
    let grub = code.windows(4).any(|word| word == b"GRUB");
    let reinstall = "run `grub-install` for the target i386-pc on this disk again";
    match (table.scheme, grub) {
        (Scheme::Gpt, true) => match table.partitions.iter().find(|one| one.role == Role::BiosBoot) {
            Some(one) if used(one.start) => {
                Way::Works(format!("GRUB for a BIOS in the boot sector and in the BIOS boot partition {}", one.number))
            }
            Some(one) => Way::Broken {
                seen: format!("GRUB's boot sector is there, but the BIOS boot partition {} is empty", one.number),
                todo: reinstall,
            },
            None => Way::Broken {
                seen: "GRUB's boot sector is there, but no BIOS boot partition, where the rest of it belongs on a GPT \
                       disk"
                    .into(),
                todo: "add a partition of 1 MiB of type 21686148-6449-6E6F-744E-656564454649, and run `grub-install`",
            },
        },
        (Scheme::Mbr, true) if used(512) => Way::Works("GRUB for a BIOS in the boot sector and behind it".into()),
        (Scheme::Mbr, true) => {
            Way::Broken { seen: "GRUB's boot sector is there, but nothing of it behind".into(), todo: reinstall }
        }
        (Scheme::Gpt, false) => Way::Works("boot code for a BIOS, which is not GRUB's".into()),
        (Scheme::Mbr, false) => active(table.partitions.iter().find(|one| one.active), used),
    }
}

/// What is not GRUB goes on in the active partition.
fn active(partition: Option<&Partition>, used: impl Fn(u64) -> bool) -> Way {
    let todo = "mark the partition that holds the boot loader as active, and install it there";
    match partition {
        Some(one) if used(one.start) => {
            Way::Works(format!("boot code for a BIOS, which goes on in the active partition {}", one.number))
        }
        Some(one) => Way::Broken { seen: format!("the active partition {} has no boot sector", one.number), todo },
        None => Way::Broken { seen: "there is boot code, but no partition is active".into(), todo },
    }
}

fn uefi(volumes: &[Volume], report: &mut Report) -> Way {
    let mut system = volumes.iter().filter(|volume| volume.partition.role == Role::Esp);
    let Some(volume) = system.next() else { return Way::Absent };
    let number = volume.partition.number;
    let Some(tree) = volume.tree() else {
        let seen = format!("the EFI system partition {number} has no file system that can be read");
        return Way::Broken { seen, todo: "make a FAT file system there, and install a boot loader for UEFI" };
    };
    if let Some((path, architecture)) = FALLBACK.into_iter().find(|(path, _)| tree.exists(path)) {
        report.facts.architecture.get_or_insert(architecture);
        return Way::Works(format!("{} in the EFI system partition {number}", path.replace('/', "\\")));
    }
    match vendor(tree) {
        Some(path) => Way::Broken {
            seen: format!(
                "the EFI system partition {number} has {path} but no \\EFI\\BOOT\\BOOTX64.EFI: a new instance has no \
                 stored variable that names it"
            ),
            todo: "run `grub-install --removable`, or copy the loader to \\EFI\\BOOT\\BOOTX64.EFI",
        },
        None => Way::Broken {
            seen: format!("the EFI system partition {number} holds no boot loader"),
            todo: "install a boot loader for UEFI: `grub-install --removable`",
        },
    }
}

/// A boot loader in a folder that only stored variables lead to.
fn vendor(tree: &Tree) -> Option<String> {
    tree.list("/EFI").into_iter().filter(|name| !name.eq_ignore_ascii_case("BOOT")).find_map(|folder| {
        let names = tree.list(&format!("/EFI/{folder}"));
        let loader = names.iter().find(|name| name.to_ascii_lowercase().ends_with(".efi"))?;
        Some(format!("\\EFI\\{folder}\\{loader}"))
    })
}
