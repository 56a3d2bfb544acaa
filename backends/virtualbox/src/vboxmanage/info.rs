//! `--machinereadable` output: `key="value"` lines, some with quoted keys, between lines that mean nothing here.

use std::collections::BTreeMap;

/// What VBoxManage tells of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info(BTreeMap<String, String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Off, by itself or by us.
    Off,
    /// Its memory is in a file.
    Saved,
    /// The process that ran it is gone.
    Aborted,
    Running,
    /// Waits for something: a full disk, an error of the virtual machine monitor.
    Paused,
    /// It went wrong and waits to be looked at.
    Stuck,
    /// On its way from one of these to another.
    Changing,
}

/// A place where a medium is or could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub controller: String,
    pub port: u32,
    pub device: u32,
    /// A path, `emptydrive` or `none`.
    pub medium: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    pub name: String,
    /// `PIIX4`, `IntelAhci`, `VirtIO`, ...
    pub kind: String,
    pub ports: u32,
    pub most_ports: u32,
}

impl Info {
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(pair).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Every value whose key begins so, with the rest of its key.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
    }

    pub fn state(&self) -> State {
        match self.get("VMState").unwrap_or_default() {
            "poweroff" => State::Off,
            "saved" | "aborted-saved" => State::Saved,
            "aborted" => State::Aborted,
            "running" | "teleporting" | "livesnapshotting" => State::Running,
            "paused" => State::Paused,
            "gurumeditation" => State::Stuck,
            _ => State::Changing,
        }
    }

    pub fn controllers(&self) -> Vec<Controller> {
        let number = |key: String| self.get(&key).and_then(|text| text.parse().ok()).unwrap_or(0);
        let controller = |index: u32| {
            Some(Controller {
                name: self.get(&format!("storagecontrollername{index}"))?.to_owned(),
                kind: self.get(&format!("storagecontrollertype{index}"))?.to_owned(),
                ports: number(format!("storagecontrollerportcount{index}")),
                most_ports: number(format!("storagecontrollermaxportcount{index}")),
            })
        };
        (0..).map_while(controller).collect()
    }

    pub fn attachments(&self) -> Vec<Attachment> {
        let place = |controller: &Controller| -> Vec<Attachment> {
            let prefix = format!("{}-", controller.name);
            let found = self.with_prefix(&prefix).filter_map(|(place, medium)| {
                let (port, device) = place.split_once('-')?;
                let (port, device) = (port.parse().ok()?, device.parse().ok()?);
                Some(Attachment { controller: controller.name.clone(), port, device, medium: medium.to_owned() })
            });
            found.collect()
        };
        self.controllers().iter().flat_map(place).collect()
    }

    /// How many hard disks it has: only drives for CDs and floppies tell whether they are ejected.
    pub fn disks(&self) -> usize {
        let disk = |there: &&Attachment| {
            let Attachment { controller, port, device, .. } = there;
            let drive = self.get(&format!("{controller}-tempeject-{port}-{device}")).is_some();
            there.path().is_some() && !drive && !controller.contains("loppy")
        };
        self.attachments().iter().filter(disk).count()
    }

    /// Names of the rules of a network card that forward ports: `Forwarding(0)="name,tcp,..."`.
    pub fn forwardings(&self) -> Vec<&str> {
        self.with_prefix("Forwarding(").filter_map(|(_, rule)| rule.split(',').next()).collect()
    }
}

impl Attachment {
    /// The path of what is in it.
    pub fn path(&self) -> Option<&str> {
        (!matches!(self.medium.as_str(), "none" | "emptydrive" | "")).then_some(&self.medium)
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    let line = line.trim_end();
    let (key, value) = match line.strip_prefix('"') {
        Some(rest) => rest.split_once("\"=")?,
        None => line.split_once('=')?,
    };
    let plain = key.chars().all(|c| !c.is_control()) && !key.is_empty() && !key.starts_with(' ');
    plain.then(|| (key.to_owned(), unquoted(value)))
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// `"name" {uuid}` lines of `list vms`.
pub fn machines(text: &str) -> Vec<(String, String)> {
    let machine = |line: &str| {
        let (name, uuid) = line.trim().strip_prefix('"')?.rsplit_once("\" {")?;
        Some((name.to_owned(), uuid.strip_suffix('}')?.to_owned()))
    };
    text.lines().filter_map(machine).collect()
}

/// Paths of the media that `list hdds`, `dvds` or `floppies` tells.
pub fn locations(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.strip_prefix("Location:")?.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = r#"WARNING: The character device /dev/vboxdrv does not exist.
name="a \"quoted\" name"
CfgFile="/vms/a/a.vbox"
memory=1024
VMState="poweroff"
storagecontrollername0="IDE Controller"
storagecontrollertype0="PIIX4"
storagecontrollerinstance0="0"
storagecontrollermaxportcount0="2"
storagecontrollerportcount0="2"
"IDE Controller-0-0"="/vms/a/a.vdi"
"IDE Controller-ImageUUID-0-0"="470c0ed4-4da9-4f03-9ac8-34b249550301"
"IDE Controller-0-1"="none"
"IDE Controller-1-0"="emptydrive"
"IDE Controller-1-1"="none"
Forwarding(0)="packercomm,tcp,127.0.0.1,2222,,22"
 rec_screen0
rec_screen_id=0
"#;

    #[test]
    fn a_machine_is_read_between_lines_that_mean_nothing() {
        let info = Info::parse(SHOWN);
        assert_eq!(info.get("name"), Some("a \"quoted\" name"));
        assert_eq!(info.get("memory"), Some("1024"));
        assert_eq!(info.state(), State::Off);
        assert_eq!(info.forwardings(), ["packercomm"]);
        let [controller] = info.controllers().try_into().unwrap();
        assert_eq!((controller.kind.as_str(), controller.ports), ("PIIX4", 2));
        let paths: Vec<_> = info.attachments().iter().map(|a| (a.port, a.device, a.path().is_some())).collect();
        assert_eq!(paths, [(0, 0, true), (0, 1, false), (1, 0, false), (1, 1, false)]);
    }

    #[test]
    fn names_with_braces_and_quotes_are_told_from_their_uuid() {
        let listed = "WARNING: no driver\n\"a\" {54fd8c9e}\n\"b\" {c}\" {87b2dc1f}\n";
        assert_eq!(machines(listed), [("a".into(), "54fd8c9e".into()), ("b\" {c}".into(), "87b2dc1f".into())]);
    }
}
