//! The order of the examination: each step knows what those before it found.

use super::boot_config::{self, Entry};
use super::drivers::{self, Known};
use super::source::Source;
use super::table::{self, Found, Scheme, Table};
use super::tree::Tree;
use super::volume::{self, Holds, Volume};
use super::{Architecture, Report, boot_loader, kernel, network, root, system};

/// A hundred times what distributions make.
const MAX_INITRAMFS: u64 = 512 << 20;

pub fn run(source: &Source, report: &mut Report) {
    report.facts.size = source.size();
    if let Some(table) = partition_table(source, report) {
        let volumes: Vec<Volume> = table.partitions.iter().map(|one| volume::look(source, one)).collect();
        boot_loader::check(source, &table, &volumes, report);
        unread(&volumes, report);
        system(&volumes, report);
    }
    if let Some(failure) = source.failure() {
        report.fail("disk", format!("the disk could not be read as a whole: {failure}"), "get the disk again");
    }
}

fn partition_table(source: &Source, report: &mut Report) -> Option<Table> {
    const CHECK: &str = "partition-table";
    const AGAIN: &str = "make the disk again with a partition table and a boot loader";
    let table = match table::read(source) {
        Ok(Found::Table(table)) => table,
        Ok(Found::LargeSectors) => {
            report.fail(CHECK, "the GPT is for sectors of 4096 bytes, and EC2's disks have 512", AGAIN);
            return None;
        }
        Ok(Found::Damaged) => {
            let todo = "repair it: `sgdisk --verify` says more, `gdisk` rebuilds it";
            report.fail(CHECK, "the disk is marked as GPT, and both copies of that table are damaged", todo);
            return None;
        }
        Ok(Found::None) => {
            report.fail(CHECK, "there is no partition table", AGAIN);
            return None;
        }
        Err(error) => {
            report.fail(CHECK, format!("it cannot be read: {error}"), "get the disk again");
            return None;
        }
    };
    let name = if table.scheme == Scheme::Gpt { "GPT" } else { "MBR" };
    let count = table.partitions.len();
    let beyond = |one: &&table::Partition| one.start.saturating_add(one.size) > source.size();
    match table.partitions.iter().find(beyond) {
        Some(one) => report.fail(
            CHECK,
            format!("partition {} ends beyond the end of the disk: the disk is cut short", one.number),
            "get the disk again, whole",
        ),
        None if table.backup => report.warn(
            CHECK,
            "the first copy of the GPT is damaged, the second one is whole",
            "repair it: `sgdisk --load-backup` or `gdisk`",
        ),
        None if table.ends > source.size() => report.warn(
            CHECK,
            "the partition table is for a larger disk: the end of this one is missing",
            "get the disk again, whole",
        ),
        None if count == 0 => report.fail(CHECK, format!("the {name} has no partitions"), AGAIN),
        None => report.ok(CHECK, format!("{name} with {count} partition{}", if count == 1 { "" } else { "s" })),
    }
    Some(table)
}

/// One finding for each part that is a closed book; nothing else is said of it.
fn unread(volumes: &[Volume], report: &mut Report) {
    for volume in volumes {
        if let Holds::Unread { what, why } = &volume.holds {
            let seen = format!("partition {} is {what} and was not looked into: {why}", volume.partition.number);
            report.warn("file-system", seen, "boot it with `bakehouse run` to see what is in there");
        }
    }
}

fn system(volumes: &[Volume], report: &mut Report) {
    let trees: Vec<&Tree> = volumes.iter().filter_map(Volume::tree).collect();
    let root = trees.iter().copied().find(|tree| matches!(tree, Tree::Ext(_)) && system::is_root(tree));
    let entry = trees.iter().find_map(|tree| boot_config::configured(tree));
    let entry = entry.or_else(|| trees.iter().find_map(|tree| boot_config::newest(tree)));
    let closed = volumes.iter().any(|volume| matches!(volume.holds, Holds::Unread { .. }));
    match &entry {
        Some(entry) => boot_entry(entry, &trees, volumes, report),
        None if !closed => report.fail(
            "kernel",
            "no kernel was found, neither by a boot loader's configuration nor in /boot",
            "install a kernel; a disk for data only is no AMI",
        ),
        None => {}
    }
    if let Some(root) = root {
        report.facts.system = system::name(root);
        report.facts.login = system::login(root);
        let programs = system::architecture(root);
        report.facts.architecture = report.facts.architecture.or(programs);
        if let Some(fstab) = root.text("/etc/fstab") {
            root::check_fstab(&fstab, volumes, report);
        }
        system::check(root, report);
        network::check(root, entry.as_ref(), system::has_cloud_init(root), report);
    }
    architecture(root.is_some(), report);
}

