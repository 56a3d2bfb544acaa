//! The system on the root file system: which one it is, how it gets its address and who may log in.

use super::tree::Tree;
use super::{Architecture, Report, kernel};

/// Does this look like the root of a Linux system?
pub fn is_root(tree: &Tree) -> bool {
    ["/etc/os-release", "/usr/lib/os-release", "/etc/fstab", "/sbin/init", "/usr/lib/systemd/systemd"]
        .iter()
        .any(|path| tree.exists(path))
}

/// "Debian GNU/Linux 12 (bookworm)"
pub fn name(root: &Tree) -> Option<String> {
    let text = root.text("/etc/os-release").or_else(|| root.text("/usr/lib/os-release"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// What its programs are for.
pub fn architecture(root: &Tree) -> Option<Architecture> {
    ["/bin/sh", "/usr/bin/sh", "/bin/busybox", "/usr/bin/env", "/sbin/init"]
        .iter()
        .find_map(|path| kernel::program(&root.head(path, 64)?))
}

pub fn has_cloud_init(root: &Tree) -> bool {
    ["/usr/bin/cloud-init", "/bin/cloud-init", "/usr/local/bin/cloud-init"].iter().any(|path| root.exists(path))
}

/// cloud-init's default user: the last one that its configuration names.
pub fn login(root: &Tree) -> Option<String> {
    if !has_cloud_init(root) {
        return None;
    }
    configuration(root).into_iter().rev().find_map(|path| default_user(&root.text(&path)?))
}

/// The `name` below `default_user:`.
fn default_user(text: &str) -> Option<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().skip_while(|line| line.trim() != "default_user:");
    let depth = indent(lines.next()?);
    let mut below = lines.take_while(|line| line.trim().is_empty() || indent(line) > depth);
    let name = below.find_map(|line| line.trim().strip_prefix("name:"))?.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// cloud-init or something like it, else a DHCP client, else nobody would ever reach the instance.
pub fn check(root: &Tree, report: &mut Report) {
    if has_cloud_init(root) {
        return cloud_init(root, report);
    }
    const OTHERS: [(&str, &str); 4] = [
        ("/usr/bin/ignition", "Ignition"),
        ("/usr/lib/dracut/modules.d/30ignition/ignition", "Ignition"),
        ("/usr/bin/tiny-cloud", "tiny-cloud"),
        ("/usr/bin/nm-cloud-setup", "nm-cloud-setup"),
    ];
    if let Some((_, name)) = OTHERS.iter().find(|(path, _)| root.exists(path)) {
        return report.ok("cloud-init", format!("{name} reads EC2's metadata"));
    }
    match dhcp(root) {
        Some(client) => {
            let seen = format!(
                "there is no cloud-init: {client} gets an address, but keys and user data of an instance are not read"
            );
            report.warn(
                "cloud-init",
                seen,
                "install cloud-init, or make sure that you can log in by what is on the disk",
            );
        }
        None => {
            let seen = "there is neither cloud-init nor a DHCP client: an instance would have no address";
            report.fail("cloud-init", seen, "install cloud-init, or a DHCP client that starts at boot");
        }
    }
}

fn cloud_init(root: &Tree, report: &mut Report) {
    const CHECK: &str = "cloud-init";
    if root.named("/etc/cloud/cloud-init.disabled") {
        let seen = "cloud-init is there, but /etc/cloud/cloud-init.disabled switches it off";
        return report.fail(CHECK, seen, "remove that file");
    }
    match sources(root) {
        Some((path, list)) if !list.iter().any(|name| name == "Ec2") => {
            let seen = format!("cloud-init is there, but {path} lets it look for {} only", list.join(", "));
            report.fail(CHECK, seen, "add `Ec2` to the datasource_list there");
        }
        _ => report.ok(CHECK, "cloud-init is there, and reads EC2's metadata"),
    }
}

/// The `datasource_list` that counts, the last one, and the file it is in.
fn sources(root: &Tree) -> Option<(String, Vec<String>)> {
    let mut files = configuration(root).into_iter().rev();
    files.find_map(|path| root.text(&path).and_then(|text| listed(&text)).map(|list| (path, list)))
}

/// Its files, in the order in which one overrides the other.
fn configuration(root: &Tree) -> Vec<String> {
    let folder = "/etc/cloud/cloud.cfg.d";
    let more =
        root.list(folder).into_iter().filter(|name| name.ends_with(".cfg")).map(|name| format!("{folder}/{name}"));
    std::iter::once("/etc/cloud/cloud.cfg".to_owned()).chain(more).collect()
}

/// `datasource_list: [ NoCloud, Ec2 ]` or one name a line below it.
fn listed(text: &str) -> Option<Vec<String>> {
    const KEY: &str = "datasource_list:";
    let after = text.lines().position(|line| line.starts_with(KEY))?;
    let mut lines = text.lines().skip(after);
    let first = lines.next()?.strip_prefix(KEY)?.split('#').next()?.trim();
    let mut inline = first.to_owned();
    if !first.is_empty() && !first.contains(']') {
        inline += &lines.by_ref().take_while(|line| !line.contains(':')).collect::<String>();
    }
    let words = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    if first.is_empty() {
        let items = lines.map(str::trim).take_while(|line| line.starts_with('-'));
        return Some(items.flat_map(words).collect());
    }
    Some(words(&inline))
}

/// A client that starts at boot, as far as that can be seen.
fn dhcp(root: &Tree) -> Option<&'static str> {
    const SERVICES: [(&str, &str); 3] = [
        ("systemd-networkd.service", "systemd-networkd"),
        ("NetworkManager.service", "NetworkManager"),
        ("dhcpcd.service", "dhcpcd"),
    ];
    let enabled = |unit: &str| root.named(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"));
    if let Some((_, name)) = SERVICES.iter().find(|(unit, _)| enabled(unit)) {
        return Some(name);
    }
    const PROGRAMS: [(&str, &str); 5] = [
        ("/sbin/dhclient", "dhclient"),
        ("/usr/sbin/dhclient", "dhclient"),
        ("/sbin/dhcpcd", "dhcpcd"),
        ("/sbin/udhcpc", "udhcpc"),
        ("/usr/sbin/wicked", "wicked"),
    ];
    PROGRAMS.iter().find(|(path, _)| root.exists(path)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_user_has_a_name() {
        let text = "system_info:\n  distro: debian\n  default_user:\n    lock_passwd: True\n    name: debian\n  paths:\n    name: x\n";
        assert_eq!(default_user(text).as_deref(), Some("debian"));
        assert_eq!(default_user("system_info:\n  default_user:\n    shell: /bin/sh\n  x:\n    name: no\n"), None);
    }

    #[test]
    fn datasources_are_listed_in_brackets_or_below() {
        assert_eq!(
            listed("x: 1\ndatasource_list: [NoCloud, Ec2] # two\ny: 2"),
            Some(vec!["NoCloud".into(), "Ec2".into()])
        );
        assert_eq!(
            listed("datasource_list:\n  - NoCloud\n- None\nother: x"),
            Some(vec!["NoCloud".into(), "None".into()])
        );
        assert_eq!(listed("datasource_list: [ NoCloud,\n  Ec2 ]\nz: 1"), Some(vec!["NoCloud".into(), "Ec2".into()]));
        assert_eq!(listed("# datasource_list: [Ec2]"), None);
    }
}
