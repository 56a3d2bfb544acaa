//! OVF descriptors, versions 1 and 2: what a virtual machine needs, in XML.

mod read;
mod write;

pub use read::{MAX_BYTES, parse};
pub use write::to_xml;

/// The format of a stream-optimised VMDK, as descriptors name it.
pub const STREAM_OPTIMIZED: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

#[derive(Debug, thiserror::Error)]
pub enum OvfError {
    #[error("the OVF descriptor is not XML: {0}")]
    Xml(String),
    #[error("the OVF descriptor {0}")]
    Wrong(String),
}

impl From<OvfError> for bakehouse_api::Error {
    fn from(error: OvfError) -> Self {
        bakehouse_api::Error::new(bakehouse_api::Kind::Input, &error)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// One virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    pub version: Version,
    pub name: String,
    pub os: Os,
    pub cpus: u32,
    pub memory_mib: u64,
    pub disks: Vec<Disk>,
    pub adapters: Vec<Adapter>,
    /// Every file that belongs to the package, the disks' among them.
    pub files: Vec<File>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os {
    /// CIM's number: 36 is Linux, 101 Linux on 64 bits.
    pub cim: u16,
    /// VirtualBox's word: "Debian_64".
    pub virtualbox: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub id: String,
    pub href: String,
    pub size: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    pub id: String,
    /// In bytes.
    pub capacity: u64,
    /// The id of its file; none: an empty disk.
    pub file: Option<String>,
    /// A URL.
    pub format: String,
    /// What it is attached to; none where no hardware says so.
    pub bus: Option<Bus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bus {
    Ide,
    Scsi,
    Sata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// "E1000", "PCNet32".
    pub model: String,
    /// Twelve hex digits, upper case.
    pub mac: Option<String>,
}

impl Descriptor {
    /// The file of a disk.
    pub fn file_of(&self, disk: &Disk) -> Option<&File> {
        let id = disk.file.as_ref()?;
        self.files.iter().find(|file| file.id == *id)
    }

    /// The first adapter's address, which Vagrant gives every machine made from a box.
    pub fn base_mac(&self) -> Option<&str> {
        self.adapters.iter().find_map(|adapter| adapter.mac.as_deref())
    }
}

/// Twelve upper-case hex digits of an address however it is written.
pub fn mac(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    (digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit())).then(|| digits.to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
