//! The `ssh_*` options: Packer's names and defaults.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::body::Verbatim;
use bakehouse_api::{
    Body, Diagnostic, Diagnostics, Entry, Form, Node, Options, Secret, Span, SpanTree, Value, choices, options,
};

use super::algorithms::{cipher_names, kex_names};
use super::auth::{self, LoginFiles};
use super::key::{GeneratedKey, KeyError, KeyKind};
use super::tunnel::Tunnel;

choices! {
    pub enum TransferMethod {
        Scp = "scp",
        Sftp = "sftp",
    }
}

options! {
    /// Reaching the machine by SSH.
    pub struct SshOptions {
        /// Address to connect to; the builder usually knows it.
        ssh_host: Option<String>,
        /// Port of the guest's sshd.
        ssh_port: u16 = 22,
        /// User to log in as. Required.
        ssh_username: Option<String>,
        /// Password, also the answer to keyboard-interactive prompts.
        ssh_password: Option<Secret>,
        /// Private key in OpenSSH or PEM form, not encrypted. `~/` is the home directory.
        ssh_private_key_file | "ssh_key_path": Option<PathBuf>,
        /// Certificate for the private key.
        ssh_certificate_file: Option<PathBuf>,
        /// A key pair that the platform knows by name. Refused by platforms that know none.
        ssh_keypair_name: Option<String>,
        /// Comment of the key pair made for this build.
        temporary_key_pair_name: Option<String>,
        /// Kind of the key pair made for this build. `dsa` is not supported.
        temporary_key_pair_type: KeyKind = KeyKind::Ed25519,
        /// Bits of that key: rsa 2048 to 16384 (4096), ecdsa 256, 384 or 521 (521).
        temporary_key_pair_bits: Option<u32>,
        /// Log in with the keys of the ssh-agent that `SSH_AUTH_SOCK` names.
        ssh_agent_auth: bool = false,
        /// Do not let the guest use the ssh-agent that `SSH_AUTH_SOCK` names.
        ssh_disable_agent_forwarding | "ssh_disable_agent": bool = false,
        /// Ciphers to offer, best first. Default: the modern ones.
        ssh_ciphers: Vec<String>,
        /// Key exchanges to offer, best first. Default: the modern ones.
        ssh_key_exchange_algorithms: Vec<String>,
        /// Take this build's own key out of the guest's `authorized_keys` at the end.
        ssh_clear_authorized_keys: bool = false,
        /// How long to wait until a login works. Default: 5m.
        ssh_timeout | "ssh_wait_timeout": Option<Duration>,
        /// How many logins to try once sshd answers. Default: 10, or unlimited when only
        /// `ssh_timeout` is set.
        ssh_handshake_attempts: Option<u32>,
        /// Time between keep-alive messages; zero or negative sends none. A guest that leaves four
        /// of them unanswered is lost.
        ssh_keep_alive_interval: Duration = Duration::from_secs(5),
        /// Give the connection up when nothing was read or written for so long. Default: never.
        ssh_read_write_timeout: Option<Duration>,
        /// Sleep before the first connection.
        pause_before_connecting: Duration = Duration::ZERO,
        /// Host to connect through.
        ssh_bastion_host: Option<String>,
        /// Port of the bastion's sshd.
        ssh_bastion_port: u16 = 22,
        /// Log in to the bastion with the keys of the ssh-agent.
        ssh_bastion_agent_auth: bool = false,
        /// User on the bastion.
        ssh_bastion_username: Option<String>,
        /// Password on the bastion, also the answer to keyboard-interactive prompts.
        ssh_bastion_password: Option<Secret>,
        /// Not supported: nobody is asked while a build runs.
        ssh_bastion_interactive: bool = false,
        /// Private key for the bastion. Default: `ssh_private_key_file`.
        ssh_bastion_private_key_file: Option<PathBuf>,
        /// Certificate for the bastion's private key.
        ssh_bastion_certificate_file: Option<PathBuf>,
        /// SOCKS5 proxy to connect through.
        ssh_proxy_host: Option<String>,
        /// Port of the proxy.
        ssh_proxy_port: u16 = 1080,
        /// User of the proxy.
        ssh_proxy_username: Option<String>,
        /// Password of the proxy.
        ssh_proxy_password: Option<Secret>,
        /// `[bind:]port:host:port`: a port of the guest that leads to a host seen from here.
        ssh_remote_tunnels: Vec<String>,
        /// `[bind:]port:host:port`: a port here that leads to a host seen from the guest.
        ssh_local_tunnels: Vec<String>,
        /// Run commands in a terminal.
        ssh_pty: bool = false,
        /// How a file travels. Default: the first of sftp, scp and `cat` that the guest has.
        /// Directories travel as one tar stream where the guest has tar.
        ssh_file_transfer_method: Option<TransferMethod>,
    }
}

/// Templates set options to "" to mean "not set".
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn given_secret(secret: &Option<Secret>) -> Option<&Secret> {
    secret.as_ref().filter(|secret| !secret.reveal().is_empty())
}

