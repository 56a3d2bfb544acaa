//! What the boot loader starts by default, as its configuration says: GRUB, the Boot Loader Specification,
//! EXTLINUX. Without one, the newest kernel that is there.

use std::cmp::Ordering;

use super::tree::Tree;

const GRUB: [&str; 4] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg", "/grub2/grub.cfg"];
const GRUB_ENVIRONMENT: [&str; 4] = ["/boot/grub2/grubenv", "/grub2/grubenv", "/boot/grub/grubenv", "/grub/grubenv"];
const ENTRIES: [&str; 2] = ["/boot/loader/entries", "/loader/entries"];
const EXTLINUX: [&str; 6] = [
    "/boot/extlinux/extlinux.conf",
    "/extlinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/syslinux/syslinux.cfg",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub kernel: String,
    /// None: the kernel is on its own.
    pub initramfs: Option<String>,
    /// None where no configuration tells them.
    pub arguments: Option<String>,
    /// The file that says so.
    pub from: Option<String>,
}

impl Entry {
    /// The values of an argument, in their order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let words = self.arguments.as_deref().unwrap_or_default().split_whitespace();
        words.filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// By a configuration in this file system.
pub fn configured(tree: &Tree) -> Option<Entry> {
    grub(tree).or_else(|| specified(tree)).or_else(|| extlinux(tree))
}

/// By the names of files, in `/boot` or at the top of a file system of its own.
pub fn newest(tree: &Tree) -> Option<Entry> {
    ["/boot", "/"].into_iter().find_map(|folder| {
        let names = tree.list(folder);
        let kernels = names.iter().filter(|name| name.starts_with("vmlinuz") && !name.contains("rescue"));
        let kernel = kernels.max_by(|left, right| by_version(left, right))?;
        let version = kernel.trim_start_matches("vmlinuz").trim_start_matches('-');
        let fits =
            |name: &&String| (name.starts_with("initrd") || name.starts_with("initramfs")) && name.contains(version);
        let path = |name: &String| format!("{}/{name}", folder.trim_end_matches('/'));
        Some(Entry { kernel: path(kernel), initramfs: names.iter().find(fits).map(path), ..Entry::default() })
    })
}

fn grub(tree: &Tree) -> Option<Entry> {
    let (path, text) = GRUB.into_iter().find_map(|path| Some((path, tree.text(path)?)))?;
    let mut entry = grub_entry(&text)?;
    entry.from = Some(path.into());
    let environment = GRUB_ENVIRONMENT.into_iter().find_map(|path| tree.text(path)).unwrap_or_default();
    entry.arguments = entry.arguments.map(|arguments| expanded(&arguments, &environment));
    Some(entry)
}

/// The first `linux` and the `initrd` after it: the first entry of the menu is what boots.
fn grub_entry(text: &str) -> Option<Entry> {
    let mut lines = text.lines().map(str::trim);
    let (kernel, arguments) = lines.find_map(|line| {
        // `linux16`, `linuxefi` and, where the script chooses between them, `linux$entry`
        let (command, rest) = line.split_once(char::is_whitespace)?;
        let rest = rest.trim();
        (command.starts_with("linux") && !command.contains('=')).then(|| rest.split_once(' ').unwrap_or((rest, "")))
    })?;
    let mut words = lines.take_while(|line| !line.starts_with("menuentry") && !line.starts_with("linux"));
    let initramfs = words.find_map(|line| {
        let (command, rest) = line.split_once(char::is_whitespace)?;
        // The last one: those before it carry microcode.
        command.starts_with("initrd").then(|| rest.split_whitespace().next_back()).flatten()
    });
    Some(Entry {
        kernel: plain(kernel),
        initramfs: initramfs.map(plain),
        arguments: Some(arguments.replace(['"', '\''], "")),
        from: None,
    })
}

/// `($root)/boot/vmlinuz` without its device.
fn plain(path: &str) -> String {
    let path = path.trim_matches(['"', '\'']);
    let path = if path.starts_with('(') { path.split_once(')').map_or(path, |(_, path)| path) } else { path };
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// `$kernelopts` of GRUB's environment block; other variables stay as they are written.
fn expanded(arguments: &str, environment: &str) -> String {
    let value = |name: &str| {
        let name = name.trim_matches(['{', '}']);
        environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let words = arguments.split_whitespace().map(|word| word.strip_prefix('$').and_then(value).unwrap_or(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The Boot Loader Specification: the newest of its files is the default.
fn specified(tree: &Tree) -> Option<Entry> {
    ENTRIES.into_iter().find_map(|folder| {
        let names = tree.list(folder);
        let names = names.iter().filter(|name| name.ends_with(".conf") && !name.contains("rescue"));
        let path = format!("{folder}/{}", names.max_by(|left, right| by_version(left, right))?);
        let environment = GRUB_ENVIRONMENT.into_iter().find_map(|path| tree.text(path)).unwrap_or_default();
        let text = tree.text(&path)?;
        let value =
            |key: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix([' ', '\t']));
        Some(Entry {
            kernel: plain(value("linux")?.trim()),
            initramfs: value("initrd").and_then(|line| line.split_whitespace().next()).map(plain),
            arguments: Some(expanded(value("options").unwrap_or_default(), &environment)),
            from: Some(path),
        })
    })
}

fn extlinux(tree: &Tree) -> Option<Entry> {
    let (path, text) = EXTLINUX.into_iter().find_map(|path| Some((path, tree.text(path)?)))?;
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (word, rest) = line.trim().split_once(char::is_whitespace)?;
            word.eq_ignore_ascii_case(key).then(|| rest.trim())
        })
    };
    Some(Entry {
        kernel: plain(value("linux").or_else(|| value("kernel"))?),
        initramfs: value("initrd").and_then(|line| line.rsplit(',').next()).map(plain),
        arguments: Some(value("append").unwrap_or_default().to_owned()),
        from: Some(path.into()),
    })
}

/// `6.1.0-9` comes before `6.1.0-25`.
fn by_version(left: &str, right: &str) -> Ordering {
    parts(left).cmp(&parts(right))
}

fn parts(name: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = vec![(0, String::new())];
    let mut number = false;
    for letter in name.chars() {
        if letter.is_ascii_digit() != number {
            number = !number;
            if number {
                parts.push((0, String::new()));
            }
        }
        if let Some((value, text)) = parts.last_mut() {
            match letter.to_digit(10) {
                Some(digit) => *value = value.saturating_mul(10).saturating_add(u64::from(digit)),
                None => text.push(letter),
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_grub_counts_with_the_initrd_after_it() {
        let text = "set default=0\nif true; then\n  set linux_gfx_mode=keep\nfi\nmenuentry 'Debian' {\n\
                    \tlinux\t/boot/vmlinuz-6.1 root=UUID=1-2 ro console=tty0 console=ttyS0,115200\n\
                    \tinitrd /boot/microcode.img /boot/initrd.img-6.1\n}\n\
                    menuentry 'old' {\n linux /boot/vmlinuz-5 root=/dev/sda1\n initrd /boot/old\n}\n";
        let entry = grub_entry(text).unwrap();
        assert_eq!(entry.kernel, "/boot/vmlinuz-6.1");
        assert_eq!(entry.initramfs.as_deref(), Some("/boot/initrd.img-6.1"));
        assert_eq!(entry.values("console").collect::<Vec<_>>(), ["tty0", "ttyS0,115200"]);
        assert_eq!(entry.values("root").next(), Some("UUID=1-2"));
        assert_eq!(grub_entry("linux$entry ($root)/vmlinuz root=LABEL=x").unwrap().kernel, "/vmlinuz");
        assert_eq!(
            grub_entry("menuentry 'x' {\n linux /a\n}\nmenuentry 'y' {\n initrd /b\n}").unwrap().initramfs,
            None
        );
        assert_eq!(grub_entry("configfile $prefix/grub.cfg"), None);
    }

    #[test]
    fn variables_come_from_the_environment_block() {
        let block = "# GRUB Environment Block\nkernelopts=root=UUID=1 ro\n####";
        assert_eq!(expanded("$kernelopts $tuned_params quiet", block), "root=UUID=1 ro $tuned_params quiet");
        assert_eq!(expanded("${kernelopts}", block), "root=UUID=1 ro");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(by_version("vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-25-amd64"), Ordering::Less);
        assert_eq!(by_version("vmlinuz-6.10", "vmlinuz-6.9"), Ordering::Greater);
    }
}
