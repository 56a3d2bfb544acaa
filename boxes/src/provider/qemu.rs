//! The vagrant-qemu plugin: one qcow2 disk and the machine it needs.

use std::path::PathBuf;

use serde_json::json;

use super::{Contents, Guest, ProviderError, file, gib, metadata, qemu_architecture, vagrantfile};

const PROVIDER: &str = "qemu";

pub fn qemu(disks: &[PathBuf], guest: &Guest) -> Result<Contents, ProviderError> {
    let disk = match disks {
        [] => return Err(ProviderError::NoDisk { provider: PROVIDER }),
        [disk] => disk,
        _ => return Err(ProviderError::OneDisk { provider: PROVIDER, count: disks.len() }),
    };
    let size = gib(PROVIDER, disk)?;
    let mut metadata = metadata(PROVIDER, guest);
    metadata.insert("format".into(), json!("qcow2"));
    metadata.insert("virtual_size".into(), json!(size));
    // The plugin's own default is a machine of the ARM architecture.
    let mut lines = Vec::new();
    if !guest.architecture.is_empty() {
        lines.push(format!("qe.arch = {:?}", qemu_architecture(&guest.architecture)));
    }
    if matches!(guest.architecture.as_str(), "amd64" | "i386") {
        lines.push("qe.machine = \"q35\"".into());
        lines.push("qe.cpu = \"max\"".into());
        lines.push("qe.net_device = \"virtio-net-pci\"".into());
    }
    Ok(Contents { metadata, vagrantfile: vagrantfile(PROVIDER, "qe", &lines), members: vec![file("box.img", disk)] })
}
