//! A live connection to the guest.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::comm::OutputFn;
use bakehouse_api::{CommError, Command, Communicator, Cx, Error, Exit, Kind, Result, async_trait};
use russh::Disconnect;
use russh::client::Handle;
use russh_sftp::client::SftpSession;
use tokio::fs::File;
use tokio::io::{AsyncRead, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;

use super::exec::{all_of, no_input};
use super::options::TransferMethod;
use super::peer::{Line, Peer};
use super::progress::Meter;
use super::tarball::GuestTar;
use super::tunnel::Tunnel;
use super::{scp, sftp, tarball, tree};

/// What a session is made of.
pub struct Wiring {
    pub handle: Handle<Peer>,
    pub line: Arc<Line>,
    pub forward_agent: bool,
    pub pty: bool,
    pub method: Option<TransferMethod>,
}

pub struct SshSession {
    handle: Arc<Handle<Peer>>,
    line: Arc<Line>,
    forward_agent: bool,
    pty: bool,
    method: Option<TransferMethod>,
    /// Listeners of `ssh_local_tunnels`; they end with the session.
    tunnels: Mutex<JoinSet<()>>,
    way: OnceCell<FileWay>,
    tar: OnceCell<GuestTar>,
}

/// How single files travel in this session.
#[derive(Clone)]
pub enum FileWay {
    Sftp(Arc<SftpSession>),
    Scp,
    Cat,
}

/// A file on its way up.
pub struct Upload<'a> {
    pub source: Box<dyn AsyncRead + Send + Unpin + 'a>,
    pub size: u64,
    pub mode: Option<u32>,
    /// For messages about a failure to read.
    pub from: String,
    pub meter: Option<Meter>,
}

impl SshSession {
    pub(super) async fn open(wiring: Wiring, remote: &[Tunnel], local: Vec<Tunnel>) -> Result<Self> {
        let Wiring { handle, line, forward_agent, pty, method } = wiring;
        let session = Self {
            handle: Arc::new(handle),
            line,
            forward_agent,
            pty,
            method,
            tunnels: Mutex::default(),
            way: OnceCell::new(),
            tar: OnceCell::new(),
        };
        for tunnel in remote {
            session.forward_from_guest(tunnel).await?;
        }
        for tunnel in local {
            session.forward_to_guest(tunnel).await?;
        }
        Ok(session)
    }

    pub(super) fn handle(&self) -> &Handle<Peer> {
        &self.handle
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn forwards_agent(&self) -> bool {
        self.forward_agent
    }

    async fn forward_from_guest(&self, tunnel: &Tunnel) -> Result<()> {
        match self.handle.tcpip_forward(tunnel.bind.as_str(), u32::from(tunnel.port)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Error::new(Kind::Guest, format!("the guest does not listen on its port {}: {error}", tunnel.port))
                    .context("setting up `ssh_remote_tunnels`")
                    .hint("the port may be in use there, or its sshd has AllowTcpForwarding switched off"))
            }
        }
    }

    async fn forward_to_guest(&self, tunnel: Tunnel) -> Result<()> {
        let listener = TcpListener::bind((tunnel.bind.as_str(), tunnel.port)).await.map_err(|error| {
            Error::io(format!("setting up `ssh_local_tunnels` on {}:{}", tunnel.bind, tunnel.port), &error)
        })?;
        let handle = self.handle.clone();
        self.tunnels.lock().await.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, from)) => {
                            open.spawn(carry(handle.clone(), client, from, tunnel.clone()));
                        }
                        // Out of descriptors: others must end before the next try can succeed.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    },
                    Some(_) = open.join_next(), if !open.is_empty() => {}
                }
            }
        });
        Ok(())
    }

    /// Looked for once in a session: the best way that the guest has, or the one the template names.
    pub(super) async fn file_way(&self) -> Result<FileWay, CommError> {
        self.way.get_or_try_init(|| self.find_way()).await.cloned()
    }

    async fn find_way(&self) -> Result<FileWay, CommError> {
        if self.method == Some(TransferMethod::Scp) {
            return Ok(FileWay::Scp);
        }
        match (sftp::open(self).await, self.method) {
            (Ok(session), _) => Ok(FileWay::Sftp(Arc::new(session))),
            (Err(error @ CommError::Lost(_)), _) => Err(error),
            (Err(error), Some(_)) => Err(CommError::Other(format!(
                "the guest has no sftp ({error}): leave `ssh_file_transfer_method` unset, or set it to \"scp\""
            ))),
            (Err(_), None) => match self.helper("command -v scp >/dev/null 2>&1", "scp", no_input()).await {
                Ok(_) => Ok(FileWay::Scp),
                Err(error @ CommError::Lost(_)) => Err(error),
                Err(_) => Ok(FileWay::Cat),
            },
        }
    }

    pub(super) async fn guest_tar(&self) -> Result<GuestTar, CommError> {
        self.tar.get_or_try_init(|| tarball::find(self)).await.copied()
    }

    pub(super) async fn put(&self, upload: Upload<'_>, to: &str) -> Result<(), CommError> {
        let to = in_home(to);
        match self.file_way().await? {
            FileWay::Sftp(sftp) => sftp::put(self, &sftp, upload, to).await,
            FileWay::Scp => scp::put(self, upload, to).await,
            FileWay::Cat => scp::put_by_cat(self, upload, to).await,
        }
    }
}

