//! Logging in: which keys, which agent, which password, and in which order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{Decode, Diagnostic, Error, Kind, Secret};
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Interactive};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::peer::Peer;

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot read the key file {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("the key file {0} is encrypted")]
    Encrypted(String),
    #[error("{0} is not a private key: {1}")]
    NotAKey(String, String),
    #[error("{0} is not an OpenSSH certificate: {1}")]
    NotACertificate(String, String),
    #[error("the certificate {certificate} was made for another key than {key}")]
    OtherKey { certificate: String, key: String },
}

impl KeyFileError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and who may read it",
            Self::Encrypted(_) => {
                "load it into an ssh-agent and set `ssh_agent_auth = true`, or use a key without a passphrase"
            }
            Self::NotAKey(..) => "this must be the private half of a key pair, as ssh-keygen writes it",
            Self::NotACertificate(..) => "this must be a file that `ssh-keygen -s` wrote",
            Self::OtherKey { .. } => "give the private key that the certificate was signed for",
        }
    }

    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::error(self.to_string()).hint(self.hint())
    }
}

impl From<KeyFileError> for Error {
    fn from(error: KeyFileError) -> Self {
        Error::new(Kind::Input, &error).hint(error.hint())
    }
}

#[derive(Clone, Copy)]
pub struct LoginFiles<'a> {
    pub key: Option<&'a Path>,
    pub certificate: Option<&'a Path>,
}

pub type Key = (Arc<PrivateKey>, Option<Certificate>);

impl LoginFiles<'_> {
    /// `home` stands for `~`.
    pub fn read(&self, home: Option<&str>) -> Result<Option<Key>, KeyFileError> {
        let Some(path) = self.key else { return Ok(None) };
        let path = expand(path, home);
        let key = read_key(&path)?;
        let certificate = match self.certificate {
            Some(certificate) => Some(read_certificate(&expand(certificate, home), &path, &key)?),
            None => None,
        };
        Ok(Some((Arc::new(key), certificate)))
    }
}

/// Can the file be looked at while only validating? Not when its name is still unknown or starts
/// at a home directory, which only a run knows.
pub fn is_checkable(path: &Path) -> bool {
    !path.starts_with("~") && path != PathBuf::placeholder()
}

fn expand(path: &Path, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Path::new(home).join(rest),
        _ => path.to_owned(),
    }
}

pub fn read_key(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyFileError::Unreadable { path: name.clone(), source })?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) if key.is_encrypted() => Err(KeyFileError::Encrypted(name)),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(KeyFileError::Encrypted(name)),
        Err(_) if text.contains("ENCRYPTED") => Err(KeyFileError::Encrypted(name)),
        Err(error) => Err(KeyFileError::NotAKey(name, error.to_string())),
    }
}

fn read_certificate(path: &Path, key_path: &Path, key: &PrivateKey) -> Result<Certificate, KeyFileError> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyFileError::Unreadable { path: name.clone(), source })?;
    let certificate = Certificate::from_openssh(text.trim())
        .map_err(|error| KeyFileError::NotACertificate(name.clone(), error.to_string()))?;
    if certificate.public_key() != key.public_key().key_data() {
        return Err(KeyFileError::OtherKey { certificate: name, key: key_path.display().to_string() });
    }
    Ok(certificate)
}

/// Everything there is to log in with, read and ready.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    /// What each key is called in messages, and the key.
    pub keys: Vec<(String, Key)>,
    /// Socket of the ssh-agent.
    pub agent: Option<PathBuf>,
    pub password: Option<Secret>,
}

/// A login that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    pub tried: Vec<String>,
    /// What the server would take, by its own words.
    pub offered: Vec<String>,
    /// The server hung up instead of answering.
    pub hung_up: bool,
}

enum Outcome {
    In,
    Refused,
}

/// Tries everything that the server may take, in Packer's order.
pub async fn log_in(handle: &mut Handle<Peer>, login: &Login) -> Result<(), Denied> {
    let mut attempt = Attempt { handle, user: &login.user, denied: Denied::default(), offered: None };
    match attempt.all(login).await {
        Outcome::In => Ok(()),
        Outcome::Refused => {
            let mut denied = attempt.denied;
            denied.offered = attempt.offered.iter().flat_map(|set| set.iter()).map(String::from).collect();
            denied.hung_up = attempt.handle.is_closed();
            Err(denied)
        }
    }
}

struct Attempt<'a> {
    handle: &'a mut Handle<Peer>,
    user: &'a str,
    denied: Denied,
    offered: Option<MethodSet>,
}

