//! Everything about the options that can be known without asking AWS.

mod access;
mod ami;
mod devices;
mod import;
mod run;
mod tags;
#[cfg(test)]
mod tests;

use bakehouse_api::{Body, Diagnostic, Diagnostics, Template};
use bakehouse_kit::communicator::{CommKind, CommOptions};
use bakehouse_kit::ssh::KeyKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::network::given;
use crate::options::data::AmiData;
use crate::options::firmware::{BootMode, TpmSupport};
use crate::options::run::SshInterface;
use crate::options::surrogate::{Architecture, SurrogateOptions};
use crate::options::volume::VolumeOptions;
use crate::options::{BlockDevice, EbsOptions, FirmwareOptions, RunOptions};

/// What RegisterImage takes.
const UEFI_DATA: usize = 64_000;

/// Where findings go, with the place of the option.
pub struct Check<'a> {
    body: &'a Body,
    found: &'a mut Diagnostics,
}

impl<'a> Check<'a> {
    pub fn new(body: &'a Body, found: &'a mut Diagnostics) -> Self {
        Self { body, found }
    }

    /// False where only the running build will tell the value.
    fn known(&self, option: &str) -> bool {
        !self.body.entries.iter().any(|entry| entry.name == option && entry.node.value.has_unknown())
    }

    fn push(&mut self, option: &str, diagnostic: Diagnostic) {
        let entry = self.body.entries.iter().find(|entry| entry.name == option);
        self.found.push(diagnostic.at(entry.map_or(self.body.span, |entry| entry.node.span())));
    }

    fn error(&mut self, option: &str, summary: impl Into<String>) {
        self.push(option, Diagnostic::error(summary));
    }

    /// What others take and this program cannot do: no error to those who only want the template judged.
    fn unsupported(&mut self, option: &str, hint: &str) {
        let refused = Diagnostic::error(format!("`{option}` is not supported")).only_to_build().hint(hint);
        self.push(option, refused);
    }

    fn exclude(&mut self, one: &str, one_set: bool, other: &str, other_set: bool) {
        if one_set && other_set {
            self.error(other, format!("`{one}` and `{other}` exclude each other"));
        }
    }

    /// A text whose `{{ }}` parts are filled in later is not judged.
    fn settled(template: &Template) -> Option<&str> {
        Some(template.text.as_str()).filter(|text| !text.contains("{{"))
    }
}

pub fn ebs(body: &Body, options: &EbsOptions, found: &mut Diagnostics) {
    let mut check = Check::new(body, found);
    check.access(&options.access);
    check.run(&options.run);
    check.launch_devices(&options.devices.launch_block_device_mappings);
    check.image_devices(&options.devices.ami_block_device_mappings);
    check.ami(&options.ami, !options.skip_create_ami);
    check.firmware(&options.firmware, None);
    check.run_tags(&options.run);
    check.image_tags(&options.ami);
    check.public_and_encrypted(&options.ami, &options.devices.launch_block_device_mappings);
    if options.ami.ami_virtualization_type.is_some() {
        let warning = Diagnostic::warning("`ami_virtualization_type` has no effect on an image of an instance");
        check.push("ami_virtualization_type", warning);
    }
    check.comm(&options.comm, &options.run);
}

pub fn surrogate(body: &Body, options: &SurrogateOptions, found: &mut Diagnostics) {
    let mut check = Check::new(body, found);
    let devices: Vec<BlockDevice> = options.launch_block_device_mappings.iter().map(|it| it.device.clone()).collect();
    check.access(&options.access);
    check.run(&options.run);
    check.launch_devices(&devices);
    check.image_devices(&options.ami_block_device_mappings);
    check.ami(&options.ami, true);
    check.run_tags(&options.run);
    check.image_tags(&options.ami);
    check.public_and_encrypted(&options.ami, &devices);
    check.root_device(options);
    let arm = matches!(options.ami_architecture, Architecture::Arm64 | Architecture::Arm64Mac);
    check.firmware(&options.firmware, arm.then_some(options.ami_architecture.as_str()));
    if options.ami.encrypt_boot.is_some() {
        let hint = "set `encrypted` and `kms_key_id` of the device in `launch_block_device_mappings`";
        check.unsupported("encrypt_boot", hint);
    }
    if options.use_create_image {
        check.unsupported("use_create_image", "`amazon-ebs` makes an image of the instance itself");
    }
    check.comm(&options.comm, &options.run);
}

