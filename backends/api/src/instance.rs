//! A disk that is booted on this machine as EC2 would boot it: with a metadata service, a key and user data.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Communicator, Cx, Result, async_trait};

#[derive(Clone, Debug)]
pub struct Launch {
    pub disk: PathBuf,
    pub format: DiskFormat,
    /// The guest writes to the disk itself, else to an overlay that goes with it.
    pub keep: bool,
    pub uefi: bool,
    pub interface: DiskInterface,
    pub memory_mib: u32,
    pub cpus: u32,
    /// TCP ports of this machine's loopback and of the guest, besides SSH.
    pub forwards: Vec<(u16, u16)>,
    /// Where the serial line is written; none: into the run's events, line by line.
    pub serial: Option<PathBuf>,
    pub metadata: Metadata,
    /// A command that joins its standard input and output with the Unix socket that it gets as its last argument.
    pub relay: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    Qcow2,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskInterface {
    /// As on EC2.
    Nvme,
    Virtio,
}

/// What the metadata service tells beyond what the machine is.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub instance_id: String,
    pub instance_type: String,
    pub region: String,
    /// None: made of the address, as EC2 does.
    pub hostname: Option<String>,
    pub user_data: Option<Vec<u8>>,
    /// One line as in `authorized_keys`.
    pub public_key: Option<String>,
    /// Version 2 of the service only.
    pub token_required: bool,
}

/// Who logs in, and how long the guest may take until that works.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    /// The file of the private key; none: the keys of the agent.
    pub key: Option<PathBuf>,
    pub timeout: Duration,
}

#[async_trait]
pub trait Launcher: Send + Sync {
    async fn launch(&self, cx: &Cx, launch: &Launch) -> Result<Box<dyn Instance>>;
}

/// It runs. Dropping it undoes nothing: what it acquired is in the journal.
#[async_trait]
pub trait Instance: Send + Sync {
    /// Of this machine's loopback, and leads to the guest's port 22.
    fn ssh_port(&self) -> u16;
    /// Waits until the login works; fails at once when the machine ends before that.
    async fn connect(&self, cx: &Cx, login: &Login) -> Result<Arc<dyn Communicator>>;
    /// Returns once the guest is off; fails where it did not end in peace.
    async fn ended(&self) -> Result<()>;
    /// Presses the power button, and cuts the power after `patience`.
    async fn power_off(&self, cx: &Cx, patience: Duration) -> Result<()>;
}
