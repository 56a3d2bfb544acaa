//! What a template can say about a VirtualBox machine. Names and defaults are Packer's; `vboxmanage_binary`,
//! `tpm_type`, `efi_secure_boot`, `nvram_file` and `cpu_execution_cap` are ours.

mod common;
mod hardware;

use std::path::PathBuf;

use bakehouse_api::options;
use bakehouse_kit::download::IsoOptions;

pub use common::{AdditionsMode, CommonOptions, Format};
pub use hardware::{Bus, Firmware, HardwareOptions, TpmType};

options! {
    /// Makes a VirtualBox machine and installs it from an ISO image.
    pub struct IsoBuildOptions {
        /// Name of the machine and of the exported files. Unset: `packer-BUILD`.
        vm_name: Option<String>,
        /// Keep the installer in the machine's drive, and in the export.
        bundle_iso: bool = false,
    }
    flatten { hardware: HardwareOptions, iso: IsoOptions, common: CommonOptions }
}

options! {
    /// Imports an appliance into VirtualBox, changes and exports it again.
    pub struct OvfBuildOptions {
        /// Name of the machine and of the exported files. Unset: `packer-BUILD`.
        vm_name: Option<String>,
        /// The appliance: path or URL of an OVF, an OVA, or a Vagrant box for virtualbox.
        source_path: String,
        /// `sha256:...` (or `md5`, `sha1`, `sha512`), the hexadecimal digits alone, `file:` with the URL or path
        /// of a file of checksums, or `none`. Needed for a URL.
        checksum: Option<String>,
        /// Where to keep a downloaded appliance instead of the cache.
        target_path: Option<PathBuf>,
        /// More arguments for `VBoxManage import`.
        import_flags: Vec<String>,
        /// Value of `--options` for `VBoxManage import`: `keepallmacs`, `keepnatmacs`, `importtovdi`.
        import_opts: Option<String>,
    }
    flatten { common: CommonOptions }
}

options! {
    /// Runs a machine that VirtualBox knows already, and exports or snapshots it.
    pub struct VmBuildOptions {
        /// Name or UUID of the machine.
        vm_name: String,
        /// Snapshot that the machine is set back to before it starts: a name, a UUID, or a path of names with `/`.
        /// Unset: the machine starts as it is.
        attach_snapshot: Option<String>,
        /// Snapshot to take of the machine once it is off.
        target_snapshot: Option<String>,
        /// Delete a snapshot that has the name of `target_snapshot` already.
        force_delete_snapshot: bool = false,
    }
    flatten { common: CommonOptions }
}
