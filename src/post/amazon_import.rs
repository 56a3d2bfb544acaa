//! `amazon-import`: the disk of an artifact becomes an AMI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_api::bridge::{
    AccountOptions, Architecture, BootMode, Encryption, Import, ObjectEncryption, Platform, Via,
};
use bakehouse_api::{
    Artifact, Body, Cx, Diagnostics, Error, Kind, Options, Result, Template, async_trait, choices, options,
};
use bakehouse_boxes::disk;

use super::{Outcome, PostProcessor, Row};
use crate::registry;

choices! {
    pub enum ImdsSupport { Unset = "", V2 = "v2.0" }
}

choices! {
    pub enum TpmSupport { Unset = "", V2 = "v2.0" }
}

options! {
    /// Makes an AMI of the disk of the artifact.
    pub struct ImportOptions {
        /// Name of the AMI. Unset: `packer-import-{{timestamp}}`.
        ami_name: Option<String>,
        /// Description of the AMI.
        ami_description: Option<String>,
        /// Tags of the AMI and its snapshots.
        tags: BTreeMap<String, String>,
        /// Further tags of the snapshots.
        snapshot_tags: BTreeMap<String, String>,
        /// By which way: block by block (`ebs-direct`), through a bucket (`snapshot`), or by the service that edits the
        /// guest (`image`). Unset: `ebs-direct`, or `image` where a licence or Windows asks for it.
        via: Option<Via>,
        /// Accounts that may launch the AMI.
        ami_users: Vec<String>,
        /// `all`: everybody may launch the AMI.
        ami_groups: Vec<String>,
        /// Organizations that may launch the AMI.
        ami_org_arns: Vec<String>,
        /// Organizational units that may launch the AMI.
        ami_ou_arns: Vec<String>,
        /// Regions that the AMI is copied to.
        ami_regions: Vec<String>,
        /// Do not ask whether the account has these regions.
        skip_region_validation: bool = false,
        /// Encrypt the AMI.
        ami_encrypt: bool = false,
        /// Key for that: an id, an alias or an ARN. Unset: the account's own.
        ami_kms_key: Option<String>,
        /// Keys of the regions that the AMI is copied to; an empty one is the account's own there.
        region_kms_key_ids: BTreeMap<String, String>,
        /// Take the place of an AMI of the same name, once the new one is there.
        force_deregister: bool = false,
        /// The guest's architecture. Unset: found from the disk.
        architecture: Option<Architecture>,
        /// How instances boot. Unset: found from the disk.
        boot_mode: BootMode = BootMode::Unset,
        /// Turn the elastic network adapter on.
        ena_support: bool = true,
        /// `v2.0`: instances have a TPM.
        tpm_support: TpmSupport = TpmSupport::Unset,
        /// `v2.0`: instances answer to tokens only.
        imds_support: ImdsSupport = ImdsSupport::Unset,
        /// GiB of the root volume. Unset: what the disk needs.
        volume_size: Option<u32>,
        /// A snapshot that holds most of the disk: only what differs is sent (`ebs-direct`).
        parent_snapshot: Option<String>,
        /// Leave out of an encrypted AMI what the disk says was never written (`ebs-direct`). What that reads back as is
        /// anything then: for disks that no tool has rewritten since the guest wrote them.
        skip_unwritten: bool = false,
        /// How many requests are under way at once. Unset: what the service takes.
        parallel: Option<u32>,
        /// The bucket that the disk is put into, for the ways `snapshot` and `image`. One that is set is also the way out
        /// where `ebs-direct` is not allowed.
        s3_bucket_name: Option<String>,
        /// The object's name. Unset: one that nobody else has.
        s3_key_name: Option<Template>,
        /// How the bucket encrypts the object.
        s3_encryption: Option<ObjectEncryption>,
        /// Key for `aws:kms`.
        s3_encryption_key: Option<String>,
        /// Leave the object in the bucket.
        skip_clean: bool = false,
        /// Which of the artifact's files is the disk, by its ending, and the format that the object has. Unset: the first
        /// disk there is, and a compressed VMDK.
        format: Option<String>,
        /// Role of the import service.
        role_name: Option<String>,
        /// `AWS` or `BYOL`; the way `image` only.
        license_type: Option<String>,
        /// The guest's kind; the way `image` only.
        platform: Option<Platform>,
    }
    flatten { account: AccountOptions }
}

pub const ROW: Row = Row { kind: "amazon-import", schema: || ImportOptions::schema("amazon-import"), prepare };

struct AmazonImport {
    options: ImportOptions,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = ImportOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    if let Some(bridge) = registry::bridge() {
        bridge.check_account(body, &options.account, diagnostics);
        bridge.check_import(body, &import(&options, Vec::new()), diagnostics);
    }
    (diagnostics.errors() == before).then(|| Box::new(AmazonImport { options }) as Box<dyn PostProcessor>)
}

