//! UEFI firmware, found through the descriptors that distributions install for it: JSON files
//! whose names order them, where a file in a more local folder overrides one of the same name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result};
use serde::Deserialize;

use crate::options::Format;

/// A firmware with the template of its variable store.
#[derive(Clone, Debug, PartialEq)]
pub struct Uefi {
    pub code: PathBuf,
    pub code_format: Format,
    pub vars: Option<(PathBuf, Format)>,
    pub smm: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Descriptor {
    interface_types: Vec<String>,
    mapping: Mapping,
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
enum Mapping {
    #[serde(rename_all = "kebab-case")]
    Flash {
        executable: Image,
        nvram_template: Option<Image>,
        #[serde(default)]
        mode: Option<String>,
    },
    /// Not a flash device: nothing we could give a variable store.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Image {
    filename: PathBuf,
    format: String,
}

#[derive(Debug, Deserialize)]
struct Target {
    architecture: String,
    machines: Vec<String>,
}

/// What the machine asks of its firmware.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub architecture: &'a str,
    pub machine_type: &'a str,
    pub secure_boot: bool,
}

/// The folders that may hold descriptors, the most local last.
pub fn folders(home: Option<&Path>, config_home: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/share/qemu/firmware"), PathBuf::from("/etc/qemu/firmware")];
    let user = config_home.map(Path::to_owned).or_else(|| home.map(|home| home.join(".config")));
    folders.extend(user.map(|user| user.join("qemu/firmware")));
    folders
}

/// The first described firmware that fits and is there. One that needs system management mode comes
/// last: it is slower, and guards nothing where secure boot is off.
pub fn find(folders: &[PathBuf], wanted: Wanted<'_>) -> Result<Uefi> {
    let fits = descriptors(folders).into_iter().filter_map(|path| {
        let descriptor: Descriptor = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        uefi(descriptor, wanted)
    });
    let mut fits: Vec<Uefi> = fits.filter(installed).collect();
    if fits.is_empty() {
        let secure = if wanted.secure_boot { " with secure boot and enrolled keys" } else { "" };
        let Wanted { architecture, machine_type, .. } = wanted;
        let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let error =
            format!("no UEFI firmware{secure} for {architecture} and machine type `{machine_type}` is installed");
        let package = if architecture == "aarch64" { "qemu-efi-aarch64" } else { "ovmf" };
        return Err(Error::new(Kind::Missing, error)
            .context(format!("looking at the firmware descriptors in {}", places.join(", ")))
            .hint(format!(
                "install the package `{package}`, or name the files with efi_firmware_code and efi_firmware_vars"
            )));
    }
    fits.sort_by_key(|uefi| uefi.smm);
    Ok(fits.swap_remove(0))
}

/// File names in their order; an empty file hides its namesakes.
fn descriptors(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut by_name: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "json") {
            by_name.insert(entry.file_name(), entry.path());
        }
    }
    by_name.into_values().filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 0)).collect()
}

fn uefi(descriptor: Descriptor, wanted: Wanted<'_>) -> Option<Uefi> {
    let has = |feature: &str| descriptor.features.iter().any(|known| known == feature);
    let target = |target: &Target| {
        target.architecture == wanted.architecture
            && target.machines.iter().any(|pattern| matches(pattern, wanted.machine_type))
    };
    let smm = has("requires-smm");
    let fits = descriptor.interface_types.iter().any(|kind| kind == "uefi")
        && descriptor.targets.iter().any(target)
        && wanted.secure_boot == (has("secure-boot") && has("enrolled-keys"))
        && (!smm || has_smm(wanted.machine_type));
    let Mapping::Flash { executable, nvram_template, mode } = descriptor.mapping else { return None };
    if !fits || mode.as_deref() == Some("combined") {
        return None;
    }
    let vars = match nvram_template {
        Some(image) => Some((image.filename, format(&image.format)?)),
        None => None,
    };
    Some(Uefi { code: executable.filename, code_format: format(&executable.format)?, vars, smm })
}

fn format(word: &str) -> Option<Format> {
    match word {
        "raw" => Some(Format::Raw),
        "qcow2" => Some(Format::Qcow2),
        _ => None,
    }
}

