//! Ports of this machine that lead to guests, and the address of a guest on a bridge.

use std::fs::File;
use std::net::{IpAddr, TcpListener};
use std::path::Path;

use bakehouse_api::{Error, Kind, Result};

/// A port that no other build takes while this lives. Other programs still could, between our look
/// and QEMU's bind: the launch then tries the next one.
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

/// QEMU takes an empty address for all of them, and brackets around IPv6.
fn host(address: &str) -> &str {
    match address.trim_matches(['[', ']']) {
        "" => "0.0.0.0",
        plain => plain,
    }
}

/// A locally administered address in QEMU's own range.
pub fn random_mac() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0u8; 3];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|error| Error::io("reading /dev/urandom", &error))?;
    Ok(format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2]))
}

/// Who has the hardware address, as this machine's neighbour table (`/proc/net/arp`) tells.
pub fn neighbour(table: &str, mac: &str) -> Option<IpAddr> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, flags, hardware) = (fields.first()?, fields.get(2)?, fields.get(3)?);
        (hardware.eq_ignore_ascii_case(mac) && *flags != "0x0").then(|| address.parse().ok())?
    })
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

    #[test]
    fn a_neighbour_is_found_by_its_hardware_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.7.8      0x1         0x0         52:54:00:00:00:02     *        br0\n\
                     192.168.7.9      0x1         0x2         52:54:00:00:00:02     *        br0\n";
        assert_eq!(neighbour(table, "52:54:00:00:00:02"), Some("192.168.7.9".parse().unwrap()));
        assert_eq!(neighbour(table, "52:54:00:00:00:03"), None);
    }
}
