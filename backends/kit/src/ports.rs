//! Ports of this machine that lead to guests.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;

use bakehouse_api::{Error, Kind, Result};

/// A port that no other build takes while this lives. Other programs still could, between our look
/// and the hypervisor's bind: the launch then tries the next one.
#[derive(Debug)]
pub struct PortLease {
    pub port: u16,
    _lock: File,
}

/// The first port of the range that neither another build (`locks`) nor another program has.
pub fn lease(locks: &Path, address: &str, min: u16, max: u16, what: &str) -> Result<PortLease> {
    std::fs::create_dir_all(locks).map_err(|error| Error::io(format!("making {}", locks.display()), &error))?;
    for port in min..=max {
        let path = locks.join(format!("{port}.lock"));
        let lock = File::create(&path).map_err(|error| Error::io(format!("opening {}", path.display()), &error))?;
        if lock.try_lock().is_ok() && TcpListener::bind((host(address), port)).is_ok() {
            return Ok(PortLease { port, _lock: lock });
        }
    }
    Err(Error::new(Kind::Host, format!("every port from {min} to {max} is in use"))
        .context(format!("choosing a port for {what}"))
        .hint("widen the range, or end the builds and programs that use these ports"))
}

/// An empty address is all of them; an IPv6 one may stand in brackets.
fn host(address: &str) -> &str {
    match address.trim_matches(['[', ']']) {
        "" => "0.0.0.0",
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_avoid_each_other_and_foreign_listeners() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
        let min = foreign.local_addr().unwrap().port();
        let max = min.saturating_add(50);
        let first = lease(dir.path(), "127.0.0.1", min, max, "SSH").unwrap();
        let second = lease(dir.path(), "127.0.0.1", min, max, "SSH").unwrap();
        assert!(min < first.port && first.port < second.port);
        let freed = first.port;
        drop(first);
        assert_eq!(lease(dir.path(), "127.0.0.1", freed, freed, "SSH").unwrap().port, freed);
    }

    #[test]
    fn an_exhausted_range_says_which() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = foreign.local_addr().unwrap().port();
        let error = lease(dir.path(), "127.0.0.1", port, port, "SSH").unwrap_err();
        assert_eq!(error.to_string(), format!("choosing a port for SSH: every port from {port} to {port} is in use"));
    }
}