/// What the boot loader starts: kernel, initramfs, arguments.
fn boot_entry(entry: &Entry, trees: &[&Tree], volumes: &[Volume], report: &mut Report) {
    let Some((tree, path)) = locate(trees, &entry.kernel) else {
        let from = entry.from.as_deref().unwrap_or("the boot loader");
        let seen = format!("{from} starts {}, which is on none of the file systems that can be read", entry.kernel);
        return report.fail("kernel", seen, "run `update-grub` or what the boot loader has for it");
    };
    let image = tree.head(&path, kernel::HEAD).and_then(|head| kernel::image(&head));
    let Some(image) = image else {
        let seen = format!("{path} is no kernel image that is known here");
        return report.warn("kernel", seen, "check what the boot loader starts");
    };
    let by_name = || path.rsplit('/').next()?.strip_prefix("vmlinuz-").map(str::to_owned);
    let version = image.version.clone().or_else(by_name);
    // The kernel decides, whatever else a boot loader's name hinted at.
    report.facts.architecture = image.architecture.or(report.facts.architecture);
    report.ok("kernel", format!("{path}, version {}", version.as_deref().unwrap_or("unknown")));
    let initramfs = match &entry.initramfs {
        Some(path) => match locate(trees, path).and_then(|(tree, path)| tree.read(&path, MAX_INITRAMFS)) {
            Some(bytes) => Some(bytes),
            None => {
                let todo = "make it again: `update-initramfs -u` or `dracut --force`";
                return report.fail("initramfs", format!("{path} is not there, or cannot be read"), todo);
            }
        },
        None => None,
    };
    let known = Known::gather(version.as_deref(), initramfs.as_deref(), trees);
    drivers::check(&known, image.architecture, report);
    root::check_argument(entry, volumes, report);
    console(entry, report);
}

/// Paths of a boot loader count from the top of whichever file system it has chosen.
fn locate<'a>(trees: &[&'a Tree], path: &str) -> Option<(&'a Tree, String)> {
    let short = path.strip_prefix("/boot").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let paths = [path.to_owned(), short.to_owned(), format!("/boot{path}")];
    paths.iter().find_map(|path| {
        let tree = trees.iter().copied().find(|tree| tree.exists(path))?;
        Some((tree, tree.resolved(path)))
    })
}

fn console(entry: &Entry, report: &mut Report) {
    const CHECK: &str = "serial-console";
    if entry.arguments.is_none() {
        return; // told where the root is missing
    }
    if entry.values("console").any(|value| value.starts_with("ttyS0")) {
        return report.ok(CHECK, "the kernel talks on ttyS0, which is EC2's console output");
    }
    let todo =
        "add `console=tty0 console=ttyS0,115200` to GRUB_CMDLINE_LINUX in /etc/default/grub, and run `update-grub`";
    report.warn(CHECK, "the kernel does not talk on ttyS0: EC2's console output stays empty", todo);
}

fn architecture(root: bool, report: &mut Report) {
    const CHECK: &str = "architecture";
    match report.facts.architecture {
        Some(known @ (Architecture::X86_64 | Architecture::Arm64)) => report.ok(CHECK, known.as_str()),
        Some(Architecture::I386) => report.fail(
            CHECK,
            "the kernel is for 32-bit x86, which no instance type of today runs",
            "install a 64-bit kernel",
        ),
        None if root => report.warn(CHECK, "it could not be told", "name it when you register the image"),
        None => {}
    }
}
