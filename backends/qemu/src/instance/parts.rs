//! The machine of an instance, as EC2's Nitro system builds them where QEMU can. Pure.

use std::path::Path;

use bakehouse_api::instance::{DiskInterface, Launch};

use super::{MACHINE, command};
use crate::accel::Choice;
use crate::argv::{Arg, Control, Disk, Firmware, Hardware, Link, Network, Screen, Smp, escaped, escaped_path};
use crate::hardware;
use crate::options::{Cache, DetectZeroes, Discard, Format, Interface};

/// The service's address must lie in the guest's own network, and so the guest's does.
const NETWORK: &str = "169.254.0.0/16";
pub const ADDRESS: &str = "169.254.2.15";
const SERVICE: &str = "169.254.169.254:80";
/// By it the kernel calls the card `ens5`, as on EC2.
const CARD: &str = "virtio-net-pci,addr=0x5";

pub struct Parts<'a> {
    pub launch: &'a Launch,
    pub choice: &'a Choice,
    pub disk: &'a Path,
    pub format: Format,
    pub firmware: Firmware,
    pub mac: &'a str,
    pub metadata: &'a Path,
}

impl Parts<'_> {
    pub fn hardware(&self, control: &Control, ssh_port: u16) -> Hardware {
        let accelerator = self.choice.accelerator;
        let virtio = self.launch.interface == DiskInterface::Virtio;
        Hardware {
            name: self.launch.metadata.instance_id.clone(),
            machine_type: MACHINE.into(),
            accel: hardware::accel(accelerator).map(str::to_owned),
            cpu: hardware::cpu(accelerator, super::BINARY).map(str::to_owned),
            smp: Smp { cpus: self.launch.cpus, ..Smp::default() },
            memory_mib: self.launch.memory_mib,
            disks: virtio.then(|| self.virtio()).into_iter().collect(),
            cdroms: Vec::new(),
            floppy: None,
            network: Network {
                device: CARD.into(),
                mac: self.mac.to_owned(),
                without_rom: true,
                link: Link::Own(self.link(ssh_port)),
            },
            screen: Screen { display: Some("none".into()), ..Screen::default() },
            firmware: self.firmware.clone(),
            tpm: None,
            boot: None,
            control: control.clone(),
            incoming: false,
            user: Vec::new(),
            extra: self.tables().into_iter().chain(if virtio { Vec::new() } else { self.nvme() }).collect(),
        }
    }

    fn virtio(&self) -> Disk {
        Disk {
            file: self.disk.to_owned(),
            format: self.format,
            interface: Interface::Virtio,
            cache: self.cache(),
            discard: Discard::Unmap,
            detect_zeroes: DetectZeroes::Off,
            read_only: false,
        }
    }

    /// What is thrown away needs no flushing.
    fn cache(&self) -> Cache {
        if self.launch.keep { Cache::Writeback } else { Cache::Unsafe }
    }

    /// The serial number is the volume's id without its dash, as on EC2.
    fn nvme(&self) -> Vec<Arg> {
        let (file, format) = (escaped_path(self.disk), self.format.as_str());
        let drive =
            format!("file={file},format={format},if=none,id=root,discard=unmap,cache={}", self.cache().as_str());
        vec![
            ("-drive".into(), Some(drive)),
            ("-device".into(), Some("nvme,drive=root,serial=vol00000000000000000,bootindex=0".into())),
        ]
    }

    fn link(&self, ssh_port: u16) -> String {
        let forwards = std::iter::once(&(ssh_port, 22)).chain(&self.launch.forwards).copied().collect::<Vec<_>>();
        let forwards = forwards.iter().map(|(here, there)| format!("hostfwd=tcp:127.0.0.1:{here}-:{there},"));
        let relay = escaped(&command(&self.launch.relay, self.metadata));
        format!("net={NETWORK},dhcpstart={ADDRESS},{}guestfwd=tcp:{SERVICE}-cmd:{relay}", forwards.collect::<String>())
    }

    /// cloud-init believes that it is on EC2 when the UUID begins so and the serial number equals it.
    fn tables(&self) -> Vec<Arg> {
        let metadata = &self.launch.metadata;
        let id = metadata.instance_id.trim_start_matches("i-");
        let digits = format!("{id:0>17}");
        let uuid = format!(
            "ec2{}-{}-4{}-8{}-{:0>12}",
            &digits[..5],
            &digits[5..9],
            &digits[9..12],
            &digits[12..15],
            &digits[15..]
        );
        let (kind, instance) = (escaped(&metadata.instance_type), escaped(&metadata.instance_id));
        let table = |value: String| ("-smbios".to_owned(), Some(value));
        vec![
            table(format!("type=1,manufacturer=Amazon EC2,product={kind},uuid={uuid},serial={uuid}")),
            table(format!("type=2,manufacturer=Amazon EC2,asset={instance}")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::instance::{DiskFormat, Metadata};

    use super::*;
    use crate::options::Accelerator;

    fn launch(keep: bool, interface: DiskInterface) -> Launch {
        Launch {
            disk: "disk.qcow2".into(),
            format: DiskFormat::Qcow2,
            keep,
            uefi: false,
            interface,
            memory_mib: 512,
            cpus: 1,
            forwards: vec![(8080, 80)],
            serial: None,
            metadata: Metadata {
                instance_id: "i-0123456789abcdef0".into(),
                instance_type: "t3.micro".into(),
                region: "us-east-1".into(),
                hostname: None,
                user_data: None,
                public_key: None,
                token_required: true,
            },
            relay: vec!["/a b/bakehouse".into(), "relay".into()],
        }
    }

    fn argv(launch: &Launch) -> String {
        let choice = Choice { accelerator: Accelerator::Tcg, why: None };
        let control = Control {
            qmp: "/t/qmp".into(),
            user_qmp: Some("/t/power".into()),
            agent: "/t/agent".into(),
            serial: "/t/serial".into(),
            command: "/t/command".into(),
        };
        let parts = Parts {
            launch,
            choice: &choice,
            disk: Path::new("/t/over,lay"),
            format: Format::Qcow2,
            firmware: Firmware::Builtin,
            mac: "52:54:00:00:00:01",
            metadata: Path::new("/t/imds"),
        };
        parts.hardware(&control, 2222).argv().join(" ")
    }

    #[test]
    fn an_instance_has_its_disk_behind_nvme_and_the_service_in_its_network() {
        let argv = argv(&launch(false, DiskInterface::Nvme));
        for words in [
            "-device nvme,drive=root,serial=vol00000000000000000,bootindex=0",
            "file=/t/over,,lay,format=qcow2,if=none,id=root,discard=unmap,cache=unsafe",
            "hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80,",
            "guestfwd=tcp:169.254.169.254:80-cmd:'/a b/bakehouse' relay /t/imds",
            "virtio-net-pci,addr=0x5,netdev=user.0",
            "uuid=ec201234-5678-49ab-8cde-0000000000f0,serial=ec201234-5678-49ab-8cde-0000000000f0",
            "-display none",
        ] {
            assert!(argv.contains(words), "{words}: {argv}");
        }
    }

    #[test]
    fn a_disk_that_is_kept_is_flushed() {
        let argv = argv(&launch(true, DiskInterface::Virtio));
        assert!(argv.contains("if=virtio,cache=writeback") && !argv.contains("nvme"), "{argv}");
    }
}