fn import(options: &ImportOptions, disks: Vec<PathBuf>) -> Import {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let encryption = options
        .ami_encrypt
        .then(|| Encryption { key: given(&options.ami_kms_key), region_keys: options.region_kms_key_ids.clone() });
    Import {
        disks,
        via: options.via,
        name: given(&options.ami_name).unwrap_or_else(name_of_now),
        description: given(&options.ami_description),
        tags: options.tags.clone(),
        snapshot_tags: options.snapshot_tags.clone(),
        architecture: options.architecture,
        boot_mode: Some(options.boot_mode).filter(|mode| *mode != BootMode::Unset),
        ena: Some(options.ena_support),
        tpm: options.tpm_support == TpmSupport::V2,
        imds_v2: options.imds_support == ImdsSupport::V2,
        volume_size: options.volume_size,
        encryption,
        regions: options.ami_regions.clone(),
        skip_region_validation: options.skip_region_validation,
        users: options.ami_users.clone(),
        groups: options.ami_groups.clone(),
        org_arns: options.ami_org_arns.clone(),
        ou_arns: options.ami_ou_arns.clone(),
        replace: options.force_deregister,
        parent: given(&options.parent_snapshot),
        bucket: given(&options.s3_bucket_name),
        format: given(&options.format),
        object_encryption: options.s3_encryption,
        object_key: given(&options.s3_encryption_key),
        keep_object: options.skip_clean,
        role: given(&options.role_name),
        license: given(&options.license_type),
        platform: options.platform,
        skip_unwritten: options.skip_unwritten,
        lanes: options.parallel.and_then(|count| usize::try_from(count).ok()),
        ..Import::default()
    }
}

fn name_of_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("packer-import-{now}")
}

/// The disks among an artifact's files: an OVA or a box is all of them.
fn disks(artifact: &Artifact, format: Option<&str>) -> Result<Vec<PathBuf>> {
    let ending = |path: &Path| path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
    if let Some(format) = format {
        let found = artifact.files.iter().filter(|path| ending(path).as_deref() == Some(format));
        let found: Vec<PathBuf> = found.cloned().collect();
        return match found.is_empty() {
            false => Ok(found),
            true => Err(Error::new(Kind::Config, format!("the artifact has no file that ends with .{format}"))
                .hint("leave `format` out to take its first disk")),
        };
    }
    let mut found = Vec::new();
    for path in &artifact.files {
        match disk::kind(path)? {
            disk::Kind::Ova | disk::Kind::Box => return Ok(vec![path.clone()]),
            disk::Kind::Other => {}
            _ => found.push(path.clone()),
        }
    }
    if found.is_empty() {
        let error = Error::new(Kind::Config, "the artifact has no disk that could be imported");
        return Err(error.hint("qcow2, raw, vmdk, vhd, vhdx and vdi are disks; an OVA and a Vagrant box hold some"));
    }
    Ok(found)
}

#[async_trait]
impl PostProcessor for AmazonImport {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let options = &self.options;
        let bridge = registry::need_bridge()?;
        let format = options.format.as_deref().filter(|format| !format.is_empty());
        let mut import = import(options, disks(artifact, format)?);
        import.unchecked = cx.settings().force;
        import.key = options.s3_key_name.as_ref().map(|key| key.render([])).transpose()?;
        let imported = bridge.import(cx, &options.account, &import).await?;
        Ok(Outcome { artifact: Some(imported.artifact), keep_by_default: false, must_keep: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::testing::{body, findings};

    #[test]
    fn the_disk_is_found_among_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let (disk, note) = (file("disk", b"QFI\xfb..."), file("notes.txt", b"hello"));
        let (vmdk, other) = (file("d.vmdk", b"KDMV..."), file("e.vmdk", b"KDMV..."));
        let artifact = |files: &[&PathBuf]| Artifact {
            files: files.iter().map(|it| (*it).clone()).collect(),
            ..Artifact::default()
        };
        assert_eq!(disks(&artifact(&[&note, &disk]), None).unwrap(), std::slice::from_ref(&disk));
        assert_eq!(disks(&artifact(&[&disk, &vmdk, &other]), Some("vmdk")).unwrap(), [vmdk, other]);
        let error = disks(&artifact(&[&disk]), Some("ova")).unwrap_err();
        assert_eq!(error.message(), "the artifact has no file that ends with .ova");
        assert!(disks(&artifact(&[&note]), None).unwrap_err().message().contains("no disk"));
    }

    #[cfg(feature = "ec2")]
    #[test]
    fn mistakes_are_found_without_a_disk() {
        let mut found = Diagnostics::default();
        let wrong = [("ami_name", "x".into()), ("license_type", "AWS".into()), ("format", "iso".into())];
        assert!(prepare(&body("amazon-import", &wrong), &mut found).is_none());
        let expected = [
            "`ami_name` must have 3 to 128 characters, and it has 1",
            "the way `image` needs `s3_bucket_name`",
            "`iso` is none of raw, vmdk, vhd, vhdx, ova",
        ];
        assert_eq!(findings(&found), expected);
        let mut none = Diagnostics::default();
        let packers = [("s3_bucket_name", "disks".into()), ("license_type", "BYOL".into()), ("format", "ova".into())];
        assert!(prepare(&body("amazon-import", &packers), &mut none).is_some(), "{none:?}");
    }
}
