//! The image that comes out: its name, who may use it, where it is copied to.

use std::collections::BTreeMap;

use bakehouse_api::{Template, choices, options};

use super::devices::BlockDevice;

choices! {
    pub enum Virtualization { Hvm = "hvm", Paravirtual = "paravirtual" }
}

choices! {
    pub enum ImdsSupport { Unset = "", V2 = "v2.0" }
}

options! {
    /// A tag.
    pub struct TagBlock {
        /// Its key.
        key | "name": String,
        /// Its value.
        value: Template,
    }
}

options! {
    /// Keeps an image from being deregistered.
    pub struct Protection {
        /// Protect it.
        enabled: bool = false,
        /// Protect it for another day after the protection was taken off.
        with_cooldown: bool = false,
    }
}

options! {
    /// Makes Windows instances of the image start faster.
    pub struct FastLaunch {
        /// Turn it on. It is refused for now.
        enable_fast_launch: bool = false,
        /// Not supported: there is no fast launch.
        template_id: Option<String>,
        /// Not supported: there is no fast launch.
        template_name: Option<String>,
        /// Not supported: there is no fast launch.
        template_version: Option<u32>,
        /// Not supported: there is no fast launch.
        target_resource_count: Option<u32>,
        /// Not supported: there is no fast launch.
        max_parallel_launches: Option<u32>,
    }
}

options! {
    /// The image.
    pub struct AmiOptions {
        /// Name of the image, 3 to 128 characters. Required, unless `skip_create_ami`.
        ami_name: String = String::new(),
        /// Description of the image.
        ami_description: Option<Template>,
        /// Only EC2 itself decides this for an image of an instance: the source image's.
        ami_virtualization_type: Option<Virtualization>,
        /// Accounts that may launch the image.
        ami_users: Vec<String>,
        /// `all`: everybody may launch the image.
        ami_groups: Vec<String>,
        /// Organizations that may launch the image.
        ami_org_arns: Vec<String>,
        /// Organizational units that may launch the image.
        ami_ou_arns: Vec<String>,
        /// Product codes of the image.
        ami_product_codes: Vec<String>,
        /// Regions that the image is copied to.
        ami_regions: Vec<String>,
        /// Do not ask whether the account has these regions.
        skip_region_validation: bool = false,
        /// Tags of the image and its snapshots. Fields: `SourceAMI`, `SourceAMIName`, `SourceAMIOwner`,
        /// `SourceAMIOwnerName`, `SourceAMICreationDate`, `BuildRegion`.
        tags: BTreeMap<String, Template>,
        /// The same as blocks.
        tag: Vec<TagBlock>,
        /// Turn the elastic network adapter on.
        ena_support: Option<bool>,
        /// Turn the network interface of Intel's 82599 on.
        sriov_support: bool = false,
        /// Take the place of an image of the same name, once the new one is there.
        force_deregister: bool = false,
        /// With `force_deregister`: delete the snapshots of the old image too.
        force_delete_snapshot: bool = false,
        /// Encrypt the image: the instance's volumes are encrypted from the start, so no copy is needed.
        encrypt_boot: Option<bool>,
        /// Key for it: an id, an alias or an ARN. Unset: the account's own for EBS.
        kms_key_id: Option<String>,
        /// Keys of the regions that the image is copied to; an empty one is the account's own there.
        region_kms_key_ids: BTreeMap<String, String>,
        /// Keep no image in the region of the build, only the copies.
        skip_save_build_region: bool = false,
        /// `v2.0`: instances of the image answer to tokens only.
        imds_support: ImdsSupport = ImdsSupport::Unset,
        /// When the image is deprecated, as `2026-01-31T00:00:00Z`: within ten years.
        deprecate_at: Option<String>,
        /// Keeps the image from being deregistered.
        deregistration_protection: Option<Protection>,
        /// Not supported: fast launch.
        fast_launch: Option<FastLaunch>,
        /// Tags of the snapshots, besides `tags`.
        snapshot_tags: BTreeMap<String, Template>,
        /// The same as blocks.
        snapshot_tag: Vec<TagBlock>,
        /// Accounts that may make volumes of the snapshots.
        snapshot_users: Vec<String>,
        /// `all`: everybody may make volumes of the snapshots.
        snapshot_groups: Vec<String>,
    }
}

options! {
    /// The devices of the instance and of the image.
    pub struct DeviceOptions {
        /// Devices that the image has besides the instance's own.
        ami_block_device_mappings: Vec<BlockDevice>,
        /// Devices of the instance besides those of the source image, or in their place.
        launch_block_device_mappings: Vec<BlockDevice>,
    }
}

impl AmiOptions {
    /// As a template that says nothing of it.
    pub fn plain() -> Self {
        Self {
            ami_name: String::new(),
            ami_description: None,
            ami_virtualization_type: None,
            ami_users: Vec::new(),
            ami_groups: Vec::new(),
            ami_org_arns: Vec::new(),
            ami_ou_arns: Vec::new(),
            ami_product_codes: Vec::new(),
            ami_regions: Vec::new(),
            skip_region_validation: false,
            tags: BTreeMap::new(),
            tag: Vec::new(),
            ena_support: None,
            sriov_support: false,
            force_deregister: false,
            force_delete_snapshot: false,
            encrypt_boot: None,
            kms_key_id: None,
            region_kms_key_ids: BTreeMap::new(),
            skip_save_build_region: false,
            imds_support: ImdsSupport::Unset,
            deprecate_at: None,
            deregistration_protection: None,
            fast_launch: None,
            snapshot_tags: BTreeMap::new(),
            snapshot_tag: Vec::new(),
            snapshot_users: Vec::new(),
            snapshot_groups: Vec::new(),
            spans: Default::default(),
        }
    }
}
