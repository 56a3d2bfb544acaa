//! The way to the guest's sshd, straight, through a SOCKS5 proxy or through a bastion, and the wait
//! until an SSH banner comes back.

use std::io::{Cursor, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Error, Kind, Result, Secret};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use russh::ChannelOpenFailure;
use russh::client::Handle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::peer::Peer;
use super::seen::Seen;
use super::socks::{self, SocksError};

/// Time between two tries.
const EVERY: Duration = Duration::from_millis(150);
/// A try of this length finds a guest that answers quickly soon after it begins to listen.
const QUICK: Duration = Duration::from_millis(600);
/// A try of this length beside the quick ones reaches a guest that needs seconds for its banner.
const PATIENT: Duration = Duration::from_secs(15);
/// A banner and the lines that may come before it.
const BANNER_LIMIT: usize = 16 * 1024;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

pub type Stream = Box<dyn Duplex>;

pub enum Way {
    Direct,
    Socks { proxy: (String, u16), login: Option<(String, Secret)> },
    Bastion(Arc<Handle<Peer>>),
}

/// Why a try did not lead to sshd.
enum Miss {
    Yet(Seen),
    /// Another try would end the same.
    Final(Error),
}

impl From<std::io::Error> for Miss {
    fn from(error: std::io::Error) -> Self {
        Miss::Yet(match error.kind() {
            ErrorKind::ConnectionRefused => Seen::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Seen::Closed,
            _ => Seen::Unreachable(error.to_string()),
        })
    }
}

impl Way {
    async fn dial(&self, host: &str, port: u16) -> Result<Stream, Miss> {
        match self {
            Way::Direct => Ok(Box::new(tcp(host, port).await?)),
            Way::Socks { proxy, login } => through_proxy(proxy, login, host, port).await,
            Way::Bastion(handle) => through_bastion(handle, host, port).await,
        }
    }
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn through_proxy(
    (proxy, proxy_port): &(String, u16),
    login: &Option<(String, Secret)>,
    host: &str,
    port: u16,
) -> Result<Stream, Miss> {
    let place = format!("the SOCKS5 proxy {proxy}:{proxy_port}");
    let unreachable = |error| Miss::Yet(Seen::Unreachable(format!("{place}: {error}")));
    let mut stream = tcp(proxy, *proxy_port).await.map_err(unreachable)?;
    let login = login.as_ref().map(|(user, password)| (user.as_str(), password));
    match socks::connect(&mut stream, login, host, port).await {
        Ok(()) => Ok(Box::new(stream)),
        Err(error) if error.is_final() => Err(Miss::Final(
            Error::new(Kind::Host, error)
                .context(format!("connecting through {place}"))
                .hint("check ssh_proxy_host, ssh_proxy_port, ssh_proxy_username and ssh_proxy_password"),
        )),
        Err(SocksError::Refused("connection refused")) => Err(Miss::Yet(Seen::Refused)),
        Err(error) => Err(Miss::Yet(Seen::Unreachable(format!("{place}: {error}")))),
    }
}

async fn through_bastion(handle: &Handle<Peer>, host: &str, port: u16) -> Result<Stream, Miss> {
    match handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => Err(Miss::Yet(Seen::Refused)),
        Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)) => Err(Miss::Final(
            Error::new(Kind::Guest, format!("the bastion does not forward connections to {host}:{port}"))
                .hint("its sshd needs AllowTcpForwarding, and PermitOpen for this address"),
        )),
        Err(error) => Err(Miss::Yet(Seen::Unreachable(format!("through the bastion: {error}")))),
    }
}

/// An open connection whose server has sent its banner.
pub struct Reached {
    /// Gives the banner again: the handshake reads it too.
    pub stream: Stream,
    pub banner: String,
}

/// Tries until a banner comes; the caller owns the deadline. `last` says how the latest try ended.
/// A try holds on to the connection it made, so that waiting leaves no trail of connections that
/// say nothing: sshd counts those against their source.
pub async fn reach(way: &Way, host: &str, port: u16, last: &mut Seen) -> Result<Reached> {
    let once = async |patient: bool| {
        let length = if patient { PATIENT } else { QUICK };
        (patient, try_once(way, host, port, length).await)
    };
    let mut tries = FuturesUnordered::from_iter([once(true)]);
    let mut patient_is_out = true;
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some((patient, outcome)) = tries.next() => {
                patient_is_out &= !patient;
                match outcome {
                    Ok(reached) => return Ok(reached),
                    Err(Miss::Final(error)) => return Err(error),
                    Err(Miss::Yet(seen)) => *last = seen,
                }
            }
            _ = tick.tick(), if tries.len() < 2 => {
                tries.push(once(!patient_is_out));
                patient_is_out = true;
            }
        }
    }
}

async fn try_once(way: &Way, host: &str, port: u16, length: Duration) -> Result<Reached, Miss> {
    let connected = match timeout(length, way.dial(host, port)).await {
        Ok(stream) => stream?,
        Err(_) => return Err(Miss::Yet(Seen::Unreachable("no answer to a connection request".into()))),
    };
    match timeout(length, read_banner(connected)).await {
        Ok(reached) => reached,
        Err(_) => Err(Miss::Yet(Seen::Silent)),
    }
}

async fn read_banner(mut stream: Stream) -> Result<Reached, Miss> {
    let mut read = Vec::new();
    loop {
        if let Some(banner) = banner_in(&read) {
            let (reader, writer) = tokio::io::split(stream);
            let again = Cursor::new(read).chain(reader);
            return Ok(Reached { stream: Box::new(tokio::io::join(again, writer)), banner });
        }
        let before = read.len();
        if before > BANNER_LIMIT || stream.read_buf(&mut read).await? == 0 {
            let line = String::from_utf8_lossy(read.split(|byte| *byte == b'\n').next().unwrap_or_default());
            let line: String = line.trim_end().chars().take(80).collect();
            return Err(Miss::Yet(if before == 0 { Seen::Closed } else { Seen::NotSsh(line) }));
        }
    }
}

/// The first whole line that begins as a banner does; servers may send other lines before it.
fn banner_in(read: &[u8]) -> Option<String> {
    let mut lines = read.split_inclusive(|byte| *byte == b'\n');
    let line = lines.find(|line| line.starts_with(b"SSH-") && line.ends_with(b"\n"))?;
    Some(String::from_utf8_lossy(line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::banner_in;

    #[test]
    fn banners() {
        assert_eq!(banner_in(b"SSH-2.0-dropbear"), None);
        assert_eq!(banner_in(b"SSH-2.0-dropbear\r\nmore").as_deref(), Some("SSH-2.0-dropbear"));
        assert_eq!(banner_in(b"welcome\r\nSSH-2.0-x y\n").as_deref(), Some("SSH-2.0-x y"));
        assert_eq!(banner_in(b"HTTP/1.1 400\r\n"), None);
    }
}
