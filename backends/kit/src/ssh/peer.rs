//! The callbacks of one connection: is the host key right, what does the guest open towards us,
//! why did the connection end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::hostkeys::{HostKeys, Mismatch};
use super::tunnel::Tunnel;

/// What the connection learned, for whoever holds it.
#[derive(Default)]
pub struct Line {
    verdict: Mutex<Option<Result<PublicKey, Mismatch>>>,
    reason: Mutex<Option<String>>,
    /// Fires when the connection is over.
    pub over: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub fn verdict(&self) -> Option<Result<PublicKey, Mismatch>> {
        lock(&self.verdict).clone()
    }

    /// Why the connection ended, once it has.
    pub fn reason(&self) -> Option<String> {
        lock(&self.reason).clone()
    }
}

pub struct Peer {
    pub keys: HostKeys,
    pub line: Arc<Line>,
    /// The ssh-agent that the guest may use.
    pub agent: Option<PathBuf>,
    pub remote_tunnels: Vec<Tunnel>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The library drops its handler when the connection is over, however it ended.
        self.line.over.cancel();
    }
}

fn describe(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout => "it did not answer keep-alive messages".into(),
        russh::Error::InactivityTimeout => "nothing was read or written for `ssh_read_write_timeout`".into(),
        russh::Error::HUP | russh::Error::Disconnect => "the other side closed it".into(),
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the other side closed it".into()
        }
        other => other.to_string(),
    }
}

impl Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let verdict = self.keys.check(shown);
        let right = verdict.is_ok();
        *lock(&self.line.verdict) = Some(verdict);
        Ok(right)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) if info.message.is_empty() => format!("{:?}", info.reason_code),
            DisconnectReason::ReceivedDisconnect(info) => format!("the server said: {}", info.message),
            DisconnectReason::Error(error) => describe(error),
        };
        *lock(&self.line.reason) = Some(text);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _address: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(tunnel) = self.remote_tunnels.iter().find(|tunnel| u32::from(tunnel.port) == port).cloned() else {
            return Ok(()); // dropping the reply refuses
        };
        let connect = async move { TcpStream::connect((tunnel.host.as_str(), tunnel.host_port)).await };
        tokio::spawn(bridge(channel, reply, connect, self.line.over.clone()));
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(socket) = self.agent.clone() {
            let connect = async move { UnixStream::connect(socket).await };
            tokio::spawn(bridge(channel, reply, connect, self.line.over.clone()));
        }
        Ok(())
    }

    // A server has no business opening any of these; dropping the reply refuses them.

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
}

/// Joins a channel that the server opened with a connection of our own, until either ends.
async fn bridge<S: AsyncRead + AsyncWrite + Unpin>(
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
    connect: impl Future<Output = std::io::Result<S>>,
    over: CancellationToken,
) {
    let Ok(mut ours) = connect.await else {
        reply.reject(ChannelOpenFailure::ConnectFailed).await;
        return;
    };
    reply.accept().await;
    let mut theirs = channel.into_stream();
    tokio::select! {
        () = over.cancelled() => {}
        // An end of either side is how every such connection ends.
        _ = copy_bidirectional(&mut ours, &mut theirs) => {}
    }
}
