//! What a template can say about a QEMU machine. Names and defaults are Packer's; `qemuargs_extra`,
//! `cloud_init`, `efi_secure_boot`, `disk_compression_type` and `vtpm_keep_state` are ours.

use std::path::PathBuf;
use std::time::Duration;

use bakehouse_api::{Secret, Template, choices, options};
use bakehouse_kit::boot_command::BootOptions;
use bakehouse_kit::communicator::CommOptions;
use bakehouse_kit::download::IsoOptions;
use bakehouse_kit::http::HttpOptions;
use bakehouse_kit::media::MediaOptions;

use crate::size::Size;

choices! {
    /// `none` leaves the choice to QEMU.
    pub enum Accelerator { None = "none", Kvm = "kvm", Tcg = "tcg", Xen = "xen", Hvf = "hvf", Whpx = "whpx" }
}

choices! {
    #[derive(Hash)]
    pub enum Interface { Virtio = "virtio", VirtioScsi = "virtio-scsi", Scsi = "scsi", Sata = "sata", Ide = "ide" }
}

choices! {
    pub enum Format { Qcow2 = "qcow2", Raw = "raw" }
}

choices! {
    pub enum Cache {
        Writeback = "writeback", Writethrough = "writethrough", Unsafe = "unsafe", None = "none",
        Directsync = "directsync",
    }
}

choices! {
    pub enum Discard { Ignore = "ignore", Unmap = "unmap" }
}

choices! {
    pub enum DetectZeroes { Off = "off", On = "on", Unmap = "unmap" }
}

choices! {
    pub enum Compression { Zlib = "zlib", Zstd = "zstd" }
}

choices! {
    pub enum CloudInit { Auto = "auto", Always = "true", Never = "false" }
}

options! {
    /// Arguments that go to `qemu-img` before ours.
    pub struct ImgArgs {
        /// For `qemu-img create`.
        create: Vec<String>,
        /// For `qemu-img resize`.
        resize: Vec<String>,
        /// For `qemu-img convert`.
        convert: Vec<String>,
    }
}

