use std::path::PathBuf;

use super::*;

fn hardware() -> Hardware {
    Hardware {
        name: "packer-x".into(),
        machine_type: "pc".into(),
        accel: Some("tcg,thread=multi".into()),
        cpu: Some("max".into()),
        smp: Smp { cpus: 2, ..Smp::default() },
        memory_mib: 512,
        disks: vec![disk("out/packer-x", Interface::Virtio)],
        cdroms: Vec::new(),
        floppy: None,
        network: Network {
            device: "virtio-net".into(),
            mac: "52:54:00:01:02:03".into(),
            without_rom: true,
            link: Link::User(Some((2222, 22))),
        },
        screen: Screen {
            display: Some("none".into()),
            vga: None,
            vnc: Some(Vnc { address: "127.0.0.1".into(), port: 5901, password: false }),
        },
        firmware: Firmware::Builtin,
        tpm: None,
        boot: None,
        control: Control {
            qmp: "tmp/qmp".into(),
            user_qmp: None,
            agent: "tmp/agent".into(),
            serial: "tmp/serial.log".into(),
            command: "tmp/qemu-command.log".into(),
        },
        incoming: false,
        user: Vec::new(),
        extra: Vec::new(),
    }
}

fn disk(file: &str, interface: Interface) -> Disk {
    Disk {
        file: file.into(),
        format: Format::Qcow2,
        interface,
        cache: Cache::Writeback,
        discard: Discard::Ignore,
        detect_zeroes: DetectZeroes::Off,
        read_only: false,
    }
}

/// One switch with its value a line.
fn shown(hardware: &Hardware) -> String {
    let argv = hardware.argv();
    let mut text = String::new();
    for word in argv {
        let separator = if word.starts_with('-') { "\n" } else { " " };
        text = text + separator + &word;
    }
    text.trim_start().to_owned()
}

fn words(pairs: &[(&str, Option<&str>)]) -> Vec<Arg> {
    pairs.iter().map(|(switch, value)| ((*switch).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn an_image_on_a_pc() {
    insta::assert_snapshot!(shown(&hardware()));
}

#[test]
fn an_installer_on_q35_with_everything() {
    let mut full = hardware();
    full.machine_type = "q35".into();
    full.smp = Smp { cpus: 8, sockets: Some(2), cores: Some(2), threads: Some(2) };
    full.boot = Some("once=d".into());
    full.disks = vec![disk("out/a,b", Interface::Sata), disk("out/a,b-1", Interface::Sata)];
    full.disks[0].discard = Discard::Unmap;
    full.disks[0].detect_zeroes = DetectZeroes::Unmap;
    full.cdroms = vec![
        Cdrom { file: "debian.iso".into(), interface: Interface::Ide },
        Cdrom { file: "cd.iso".into(), interface: Interface::Ide },
    ];
    full.floppy = Some("floppy.img".into());
    full.network.link = Link::Bridge("br0".into());
    full.network.without_rom = false;
    full.screen = Screen {
        display: Some("gtk".into()),
        vga: Some("virtio".into()),
        vnc: Some(Vnc { address: "0.0.0.0".into(), port: 5900, password: true }),
    };
    full.firmware = Firmware::Uefi {
        code: "code.fd".into(),
        code_format: Format::Raw,
        vars: Some(("out/efivars.fd".into(), Format::Qcow2)),
        smm: true,
    };
    full.tpm = Some(Tpm { socket: "tmp/tpm".into(), device: "tpm-crb".into() });
    full.control.user_qmp = Some("out/packer-x.monitor".into());
    insta::assert_snapshot!(shown(&full));
}

#[test]
fn a_switch_of_the_user_drops_its_defaults_and_only_those() {
    let mut changed = hardware();
    changed.user = words(&[
        ("-drive", Some("file=mine.qcow2,if=virtio")),
        ("-device", Some("e1000,netdev=user.0")),
        ("-m", Some("1024M")),
        ("-no-reboot", None),
    ]);
    changed.extra = words(&[("-smbios", Some("type=1,serial=x"))]);
    insta::assert_snapshot!(shown(&changed));
}

#[test]
fn a_second_opinion_on_the_accelerator_replaces_ours() {
    for (switch, value) in [("-machine", Some("q35,accel=kvm")), ("-accel", Some("kvm")), ("-enable-kvm", None)] {
        let mut changed = hardware();
        changed.user = words(&[(switch, value)]);
        assert!(!shown(&changed).contains("tcg"), "{switch}");
    }
    let mut kept = hardware();
    kept.user = words(&[("-machine", Some("q35"))]);
    assert!(shown(&kept).contains("-accel tcg"));
    assert_eq!(kept.hotplug_bus(), Some(HOTPLUG_PORT));
}

#[test]
fn disk_interfaces_get_their_controllers_and_units() {
    let mut text = String::new();
    for interface in [Interface::Ide, Interface::Sata, Interface::Scsi, Interface::VirtioScsi] {
        let mut machine = hardware();
        machine.disks = vec![disk("a", interface), disk("b", interface)];
        machine.cdroms = vec![Cdrom { file: "c.iso".into(), interface }];
        let args: Vec<String> =
            storage::args(&machine).into_iter().map(|(switch, value)| format!("{switch} {}", value.unwrap())).collect();
        text += &format!("{}\n  {}\n", interface.as_str(), args.join("\n  "));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_machine_without_pci_gets_no_devices_of_ours() {
    let mut machine = hardware();
    machine.machine_type = "microvm".into();
    assert!(!shown(&machine).contains("-pci"), "{}", shown(&machine));
    assert_eq!((machine.hotplug_bus(), machine.has_agent_channel()), (None, false));
}

#[test]
fn an_agent_channel_of_the_user_is_left_alone() {
    let mut machine = hardware();
    machine.extra = words(&[("-device", Some("virtserialport,chardev=a,name=org.qemu.guest_agent.0"))]);
    assert!(!machine.has_agent_channel());
    assert!(!shown(&machine).contains("bakehouse-agent"));
}

#[test]
fn commas_in_paths_are_doubled() {
    assert_eq!(escaped_path(&PathBuf::from("a,b")), "a,,b");
}
