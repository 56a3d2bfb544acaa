//! The machine that `virtualbox-iso` makes.

use std::path::PathBuf;

use bakehouse_api::{choices, options};

choices! {
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Bus { Ide = "ide", Sata = "sata", Scsi = "scsi", Pcie = "pcie", Virtio = "virtio" }
}

choices! {
    pub enum Chipset { Piix3 = "piix3", Ich9 = "ich9" }
}

choices! {
    pub enum Firmware { Bios = "bios", Efi = "efi", Efi32 = "efi32", Efi64 = "efi64" }
}

choices! {
    pub enum NicType {
        E82540em = "82540EM", E82543gc = "82543GC", E82545em = "82545EM", Am79c970a = "Am79C970A",
        Am79c973 = "Am79C973", Am79c960 = "Am79C960", Virtio = "virtio",
    }
}

choices! {
    pub enum GfxController { None = "none", Vboxvga = "vboxvga", Vmsvga = "vmsvga", Vboxsvga = "vboxsvga" }
}

choices! {
    pub enum RtcTimeBase { Utc = "UTC", Local = "local" }
}

choices! {
    pub enum UsbController { Ohci = "ohci", Ehci = "ehci", Xhci = "xhci" }
}

choices! {
    pub enum Sound {
        None = "none", Null = "null", Default = "default", Alsa = "alsa", Pulse = "pulse", Oss = "oss",
        Coreaudio = "coreaudio", Dsound = "dsound", Was = "was",
    }
}

choices! {
    pub enum AudioController { Ac97 = "ac97", Hda = "hda", Sb16 = "sb16" }
}

choices! {
    pub enum Mouse { Ps2 = "ps2", Usb = "usb", Usbtablet = "usbtablet", Usbmultitouch = "usbmultitouch" }
}

choices! {
    pub enum Keyboard { Ps2 = "ps2", Usb = "usb" }
}

choices! {
    pub enum TpmType { None = "none", V1 = "1.2", V2 = "2.0", Host = "host", Swtpm = "swtpm" }
}

options! {
    /// The machine to install.
    pub struct HardwareOptions {
        /// The guest's operating system, as `VBoxManage list ostypes` names it.
        guest_os_type: String = "Other".into(),
        /// How many virtual processors the guest has.
        cpus: u32 = 1,
        /// Memory of the guest in MiB.
        memory: u32 = 512,
        /// How much of a host processor each virtual one may take, in percent.
        cpu_execution_cap: Option<u32>,
        /// The chipset.
        chipset: Chipset = Chipset::Piix3,
        /// What the machine boots by.
        firmware: Firmware = Firmware::Bios,
        /// UEFI with secure boot on and the vendors' keys enrolled. VirtualBox 7.0.
        efi_secure_boot: bool = false,
        /// A UEFI variable store that the machine begins with. It does not travel with the export.
        nvram_file: Option<PathBuf>,
        /// The machine's TPM. VirtualBox 7.0.
        tpm_type: Option<TpmType>,
        /// What the guest's clock chip tells.
        rtc_time_base: RtcTimeBase = RtcTimeBase::Utc,
        /// Let the guest run virtual machines.
        nested_virt: bool = false,

        /// Size of the main disk in MiB.
        disk_size: u64 = 40000,
        /// Sizes of further, empty disks in MiB.
        disk_additional_size: Vec<u64>,
        /// What the disks are attached to; `pcie` is NVMe.
        hard_drive_interface: Bus = Bus::Ide,
        /// Let a discard of the guest give space in the disk's file free.
        hard_drive_discard: bool = false,
        /// Tell the guest that its disks are SSDs.
        hard_drive_nonrotational: bool = false,
        /// What the installer's drive is attached to.
        iso_interface: Bus = Bus::Ide,
        /// Ports of the SATA controller.
        sata_port_count: u32 = 1,
        /// Ports of the NVMe controller.
        nvme_port_count: u32 = 1,

        /// The network card's model.
        nic_type: NicType = NicType::E82540em,
        /// The graphics card. Unset: VirtualBox's own choice.
        gfx_controller: Option<GfxController>,
        /// Video memory in MiB. Unset: 4.
        gfx_vram_size: Option<u32>,
        /// Accelerate 3D graphics.
        gfx_accelerate_3d: bool = false,
        /// Screen of a machine with UEFI, like `1920x1080`.
        gfx_efi_resolution: Option<String>,
        /// USB 1.1, and 2.0 where this VirtualBox has it.
        usb: bool = false,
        /// USB by this controller: 1.1, 2.0 or 3.0.
        usb_controller: Option<UsbController>,
        /// The host's sound system that the guest's sound goes to.
        sound: Sound = Sound::None,
        /// The guest's sound card.
        audio_controller: AudioController = AudioController::Ac97,
        /// The guest's mouse. Unset: `usbtablet` with USB, else `ps2`.
        mouse: Option<Mouse>,
        /// The guest's keyboard. Unset: `ps2`.
        keyboard: Option<Keyboard>,
    }
}

impl Firmware {
    pub fn is_uefi(self) -> bool {
        self != Self::Bios
    }
}
