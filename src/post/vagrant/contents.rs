//! From an artifact to what its box holds.

use std::path::{Path, PathBuf};

use bakehouse_api::{Artifact, Error, Kind, Result};
use bakehouse_boxes::disk::{self, Format};
use bakehouse_boxes::pack::{Contents, Member, Source};
use bakehouse_boxes::provider::{self, Guest};

use super::super::reading::unreadable;

/// The providers that boxes are made for.
pub const PROVIDERS: &[&str] = &["libvirt", "qemu", "virtualbox", "aws"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Libvirt,
    Qemu,
    Virtualbox,
    Aws,
}

impl Provider {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "libvirt" => Some(Self::Libvirt),
            "qemu" => Some(Self::Qemu),
            "virtualbox" => Some(Self::Virtualbox),
            "aws" => Some(Self::Aws),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt",
            Self::Qemu => "qemu",
            Self::Virtualbox => "virtualbox",
            Self::Aws => "aws",
        }
    }

    /// What it packs is not on this machine, and stays when there is a box of it.
    pub fn is_remote(self) -> bool {
        self == Self::Aws
    }

    /// The provider that was asked for, or the one the artifact's maker is for.
    pub fn of(artifact: &Artifact, asked: Option<&str>) -> Result<Self> {
        if let Some(provider) = asked.and_then(Self::named) {
            return Ok(provider);
        }
        match artifact.builder_id.as_str() {
            "transcend.qemu" => Ok(Self::Libvirt),
            "mitchellh.virtualbox" => Ok(Self::Virtualbox),
            id if id.starts_with("mitchellh.amazon") => Ok(Self::Aws),
            id => Err(Error::new(Kind::Config, format!("no Vagrant provider is known for an artifact of `{id}`"))
                .hint(format!("name one: provider_override = {}", PROVIDERS.join(" | ")))),
        }
    }

    pub fn contents(self, artifact: &Artifact, guest: &Guest) -> Result<Contents> {
        let made = match self {
            Self::Libvirt => provider::libvirt(&disks(artifact)?, guest),
            Self::Qemu => provider::qemu(&disks(artifact)?, guest),
            Self::Virtualbox => provider::virtualbox(&artifact.files, &disks(artifact)?, guest),
            Self::Aws => provider::aws(&artifact.id, guest),
        };
        made.map_err(|error| Error::from(error).context(format!("a box for {}", self.name())))
    }
}

pub fn guest(artifact: &Artifact, architecture: Option<&str>) -> Guest {
    let fact = |name: &str| artifact.facts.get(name).map(String::as_str).unwrap_or_default();
    let architecture = architecture.filter(|word| !word.is_empty()).unwrap_or(fact("architecture"));
    Guest {
        architecture: provider::architecture(architecture).to_owned(),
        uefi: fact("firmware") == "uefi",
        cpus: fact("cpus").parse().ok(),
        memory_mib: fact("memory").parse().ok(),
        sata: fact("disk_interface") == "sata",
        virtio_net: fact("net_device").starts_with("virtio"),
    }
}

/// The disks among the files: those that the builder names, or every qcow2 where nobody names any.
fn disks(artifact: &Artifact) -> Result<Vec<PathBuf>> {
    if let Some(name) = artifact.facts.get("disk_name") {
        let numbered = |file: &str| {
            let rest = file.strip_prefix(name.as_str())?;
            let number = rest.strip_prefix('-').filter(|rest| rest.chars().all(|c| c.is_ascii_digit()));
            if rest.is_empty() { Some(0) } else { number?.parse::<u32>().ok() }
        };
        let order = |path: &PathBuf| Some((numbered(path.file_name()?.to_str()?)?, path.clone()));
        let mut found: Vec<_> = artifact.files.iter().filter_map(order).collect();
        found.sort();
        return Ok(found.into_iter().map(|(_, path)| path).collect());
    }
    let mut found = Vec::new();
    for path in &artifact.files {
        if disk::format(path)? == Format::Qcow2 {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// What the template adds to every box.
pub fn add(contents: &mut Contents, include: &[PathBuf], vagrantfile: Option<&Path>) -> Result<()> {
    for path in include {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        contents.members.push(Member { name, source: Source::File(path.clone()) });
    }
    if let Some(path) = vagrantfile {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        contents.vagrantfile += &format!("\n# From the template:\n{text}");
    }
    Ok(())
}