fn installed(uefi: &Uefi) -> bool {
    uefi.code.is_file() && uefi.vars.as_ref().is_none_or(|(path, _)| path.is_file())
}

/// Only q35 has system management mode with guarded flash.
pub fn has_smm(machine_type: &str) -> bool {
    machine_type == "q35" || machine_type.starts_with("pc-q35")
}

/// Descriptors name versioned machine types with a `*` at the end: `pc-i440fx-*` is also `pc`.
fn matches(pattern: &str, machine_type: &str) -> bool {
    let full = match machine_type {
        "pc" => "pc-i440fx-any",
        "q35" => "pc-q35-any",
        "virt" => "virt-any",
        other => other,
    };
    match pattern.strip_suffix('*') {
        Some(prefix) => full.starts_with(prefix),
        None => pattern == full || pattern == machine_type,
    }
}

/// The format of a file that the template names: qcow2 has a magic number, all else is raw.
pub fn sniff(path: &Path) -> Format {
    use std::io::Read;
    let mut magic = [0u8; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && &magic == b"QFI\xfb" { Format::Qcow2 } else { Format::Raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { architecture: "x86_64", machine_type: "q35", secure_boot: false };

    /// A folder of descriptors and the firmware files they name.
    struct Shelf(tempfile::TempDir);

    impl Shelf {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn folder(&self, name: &str) -> PathBuf {
            let folder = self.0.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        }

        fn describe(&self, folder: &str, name: &str, machine: &str, features: &[&str]) -> PathBuf {
            let code = self.0.path().join(format!("{folder}-{name}.fd"));
            std::fs::write(&code, "code").unwrap();
            let image = serde_json::json!({ "filename": code, "format": "raw" });
            let descriptor = serde_json::json!({
                "description": name, "interface-types": ["uefi"], "features": features, "tags": [],
                "mapping": { "device": "flash", "executable": image, "nvram-template": image },
                "targets": [{ "architecture": "x86_64", "machines": [machine] }],
            });
            std::fs::write(self.folder(folder).join(name), descriptor.to_string()).unwrap();
            code
        }
    }

    #[test]
    fn names_order_descriptors_and_local_folders_override() {
        let shelf = Shelf::new();
        let folders = [shelf.folder("share"), shelf.folder("etc")];
        shelf.describe("share", "60-plain.json", "pc-q35-*", &[]);
        shelf.describe("share", "50-first.json", "pc-q35-*", &[]);
        let local = shelf.describe("etc", "50-first.json", "pc-q35-*", &[]);
        assert_eq!(find(&folders, WANTED).unwrap().code, local);
        std::fs::write(folders[1].join("50-first.json"), "").unwrap();
        assert!(find(&folders, WANTED).unwrap().code.ends_with("share-60-plain.json.fd"));
    }

    #[test]
    fn secure_boot_takes_enrolled_keys_and_guarded_flash_and_is_for_q35_only() {
        let shelf = Shelf::new();
        let folders = [shelf.folder("share")];
        shelf.describe("share", "50-no-keys.json", "pc-q35-*", &["secure-boot", "requires-smm"]);
        let enrolled = ["secure-boot", "requires-smm", "enrolled-keys"];
        let code = shelf.describe("share", "60-keys.json", "pc-*", &enrolled);
        let uefi = find(&folders, Wanted { secure_boot: true, ..WANTED }).unwrap();
        assert_eq!((uefi.code, uefi.smm), (code, true));
        let error = find(&folders, Wanted { secure_boot: true, machine_type: "pc", ..WANTED }).unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
    }

    #[test]
    fn missing_files_and_foreign_machines_do_not_count() {
        let shelf = Shelf::new();
        let folders = [shelf.folder("share")];
        shelf.describe("share", "50-i440fx.json", "pc-i440fx-*", &[]);
        let gone = shelf.describe("share", "60-gone.json", "pc-q35-*", &[]);
        std::fs::remove_file(gone).unwrap();
        assert!(find(&folders, WANTED).is_err());
        assert!(find(&folders, Wanted { machine_type: "pc", ..WANTED }).is_ok());
        assert!(find(&folders, Wanted { machine_type: "pc-i440fx-9.2", ..WANTED }).is_ok());
    }
}
