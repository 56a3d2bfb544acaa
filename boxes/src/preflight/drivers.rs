//! Which drivers the kernel has when it looks for its root, and which afterwards.

use std::collections::BTreeSet;

use super::initramfs::{self, Contents, InitramfsError, module};
use super::tree::{TEXT, Tree};
use super::{Architecture, Report};

struct Driver {
    check: &'static str,
    module: &'static str,
    option: &'static str,
    /// Without it the root is not found.
    root: bool,
    /// EC2 needs it; else only machines at home do.
    ec2: bool,
    what: &'static str,
}

const DRIVERS: [Driver; 4] = [
    Driver {
        check: "driver-nvme",
        module: "nvme",
        option: "CONFIG_BLK_DEV_NVME",
        root: true,
        ec2: true,
        what: "NVMe, behind which EC2's instances of the Nitro system have their root disk",
    },
    Driver {
        check: "driver-ena",
        module: "ena",
        option: "CONFIG_ENA_ETHERNET",
        root: false,
        ec2: true,
        what: "ENA, the network card of EC2's instances of the Nitro system",
    },
    Driver {
        check: "driver-virtio-blk",
        module: "virtio_blk",
        option: "CONFIG_VIRTIO_BLK",
        root: true,
        ec2: false,
        what: "virtio disks, by which it boots on this machine",
    },
    Driver {
        check: "driver-virtio-net",
        module: "virtio_net",
        option: "CONFIG_VIRTIO_NET",
        root: false,
        ec2: false,
        what: "virtio network cards, by which it is reached on this machine",
    },
];

/// Everything that tells of a kernel's drivers; what could not be read is none.
#[derive(Default)]
pub struct Known {
    pub version: Option<String>,
    pub builtin: Option<BTreeSet<String>>,
    pub config: Option<String>,
    /// None: it boots without one.
    pub initramfs: Option<Result<Contents, InitramfsError>>,
    /// Modules of the root file system.
    pub modules: Option<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BuiltIn,
    Initramfs,
    Root,
    Nowhere,
    Unknown,
}

impl Known {
    /// What the file systems tell of the kernel of this version.
    pub fn gather(version: Option<&str>, initramfs: Option<&[u8]>, trees: &[&Tree]) -> Self {
        let lists = |name: &str| {
            let folder = |tree: &&Tree| modules_folder(tree, version);
            let found = trees.iter().find_map(|tree| tree.read(&format!("{}/{name}", folder(tree)?), TEXT))?;
            let lines = String::from_utf8_lossy(&found).into_owned();
            Some(lines.lines().filter_map(|line| module(line.split(':').next()?)).collect())
        };
        let config = version.and_then(|version| {
            let paths = ["/boot/config-", "/config-"].map(|path| format!("{path}{version}"));
            trees.iter().find_map(|tree| paths.iter().find_map(|path| tree.text(path)))
        });
        let initramfs = initramfs.map(initramfs::read);
        let listed = initramfs.as_ref().and_then(|read| Some(read.as_ref().ok()?.builtin.clone()));
        Self {
            version: version.map(str::to_owned),
            builtin: lists("modules.builtin").or(listed.filter(|list| !list.is_empty())),
            config,
            modules: lists("modules.dep"),
            initramfs,
        }
    }

    fn place(&self, driver: &Driver) -> Place {
        let has = |set: &Option<BTreeSet<String>>| set.as_ref().is_some_and(|set| set.contains(driver.module));
        let in_config = self.config.as_ref().map(|text| {
            text.lines().find_map(|line| line.strip_prefix(driver.option)?.strip_prefix('=')).unwrap_or("n")
        });
        if has(&self.builtin) || in_config == Some("y") {
            return Place::BuiltIn;
        }
        match &self.initramfs {
            Some(Ok(contents)) if contents.modules.contains(driver.module) => return Place::Initramfs,
            Some(Err(_)) if driver.root => return Place::Unknown,
            _ => {}
        }
        let built_in_unknown = self.builtin.is_none() && in_config.is_none();
        match (&self.modules, in_config) {
            _ if has(&self.modules) => Place::Root,
            (None, Some("m")) => Place::Root,
            _ if driver.root && !built_in_unknown => Place::Nowhere,
            (Some(_), _) if !built_in_unknown => Place::Nowhere,
            (_, Some("n")) => Place::Nowhere,
            _ => Place::Unknown,
        }
    }
}

fn modules_folder(tree: &Tree, version: Option<&str>) -> Option<String> {
    let version = match version {
        Some(version) => version.to_owned(),
        // One kernel is no question.
        None => match tree.list("/lib/modules").as_slice() {
            [only] => only.clone(),
            _ => return None,
        },
    };
    Some(format!("/lib/modules/{version}"))
}

