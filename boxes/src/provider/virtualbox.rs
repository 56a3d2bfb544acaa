//! VirtualBox, without VirtualBox: from disks of another hypervisor, or from an export.

use std::path::{Path, PathBuf};

use super::{Contents, Guest, ProviderError, file, metadata, vagrantfile};
use crate::disk;
use crate::ova;
use crate::ovf::{self, Adapter, Bus, Descriptor, Disk, Os, STREAM_OPTIMIZED, Version};
use crate::pack::{Member, Source};

const PROVIDER: &str = "virtualbox";
const DESCRIPTOR: &str = "box.ovf";
/// What an OVF without sizes would be guessed to be.
const MEMORY_MIB: u64 = 1024;
const CPUS: u32 = 1;

/// An OVF or OVA among `files` is taken as it is; else the machine is made for `disks`.
pub fn virtualbox(files: &[PathBuf], disks: &[PathBuf], guest: &Guest) -> Result<Contents, ProviderError> {
    let ending = |wanted: &str| files.iter().find(|file| file.extension().is_some_and(|ending| ending == wanted));
    match (ending("ovf"), ending("ova")) {
        (Some(descriptor), _) => from_ovf(descriptor, files, guest),
        (None, Some(archive)) => from_ova(archive, guest),
        (None, None) => from_disks(disks, guest),
    }
}

fn contents(guest: &Guest, mac: Option<&str>, mut lines: Vec<String>, members: Vec<Member>) -> Contents {
    if guest.uefi {
        lines.push("vb.customize [\"modifyvm\", :id, \"--firmware\", \"efi\"]".into());
    }
    let mut text = vagrantfile(PROVIDER, "vb", &lines);
    if let Some(mac) = mac {
        // Before the provider's own block, inside of the configuration.
        text = text.replacen('\n', &format!("\n  config.vm.base_mac = \"{mac}\"\n"), 1);
    }
    Contents { metadata: metadata(PROVIDER, guest), vagrantfile: text, members }
}

fn from_ovf(path: &Path, files: &[PathBuf], guest: &Guest) -> Result<Contents, ProviderError> {
    let failed = |source| disk::DiskError::Read { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let descriptor = ovf::parse(&bytes)?;
    let mut members = vec![Member { name: DESCRIPTOR.into(), source: Source::Bytes(bytes) }];
    for wanted in &descriptor.files {
        let found = files.iter().find(|file| file.file_name().is_some_and(|name| name == wanted.href.as_str()));
        let found = found.ok_or_else(|| ProviderError::MissingFile { name: wanted.href.clone() })?;
        members.push(file(&wanted.href, found));
    }
    Ok(contents(guest, descriptor.base_mac(), vec![], members))
}

/// The members of the archive, out of it as they stand in it.
fn from_ova(path: &Path, guest: &Guest) -> Result<Contents, ProviderError> {
    let archive = ova::open(path)?;
    let mut members = Vec::new();
    for member in &archive.members {
        let name = match member.name.as_str() {
            name if name == archive.descriptor_name => DESCRIPTOR,
            // It names the descriptor by its old name, and the box has a checksum of its own.
            name if name.ends_with(".mf") || name.ends_with(".cert") => continue,
            name => name,
        };
        let source = Source::Part { path: path.to_owned(), offset: member.offset, size: member.size };
        members.push(Member { name: name.into(), source });
    }
    Ok(contents(guest, archive.descriptor.base_mac(), vec![], members))
}

fn from_disks(disks: &[PathBuf], guest: &Guest) -> Result<Contents, ProviderError> {
    if disks.is_empty() {
        return Err(ProviderError::NoDisk { provider: PROVIDER });
    }
    let name = disks[0].file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let descriptor = machine(&name, "box", disks, guest)?;
    let vmdks = descriptor.files.iter().zip(disks);
    let vmdks: Vec<Member> =
        vmdks.map(|(file, path)| Member { name: file.href.clone(), source: Source::Vmdk(path.clone()) }).collect();
    let xml = ovf::to_xml(&descriptor).map_err(|error| ovf::OvfError::Xml(error.to_string()))?;
    let mut members = vec![Member { name: DESCRIPTOR.into(), source: Source::Bytes(xml) }];
    members.extend(vmdks);
    // No descriptor can ask for this card in words that every VirtualBox knows.
    let lines = if guest.virtio_net { vec!["vb.default_nic_type = \"virtio\"".to_owned()] } else { vec![] };
    Ok(contents(guest, descriptor.base_mac(), lines, members))
}

/// A machine for these disks, whose files are called `FILES-disk001.vmdk` and so on.
pub fn machine(name: &str, files: &str, disks: &[PathBuf], guest: &Guest) -> Result<Descriptor, ProviderError> {
    let mut descriptor = descriptor(name, guest);
    for (index, path) in disks.iter().enumerate() {
        let number = index + 1;
        let href = format!("{files}-disk{number:03}.vmdk");
        descriptor.files.push(ovf::File { id: format!("file{number}"), href, size: None });
        descriptor.disks.push(Disk {
            id: format!("vmdisk{number}"),
            capacity: disk::open(path)?.size(),
            file: Some(format!("file{number}")),
            format: STREAM_OPTIMIZED.into(),
            bus: Some(if guest.sata { Bus::Sata } else { Bus::Ide }),
        });
    }
    Ok(descriptor)
}

fn descriptor(name: &str, guest: &Guest) -> Descriptor {
    let (cim, word) = match guest.architecture.as_str() {
        "i386" => (36, "Linux"),
        "arm64" => (101, "Linux_arm64"),
        _ => (101, "Linux_64"),
    };
    // VirtualBox's own prefix, then what tells this box from others and is the same in every build of it.
    let mac = format!("080027{:06X}", libdeflater::crc32(name.as_bytes()) & 0xff_ffff);
    Descriptor {
        version: Version::V1,
        name: name.to_owned(),
        os: Os { cim, virtualbox: Some(word.into()) },
        cpus: guest.cpus.unwrap_or(CPUS),
        memory_mib: guest.memory_mib.unwrap_or(MEMORY_MIB),
        disks: Vec::new(),
        adapters: vec![Adapter { model: "E1000".into(), mac: Some(mac) }],
        files: Vec::new(),
    }
}
