//! The NoCloud seed that the tool makes by itself: cloud-init finds a CD labelled `cidata`, lets the
//! build's key in, and takes a host key that is known beforehand.

use std::path::Path;

use bakehouse_api::Secret;

use crate::iso9660::{self, IsoError};
use crate::tree::{Tree, TreeError};

const LABEL: &str = "cidata";

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Iso(#[from] IsoError),
}

impl From<SeedError> for bakehouse_api::Error {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Iso(error) => error.into(),
            SeedError::Tree(error) => bakehouse_api::Error::new(bakehouse_api::Kind::Internal, error),
        }
    }
}

/// An ed25519 host key: the private one as OpenSSH's PEM text, the public one as a line.
#[derive(Clone, Debug)]
pub struct HostKey {
    pub private: Secret,
    pub public: String,
}

#[derive(Clone, Debug)]
pub struct Seed {
    /// Another one makes cloud-init run anew.
    pub instance_id: String,
    /// None: the image keeps its own.
    pub hostname: Option<String>,
    /// The user that the build logs in as. The image's default user takes this name, unless it is root.
    pub user: String,
    pub ssh_public_key: Option<String>,
    pub host_key: Option<HostKey>,
    pub password: Option<Secret>,
    /// The template's own user data of any kind. Ours then becomes vendor data, which cloud-init
    /// puts below it.
    pub user_data: Option<String>,
    /// Only where DHCP on the first interface is not what is wanted.
    pub network_config: Option<String>,
}

impl Seed {
    pub fn write(&self, to: &Path) -> Result<(), SeedError> {
        Ok(iso9660::write(LABEL, &self.tree()?, to)?)
    }

    /// The files of the seed.
    pub fn tree(&self) -> Result<Tree, TreeError> {
        let mut tree = Tree::new();
        tree.add_bytes("meta-data", self.meta_data())?;
        match &self.user_data {
            Some(theirs) => {
                tree.add_bytes("user-data", theirs.as_bytes())?;
                tree.add_bytes("vendor-data", self.cloud_config())?;
            }
            None => tree.add_bytes("user-data", self.cloud_config())?,
        }
        if let Some(network) = &self.network_config {
            tree.add_bytes("network-config", network.as_bytes())?;
        }
        Ok(tree)
    }

    fn meta_data(&self) -> String {
        let hostname = self.hostname.iter().map(|name| format!("local-hostname: {}\n", quoted(name)));
        format!("instance-id: {}\n", quoted(&self.instance_id)) + &hostname.collect::<String>()
    }

    fn cloud_config(&self) -> String {
        let mut config = Config::new();
        let root = self.user == "root";
        if root {
            config.line("disable_root: false");
        } else {
            config.line(&format!("user: {{name: {}}}", quoted(&self.user)));
        }
        if let Some(key) = &self.ssh_public_key {
            config.line("ssh_authorized_keys:");
            config.line(&format!("  - {}", quoted(key.trim())));
        }
        if let Some(key) = &self.host_key {
            // Only the key that the build knows may remain, or the guest could offer another one.
            config.line("ssh_deletekeys: true");
            config.line("ssh_genkeytypes: [ed25519]");
            config.line("ssh_keys:");
            config.line(&format!("  ed25519_private: {}", quoted(key.private.reveal())));
            config.line(&format!("  ed25519_public: {}", quoted(key.public.trim())));
        }
        if let Some(password) = &self.password {
            config.line("ssh_pwauth: true");
            config.line("chpasswd:");
            config.line("  expire: false");
            config.line(&format!("  list: {}", quoted(&format!("{}:{}\n", self.user, password.reveal()))));
        }
        config.line("package_update: false");
        config.line("package_upgrade: false");
        config.line("no_ssh_fingerprints: true");
        config.line("ssh: {emit_keys_to_console: false}");
        config.text
    }
}

struct Config {
    text: String,
}

impl Config {
    fn new() -> Self {
        Self { text: "#cloud-config\n".into() }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// A YAML string in double quotes. Everything that is not plain ASCII is escaped, because YAML
/// readers refuse or fold some of it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(character),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(character))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn seed() -> Seed {
        Seed {
            instance_id: "i-1".into(),
            hostname: Some("bake".into()),
            user: "debian".into(),
            ssh_public_key: Some("ssh-ed25519 AAAA build\n".into()),
            host_key: Some(HostKey { private: Secret::new("-----BEGIN\nabc\n"), public: "ssh-ed25519 BBBB".into() }),
            password: None,
            user_data: None,
            network_config: None,
        }
    }

    fn file(seed: &Seed, path: &str) -> Option<String> {
        let tree = seed.tree().unwrap();
        let (_, file) = tree.walk().into_iter().find(|(found, _)| found == path)?;
        match &file?.content {
            Content::Bytes(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
            Content::File(_) => None,
        }
    }

    #[test]
    fn the_seed_lets_the_key_in_and_sets_the_host_key() {
        let config = file(&seed(), "user-data").unwrap();
        assert!(config.starts_with("#cloud-config\nuser: {name: \"debian\"}\n"), "{config}");
        assert!(config.contains("  - \"ssh-ed25519 AAAA build\"\n"), "{config}");
        assert!(config.contains("  ed25519_private: \"-----BEGIN\\nabc\\n\"\n"), "{config}");
        assert!(!config.contains("disable_root"));
        assert_eq!(file(&seed(), "meta-data").unwrap(), "instance-id: \"i-1\"\nlocal-hostname: \"bake\"\n");
    }

    #[test]
    fn root_is_let_in_with_key_and_password() {
        let root = Seed { user: "root".into(), password: Some(Secret::new("a\"ü")), ..seed() };
        let config = file(&root, "user-data").unwrap();
        assert!(config.contains("disable_root: false\n") && !config.contains("user: {"), "{config}");
        assert!(config.contains("  list: \"root:a\\\"\\U000000fc\\n\"\n"), "{config}");
    }

    #[test]
    fn user_data_of_the_template_stays_as_it_is() {
        let with = Seed { user_data: Some("#!/bin/sh\ntrue\n".into()), ..seed() };
        assert_eq!(file(&with, "user-data").unwrap(), "#!/bin/sh\ntrue\n");
        assert!(file(&with, "vendor-data").unwrap().starts_with("#cloud-config\n"));
    }
}