pub fn check(known: &Known, architecture: Option<Architecture>, report: &mut Report) {
    if let Some(Err(error)) = &known.initramfs {
        let todo = "make it again: `update-initramfs -u` or `dracut --force`";
        match error {
            InitramfsError::Compression(_) => {
                report.warn("initramfs", format!("its drivers are not known: {error}"), todo)
            }
            _ => report.fail("initramfs", format!("the initramfs cannot be unpacked: {error}"), todo),
        }
    }
    for driver in &DRIVERS {
        if driver.check == "driver-ena" && architecture == Some(Architecture::I386) {
            continue; // no instance type with that card runs it
        }
        judge(driver, known.place(driver), known, report);
    }
}

fn judge(driver: &Driver, place: Place, known: &Known, report: &mut Report) {
    let Driver { check, module, what, .. } = driver;
    if *module == "ena" && place != Place::Unknown {
        report.facts.ena = Some(place != Place::Nowhere);
    }
    let version = known.version.as_deref().unwrap_or("of unknown version");
    let lacking = match place {
        Place::BuiltIn => return report.ok(check, format!("the kernel has `{module}` built in")),
        Place::Initramfs => return report.ok(check, format!("`{module}` is in the initramfs")),
        Place::Root if !driver.root => return report.ok(check, format!("the kernel has the module `{module}`")),
        Place::Root if known.initramfs.is_none() => {
            format!("`{module}` is a module, and there is no initramfs to load it")
        }
        Place::Root => format!("`{module}` is a module, and not in the initramfs"),
        Place::Nowhere => format!("the kernel {version} has no driver `{module}`"),
        Place::Unknown => {
            let seen = format!("whether the kernel has `{module}` could not be read: {what}");
            return report.warn(
                check,
                seen,
                "look into the guest: `lsinitramfs` or `lsinitrd`, and its /boot/config-*",
            );
        }
    };
    let todo = match (place, driver.root) {
        (Place::Root, _) => format!(
            "put it into the initramfs: a line `{module}` in /etc/initramfs-tools/modules and `update-initramfs -u`, or \
             `dracut --force --add-drivers {module}`"
        ),
        (_, true) => {
            format!("use a kernel and an initramfs with `{module}`: the distribution's kernel for clouds has it")
        }
        (_, false) => format!("use a kernel with `{module}`: the distribution's kernel for clouds has it"),
    };
    let seen = format!("{lacking}: {what}");
    if driver.ec2 { report.fail(check, seen, todo) } else { report.warn(check, seen, todo) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Option<BTreeSet<String>> {
        Some(names.iter().map(|name| name.to_string()).collect())
    }

    fn places(known: &Known) -> Vec<Place> {
        DRIVERS[..2].iter().map(|driver| known.place(driver)).collect()
    }

    fn unpacked(names: &[&str]) -> Option<Result<Contents, InitramfsError>> {
        Some(Ok(Contents { modules: set(names).unwrap_or_default(), ..Contents::default() }))
    }

    #[test]
    fn a_driver_of_the_root_must_be_built_in_or_in_the_initramfs() {
        let known = Known { builtin: set(&["nvme"]), modules: set(&["ena"]), ..Known::default() };
        assert_eq!(places(&known), [Place::BuiltIn, Place::Root]);
        let known = Known { builtin: set(&[]), modules: set(&["nvme"]), initramfs: unpacked(&["ext4"]), ..known };
        assert_eq!(places(&known), [Place::Root, Place::Nowhere]);
        let known = Known { initramfs: unpacked(&["nvme", "ena"]), ..Known::default() };
        assert_eq!(places(&known), [Place::Initramfs, Place::Initramfs]);
    }

    #[test]
    fn a_configuration_stands_in_where_the_root_cannot_be_read() {
        let config = Some("CONFIG_BLK_DEV_NVME=y\nCONFIG_ENA_ETHERNET=m\n".to_owned());
        assert_eq!(places(&Known { config, ..Known::default() }), [Place::BuiltIn, Place::Root]);
        let config = Some("# CONFIG_ENA_ETHERNET is not set\nCONFIG_BLK_DEV_NVME=m\n".to_owned());
        let known = Known { config, initramfs: unpacked(&["nvme"]), ..Known::default() };
        assert_eq!(places(&known), [Place::Initramfs, Place::Nowhere]);
    }

    #[test]
    fn nothing_is_claimed_of_what_could_not_be_read() {
        assert_eq!(places(&Known::default()), [Place::Unknown, Place::Unknown]);
        let unreadable = Some(Err(InitramfsError::Compression("bzip2")));
        let known =
            Known { builtin: set(&[]), modules: set(&["nvme", "ena"]), initramfs: unreadable, ..Known::default() };
        assert_eq!(places(&known), [Place::Unknown, Place::Root]);
    }
}
