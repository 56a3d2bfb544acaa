//! What a box of each Vagrant provider holds.

mod aws;
mod libvirt;
mod qemu;
mod virtualbox;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use aws::aws;
pub use libvirt::libvirt;
pub use qemu::qemu;
pub use virtualbox::{machine, virtualbox};

use crate::disk::{self, DiskError, Format};
use crate::ova::OvaError;
use crate::ovf::OvfError;
use crate::pack::{Contents, Member, Source};

#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Ovf(#[from] OvfError),
    #[error(transparent)]
    Ova(#[from] OvaError),
    #[error("the OVF names the file `{name}`, and the artifact does not have it")]
    MissingFile { name: String },
    #[error("a box for {provider} needs a disk, and the artifact has none")]
    NoDisk { provider: &'static str },
    #[error("a box for {provider} holds qcow2 disks, and {} is none", path.display())]
    NotQcow2 { provider: &'static str, path: PathBuf },
    #[error("a box for {provider} holds one disk, and the artifact has {count}")]
    OneDisk { provider: &'static str, count: usize },
    #[error("the artifact names no AMI: its id is `{id}`")]
    NoAmi { id: String },
}

impl From<ProviderError> for bakehouse_api::Error {
    fn from(error: ProviderError) -> Self {
        use bakehouse_api::{Error, Kind};
        match error {
            ProviderError::Disk(error) => error.into(),
            ProviderError::Ovf(error) => error.into(),
            ProviderError::Ova(error) => error.into(),
            ProviderError::NotQcow2 { .. } => Error::new(Kind::Config, &error)
                .hint("build with `format = \"qcow2\"`, or convert it: qemu-img convert -O qcow2 OLD NEW"),
            ProviderError::OneDisk { .. } => {
                Error::new(Kind::Config, &error).hint("leave `disk_additional_size` out, or choose libvirt")
            }
            _ => Error::new(Kind::Config, &error),
        }
    }
}

/// What the machine that runs a box must know of the guest.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// As Vagrant calls it, see [`architecture`]; empty: unknown.
    pub architecture: String,
    pub uefi: bool,
    pub cpus: Option<u32>,
    pub memory_mib: Option<u64>,
    /// It was made with disks on SATA; others also find theirs on IDE.
    pub sata: bool,
    /// It was made with a virtio network card.
    pub virtio_net: bool,
}

/// Vagrant's word for an architecture; a word that is none of those known stays.
pub fn architecture(word: &str) -> &str {
    match word {
        "x86_64" | "x86-64" | "x64" => "amd64",
        "aarch64" | "arm64e" => "arm64",
        "i486" | "i586" | "i686" | "x86" => "i386",
        "ppc64el" => "ppc64le",
        "armhf" | "armv7l" => "arm",
        word => word,
    }
}

/// QEMU's word for Vagrant's.
fn qemu_architecture(word: &str) -> &str {
    match word {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "ppc64le" => "ppc64",
        word => word,
    }
}

fn metadata(provider: &str, guest: &Guest) -> Map<String, Value> {
    let mut metadata = Map::from_iter([("provider".to_owned(), json!(provider))]);
    if !guest.architecture.is_empty() {
        metadata.insert("architecture".into(), json!(guest.architecture));
    }
    metadata
}

/// The size of a qcow2 disk in whole GiB.
fn gib(provider: &'static str, path: &Path) -> Result<u64, ProviderError> {
    if disk::format(path)? != Format::Qcow2 {
        return Err(ProviderError::NotQcow2 { provider, path: path.to_owned() });
    }
    Ok(disk::open(path)?.size().div_ceil(1 << 30))
}

fn file(name: &str, path: &Path) -> Member {
    Member { name: name.to_owned(), source: Source::File(path.to_owned()) }
}

/// A Vagrantfile with `lines` for one provider.
fn vagrantfile(provider: &str, variable: &str, lines: &[String]) -> String {
    let mut text = format!("Vagrant.configure(\"2\") do |config|\n  config.vm.provider :{provider} do |{variable}|\n");
    for line in lines {
        text += &format!("    {line}\n");
    }
    text + "  end\nend\n"
}

#[cfg(test)]
mod tests;
