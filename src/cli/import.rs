//! `import`: a disk of this machine becomes an AMI.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bakehouse_api::bridge::{Architecture, BootMode, Encryption, Import, ObjectEncryption, Platform, Via};
use bakehouse_api::{Result, Secrets};

use super::account::{AccountArgs, checked};
use super::errand::{Errand, Telling, carry_out};
use super::{End, switch};
use crate::registry;

#[derive(clap::Args)]
pub struct Args {
    /// Disks, the one to boot from first: qcow2, raw, vmdk, vhd, vhdx, vdi, an OVA or a Vagrant box.
    #[arg(required = true, value_name = "DISK")]
    disks: Vec<PathBuf>,
    /// Name of the AMI.
    #[arg(long, visible_alias = "ami-name", required = true, value_name = "NAME")]
    name: String,
    /// Description of the AMI.
    #[arg(long, visible_alias = "ami-description", value_name = "TEXT")]
    description: Option<String>,
    /// Block by block (ebs-direct), through a bucket (snapshot), or by the service that edits the guest (image).
    #[arg(long, value_name = "WAY", value_parser = via)]
    via: Option<Via>,
    /// A tag of the AMI and its snapshots; may be repeated.
    #[arg(long = "tag", visible_alias = "tags", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// A further tag of the snapshots; may be repeated.
    #[arg(long = "snapshot-tag", visible_alias = "snapshot-tags", value_name = "KEY=VALUE", value_parser = pair)]
    snapshot_tags: Vec<(String, String)>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    sharing: SharingArgs,
    #[command(flatten)]
    way: WayArgs,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    telling: Telling,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Machine")]
struct MachineArgs {
    /// x86_64 or arm64; else found from the disk.
    #[arg(long, value_name = "NAME", value_parser = architecture)]
    architecture: Option<Architecture>,
    /// legacy-bios, uefi or uefi-preferred; else found from the disk.
    #[arg(long, value_name = "MODE", value_parser = boot_mode)]
    boot_mode: Option<BootMode>,
    /// The elastic network adapter: on, unless this says false.
    #[arg(long, visible_alias = "ena-support", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = switch)]
    ena: Option<bool>,
    /// Instances have a TPM 2.0.
    #[arg(long, visible_alias = "tpm-support")]
    tpm: bool,
    /// Instances' metadata service answers to tokens only.
    #[arg(long, visible_alias = "imds-support")]
    imds: bool,
    /// GiB of the root volume; else what the disk needs.
    #[arg(long, value_name = "GIB")]
    volume_size: Option<u32>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Sharing and encryption")]
struct SharingArgs {
    /// Regions that it is copied to.
    #[arg(long = "regions", visible_alias = "ami-regions", value_delimiter = ',', value_name = "REGION")]
    regions: Vec<String>,
    /// Accounts that may launch it.
    #[arg(long = "users", visible_alias = "ami-users", value_delimiter = ',', value_name = "ACCOUNT")]
    users: Vec<String>,
    /// `all`: everybody may launch it.
    #[arg(long = "groups", visible_alias = "ami-groups", value_delimiter = ',', value_name = "GROUP")]
    groups: Vec<String>,
    /// Encrypt it.
    #[arg(long, visible_alias = "ami-encrypt")]
    encrypt: bool,
    /// Key for that: an id, an alias or an ARN; else the account's own.
    #[arg(long, visible_alias = "ami-kms-key", value_name = "KEY", requires = "encrypt")]
    kms_key: Option<String>,
    /// Take the place of an AMI of the same name, once the new one is there.
    #[arg(long, visible_alias = "force-deregister")]
    replace: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Way")]
struct WayArgs {
    /// A snapshot that holds most of the disk: only what differs is sent (ebs-direct).
    #[arg(long, value_name = "SNAPSHOT")]
    parent: Option<String>,
    /// Requests under way at once.
    #[arg(long, value_name = "COUNT")]
    parallel: Option<usize>,
    /// With --encrypt: leave out what the disk says was never written (ebs-direct).
    #[arg(long, requires = "encrypt")]
    skip_unwritten: bool,
    /// When it fails or is interrupted, keep what was sent: the same command goes on with it.
    #[arg(long)]
    keep_partial: bool,
    /// Bucket for the ways through one.
    #[arg(long, visible_alias = "s3-bucket-name", value_name = "NAME")]
    bucket: Option<String>,
    /// Name of the object; else one that nobody else has.
    #[arg(long, visible_alias = "s3-key-name", value_name = "NAME")]
    key: Option<String>,
    /// Format of the object: vmdk, raw, vhd, vhdx or ova.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// AES256 or aws:kms.
    #[arg(long, value_name = "KIND", value_parser = object_encryption)]
    s3_encryption: Option<ObjectEncryption>,
    /// Key for aws:kms.
    #[arg(long, value_name = "KEY", requires = "s3_encryption")]
    s3_encryption_key: Option<String>,
    /// Leave the object in the bucket.
    #[arg(long, visible_alias = "skip-clean")]
    keep_object: bool,
    /// Role of the import service; else vmimport.
    #[arg(long, visible_alias = "role", value_name = "NAME")]
    role_name: Option<String>,
    /// AWS or BYOL (image).
    #[arg(long, value_name = "KIND")]
    license_type: Option<String>,
    /// linux or windows (image).
    #[arg(long, value_name = "NAME", value_parser = platform)]
    platform: Option<Platform>,
    /// Import a disk that EC2 could not boot, as far as can be seen.
    #[arg(long)]
    force: bool,
}

fn one_of<T>(found: Option<T>, words: &[&str]) -> Result<T, String> {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    found.ok_or_else(|| format!("it must be {}", words.join(", ")))
}

fn via(text: &str) -> Result<Via, String> {
    one_of(Via::named(text), Via::WORDS)
}

fn architecture(text: &str) -> Result<Architecture, String> {
    one_of(Architecture::named(text), Architecture::WORDS)
}

fn boot_mode(text: &str) -> Result<BootMode, String> {
    one_of(BootMode::named(text).filter(|mode| *mode != BootMode::Unset), BootMode::WORDS)
}

fn object_encryption(text: &str) -> Result<ObjectEncryption, String> {
    one_of(ObjectEncryption::named(text), ObjectEncryption::WORDS)
}

fn platform(text: &str) -> Result<Platform, String> {
    one_of(Platform::named(text), Platform::WORDS)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn run(args: &Args, machine_readable: bool) -> Result<End> {
    let bridge = registry::need_bridge()?;
    let (import, account) = (args.import(), args.account.options());
    checked("import", |body, found| {
        bridge.check_account(body, &account, found);
        bridge.check_import(body, &import, found);
    })?;
    let errand = Errand {
        name: "import",
        telling: &args.telling,
        machine_readable,
        force: false,
        leave: args.way.keep_partial,
        live: true,
        secrets: Secrets::default(),
    };
    carry_out(&errand, async |cx| {
        let imported = bridge.import(cx, &account, &import).await?;
        cx.emit(bakehouse_api::EventKind::Artifact { from: "import".into(), artifact: imported.artifact.clone() });
        Ok(imported)
    })
}

impl Args {
    fn import(&self) -> Import {
        let Self { machine, sharing, way, .. } = self;
        let tags = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<BTreeMap<_, _>>();
        let encryption = sharing.encrypt.then(|| Encryption { key: sharing.kms_key.clone(), ..Encryption::default() });
        Import {
            disks: self.disks.clone(),
            via: self.via,
            name: self.name.clone(),
            description: self.description.clone(),
            tags: tags(&self.tags),
            snapshot_tags: tags(&self.snapshot_tags),
            architecture: machine.architecture,
            boot_mode: machine.boot_mode,
            ena: machine.ena,
            tpm: machine.tpm,
            imds_v2: machine.imds,
            volume_size: machine.volume_size,
            encryption,
            regions: sharing.regions.clone(),
            users: sharing.users.clone(),
            groups: sharing.groups.clone(),
            replace: sharing.replace,
            parent: way.parent.clone(),
            skip_unwritten: way.skip_unwritten,
            lanes: way.parallel,
            unchecked: way.force,
            keep_partial: way.keep_partial,
            bucket: way.bucket.clone(),
            key: way.key.clone(),
            format: way.format.clone(),
            object_encryption: way.s3_encryption,
            object_key: way.s3_encryption_key.clone(),
            keep_object: way.keep_object,
            role: way.role_name.clone(),
            license: way.license_type.clone(),
            platform: way.platform,
            ..Import::default()
        }
    }
}
