//! Would the guest configure a network card that it has never seen? Configuration bound to a hardware address or to
//! a name that another machine's wiring gave is for the old card only.

use super::Report;
use super::boot_config::Entry;
use super::tree::Tree;

const CHECK: &str = "network-names";

/// Folders of configuration, by the ending of their files.
const PLACES: [(&str, &str); 7] = [
    ("/etc/netplan", ".yaml"),
    ("/etc/systemd/network", ".network"),
    ("/etc/systemd/network", ".link"),
    ("/etc/NetworkManager/system-connections", ""),
    ("/etc/sysconfig/network-scripts", ""),
    ("/etc/network/interfaces.d", ""),
    ("/etc/udev/rules.d", ".rules"),
];

#[derive(Debug, Default, PartialEq, Eq)]
struct Bound {
    /// A line that names a hardware address.
    mac: Option<String>,
    /// Names of cards: `ens3`.
    names: Vec<String>,
    /// It says so for cards of any name.
    any: bool,
}

pub fn check(root: &Tree, entry: Option<&Entry>, cloud_init: bool, report: &mut Report) {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut any = cloud_init && configures(root);
    let before = report.findings.len();
    for path in files(root) {
        // cloud-init writes its own files anew for each instance.
        if cloud_init && path.contains("cloud-init") {
            continue;
        }
        let Some(text) = root.text(&path) else { continue };
        let bound = bound(&path, &text);
        if let Some(line) = bound.mac {
            let seen = format!("{path} is for one network card, by its hardware address: `{line}`");
            report.fail(CHECK, seen, "take the file or the line away: a new instance has another card");
        }
        any |= bound.any;
        names.extend(bound.names.into_iter().map(|name| (path.clone(), name)));
    }
    let classic = entry.is_some_and(|entry| entry.values("net.ifnames").last() == Some("0"));
    let foreign = names.iter().find(|(_, name)| !fits(name, classic));
    match foreign {
        Some((path, name)) if !any && !names.iter().any(|(_, name)| fits(name, classic)) => {
            let kernel = if classic { "eth0, as the kernel is told `net.ifnames=0`" } else { "ens5 or the like" };
            let seen = format!("{path} configures `{name}` only; on EC2 the card is called {kernel}");
            report.fail(CHECK, seen, "configure cards of any name (`en*`, `eth*`), or leave it to cloud-init");
        }
        _ if report.findings.len() == before => {
            report.ok(CHECK, "no network configuration is bound to a card of the old machine");
        }
        _ => {}
    }
}

/// The name that the card of an instance has.
fn fits(name: &str, classic: bool) -> bool {
    if classic { name == "eth0" } else { name == "ens5" }
}

/// Unless it is told not to, cloud-init configures whatever card is there.
fn configures(root: &Tree) -> bool {
    let folder = "/etc/cloud/cloud.cfg.d";
    let texts = root.list(folder).into_iter().filter_map(|name| root.text(&format!("{folder}/{name}")));
    let off = |text: String| {
        let compact: String = text.lines().filter(|line| !line.trim().starts_with('#')).collect();
        compact.replace([' ', '{', '}', '"'], "").contains("network:config:disabled")
    };
    !texts.into_iter().any(off)
}

fn files(root: &Tree) -> Vec<String> {
    let mut files: Vec<String> = PLACES
        .into_iter()
        .flat_map(|(folder, ending)| {
            let names = root.list(folder).into_iter().filter(move |name| name.ends_with(ending));
            let names = names.filter(move |name| !folder.ends_with("network-scripts") || name.starts_with("ifcfg-"));
            names.map(move |name| format!("{folder}/{name}"))
        })
        .collect();
    files.push("/etc/network/interfaces".into());
    files
}

fn bound(path: &str, text: &str) -> Bound {
    let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let mac = lines().find(|line| mac_key(line) && has_mac(line)).map(str::to_owned);
    let words = lines().filter(|line| names_card(path, line)).flat_map(|line| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && !"*.?-_".contains(c)).filter(|word| !word.is_empty())
    });
    let words: Vec<String> = words.map(str::to_owned).collect();
    let wild = |word: &String| word.contains('*') && (word.starts_with('e') || word == "*");
    Bound {
        mac,
        any: words.iter().any(wild) || lines().any(|line| line == "Type=ether" || line == "type=ethernet"),
        names: words.into_iter().filter(|word| is_card(word)).collect(),
    }
}

/// Does the line say which card this is for?
fn names_card(path: &str, line: &str) -> bool {
    if path.contains("/network/interfaces") {
        return line.starts_with("iface ") && !line.contains("loopback");
    }
    if path.contains("netplan") {
        return line.ends_with(':') || line.starts_with("name:");
    }
    ["Name=", "OriginalName=", "DEVICE=", "interface-name=", "NAME="].iter().any(|key| line.starts_with(key))
}

/// `ens3`, `enp0s3`, `eno1`, `eth0`.
fn is_card(word: &str) -> bool {
    let number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let numbered = ["ens", "enp", "eno", "eth"].iter().any(|kind| word.strip_prefix(kind).is_some_and(number));
    numbered && !word.contains('*')
}

fn mac_key(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["hwaddr", "macaddress", "mac-address", "attr{address}", "hwaddress ether", "permanentmacaddress"]
        .iter()
        .any(|key| line.contains(key))
}

fn has_mac(line: &str) -> bool {
    let pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut words = line.split(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '-');
    words.any(|word| {
        let parts: Vec<&str> = word.split([':', '-']).collect();
        parts.len() == 6 && parts.into_iter().all(pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_found_in_every_form() {
        let mac = |path: &str, text: &str| bound(path, text).mac.is_some();
        assert!(mac(
            "/etc/udev/rules.d/70-persistent-net.rules",
            "ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\""
        ));
        assert!(mac("/etc/sysconfig/network-scripts/ifcfg-eth0", "HWADDR=52:54:00:12:34:56"));
        assert!(mac("/etc/netplan/1.yaml", "      macaddress: '52:54:00:12:34:56'"));
        assert!(!mac("/etc/netplan/1.yaml", "# macaddress: 52:54:00:12:34:56"));
        assert!(!mac("/etc/systemd/network/1.link", "[Link]\nMACAddressPolicy=persistent"));
        let names = |path: &str, text: &str| bound(path, text).names;
        assert_eq!(names("/etc/network/interfaces", "auto lo\niface lo inet loopback\niface ens3 inet dhcp"), ["ens3"]);
        assert_eq!(names("/etc/netplan/1.yaml", "network:\n  ethernets:\n    enp0s3:\n      dhcp4: true"), ["enp0s3"]);
        let wild = bound("/etc/systemd/network/1.network", "[Match]\nName=en* eth*\n[Network]\nDHCP=yes");
        assert_eq!(wild, Bound { any: true, ..Bound::default() });
    }
}