fn given_path(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.as_os_str().is_empty())
}

impl SshOptions {
    /// Of a template that sets only these.
    pub fn of<const N: usize>(given: [(&str, Value); N]) -> Option<Self> {
        let entry = |(name, value): (&str, Value)| Entry {
            name: name.to_owned(),
            name_span: Span::default(),
            form: Form::Attribute,
            node: Node::new(value, SpanTree::default()),
        };
        let body = Body {
            kind: "ssh".into(),
            name: String::new(),
            build: String::new(),
            build_name: String::new(),
            builder_type: String::new(),
            root: ".".into(),
            span: Span::default(),
            entries: given.into_iter().map(entry).collect(),
            engine: Arc::new(Verbatim),
            secrets: Default::default(),
        };
        Self::from_body(&body, &mut Diagnostics::default())
    }

    pub fn username(&self) -> Option<&str> {
        given(&self.ssh_username)
    }

    pub fn password(&self) -> Option<&Secret> {
        given_secret(&self.ssh_password)
    }

    /// Does the template itself say how to log in? If not, a builder may make a key of its own.
    pub fn has_credentials(&self) -> bool {
        self.password().is_some() || given_path(&self.ssh_private_key_file).is_some() || self.ssh_agent_auth
    }

    pub fn bastion_host(&self) -> Option<&str> {
        given(&self.ssh_bastion_host)
    }

    pub fn bastion_username(&self) -> Option<&str> {
        given(&self.ssh_bastion_username)
    }

    pub fn bastion_password(&self) -> Option<&Secret> {
        given_secret(&self.ssh_bastion_password)
    }

    pub fn proxy_host(&self) -> Option<&str> {
        given(&self.ssh_proxy_host)
    }

    /// User and password for the proxy.
    pub fn proxy_login(&self) -> Option<(&str, &Secret)> {
        Some((given(&self.ssh_proxy_username)?, given_secret(&self.ssh_proxy_password)?))
    }

    pub fn timeout(&self) -> Duration {
        self.ssh_timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(Duration::from_secs(300))
    }

    /// None is unlimited.
    pub fn attempts(&self) -> Option<u32> {
        match self.ssh_handshake_attempts.filter(|attempts| *attempts > 0) {
            Some(attempts) => Some(attempts),
            None if self.ssh_timeout.is_some_and(|timeout| !timeout.is_zero()) => None,
            None => Some(10),
        }
    }

    pub fn files(&self) -> LoginFiles<'_> {
        LoginFiles { key: given_path(&self.ssh_private_key_file), certificate: given_path(&self.ssh_certificate_file) }
    }

    pub fn bastion_files(&self) -> LoginFiles<'_> {
        LoginFiles {
            key: given_path(&self.ssh_bastion_private_key_file).or(given_path(&self.ssh_private_key_file)),
            certificate: given_path(&self.ssh_bastion_certificate_file),
        }
    }

    /// Validation has seen to it that each of them reads.
    pub fn tunnels(texts: &[String]) -> Vec<Tunnel> {
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Public and private half of the template's own key, as text. `~` cannot be resolved here.
    pub fn key_texts(&self) -> Option<(String, String)> {
        let (key, _) = self.files().read(None).ok()??;
        let private = key.to_openssh(Default::default()).ok()?;
        Some((key.public_key().to_openssh().ok()?, private.to_string()))
    }

    /// The key pair of this build, as `temporary_key_pair_*` ask for it.
    pub fn generate_key(&self) -> Result<GeneratedKey, KeyError> {
        let comment = given(&self.temporary_key_pair_name).unwrap_or("bakehouse");
        GeneratedKey::new(self.temporary_key_pair_type, self.temporary_key_pair_bits, comment)
    }

    /// For platforms that keep no key pairs.
    pub fn refuse_keypair_name(&self, diagnostics: &mut Diagnostics) {
        if given(&self.ssh_keypair_name).is_some() {
            let mut found = Findings { options: self, diagnostics };
            found.error("ssh_keypair_name", "this builder's platform knows no key pairs by name");
        }
    }

    /// Everything that can be known without a machine.
    pub fn check(&self, diagnostics: &mut Diagnostics) {
        let mut found = Findings { options: self, diagnostics };
        if self.username().is_none() {
            found.error("ssh_username", "the communicator ssh needs the option `ssh_username`");
        }
        if let Err(error) = self.temporary_key_pair_type.check_bits(self.temporary_key_pair_bits) {
            let name = if error == KeyError::Dsa { "temporary_key_pair_type" } else { "temporary_key_pair_bits" };
            found.error(name, error.to_string());
        }
        found.files("ssh_private_key_file", "ssh_certificate_file", self.files());
        found.bastion();
        found.proxy();
        found.algorithms("ssh_ciphers", &self.ssh_ciphers, &cipher_names());
        found.algorithms("ssh_key_exchange_algorithms", &self.ssh_key_exchange_algorithms, &kex_names());
        found.tunnels("ssh_remote_tunnels", &self.ssh_remote_tunnels);
        found.tunnels("ssh_local_tunnels", &self.ssh_local_tunnels);
    }
}

