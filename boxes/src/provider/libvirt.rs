//! libvirt: qcow2 disks, in the form that every vagrant-libvirt knows where there is one disk only.

use std::path::PathBuf;

use serde_json::json;

use super::{Contents, Guest, ProviderError, file, gib, metadata, qemu_architecture, vagrantfile};

const PROVIDER: &str = "libvirt";
/// Where distributions keep UEFI for a PC: the variables of a guest are no part of a box.
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_CODE.fd \
                        /usr/share/edk2/x64/OVMF_CODE.4m.fd /usr/share/edk2/ovmf/OVMF_CODE.fd";
const FIRMWARE_ARM: &str = "/usr/share/AAVMF/AAVMF_CODE.fd /usr/share/edk2/aarch64/QEMU_EFI-pflash.raw";

pub fn libvirt(disks: &[PathBuf], guest: &Guest) -> Result<Contents, ProviderError> {
    let first = disks.first().ok_or(ProviderError::NoDisk { provider: PROVIDER })?;
    let size = gib(PROVIDER, first)?;
    let mut metadata = metadata(PROVIDER, guest);
    let mut members = Vec::new();
    let mut listed = Vec::new();
    for (index, path) in disks.iter().enumerate() {
        gib(PROVIDER, path)?;
        let name = if disks.len() == 1 { "box.img".to_owned() } else { format!("box_{}.img", index + 1) };
        listed.push(json!({"path": name, "format": "qcow2"}));
        members.push(file(&name, path));
    }
    if disks.len() == 1 {
        metadata.insert("format".into(), json!("qcow2"));
        metadata.insert("virtual_size".into(), json!(size));
    }
    metadata.insert("disks".into(), json!(listed));
    Ok(Contents { metadata, vagrantfile: vagrantfile(PROVIDER, "libvirt", &lines(guest)), members })
}

/// A box is run on other machines than it was built on: whether KVM can be had is theirs to say.
fn lines(guest: &Guest) -> Vec<String> {
    let mut lines = Vec::new();
    let foreign = !matches!(guest.architecture.as_str(), "" | "amd64" | "i386");
    let lacks_kvm = match foreign {
        false => r#"!(File.exist?("/dev/kvm") && File.read("/proc/cpuinfo").match?(/\b(vmx|svm)\b/))"#.to_owned(),
        true => format!("!(File.exist?(\"/dev/kvm\") && RUBY_PLATFORM.start_with?({:?}))", qemu(guest)),
    };
    lines.push("# Emulated where this machine cannot run it by KVM.".into());
    lines.push(format!("if File.exist?(\"/proc/cpuinfo\") && {lacks_kvm}"));
    lines.push("  libvirt.driver = \"qemu\"".into());
    lines.push("else".into());
    lines.push("  libvirt.driver = \"kvm\"".into());
    lines.push("end".into());
    if foreign {
        lines.push(format!("libvirt.machine_arch = {:?}", qemu(guest)));
        lines.push("libvirt.machine_type = \"virt\"".into());
    }
    if guest.uefi {
        let paths = if foreign { FIRMWARE_ARM } else { FIRMWARE };
        lines.push(format!("loader = %w[{paths}].find {{ |path| File.exist?(path) }}"));
        lines.push("libvirt.loader = loader if loader".into());
    }
    lines
}

fn qemu(guest: &Guest) -> &str {
    qemu_architecture(&guest.architecture)
}
