//! Reads what VirtualBox, VMware, QEMU's friends and we write, by the names of elements: prefixes and
//! order differ from tool to tool.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Adapter, Bus, Descriptor, Disk, File, Os, OvfError, Version, mac};

/// No descriptor of a real machine is nearly as long.
pub const MAX_BYTES: u64 = 8 << 20;
const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: usize = 100_000;

/// An element with what matters of it.
#[derive(Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Element>,
}

pub fn parse(bytes: &[u8]) -> Result<Descriptor, OvfError> {
    let root = tree(bytes)?;
    if root.name != "Envelope" {
        return Err(OvfError::Wrong(format!("begins with <{}>, not with <Envelope>", root.name)));
    }
    let version = match root.attributes.get("xmlns").map(String::as_str) {
        Some(namespace) if namespace.ends_with("/envelope/2") => Version::V2,
        _ if root.attributes.get("version").is_some_and(|version| version.starts_with("2.")) => Version::V2,
        _ => Version::V1,
    };
    let mut systems = Vec::new();
    root.find_all("VirtualSystem", &mut systems);
    let system = match systems.as_slice() {
        [system] => *system,
        [] => return Err(OvfError::Wrong("describes no virtual system".into())),
        _ => return Err(OvfError::Wrong(format!("describes {} virtual systems, not one", systems.len()))),
    };
    let items = items(system);
    let quantity = |kind: &str| items.iter().find(|item| item.get("ResourceType") == kind);
    Ok(Descriptor {
        version,
        name: system.child("Name").map(|name| name.text.clone()).unwrap_or_else(|| system.attribute("id")),
        os: os(system),
        cpus: quantity("3").and_then(|item| item.get("VirtualQuantity").parse().ok()).unwrap_or(1),
        memory_mib: quantity("4").and_then(memory).unwrap_or(0),
        disks: disks(&root, &items)?,
        adapters: adapters(system, &items),
        files: files(&root),
    })
}