options! {
    /// Bakes a disk in a local QEMU machine: from an installer ISO, or from an image that is there already
    /// (`disk_image = true`).
    pub struct QemuOptions {
        /// How the guest's instructions are run: `kvm`, `tcg`, `xen`, `hvf`, `whpx`, or `none` to leave it to
        /// QEMU. Unset: `kvm` where it truly runs a 64-bit guest, else `tcg`.
        accelerator: Option<Accelerator>,
        /// The machine QEMU emulates: `pc`, `q35`, `virt`, ...
        machine_type: String = "pc".into(),
        /// The processor the guest sees. Unset: `host` under KVM and `max` under TCG.
        cpu_model: Option<String>,
        /// Virtual processors.
        cpus: u32 = 1,
        /// Processor sockets; sockets, cores and threads must multiply to `cpus`, or `cpus` is left out.
        sockets: Option<u32>,
        /// Cores of a socket.
        cores: Option<u32>,
        /// Threads of a core.
        threads: Option<u32>,
        /// Memory in MiB.
        memory: u32 = 512,
        /// The program that is the machine, by name or path.
        qemu_binary: String = "qemu-system-x86_64".into(),
        /// More arguments, each `[switch]` or `[switch, value]`. A switch given here drops every default of that
        /// switch: a `-drive` loses the disks, a `-device` the network card. `qemuargs_extra` drops nothing.
        /// Fields: `HTTPIP`, `HTTPPort`, `Name`, `OutputDir`, `SSHHostPort`.
        qemuargs: Vec<Vec<Template>>,
        /// Like `qemuargs`, added to the defaults.
        qemuargs_extra: Vec<Vec<Template>>,

        /// Size of the main disk; a bare number counts MiB. With `disk_image` the image grows to it.
        disk_size: Size = Size::mib(40960),
        /// Sizes of further empty disks.
        disk_additional_size: Vec<Size>,
        /// Format of the artifact's disks.
        format: Format = Format::Qcow2,
        /// `iso_url` names a bootable disk image, not an installer.
        disk_image: bool = false,
        /// The artifact stays an overlay of the image that `iso_url` names.
        use_backing_file: bool = false,
        /// With `disk_image`: keep the image's own size.
        skip_resize_disk: bool = false,
        /// Leave out the pass over the disks at the end where the artifact is whole without it.
        skip_compaction: bool = false,
        /// Compress the artifact's disks (qcow2).
        disk_compression: bool = false,
        /// How `disk_compression` compresses. Images with `zstd` need QEMU 5.1 (2020) or later to be read; `zlib` suits
        /// every version and takes several times as long.
        disk_compression_type: Compression = Compression::Zstd,
        /// What the disks are attached to.
        disk_interface: Interface = Interface::Virtio,
        /// How this machine caches the disks while the guest runs.
        disk_cache: Cache = Cache::Writeback,
        /// What a discard of the guest does.
        disk_discard: Discard = Discard::Ignore,
        /// Whether written zeroes become holes.
        disk_detect_zeroes: DetectZeroes = DetectZeroes::Off,
        /// What CD drives are attached to. Unset: `ide` on a PC, else `virtio-scsi`.
        cdrom_interface: Option<Interface>,
        /// Arguments for `qemu-img`.
        qemu_img_args: Option<ImgArgs>,

        /// The network card's model.
        net_device: String = "virtio-net".into(),
        /// A bridge of this machine that the guest joins instead of user networking.
        net_bridge: Option<String>,
        /// First port of this machine that may lead to the guest's communicator.
        host_port_min | "ssh_host_port_min": u16 = 2222,
        /// Last such port.
        host_port_max | "ssh_host_port_max": u16 = 4444,
        /// Forward no port; the communicator connects to its own host and port.
        skip_nat_mapping | "ssh_skip_nat_mapping": bool = false,

        /// Open no window.
        headless: bool = false,
        /// QEMU's `-display`. Unset: `gtk` where there is a display.
        display: Option<String>,
        /// Let QEMU choose the display.
        use_default_display: bool = false,
        /// The graphics card: `std`, `virtio`, `qxl`, `cirrus`, `none`.
        vga: Option<String>,
        /// Where VNC listens.
        vnc_bind_address: String = "127.0.0.1".into(),
        /// First port for VNC.
        vnc_port_min: u16 = 5900,
        /// Last port for VNC.
        vnc_port_max: u16 = 6000,
        /// Ask VNC viewers for a password.
        vnc_use_password: bool = false,
        /// That password. Unset: a random one.
        vnc_password: Option<Secret>,
        /// Offer no VNC.
        disable_vnc: bool = false,
        /// Offer QEMU's monitor on a socket of your own.
        qmp_enable: bool = false,
        /// That socket. Unset: `VM_NAME.monitor` in the output directory.
        qmp_socket_path: Option<PathBuf>,

        /// A firmware image for `-bios`, or for a flash device with `use_pflash`.
        firmware: Option<PathBuf>,
        /// Load `firmware` into a flash device.
        use_pflash: bool = false,
        /// Boot by UEFI, with the firmware that this machine's firmware descriptors name.
        efi_boot: bool = false,
        /// UEFI with secure boot on and the vendor's keys enrolled.
        efi_secure_boot: bool = false,
        /// The UEFI firmware itself, instead of a described one.
        efi_firmware_code: Option<PathBuf>,
        /// The variable store that the machine's own one is copied from.
        efi_firmware_vars: Option<PathBuf>,
        /// Leave the variable store out of the artifact.
        efi_drop_efivars: bool = false,
        /// Give the machine a TPM (swtpm).
        vtpm: bool = false,
        /// TPM 1.2 instead of 2.0.
        use_tpm1: bool = false,
        /// QEMU's TPM device.
        tpm_device_type: String = "tpm-tis".into(),
        /// Keep the TPM's state beside the disk.
        vtpm_keep_state: bool = false,

        /// A NoCloud seed with a fresh key for the login, attached as a drive. `auto`: with `disk_image` and no
        /// credentials, CD or floppy given.
        cloud_init: CloudInit = CloudInit::Auto,
        /// Where the artifact appears once it is complete. Unset: `output-BUILD`.
        output_directory: Option<PathBuf>,
        /// Name of the machine and of its disk. Unset: `packer-BUILD`.
        vm_name: Option<String>,
        /// Run in the guest to switch it off. Empty: the guest is asked by its agent or by ACPI.
        shutdown_command: String = String::new(),
        /// How long the guest may take to go off.
        shutdown_timeout: Duration = Duration::from_secs(300),
    }
    flatten { comm: CommOptions, iso: IsoOptions, media: MediaOptions, http: HttpOptions, boot: BootOptions }
}

impl QemuOptions {
    pub fn uefi(&self) -> bool {
        self.efi_boot || self.efi_secure_boot || self.efi_firmware_code.is_some() || self.efi_firmware_vars.is_some()
    }

    /// Secure boot exists on q35 only: asking for it chooses that, unless the template names another.
    pub fn machine(&self) -> &str {
        if self.efi_secure_boot && !self.spans.has("machine_type") { "q35" } else { &self.machine_type }
    }

    pub fn vnc_password(&self) -> bool {
        self.vnc_use_password || self.vnc_password.is_some()
    }
}