struct Findings<'a> {
    options: &'a SshOptions,
    diagnostics: &'a mut Diagnostics,
}

impl Findings<'_> {
    fn error(&mut self, name: &str, summary: impl Into<String>) {
        self.push(name, Diagnostic::error(summary));
    }

    fn push(&mut self, name: &str, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic.at(self.options.spans.at(name)));
    }

    fn files(&mut self, key_name: &str, certificate_name: &str, files: LoginFiles<'_>) {
        if let Some(path) = files.key
            && auth::is_checkable(path)
            && let Err(error) = auth::read_key(path)
        {
            self.push(key_name, error.diagnostic());
            return;
        }
        let Some(certificate) = files.certificate else { return };
        if files.key.is_none() {
            self.error(certificate_name, format!("`{certificate_name}` needs `{key_name}`"));
        } else if auth::is_checkable(certificate)
            && let Err(error) = files.read(None)
        {
            self.push(certificate_name, error.diagnostic());
        }
    }

    fn bastion(&mut self) {
        let options = self.options;
        if options.ssh_bastion_interactive {
            let refused =
                Diagnostic::error("`ssh_bastion_interactive` is not supported: nobody is asked during a build")
                    .only_to_build()
                    .hint("`ssh_bastion_password` also answers keyboard-interactive prompts");
            self.push("ssh_bastion_interactive", refused);
        }
        if options.bastion_host().is_none() {
            self.needs("ssh_bastion_", "ssh_bastion_host");
            return;
        }
        if options.proxy_host().is_some() {
            self.error("ssh_proxy_host", "`ssh_bastion_host` and `ssh_proxy_host` exclude each other");
        }
        if options.bastion_username().is_none() {
            self.error("ssh_bastion_host", "`ssh_bastion_host` needs `ssh_bastion_username`");
        }
        let files = options.bastion_files();
        if options.bastion_password().is_none() && files.key.is_none() && !options.ssh_bastion_agent_auth {
            let missing = Diagnostic::error("there is no way to log in to the bastion")
                .hint("set ssh_bastion_private_key_file, ssh_bastion_password or ssh_bastion_agent_auth");
            self.push("ssh_bastion_host", missing);
        }
        if given_path(&options.ssh_bastion_private_key_file).is_some() || files.certificate.is_some() {
            self.files("ssh_bastion_private_key_file", "ssh_bastion_certificate_file", files);
        }
    }

    fn proxy(&mut self) {
        let options = self.options;
        if options.proxy_host().is_none() {
            self.needs("ssh_proxy_", "ssh_proxy_host");
        } else if given(&options.ssh_proxy_username).is_some() != given_secret(&options.ssh_proxy_password).is_some() {
            self.error("ssh_proxy_host", "`ssh_proxy_username` and `ssh_proxy_password` go together");
        }
    }

    /// Options that mean nothing without `host`, which Packer lets pass.
    fn needs(&mut self, prefix: &str, host: &str) {
        let written: Vec<String> =
            self.options.spans.0.keys().filter(|name| name.starts_with(prefix) && *name != host).cloned().collect();
        for name in written {
            if !self.is_unset(&name) {
                self.push(&name, Diagnostic::warning(format!("`{name}` has no effect without `{host}`")));
            }
        }
    }

    /// Templates spell defaults out: `ssh_bastion_port = 22`, `ssh_proxy_username = ""`.
    fn is_unset(&self, name: &str) -> bool {
        let options = self.options;
        match name {
            "ssh_bastion_port" => options.ssh_bastion_port == 22,
            "ssh_bastion_agent_auth" => !options.ssh_bastion_agent_auth,
            "ssh_bastion_interactive" => true,
            "ssh_bastion_username" => options.bastion_username().is_none(),
            "ssh_bastion_password" => options.bastion_password().is_none(),
            "ssh_bastion_private_key_file" => given_path(&options.ssh_bastion_private_key_file).is_none(),
            "ssh_bastion_certificate_file" => given_path(&options.ssh_bastion_certificate_file).is_none(),
            "ssh_proxy_port" => options.ssh_proxy_port == 1080,
            "ssh_proxy_username" => given(&options.ssh_proxy_username).is_none(),
            "ssh_proxy_password" => given_secret(&options.ssh_proxy_password).is_none(),
            _ => false,
        }
    }

    fn algorithms(&mut self, option: &str, names: &[String], known: &[&str]) {
        for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
            let unknown = Diagnostic::error(format!("`{name}` is not an algorithm this program knows"))
                .detail(format!("known: {}", known.join(", ")))
                .did_you_mean(name, known.iter().copied());
            self.push(option, unknown);
        }
    }

    fn tunnels(&mut self, option: &str, texts: &[String]) {
        for text in texts {
            if let Err(error) = text.parse::<Tunnel>() {
                self.error(option, error.to_string());
            }
        }
    }
}
