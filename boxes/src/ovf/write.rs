//! Writes a descriptor: element order is part of the schema.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Bus, Descriptor, Version};

const RASD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
const VSSD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
const SASD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_StorageAllocationSettingData.xsd";
const EPASD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_EthernetPortAllocationSettingData.xsd";
const NETWORK: &str = "NAT";

type Xml = Writer<Vec<u8>>;

/// One piece of hardware; its fields in the schema's order, which is the alphabet's.
struct Item {
    element: &'static str,
    prefix: &'static str,
    fields: Vec<(&'static str, String)>,
}

pub fn to_xml(descriptor: &Descriptor) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (number, version) = match descriptor.version {
        Version::V1 => ("1", "1.0"),
        Version::V2 => ("2", "2.0.0"),
    };
    let namespace = format!("http://schemas.dmtf.org/ovf/envelope/{number}");
    let mut envelope = xml
        .create_element("Envelope")
        .with_attribute(("ovf:version", version))
        .with_attribute(("xml:lang", "en-US"))
        .with_attribute(("xmlns", namespace.as_str()))
        .with_attribute(("xmlns:ovf", namespace.as_str()))
        .with_attribute(("xmlns:rasd", RASD))
        .with_attribute(("xmlns:vssd", VSSD))
        .with_attribute(("xmlns:vbox", "http://www.virtualbox.org/ovf/machine"));
    if descriptor.version == Version::V2 {
        envelope = envelope.with_attribute(("xmlns:sasd", SASD)).with_attribute(("xmlns:epasd", EPASD));
    }
    envelope.write_inner_content(|xml| {
        references(xml, descriptor)?;
        disks(xml, descriptor)?;
        networks(xml)?;
        system(xml, descriptor)
    })?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn references(xml: &mut Xml, descriptor: &Descriptor) -> io::Result<()> {
    xml.create_element("References").write_inner_content(|xml| {
        for file in &descriptor.files {
            let mut element = xml
                .create_element("File")
                .with_attribute(("ovf:id", file.id.as_str()))
                .with_attribute(("ovf:href", file.href.as_str()));
            if let Some(size) = file.size {
                element = element.with_attribute(("ovf:size", size.to_string().as_str()));
            }
            element.write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn disks(xml: &mut Xml, descriptor: &Descriptor) -> io::Result<()> {
    xml.create_element("DiskSection").write_inner_content(|xml| {
        text(xml, "Info", "Virtual disks")?;
        for disk in &descriptor.disks {
            let mut element = xml
                .create_element("Disk")
                .with_attribute(("ovf:capacity", disk.capacity.to_string().as_str()))
                .with_attribute(("ovf:diskId", disk.id.as_str()));
            if let Some(file) = &disk.file {
                element = element.with_attribute(("ovf:fileRef", file.as_str()));
            }
            element.with_attribute(("ovf:format", disk.format.as_str())).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn networks(xml: &mut Xml) -> io::Result<()> {
    xml.create_element("NetworkSection").write_inner_content(|xml| {
        text(xml, "Info", "Networks")?;
        xml.create_element("Network")
            .with_attribute(("ovf:name", NETWORK))
            .write_inner_content(|xml| text(xml, "Description", "The machine behind address translation"))?;
        Ok(())
    })?;
    Ok(())
}

fn system(xml: &mut Xml, descriptor: &Descriptor) -> io::Result<()> {
    xml.create_element("VirtualSystem").with_attribute(("ovf:id", descriptor.name.as_str())).write_inner_content(
        |xml| {
            text(xml, "Info", "A virtual machine")?;
            let cim = descriptor.os.cim.to_string();
            xml.create_element("OperatingSystemSection").with_attribute(("ovf:id", cim.as_str())).write_inner_content(
                |xml| {
                    text(xml, "Info", "The guest's operating system")?;
                    let Some(word) = &descriptor.os.virtualbox else { return Ok(()) };
                    text(xml, "Description", word)?;
                    xml.create_element("vbox:OSType")
                        .with_attribute(("ovf:required", "false"))
                        .write_text_content(BytesText::new(word))?;
                    Ok(())
                },
            )?;
            hardware(xml, descriptor)
        },
    )?;
    Ok(())
}

fn hardware(xml: &mut Xml, descriptor: &Descriptor) -> io::Result<()> {
    xml.create_element("VirtualHardwareSection").write_inner_content(|xml| {
        text(xml, "Info", "Virtual hardware")?;
        xml.create_element("System").write_inner_content(|xml| {
            text(xml, "vssd:ElementName", "Virtual Hardware Family")?;
            text(xml, "vssd:InstanceID", "0")?;
            text(xml, "vssd:VirtualSystemIdentifier", &descriptor.name)?;
            text(xml, "vssd:VirtualSystemType", "virtualbox-2.2")
        })?;
        for item in items(descriptor) {
            xml.create_element(item.element).write_inner_content(|xml| {
                for (name, value) in &item.fields {
                    text(xml, &format!("{}:{name}", item.prefix), value)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(())
}

fn items(descriptor: &Descriptor) -> Vec<Item> {
    let mut items = vec![
        plain(1, "3", format!("{} virtual CPUs", descriptor.cpus), &[], descriptor.cpus.into()),
        plain(
            2,
            "4",
            format!("{} MB of memory", descriptor.memory_mib),
            &[("AllocationUnits", "MegaBytes")],
            descriptor.memory_mib,
        ),
    ];
    let mut buses: Vec<Bus> = descriptor.disks.iter().filter_map(|disk| disk.bus).collect();
    buses.sort();
    buses.dedup();
    let first_controller = 3;
    items.extend(buses.iter().enumerate().map(|(index, bus)| controller(first_controller + index, *bus)));
    let mut next = first_controller + buses.len();
    let mut taken = vec![0; buses.len()];
    for disk in &descriptor.disks {
        let Some(index) = buses.iter().position(|bus| Some(*bus) == disk.bus) else { continue };
        items.push(drive(descriptor.version, next, first_controller + index, taken[index], &disk.id));
        taken[index] += 1;
        next += 1;
    }
    for (index, adapter) in descriptor.adapters.iter().enumerate() {
        items.push(network_card(descriptor.version, next + index, &adapter.model, adapter.mac.as_deref()));
    }
    items
}

fn plain(id: usize, kind: &str, name: String, more: &[(&'static str, &str)], quantity: u64) -> Item {
    let mut fields: Vec<_> = more.iter().map(|(name, value)| (*name, value.to_string())).collect();
    fields.extend([
        ("ElementName", name),
        ("InstanceID", id.to_string()),
        ("ResourceType", kind.to_owned()),
        ("VirtualQuantity", quantity.to_string()),
    ]);
    Item { element: "Item", prefix: "rasd", fields }
}

fn controller(id: usize, bus: Bus) -> Item {
    let (name, sub, kind) = match bus {
        Bus::Ide => ("IDE controller", "PIIX4", "5"),
        Bus::Scsi => ("SCSI controller", "LsiLogic", "6"),
        Bus::Sata => ("SATA controller", "AHCI", "20"),
    };
    let fields = [
        ("Address", "0".to_owned()),
        ("ElementName", name.to_owned()),
        ("InstanceID", id.to_string()),
        ("ResourceSubType", sub.to_owned()),
        ("ResourceType", kind.to_owned()),
    ];
    Item { element: "Item", prefix: "rasd", fields: fields.into() }
}

fn drive(version: Version, id: usize, parent: usize, at: usize, disk: &str) -> Item {
    let (element, prefix) = match version {
        Version::V1 => ("Item", "rasd"),
        Version::V2 => ("StorageItem", "sasd"),
    };
    let scheme = if version == Version::V1 { "" } else { "ovf:" };
    let fields = [
        ("AddressOnParent", at.to_string()),
        ("ElementName", format!("Disk {id}")),
        ("HostResource", format!("{scheme}/disk/{disk}")),
        ("InstanceID", id.to_string()),
        ("Parent", parent.to_string()),
        ("ResourceType", "17".to_owned()),
    ];
    Item { element, prefix, fields: fields.into() }
}

fn network_card(version: Version, id: usize, model: &str, mac: Option<&str>) -> Item {
    let (element, prefix) = match version {
        Version::V1 => ("Item", "rasd"),
        Version::V2 => ("EthernetPortItem", "epasd"),
    };
    let mut fields: Vec<_> = mac.map(|mac| ("Address", mac.to_owned())).into_iter().collect();
    fields.extend([
        ("AutomaticAllocation", "true".to_owned()),
        ("Connection", NETWORK.to_owned()),
        ("ElementName", format!("Network adapter {id}")),
        ("InstanceID", id.to_string()),
        ("ResourceSubType", model.to_owned()),
        ("ResourceType", "10".to_owned()),
    ]);
    Item { element, prefix, fields }
}

fn text(xml: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(value))?;
    Ok(())
}
