//! `ssh_local_tunnels` and `ssh_remote_tunnels`: `[bind address:]port:host:port`, as OpenSSH writes
//! them.

use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub bind: String,
    pub port: u16,
    pub host: String,
    pub host_port: u16,
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("`{0}` is not a tunnel: write `[bind address:]port:host:port`, with brackets around an IPv6 address")]
pub struct TunnelError(String);

impl FromStr for Tunnel {
    type Err = TunnelError;

    fn from_str(text: &str) -> Result<Self, TunnelError> {
        let wrong = || TunnelError(text.to_owned());
        let parts = split(text).ok_or_else(wrong)?;
        let (bind, port, host, host_port) = match parts.as_slice() {
            [port, host, host_port] => ("127.0.0.1", port, host, host_port),
            [bind, port, host, host_port] => (*bind, port, host, host_port),
            _ => return Err(wrong()),
        };
        let number = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0).ok_or_else(wrong);
        if host.is_empty() {
            return Err(wrong());
        }
        // OpenSSH: an empty bind address or `*` means every interface.
        let bind = if bind.is_empty() || bind == "*" { "0.0.0.0" } else { bind };
        Ok(Self { bind: bind.into(), port: number(port)?, host: (*host).into(), host_port: number(host_port)? })
    }
}

/// Splits at colons outside of brackets and takes the brackets off.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = match rest.strip_prefix('[') {
            Some(inner) => {
                let close = inner.find(']')?;
                parts.push(&inner[..close]);
                rest = &inner[close + 1..];
                0
            }
            None => {
                let end = rest.find(':').unwrap_or(rest.len());
                parts.push(&rest[..end]);
                end
            }
        };
        match rest[end..].strip_prefix(':') {
            Some(after) => rest = after,
            None if rest[end..].is_empty() => return Some(parts),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(bind: &str, port: u16, host: &str, host_port: u16) -> Result<Tunnel, TunnelError> {
        Ok(Tunnel { bind: bind.into(), port, host: host.into(), host_port })
    }

    #[test]
    fn forms() {
        assert_eq!("8081:web:80".parse(), tunnel("127.0.0.1", 8081, "web", 80));
        assert_eq!("0.0.0.0:8081:web:80".parse(), tunnel("0.0.0.0", 8081, "web", 80));
        assert_eq!("*:8081:web:80".parse(), tunnel("0.0.0.0", 8081, "web", 80));
        assert_eq!("[::1]:8081:[fe80::1]:80".parse(), tunnel("::1", 8081, "fe80::1", 80));
    }

    #[test]
    fn what_is_not_a_tunnel() {
        for text in ["", "80", "80:web", "0:web:80", "80::80", "80:web:99999", "[::1:80:web:80", "[::1]x:80:web:80"] {
            assert_eq!(text.parse::<Tunnel>(), Err(TunnelError(text.into())), "{text}");
        }
    }
}
