//! How commands and files reach a machine.

use std::path::Path;
use std::sync::Arc;

use crate::{Cx, Error, Facts, Kind, Result, async_trait};

#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Handed to the login shell of the guest as it is.
    pub line: String,
    /// Bytes for its standard input.
    pub stdin: Option<Vec<u8>>,
    /// A terminal, where the communicator's own option does not already ask for one.
    pub pty: bool,
}

impl Command {
    pub fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), ..Self::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
    /// Name of the signal that ended it, without SIG.
    pub signal: Option<String>,
}

impl Exit {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, thiserror::Error)]
pub enum CommError {
    /// The connection is gone: a reboot, a crash, a dead network.
    #[error("the connection to the guest was lost: {0}")]
    Lost(String),
    /// The connection was gone before the guest took the command: it is safe to run it again.
    #[error("the connection to the guest was lost before the command started: {0}")]
    NotStarted(String),
    #[error("{path}: {reason}")]
    Remote { path: String, reason: String },
    #[error("{path}: {source}")]
    Local { path: String, source: std::io::Error },
    #[error("{0}")]
    Other(String),
}

impl From<CommError> for Error {
    fn from(error: CommError) -> Self {
        let kind = match &error {
            CommError::Local { .. } => Kind::Host,
            _ => Kind::Guest,
        };
        Error::new(kind, error)
    }
}

/// Where output goes while a command runs: raw bytes as they arrive, not lines.
pub type OutputFn<'a> = dyn FnMut(Stream, &[u8]) + Send + 'a;

/// A live connection. Dropping a future of it abandons that request, not the connection.
#[async_trait]
pub trait Communicator: Send + Sync {
    /// Packer's name: "ssh", "winrm", "none".
    fn kind(&self) -> &'static str;
    async fn run(&self, cx: &Cx, command: &Command, output: &mut OutputFn<'_>) -> Result<Exit, CommError>;
    /// Writes `bytes` to the remote file `to`, with `mode` where given.
    async fn upload_bytes(&self, cx: &Cx, bytes: &[u8], to: &str, mode: Option<u32>) -> Result<(), CommError>;
    /// Copies one file; keeps its permission bits.
    async fn upload_file(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError>;
    /// Copies the *contents* of the directory `from` into the directory `to`, made if absent.
    async fn upload_dir(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError>;
    async fn download_file(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError>;
    /// Copies the contents of the remote directory into the local one, made if absent.
    async fn download_dir(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError>;
    async fn close(&self);
}

/// Makes connections to one machine: at first, and again after a reboot.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Packer's `build.ConnType`.
    fn kind(&self) -> &'static str;
    /// `Host`, `Port`, `User`, `Password`, `SSHPublicKey`, `SSHPrivateKey`, ... for `build.*`.
    fn facts(&self) -> Facts;
    /// The host keys that the machine may show, as far as they are known by now, in OpenSSH's form.
    fn host_keys(&self) -> Vec<String> {
        Vec::new()
    }
    /// Waits until the machine answers and the login worked, up to the communicator's own deadline.
    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>>;
    /// Called once after the last provisioner: takes away what only the build needed.
    async fn finish(&self, _cx: &Cx, _comm: &dyn Communicator) -> Result<()> {
        Ok(())
    }
}