pub fn volume(body: &Body, options: &VolumeOptions, found: &mut Diagnostics) {
    let mut check = Check::new(body, found);
    let devices: Vec<BlockDevice> = options.ebs_volumes.iter().map(|volume| volume.device.clone()).collect();
    check.access(&options.access);
    check.run(&options.run);
    check.run_tags(&options.run);
    check.devices("ebs_volumes", &devices);
    if options.ebs_volumes.is_empty() && check.known("ebs_volumes") {
        check.error("ebs_volumes", "`ebs_volumes` is required: without one nothing comes out");
    }
    for volume in &options.ebs_volumes {
        check.tags(("ebs_volumes", &volume.tags), ("ebs_volumes", &volume.tag));
        check.tags(("ebs_volumes", &volume.snapshot_tags), ("ebs_volumes", &volume.snapshot_tag));
        check.accounts("ebs_volumes", &volume.snapshot_users);
    }
    check.comm(&options.comm, &options.run);
}

pub fn data_ami(body: &Body, options: &AmiData, found: &mut Diagnostics) {
    let mut check = Check::new(body, found);
    check.access(&options.access);
    if !body.has_unknown() {
        check.ami_filter("amazon-ami", &options.filter);
    }
}

impl Check<'_> {
    fn root_device(&mut self, options: &SurrogateOptions) {
        let Some(root) = &options.ami_root_device else {
            self.error("ami_root_device", "`ami_root_device` is required: the volume that becomes the image's root");
            return;
        };
        if !self.known("ami_root_device") || !self.known("launch_block_device_mappings") {
            return;
        }
        self.devices("ami_root_device", &[root.device("snapshot")]);
        let mut devices = options.launch_block_device_mappings.iter();
        match devices.find(|it| it.device.device_name == root.source_device_name) {
            None => {
                let name = &root.source_device_name;
                let error = format!("`launch_block_device_mappings` has no device `{name}` to take the root from");
                self.error("ami_root_device", error);
            }
            Some(it) if it.omit_from_artifact => {
                self.error("ami_root_device", "the root of the image cannot be omitted from it (`omit_from_artifact`)");
            }
            Some(_) => {}
        }
    }

    /// `arm`: the architecture where it is one that boots by UEFI only.
    fn firmware(&mut self, firmware: &FirmwareOptions, arm: Option<&str>) {
        let mode = firmware.boot_mode;
        let known = self.known("boot_mode");
        if let Some(arm) = arm.filter(|_| known && !matches!(mode, BootMode::Unset | BootMode::Uefi)) {
            self.error("boot_mode", format!("{arm} boots by UEFI only: `boot_mode = \"uefi\"`"));
        }
        if firmware.tpm_support == TpmSupport::V2 && mode != BootMode::Uefi && known {
            self.error("tpm_support", "`tpm_support` needs `boot_mode = \"uefi\"`");
        }
        let Some(data) = given(&firmware.uefi_data).filter(|_| self.known("uefi_data")) else { return };
        if mode == BootMode::LegacyBios {
            self.error("uefi_data", "`uefi_data` needs a `boot_mode` with UEFI");
        }
        if data.len() > UEFI_DATA || STANDARD.decode(data.trim()).is_err() {
            let error = format!("`uefi_data` must be at most {UEFI_DATA} characters of base64");
            self.push("uefi_data", Diagnostic::error(error).hint("`uefivars -o aws` of python-uefivars writes it"));
        }
    }

    pub fn comm(&mut self, comm: &CommOptions, run: &RunOptions) {
        comm.check_with_platform_keys(self.found);
        if comm.communicator != CommKind::Ssh {
            return;
        }
        let ssh = &comm.ssh;
        if given(&ssh.ssh_keypair_name).is_some() && !ssh.has_credentials() {
            let missing = Diagnostic::error("`ssh_keypair_name` needs the private key of that pair")
                .hint("set `ssh_private_key_file` or `ssh_agent_auth`");
            self.push("ssh_keypair_name", missing);
        }
        let kind = ssh.temporary_key_pair_type;
        if self.known("temporary_key_pair_type") && kind == KeyKind::Ecdsa {
            let unfit = Diagnostic::error(format!("EC2 knows no key pairs of kind `{}`", kind.as_str()));
            self.push("temporary_key_pair_type", unfit.hint("take ed25519 or rsa"));
        }
        if run.ssh_interface == SshInterface::SessionManager && ssh.bastion_host().is_some() {
            self.error("ssh_bastion_host", "`ssh_interface = \"session_manager\"` needs no bastion");
        }
    }
}
