//! Hardware addresses, and the address of a guest on a bridge.

use std::fs::File;
use std::net::IpAddr;

use bakehouse_api::{Error, Result};

pub use bakehouse_kit::ports::{PortLease, lease};

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
    fn a_neighbour_is_found_by_its_hardware_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.7.8      0x1         0x0         52:54:00:00:00:02     *        br0\n\
                     192.168.7.9      0x1         0x2         52:54:00:00:00:02     *        br0\n";
        assert_eq!(neighbour(table, "52:54:00:00:00:02"), Some("192.168.7.9".parse().unwrap()));
        assert_eq!(neighbour(table, "52:54:00:00:00:03"), None);
    }
}