fn tree(bytes: &[u8]) -> Result<Element, OvfError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(OvfError::Wrong(format!("is longer than {} MiB", MAX_BYTES >> 20)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| OvfError::Xml(error.to_string()))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| OvfError::Xml(format!("{error} at byte {}", reader.error_position())))?;
        let closed = match event {
            Event::Start(start) => {
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => Some(element(&start)?),
            Event::End(_) => open.pop().map(|mut closed| {
                closed.text = closed.text.trim().to_owned();
                closed
            }),
            Event::Text(text) => {
                if let Some(current) = open.last_mut() {
                    current.text += &text;
                }
                None
            }
            Event::GeneralRef(reference) => {
                if let Some(current) = open.last_mut() {
                    current.text.push(character(&reference)?);
                }
                None
            }
            Event::Eof => return Err(OvfError::Xml("it ends before its last element does".into())),
            _ => None,
        };
        count += 1;
        if open.len() > MAX_DEPTH || count > MAX_ELEMENTS {
            return Err(OvfError::Wrong("is nested too deep or too long".into()));
        }
        let Some(closed) = closed else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

/// What `&amp;` or `&#38;` stands for; a document's own entities are nobody's business here.
fn character(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, OvfError> {
    let wrong = |error: String| OvfError::Xml(error);
    if let Some(c) = reference.resolve_char_ref().map_err(|error| wrong(error.to_string()))? {
        return Ok(c);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(wrong(format!("the entity &{other}; is unknown"))),
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, OvfError> {
    let mut attributes = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| OvfError::Xml(error.to_string()))?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| OvfError::Xml(error.to_string()))?;
        attributes.insert(attribute.key.local_name().as_ref().to_owned(), value.into_owned());
    }
    Ok(Element { name: start.local_name().as_ref().to_owned(), attributes, ..Element::default() })
}

impl Element {
    fn attribute(&self, name: &str) -> String {
        self.attributes.get(name).cloned().unwrap_or_default()
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn find_all<'a>(&'a self, name: &str, found: &mut Vec<&'a Element>) {
        for child in &self.children {
            if child.name == name {
                found.push(child);
            } else {
                child.find_all(name, found);
            }
        }
    }

    fn all(&self, name: &str) -> Vec<&Element> {
        let mut found = Vec::new();
        self.find_all(name, &mut found);
        found
    }
}

/// The fields of a piece of hardware.
struct Item(BTreeMap<String, String>);

impl Item {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

fn items(system: &Element) -> Vec<Item> {
    let fields = |element: &&Element| {
        Item(element.children.iter().map(|field| (field.name.clone(), field.text.clone())).collect())
    };
    let kinds = ["Item", "StorageItem", "EthernetPortItem"];
    kinds.iter().flat_map(|kind| system.all(kind)).map(|element| fields(&element)).collect()
}

/// "byte * 2^20", "MegaBytes", nothing.
fn unit(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some((_, power)) = text.split_once("2^") {
        return power.trim().parse().ok().and_then(|power: u32| 1u64.checked_shl(power)).filter(|unit| *unit > 0);
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "byte" | "bytes" => Some(1),
        "kilobytes" | "kb" => Some(1 << 10),
        "megabytes" | "mb" => Some(1 << 20),
        "gigabytes" | "gb" => Some(1 << 30),
        _ => None,
    }
}

fn memory(item: &Item) -> Option<u64> {
    let quantity: u64 = item.get("VirtualQuantity").parse().ok()?;
    let units = item.get("AllocationUnits");
    // Memory without a unit has always been meant in MiB.
    let unit = if units.is_empty() { 1 << 20 } else { unit(units)? };
    Some(quantity.checked_mul(unit)? >> 20)
}

fn os(system: &Element) -> Os {
    let section = system.child("OperatingSystemSection");
    let cim = section.and_then(|section| section.attribute("id").parse().ok()).unwrap_or(0);
    let word = section.and_then(|section| section.child("OSType")).map(|word| word.text.clone());
    Os { cim, virtualbox: word.filter(|word| !word.is_empty()) }
}

fn files(root: &Element) -> Vec<File> {
    let references = root.child("References").map(|references| references.all("File")).unwrap_or_default();
    references
        .iter()
        .map(|file| File {
            id: file.attribute("id"),
            href: file.attribute("href"),
            size: file.attribute("size").parse().ok(),
        })
        .collect()
}

fn disks(root: &Element, items: &[Item]) -> Result<Vec<Disk>, OvfError> {
    let section = root.child("DiskSection").map(|section| section.all("Disk")).unwrap_or_default();
    section
        .iter()
        .map(|disk| {
            let id = disk.attribute("diskId");
            let (capacity, units) = (disk.attribute("capacity"), disk.attribute("capacityAllocationUnits"));
            let bytes = capacity.trim().parse::<u64>().ok().zip(unit(&units));
            let capacity = bytes
                .and_then(|(count, unit)| count.checked_mul(unit))
                .ok_or_else(|| OvfError::Wrong(format!("gives the disk `{id}` the capacity `{capacity}` `{units}`")))?;
            let file = Some(disk.attribute("fileRef")).filter(|file| !file.is_empty());
            let bus = bus(items, &id);
            Ok(Disk { id, capacity, file, format: disk.attribute("format"), bus })
        })
        .collect()
}

/// The controller that the drive with this disk hangs on.
fn bus(items: &[Item], disk: &str) -> Option<Bus> {
    let drive = items.iter().find(|item| {
        let path = item.get("HostResource").trim_start_matches("ovf:");
        item.get("ResourceType") == "17" && path.strip_prefix("/disk/") == Some(disk)
    })?;
    let parent = items.iter().find(|item| item.get("InstanceID") == drive.get("Parent"))?;
    match (parent.get("ResourceType"), parent.get("ResourceSubType").to_ascii_lowercase()) {
        ("5", _) => Some(Bus::Ide),
        ("6", _) => Some(Bus::Scsi),
        ("20", sub) if sub.contains("ahci") || sub.is_empty() => Some(Bus::Sata),
        _ => None,
    }
}

/// VirtualBox tells addresses in a section of its own, others with the hardware.
fn adapters(system: &Element, items: &[Item]) -> Vec<Adapter> {
    let machine = system.child("Machine").map(|machine| machine.all("Adapter")).unwrap_or_default();
    let own: Vec<&&Element> = machine.iter().filter(|adapter| adapter.attribute("enabled") == "true").collect();
    let cards = items.iter().filter(|item| item.get("ResourceType") == "10");
    cards
        .enumerate()
        .map(|(index, item)| {
            let named = own.get(index).and_then(|adapter| mac(&adapter.attribute("MACAddress")));
            Adapter { model: item.get("ResourceSubType").to_owned(), mac: named.or_else(|| mac(item.get("Address"))) }
        })
        .collect()
}
