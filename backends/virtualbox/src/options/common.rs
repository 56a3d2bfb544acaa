//! What all three builders take.

use std::path::PathBuf;
use std::time::Duration;

use bakehouse_api::{Template, choices, options};
use bakehouse_kit::boot_command::BootOptions;
use bakehouse_kit::communicator::CommOptions;
use bakehouse_kit::http::HttpOptions;
use bakehouse_kit::media::MediaOptions;

use super::Bus;

choices! {
    pub enum Format { Ovf = "ovf", Ova = "ova" }
}

choices! {
    pub enum AdditionsMode { Upload = "upload", Attach = "attach", Disable = "disable" }
}

options! {
    /// How the machine runs, is reached and becomes an artifact.
    pub struct CommonOptions {
        /// The program that controls VirtualBox, by name or path.
        vboxmanage_binary: String = "VBoxManage".into(),
        /// Lines for VBoxManage before the machine starts, each a list of words. Fields: `HTTPIP`, `HTTPPort`, `Name`.
        vboxmanage: Vec<Vec<Template>>,
        /// Lines for VBoxManage once the machine is off, before it is exported. Fields as above.
        vboxmanage_post: Vec<Vec<Template>>,
        /// Open no window on this machine.
        headless: bool = false,
        /// Address that VirtualBox's remote desktop listens on.
        vrdp_bind_address: String = "127.0.0.1".into(),
        /// First port for the remote desktop.
        vrdp_port_min: u16 = 5900,
        /// Last port for the remote desktop.
        vrdp_port_max: u16 = 6000,
        /// First port of this machine that may lead to the guest's communicator.
        host_port_min | "ssh_host_port_min": u16 = 2222,
        /// Last port of this machine that may lead to the guest's communicator.
        host_port_max | "ssh_host_port_max": u16 = 4444,
        /// Forward no port; the communicator connects to its own host and port.
        skip_nat_mapping | "ssh_skip_nat_mapping": bool = false,

        /// File in the guest's home that gets VirtualBox's version. Empty: none.
        virtualbox_version_file: String = ".vbox_version".into(),
        /// What becomes of the Guest Additions: uploaded as an ISO image, put into a drive, or nothing.
        guest_additions_mode: AdditionsMode = AdditionsMode::Upload,
        /// Where `upload` puts them. Field: `Version`.
        guest_additions_path: Option<Template>,
        /// URL or path of the Guest Additions. Fields: `Version`, `Name`. Unset: those of this VirtualBox, or else
        /// the ones that virtualbox.org has for its version.
        guest_additions_url: Option<Template>,
        /// SHA-256 of the Guest Additions.
        guest_additions_sha256: Option<String>,
        /// What the drive of `attach` hangs on. Unset: as `iso_interface`, or `ide`.
        guest_additions_interface: Option<Bus>,

        /// Run in the guest to switch it off. Empty: see `acpi_shutdown`.
        shutdown_command: String = String::new(),
        /// How long the guest may take to go off.
        shutdown_timeout: Duration = Duration::from_secs(300),
        /// Wait after the guest is off, for hosts that let go of files late.
        post_shutdown_delay: Duration = Duration::ZERO,
        /// The guest switches itself off; only wait for it.
        disable_shutdown: bool = false,
        /// Without `shutdown_command`: press the power button and wait for `shutdown_timeout`. Otherwise a guest that
        /// does not go off by its power button at once has its power cut.
        acpi_shutdown: bool = false,

        /// Leave the machine registered in VirtualBox.
        keep_registered: bool = false,
        /// Export nothing.
        skip_export: bool = false,
        /// Form of the export: `ovf` with its disks beside it, or `ova`, all in one.
        format: Format = Format::Ovf,
        /// More arguments for `VBoxManage export`: `--manifest`, `--vsys 0 --description "..."`, ...
        export_opts: Vec<String>,
        /// Where the artifact appears once it is complete. Unset: `output-BUILD`.
        output_directory: Option<PathBuf>,
        /// Name of the exported files, without extension. It may name a folder, counted from the output directory.
        /// Unset: the machine's name.
        output_filename: Option<String>,
    }
    flatten { comm: CommOptions, media: MediaOptions, http: HttpOptions, boot: BootOptions }
}
