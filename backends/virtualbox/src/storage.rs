//! Where media go: the controllers of a machine, their free places, and what has to be said to get one.

use crate::options::Bus;
use crate::vboxmanage::info::{Attachment, Info};
use crate::vboxmanage::verbs::{self, Args, Place};

const FLOPPY: &str = "Floppy Controller";
const FLOPPY_KIND: &str = "I82078";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the machine has no free place on its {} controller", .bus.as_str())]
pub struct Full {
    pub bus: Bus,
}

impl From<Full> for bakehouse_api::Error {
    fn from(error: Full) -> Self {
        bakehouse_api::Error::new(bakehouse_api::Kind::Config, &error).hint(
            "choose another `iso_interface`, `guest_additions_interface` or `hard_drive_interface`, or fewer disks",
        )
    }
}

#[derive(Clone, Debug)]
pub struct Storage {
    machine: String,
    controllers: Vec<Known>,
    attached: Vec<Attachment>,
}

#[derive(Clone, Debug)]
struct Known {
    name: String,
    bus: Option<Bus>,
    ports: u32,
    most: u32,
}

/// A place, and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub place: Place,
    /// Said before something is attached there.
    pub before: Vec<Args>,
    /// There was a drive without a medium.
    pub had_drive: bool,
    /// The controller was made for this.
    pub made_controller: bool,
}

impl Bus {
    fn of(kind: &str) -> Option<Self> {
        match kind.to_ascii_lowercase().as_str() {
            "piix3" | "piix4" | "ich6" => Some(Self::Ide),
            "intelahci" => Some(Self::Sata),
            "lsilogic" | "buslogic" => Some(Self::Scsi),
            "nvme" => Some(Self::Pcie),
            kind if kind.starts_with("virtio") => Some(Self::Virtio),
            _ => None,
        }
    }

    /// Name, what it is added as, model, ports at most.
    fn controller(self) -> (&'static str, &'static str, &'static str, u32) {
        match self {
            Self::Ide => ("IDE Controller", "ide", "PIIX4", 2),
            Self::Sata => ("SATA Controller", "sata", "IntelAhci", 30),
            Self::Scsi => ("SCSI Controller", "scsi", "LSILogic", 16),
            Self::Pcie => ("NVMe Controller", "pcie", "NVMe", 255),
            Self::Virtio => ("VirtIO Controller", "virtio", "VirtIO", 256),
        }
    }

    pub fn devices(self) -> u32 {
        if self == Self::Ide { 2 } else { 1 }
    }

    /// Places on a whole controller.
    pub fn places(self) -> u32 {
        self.controller().3 * self.devices()
    }

    /// The others have all their ports from the beginning.
    fn grows(self) -> bool {
        matches!(self, Self::Sata | Self::Pcie | Self::Virtio)
    }
}

impl Storage {
    pub fn of(machine: &str, info: &Info) -> Self {
        let controllers = info.controllers().into_iter();
        let known = controllers.map(|found| Known {
            bus: Bus::of(&found.kind),
            name: found.name,
            ports: found.ports,
            most: found.most_ports,
        });
        Self { machine: machine.to_owned(), controllers: known.collect(), attached: info.attachments() }
    }

    /// Adds the controller with so many ports, if the machine has none of its kind.
    pub fn controller(&mut self, bus: Bus, ports: u32) -> Vec<Args> {
        if self.controllers.iter().any(|known| known.bus == Some(bus)) {
            return Vec::new();
        }
        let (name, add, model, most) = bus.controller();
        let ports = if bus.grows() { ports.clamp(1, most) } else { most };
        self.controllers.push(Known { name: name.into(), bus: Some(bus), ports, most });
        vec![verbs::add_controller(&self.machine, name, add, model, bus.grows().then_some(ports))]
    }

    /// A place for a hard disk.
    pub fn disk(&mut self, bus: Bus) -> Result<Found, Full> {
        self.find(bus, false)
    }

    /// A drive for a CD: an empty one that is there, or a new one.
    pub fn drive(&mut self, bus: Bus) -> Result<Found, Full> {
        self.find(bus, true)
    }

