//! What a checkpoint of ours says beside disks and memory: everything that a machine which goes on from it must
//! have alike.

use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result, Secret};
use bakehouse_kit::ssh::GeneratedKey;
use serde::{Deserialize, Serialize};

use crate::options::Format;

/// The guest's memory and the state of every device.
pub const MEMORY: &str = "memory";
/// The store of the UEFI variables.
pub const VARIABLES: &str = "efivars.fd";
const NOTE: &str = "machine.json";

/// Holds the private key of the login: written for its owner alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Frozen {
    pub mac: String,
    pub key: Option<Key>,
    /// The host keys that the guest may show, in OpenSSH's form.
    pub host_keys: Vec<String>,
    pub disks: Vec<Disk>,
    pub media: Media,
    /// Format of [`VARIABLES`], where there are any.
    pub variables: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    private: String,
    public: String,
}

/// A disk of the checkpoint's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disk {
    pub name: String,
    pub format: String,
    pub size: u64,
}

/// What was put into the machine, each relative to the checkpoint's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Media {
    pub cd: Option<PathBuf>,
    pub floppy: Option<PathBuf>,
    pub seed: Option<PathBuf>,
}

impl From<&GeneratedKey> for Key {
    fn from(key: &GeneratedKey) -> Self {
        Self { private: key.private_openssh.reveal().to_owned(), public: key.public_openssh.clone() }
    }
}

impl Key {
    pub fn generated(&self) -> GeneratedKey {
        GeneratedKey { private_openssh: Secret::new(self.private.clone()), public_openssh: self.public.clone() }
    }
}

impl Frozen {
    pub fn write(&self, dir: &Path) -> Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = dir.join(NOTE);
        let text = serde_json::to_vec(self).map_err(|error| Error::new(Kind::Internal, error))?;
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(&text));
        written.map_err(|error| Error::io(format!("writing {}", path.display()), &error))
    }

    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(NOTE);
        let doing = format!("reading {}", path.display());
        let text = std::fs::read(&path).map_err(|error| Error::io(&doing, &error))?;
        serde_json::from_slice(&text).map_err(|error| Error::new(Kind::Input, error).context(doing))
    }
}

/// The format by the word that QEMU has for it.
pub fn format(word: &str) -> Result<Format> {
    [Format::Qcow2, Format::Raw]
        .into_iter()
        .find(|format| format.as_str() == word)
        .ok_or_else(|| Error::new(Kind::Input, format!("`{word}` is no format of a disk")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bakehouse_kit::ssh::KeyKind;

    use super::*;

    #[test]
    fn the_key_comes_back_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = GeneratedKey::new(KeyKind::Ed25519, None, "x").unwrap();
        Frozen { key: Some((&key).into()), ..Frozen::default() }.write(dir.path()).unwrap();
        let mode = dir.path().join(NOTE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let back = Frozen::read(dir.path()).unwrap().key.unwrap().generated();
        assert_eq!(back.private_openssh.reveal(), key.private_openssh.reveal());
    }
}
