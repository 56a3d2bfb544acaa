use proptest::prelude::*;

use super::*;

fn machine(version: Version) -> Descriptor {
    Descriptor {
        version,
        name: "debian & <friends>".into(),
        os: Os { cim: 101, virtualbox: Some("Debian_64".into()) },
        cpus: 2,
        memory_mib: 1024,
        disks: vec![
            Disk {
                id: "vmdisk1".into(),
                capacity: 8 << 30,
                file: Some("file1".into()),
                format: STREAM_OPTIMIZED.into(),
                bus: Some(Bus::Sata),
            },
            Disk {
                id: "vmdisk2".into(),
                capacity: 1 << 30,
                file: None,
                format: STREAM_OPTIMIZED.into(),
                bus: Some(Bus::Ide),
            },
        ],
        adapters: vec![Adapter { model: "E1000".into(), mac: Some("080027A1B2C3".into()) }],
        files: vec![File { id: "file1".into(), href: "disk.vmdk".into(), size: Some(12345) }],
    }
}

#[test]
fn both_versions_are_read_as_they_were_written() {
    for version in [Version::V1, Version::V2] {
        let written = machine(version);
        let xml = to_xml(&written).unwrap();
        let read = parse(&xml).unwrap();
        assert_eq!(read, written, "{}", String::from_utf8_lossy(&xml));
        assert_eq!(read.base_mac(), Some("080027A1B2C3"));
        assert_eq!(read.file_of(&read.disks[0]).map(|file| file.href.as_str()), Some("disk.vmdk"));
    }
}

/// The shape of an export by VirtualBox: addresses in its own section, units spelled out.
#[test]
fn what_virtualbox_exports_is_read() {
    let xml = br#"<?xml version="1.0"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r" xmlns:vbox="v">
  <References><File ovf:id="file1" ovf:href="a-disk001.vmdk"/></References>
  <DiskSection><Info>i</Info>
    <Disk ovf:capacity="10" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="f"/>
  </DiskSection>
  <VirtualSystem ovf:id="a"><Info/>
    <OperatingSystemSection ovf:id="96"><vbox:OSType ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>
    <VirtualHardwareSection>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>AHCI</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
      <Item><rasd:HostResource>/disk/vmdisk1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
    </VirtualHardwareSection>
    <vbox:Machine><Hardware><Network>
      <Adapter slot="0" enabled="true" MACAddress="0800270D1E2F" type="82540EM"><NAT/></Adapter>
      <Adapter slot="1" enabled="false" MACAddress="080027000001"/>
    </Network></Hardware></vbox:Machine>
  </VirtualSystem>
</Envelope>"#;
    let read = parse(xml).unwrap();
    assert_eq!((read.name.as_str(), read.cpus, read.memory_mib), ("a", 4, 512));
    assert_eq!((read.disks[0].capacity, read.disks[0].bus), (10 << 30, Some(Bus::Sata)));
    assert_eq!(read.base_mac(), Some("0800270D1E2F"));
    assert_eq!(read.adapters.len(), 1);
}

#[test]
fn what_is_no_descriptor_says_why() {
    let say = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(say("<a/>"), "the OVF descriptor begins with <a>, not with <Envelope>");
    assert_eq!(say("<Envelope></Envelope>"), "the OVF descriptor describes no virtual system");
    assert_eq!(
        say("<Envelope><VirtualSystem/><VirtualSystem/></Envelope>"),
        "the OVF descriptor describes 2 virtual systems, not one"
    );
    assert!(say("<Envelope><x>").starts_with("the OVF descriptor is not XML: "));
    assert!(say("<Envelope>&bomb;</Envelope>").contains("the entity &bomb; is unknown"));
    let disk = "<Envelope><DiskSection><Disk diskId='d' capacity='many'/></DiskSection><VirtualSystem/></Envelope>";
    assert_eq!(say(disk), "the OVF descriptor gives the disk `d` the capacity `many` ``");
    assert!(say(&"<a>".repeat(1000)).contains("nested too deep"));
}

#[test]
fn addresses_are_read_however_they_are_written() {
    for text in ["080027a1b2c3", "08:00:27:A1:B2:C3", "08-00-27-a1-b2-c3"] {
        assert_eq!(mac(text).as_deref(), Some("080027A1B2C3"));
    }
    assert_eq!(mac("080027"), None);
}

fn word() -> impl Strategy<Value = String> {
    // Without spaces at the ends, which XML's readers may drop.
    "[a-zA-Z0-9<>&\"'äß]{1,12}"
}

prop_compose! {
    fn any_machine()(
        version in prop_oneof![Just(Version::V1), Just(Version::V2)],
        name in word(),
        os in proptest::option::of(word()),
        cim in 0u16..200,
        cpus in 1u32..64,
        memory_mib in 1u64..1_000_000,
        disks in proptest::collection::vec((1u64..u64::MAX / 2, prop_oneof![Just(Bus::Ide), Just(Bus::Scsi), Just(Bus::Sata)]), 0..5),
        macs in proptest::collection::vec(proptest::option::of("[0-9A-F]{12}"), 0..4),
    ) -> Descriptor {
        let files = (0..disks.len()).map(|n| File { id: format!("file{n}"), href: format!("{name}{n}.vmdk"), size: None }).collect();
        let disks = disks.into_iter().enumerate().map(|(n, (capacity, bus))| Disk {
            id: format!("vmdisk{n}"), capacity, file: Some(format!("file{n}")), format: STREAM_OPTIMIZED.into(), bus: Some(bus),
        }).collect();
        let adapters = macs.into_iter().map(|mac| Adapter { model: "E1000".into(), mac }).collect();
        Descriptor { version, name, os: Os { cim, virtualbox: os }, cpus, memory_mib, disks, adapters, files }
    }
}

proptest! {
    #[test]
    fn any_machine_survives_the_way_through_xml(machine in any_machine()) {
        prop_assert_eq!(parse(&to_xml(&machine).unwrap()).unwrap(), machine);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(<[a-zA-Z:]{1,8}( [a-z]{1,3}=\"[^\"<]{0,4}\")?/?>|</[a-zA-Z]{1,8}>|[^<]{0,6}){0,12}") {
        let _ = parse(text.as_bytes());
    }
}