    fn find(&mut self, bus: Bus, empty_drives: bool) -> Result<Found, Full> {
        let mut before = self.controller(bus, 1);
        let made_controller = !before.is_empty();
        let (machine, attached) = (&self.machine, &self.attached);
        let places = self.controllers.iter_mut().filter(|known| known.bus == Some(bus)).flat_map(|known| {
            let most = known.most.max(known.ports);
            let name = known.name.clone();
            let all = (0..most).flat_map(move |port| (0..bus.devices()).map(move |device| (port, device)));
            all.map(move |(port, device)| (name.clone(), port, device))
        });
        let medium = |(controller, port, device): &(String, u32, u32)| {
            let there = attached.iter().find(|a| a.controller == *controller && (a.port, a.device) == (*port, *device));
            there.map_or("none", |there| there.medium.as_str())
        };
        let places: Vec<_> = places.collect();
        let drive = places.iter().find(|place| empty_drives && medium(place) == "emptydrive");
        let (place, had_drive) = match (drive, places.iter().find(|place| medium(place) == "none")) {
            (Some(drive), _) => (drive.clone(), true),
            (None, Some(free)) => (free.clone(), false),
            (None, None) => return Err(Full { bus }),
        };
        let (controller, port, device) = place;
        if let Some(known) = self.controllers.iter_mut().find(|known| known.name == controller)
            && port >= known.ports
        {
            known.ports = port + 1;
            before.push(verbs::set_ports(machine, &controller, known.ports));
        }
        self.take(&controller, port, device);
        Ok(Found { place: Place { controller, port, device }, before, had_drive, made_controller })
    }

    /// The floppy drive, with a controller if there is none.
    pub fn floppy(&mut self) -> Found {
        let info = self.attached.iter().find(|there| there.controller == FLOPPY);
        let had_drive = info.is_some_and(|there| there.medium == "emptydrive");
        let known = self.controllers.iter().any(|known| known.name == FLOPPY);
        let before = match known {
            true => Vec::new(),
            false => vec![verbs::add_controller(&self.machine, FLOPPY, "floppy", FLOPPY_KIND, None)],
        };
        let place = Place { controller: FLOPPY.into(), port: 0, device: 0 };
        Found { place, before, had_drive, made_controller: !known }
    }

    fn take(&mut self, controller: &str, port: u32, device: u32) {
        let here = |a: &Attachment| a.controller == controller && (a.port, a.device) == (port, device);
        self.attached.retain(|attached| !here(attached));
        let medium = "taken".to_owned();
        self.attached.push(Attachment { controller: controller.to_owned(), port, device, medium });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: &Found) -> String {
        let Place { controller, port, device } = &found.place;
        let before: Vec<String> = found.before.iter().map(|args| args[2..].join(" ")).collect();
        let more = format!(
            "{}{}",
            if found.had_drive { " drive" } else { "" },
            if found.made_controller { " made" } else { "" }
        );
        format!("{controller} {port}:{device}{more} [{}]", before.join("; "))
    }

    #[test]
    fn a_new_machine_gets_its_controllers_as_they_are_needed() {
        let mut storage = Storage::of("x", &Info::default());
        assert_eq!(
            shown(&storage.disk(Bus::Ide).unwrap()),
            "IDE Controller 0:0 made [--name IDE Controller --add ide --controller PIIX4]"
        );
        assert_eq!(shown(&storage.drive(Bus::Ide).unwrap()), "IDE Controller 0:1 []");
        assert_eq!(
            shown(&storage.disk(Bus::Sata).unwrap()),
            "SATA Controller 0:0 made [--name SATA Controller --add sata --controller IntelAhci --portcount 1]"
        );
        assert_eq!(
            shown(&storage.disk(Bus::Sata).unwrap()),
            "SATA Controller 1:0 [--name SATA Controller --portcount 2]"
        );
        storage.disk(Bus::Ide).unwrap();
        storage.disk(Bus::Ide).unwrap();
        assert_eq!(storage.disk(Bus::Ide), Err(Full { bus: Bus::Ide }));
    }

    #[test]
    fn empty_drives_of_a_machine_are_used_before_new_ones_are_made() {
        let info = Info::parse(
            "storagecontrollername0=\"Main\"\nstoragecontrollertype0=\"IntelAhci\"\nstoragecontrollerportcount0=\"2\"\n\
             storagecontrollermaxportcount0=\"30\"\n\"Main-0-0\"=\"/d.vdi\"\n\"Main-1-0\"=\"emptydrive\"\n",
        );
        let mut storage = Storage::of("x", &info);
        assert_eq!(shown(&storage.drive(Bus::Sata).unwrap()), "Main 1:0 drive []");
        assert_eq!(shown(&storage.drive(Bus::Sata).unwrap()), "Main 2:0 [--name Main --portcount 3]");
        assert_eq!(
            shown(&storage.floppy()),
            "Floppy Controller 0:0 made [--name Floppy Controller --add floppy --controller I82078]"
        );
    }
}
