//! The client's half of SOCKS5 (RFC 1928) with user and password (RFC 1929): CONNECT only.

use bakehouse_api::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

#[derive(Debug, thiserror::Error)]
pub enum SocksError {
    #[error("the proxy closed the connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("the proxy does not speak SOCKS5")]
    NotSocks,
    #[error("the proxy accepts none of the offered logins")]
    NoMethod,
    #[error("the proxy refused the user and password")]
    Denied,
    #[error("the host name is longer than SOCKS5 can carry")]
    LongName,
    #[error("the proxy could not connect: {0}")]
    Refused(&'static str),
}

impl SocksError {
    /// Will it be the same every time?
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NotSocks | Self::NoMethod | Self::Denied | Self::LongName)
    }
}

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;

pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<(&str, &Secret)>,
    host: &str,
    port: u16,
) -> Result<(), SocksError> {
    let methods: &[u8] = if login.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    stream.write_all(methods).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some((user, password))) => log_in(stream, user, password).await?,
        ([VERSION, _], _) => return Err(SocksError::NoMethod),
        _ => return Err(SocksError::NotSocks),
    }
    let mut request = vec![VERSION, 1, 0];
    request.extend(address(host)?);
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await?;
    answer(stream).await
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    user: &str,
    password: &Secret,
) -> Result<(), SocksError> {
    let mut request = vec![1];
    for text in [user, password.reveal()] {
        request.push(u8::try_from(text.len()).map_err(|_| SocksError::Denied)?);
        request.extend(text.as_bytes());
    }
    stream.write_all(&request).await?;
    let mut status = [0; 2];
    stream.read_exact(&mut status).await?;
    if status[1] == 0 { Ok(()) } else { Err(SocksError::Denied) }
}

/// Names are resolved by the proxy, which may know names that we do not.
fn address(host: &str) -> Result<Vec<u8>, SocksError> {
    let typed = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    match host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => Ok(typed(1, &ip.octets())),
        Ok(std::net::IpAddr::V6(ip)) => Ok(typed(4, &ip.octets())),
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| SocksError::LongName)?;
            Ok([&[3, length], host.as_bytes()].concat())
        }
    }
}

async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), SocksError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [VERSION, reply, _, kind] = head else { return Err(SocksError::NotSocks) };
    if reply != 0 {
        return Err(SocksError::Refused(meaning(reply)));
    }
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(SocksError::NotSocks),
    };
    // The bound address, which nobody needs, and its port.
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

fn meaning(reply: u8) -> &'static str {
    match reply {
        2 => "its rules forbid it",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "the packet's time to live ran out",
        7 => "it does not support CONNECT",
        8 => "it does not support this kind of address",
        _ => "general failure",
    }
}