impl Attempt<'_> {
    async fn all(&mut self, login: &Login) -> Outcome {
        if let Some(socket) = &login.agent
            && let Outcome::In = self.agent(socket).await
        {
            return Outcome::In;
        }
        for (name, (key, certificate)) in &login.keys {
            if let Some(certificate) = certificate
                && let Outcome::In = self.certificate(name, key, certificate).await
            {
                return Outcome::In;
            }
            if let Outcome::In = self.key(name, key).await {
                return Outcome::In;
            }
        }
        if let Some(password) = &login.password {
            if let Outcome::In = self.password(password).await {
                return Outcome::In;
            }
            return self.interactive(password).await;
        }
        if self.denied.tried.is_empty() {
            return self.nothing().await;
        }
        Outcome::Refused
    }

    /// Would the server hear this method at all? Not known before its first answer.
    fn wanted(&self, method: MethodKind) -> bool {
        !self.handle.is_closed() && self.offered.as_ref().is_none_or(|offered| offered.contains(&method))
    }

    fn note<E: std::fmt::Display>(&mut self, what: String, result: Result<AuthResult, E>) -> Outcome {
        match result {
            Ok(AuthResult::Success) => return Outcome::In,
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                if !remaining_methods.is_empty() {
                    self.offered = Some(remaining_methods);
                }
                self.denied.tried.push(what);
            }
            Err(error) => self.denied.tried.push(format!("{what} ({error})")),
        }
        Outcome::Refused
    }

    async fn nothing(&mut self) -> Outcome {
        let result = self.handle.authenticate_none(self.user).await;
        self.note("no credentials".into(), result)
    }

    async fn key(&mut self, name: &str, key: &Arc<PrivateKey>) -> Outcome {
        if !self.wanted(MethodKind::PublicKey) {
            return Outcome::Refused;
        }
        let hash = self.rsa_hash(key.algorithm().is_rsa()).await;
        let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
        let result = self.handle.authenticate_publickey(self.user, key).await;
        self.note(name.to_owned(), result)
    }

    async fn certificate(&mut self, name: &str, key: &Arc<PrivateKey>, certificate: &Certificate) -> Outcome {
        if !self.wanted(MethodKind::PublicKey) {
            return Outcome::Refused;
        }
        let result = self.handle.authenticate_openssh_cert(self.user, key.clone(), certificate.clone()).await;
        self.note(format!("the certificate for {name}"), result)
    }

    /// The best hash both sides know. A server that does not say is offered SHA-2: every sshd
    /// since 2016 knows it, and new ones refuse SHA-1.
    async fn rsa_hash(&self, is_rsa: bool) -> Option<HashAlg> {
        if !is_rsa {
            return None;
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(hash)) => hash,
            _ => Some(HashAlg::Sha256),
        }
    }

    async fn agent(&mut self, socket: &Path) -> Outcome {
        let identities = async {
            let mut agent = AgentClient::<UnixStream>::connect_uds(socket).await?;
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        let (mut agent, identities) = match identities.await {
            Ok(both) => both,
            Err(error) => {
                self.denied.tried.push(format!("the ssh-agent at {} ({error})", socket.display()));
                return Outcome::Refused;
            }
        };
        if identities.is_empty() {
            self.denied.tried.push("the ssh-agent (it holds no keys)".into());
        }
        for identity in identities {
            if !self.wanted(MethodKind::PublicKey) {
                break;
            }
            let what = format!("the agent's key {}", identity.comment());
            let hash = self.rsa_hash(identity.public_key().algorithm().is_rsa()).await;
            let result = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    self.handle.authenticate_publickey_with(self.user, key, hash, &mut agent).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    self.handle.authenticate_certificate_with(self.user, certificate, hash, &mut agent).await
                }
            };
            if let Outcome::In = self.note(what, result) {
                return Outcome::In;
            }
        }
        Outcome::Refused
    }

    async fn password(&mut self, password: &Secret) -> Outcome {
        if !self.wanted(MethodKind::Password) {
            return Outcome::Refused;
        }
        let result = self.handle.authenticate_password(self.user, password.reveal()).await;
        self.note("the password".into(), result)
    }

    /// Answers every prompt with the password: servers that ask by PAM ask for nothing else.
    async fn interactive(&mut self, password: &Secret) -> Outcome {
        if !self.wanted(MethodKind::KeyboardInteractive) {
            return Outcome::Refused;
        }
        let what = "keyboard-interactive with the password".to_owned();
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await;
        // More rounds than any server asks; one that asks forever is refused.
        for _ in 0..8 {
            match answer {
                Ok(Interactive::InfoRequest { prompts, .. }) => {
                    let answers = prompts.iter().map(|_| password.reveal().to_owned()).collect();
                    answer = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                }
                Ok(Interactive::Success) => return Outcome::In,
                Ok(Interactive::Failure { remaining_methods, partial_success }) => {
                    return self
                        .note::<russh::Error>(what, Ok(AuthResult::Failure { remaining_methods, partial_success }));
                }
                Err(error) => return self.note(what, Err(error)),
            }
        }
        self.denied.tried.push(what);
        Outcome::Refused
    }
}