/// One connection to a local tunnel's port.
async fn carry(handle: Arc<Handle<Peer>>, mut client: TcpStream, from: SocketAddr, tunnel: Tunnel) {
    let opened = handle
        .channel_open_direct_tcpip(
            tunnel.host,
            u32::from(tunnel.host_port),
            from.ip().to_string(),
            u32::from(from.port()),
        )
        .await;
    // A refusal by the guest closes the client's connection, which is all it can be told.
    if let Ok(channel) = opened {
        let _ = copy_bidirectional(&mut client, &mut channel.into_stream()).await;
    }
}

/// A path that begins at the home directory is relative: that is where sessions begin.
pub fn in_home(path: &str) -> &str {
    match path.strip_prefix("~/") {
        Some("") => ".",
        Some(rest) => rest,
        None if path == "~" => ".",
        None => path,
    }
}

/// For a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    // `./` keeps a leading dash from being an option.
    let dash = if text.starts_with('-') { "./" } else { "" };
    format!("'{dash}{}'", text.replace('\'', "'\\''"))
}

pub fn local_error(path: impl std::fmt::Display, source: std::io::Error) -> CommError {
    CommError::Local { path: path.to_string(), source }
}

#[async_trait]
impl Communicator for SshSession {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    async fn run(&self, _cx: &Cx, command: &Command, output: &mut OutputFn<'_>) -> Result<Exit, CommError> {
        let input = command.stdin.clone().map_or_else(no_input, all_of);
        self.execute(&command.line, self.pty || command.pty, input, output).await
    }

    async fn upload_bytes(&self, _cx: &Cx, bytes: &[u8], to: &str, mode: Option<u32>) -> Result<(), CommError> {
        let (source, size) = (Box::new(bytes), bytes.len() as u64);
        self.put(Upload { source, size, mode, from: "the content".into(), meter: None }, to).await
    }

    async fn upload_file(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        let name = from.display().to_string();
        let open = async {
            let file = File::open(from).await?;
            let meta = file.metadata().await?;
            Ok((file, meta))
        };
        let (file, meta) = open.await.map_err(|error| local_error(&name, error))?;
        let meter = Some(Meter::new(cx, format!("upload {name}"), Some(meta.len())));
        let mode = Some(tree::mode_of(&meta));
        self.put(Upload { source: Box::new(file), size: meta.len(), mode, from: name, meter }, to).await
    }

    async fn upload_dir(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        let root = from.to_owned();
        let walked = tokio::task::spawn_blocking(move || tree::walk(&root)).await;
        let entries = walked.map_err(|error| CommError::Other(error.to_string()))??;
        let total = entries.iter().map(|entry| entry.size()).sum();
        let meter = Meter::new(cx, format!("upload {}", from.display()), Some(total));
        let to = in_home(to);
        if self.guest_tar().await? != GuestTar::None {
            return tarball::put_dir(self, entries, to, meter).await;
        }
        match self.file_way().await? {
            FileWay::Sftp(sftp) => sftp::put_dir(self, &sftp, entries, to, meter).await,
            _ => scp::put_dir(self, entries, to, meter).await,
        }
    }

    async fn download_file(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        let meter = Meter::new(cx, format!("download {from}"), None);
        let from = in_home(from);
        match self.file_way().await? {
            FileWay::Sftp(sftp) => sftp::get(self, &sftp, from, to, meter).await,
            FileWay::Scp => scp::get(self, from, to, meter).await,
            FileWay::Cat => scp::get_by_cat(self, from, to, meter).await,
        }
    }

    async fn download_dir(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        let mut meter = Meter::new(cx, format!("download {from}"), None);
        let from = in_home(from);
        std::fs::create_dir_all(to).map_err(|error| local_error(to.display(), error))?;
        if self.guest_tar().await? != GuestTar::None {
            return tarball::get_dir(self, from, to, meter).await;
        }
        match self.file_way().await? {
            FileWay::Sftp(sftp) => {
                sftp::get_dir(self, &sftp, from, to, &mut meter).await?;
                meter.finish();
                Ok(())
            }
            _ => Err(CommError::Remote {
                path: from.to_owned(),
                reason: "the guest has neither tar nor sftp, and without them a directory cannot be downloaded".into(),
            }),
        }
    }

    async fn close(&self) {
        self.tunnels.lock().await.shutdown().await;
        // A connection that is gone needs no goodbye.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "done", "").await;
    }
}

#[cfg(test)]
mod tests {
    use super::{in_home, quote};

    #[test]
    fn quoting() {
        assert_eq!(quote("/tmp/a-b.c"), "/tmp/a-b.c");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("-rf"), "'./-rf'");
        assert_eq!(quote("a b;$(c)"), "'a b;$(c)'");
    }

    #[test]
    fn home() {
        assert_eq!(in_home("~/x/y"), "x/y");
        assert_eq!(in_home("~"), ".");
        assert_eq!(in_home("~/"), ".");
        assert_eq!(in_home("~bob/x"), "~bob/x");
    }
}
