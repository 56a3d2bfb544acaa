//! The instance that the image is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bakehouse_api::{Template, choices, options};

use super::ami::TagBlock;
use super::policy::PolicyDocument;

choices! {
    pub enum SshInterface {
        Unset = "", PublicIp = "public_ip", PrivateIp = "private_ip", PublicDns = "public_dns",
        PrivateDns = "private_dns", Ipv6 = "ipv6", SessionManager = "session_manager",
    }
}

choices! {
    pub enum ShutdownBehavior { Stop = "stop", Terminate = "terminate" }
}

choices! {
    pub enum Switch { Enabled = "enabled", Disabled = "disabled" }
}

choices! {
    pub enum Tokens { Optional = "optional", Required = "required" }
}

choices! {
    pub enum Tenancy { Default = "default", Dedicated = "dedicated", Host = "host" }
}

choices! {
    pub enum Preference { Unset = "", None = "none", Open = "open" }
}

options! {
    /// A filter of EC2's, as a block: a name and the values of which one must fit.
    pub struct FilterBlock {
        /// As the API calls it.
        name: String,
        /// One of these, with `*` and `?`.
        value: String,
    }
}

options! {
    /// Finds the source image.
    pub struct AmiFilter {
        /// Filters of DescribeImages.
        filters: BTreeMap<String, String>,
        /// The same as blocks.
        filter: Vec<FilterBlock>,
        /// Account ids, `self`, `amazon`, `aws-marketplace`. Required.
        owners: Vec<String>,
        /// Take the youngest of several.
        most_recent: bool = false,
        /// Images that are deprecated count too.
        include_deprecated: bool = false,
    }
}

options! {
    /// Finds a VPC.
    pub struct VpcFilter {
        /// Filters of DescribeVpcs.
        filters: BTreeMap<String, String>,
        /// The same as blocks.
        filter: Vec<FilterBlock>,
    }
}

options! {
    /// Finds security groups.
    pub struct GroupFilter {
        /// Filters of DescribeSecurityGroups.
        filters: BTreeMap<String, String>,
        /// The same as blocks.
        filter: Vec<FilterBlock>,
    }
}

options! {
    /// Finds a subnet.
    pub struct SubnetFilter {
        /// Filters of DescribeSubnets.
        filters: BTreeMap<String, String>,
        /// The same as blocks.
        filter: Vec<FilterBlock>,
        /// Take the one of several with the most free addresses.
        most_free: bool = false,
        /// Take any one of several.
        random: bool = false,
    }
}

options! {
    /// How the instance's own metadata service behaves.
    pub struct MetadataOptions {
        /// Whether there is one.
        http_endpoint: Switch = Switch::Enabled,
        /// Whether it answers to tokens only (IMDSv2). Packer's default is `optional`.
        http_tokens: Tokens = Tokens::Required,
        /// How many hops its answers go: 1 to 64.
        http_put_response_hop_limit: Option<u32>,
        /// Whether it tells the instance's tags.
        instance_metadata_tags: Switch = Switch::Disabled,
    }
}

options! {
    /// Where the instance is put.
    pub struct Placement {
        /// A host of one's own.
        host_id: Option<String>,
        /// A group of hosts.
        host_resource_group_arn: Option<String>,
        /// Who shares the hardware.
        tenancy: Option<Tenancy>,
    }
}

options! {
    /// Which licence.
    pub struct LicenseConfiguration {
        /// ARN of a configuration of License Manager.
        license_configuration_arn: String,
    }
}

options! {
    /// A licence that the instance uses.
    pub struct License {
        /// Which licence.
        license_configuration_request: Option<LicenseConfiguration>,
    }
}

options! {
    /// The instance.
    pub struct RunOptions {
        /// Image that the instance starts from.
        source_ami: Option<String>,
        /// Finds the image that the instance starts from.
        source_ami_filter: Option<AmiFilter>,
        /// `t3.micro`, ... One of this and `spot_instance_types` is required.
        instance_type: Option<String>,
        /// Types of which a spot instance is taken, the cheapest that there is.
        spot_instance_types: Vec<String>,
        /// What a spot instance may cost an hour; `auto`: up to the regular price; empty: no spot instance.
        spot_price: Option<String>,
        /// Tags of the spot request.
        spot_tags: BTreeMap<String, Template>,
        /// The same as blocks.
        spot_tag: Vec<TagBlock>,
        /// Not supported: EC2 chooses among the capacity that there is.
        spot_allocation_strategy: Option<String>,
        /// Not supported: EC2 has no product to choose any more.
        spot_price_auto_product: Option<String>,
        /// Not supported: use `spot_price`.
        block_duration_minutes: Option<u32>,
        /// Instance profile by name.
        iam_instance_profile: Option<String>,
        /// Policy of an instance profile made for this build.
        temporary_iam_instance_profile_policy_document: Option<PolicyDocument>,
        /// Not supported: a build waits for its profile by asking for it.
        skip_profile_validation: bool = false,
        /// User data, at most 16 KiB.
        user_data: Option<String>,
        /// File of user data.
        user_data_file: Option<PathBuf>,
        /// VPC for the temporary security group. Unset: the subnet's, or the default one.
        vpc_id: Option<String>,
        /// Finds the VPC.
        vpc_filter: Option<VpcFilter>,
        /// Subnet of the instance.
        subnet_id: Option<String>,
        /// Finds the subnet.
        subnet_filter: Option<SubnetFilter>,
        /// Zone of the instance.
        availability_zone: Option<String>,
        /// Security group of the instance, instead of a temporary one.
        security_group_id: Option<String>,
        /// Security groups of the instance, instead of a temporary one.
        security_group_ids: Vec<String>,
        /// Finds the security groups.
        security_group_filter: Option<GroupFilter>,
        /// Who reaches the temporary security group. Unset: this machine where its address can be known, else
        /// everybody.
        temporary_security_group_source_cidrs: Vec<String>,
        /// Only the address that this machine has to the world reaches it: asked of checkip.amazonaws.com.
        temporary_security_group_source_public_ip: bool = false,
        /// Whether the instance gets a public address. Unset: as its subnet has it.
        associate_public_ip_address: Option<bool>,
        /// How the instance is reached. Unset: the first of public address, private address, IPv6 that it has.
        ssh_interface: SshInterface = SshInterface::Unset,
        /// Port of this machine for `session_manager`. Unset: a free one.
        session_manager_port: Option<u16>,
        /// How long to wait before a session is asked for.
        pause_before_ssm: Duration = Duration::ZERO,
        /// The metadata service of the instance.
        metadata_options: Option<MetadataOptions>,
        /// Where the instance is put.
        placement: Option<Placement>,
        /// Who shares the hardware; the same in `placement` wins.
        tenancy: Option<Tenancy>,
        /// Whether the instance may use capacity that is reserved.
        capacity_reservation_preference: Preference = Preference::Unset,
        /// A reservation of capacity to use.
        capacity_reservation_id: Option<String>,
        /// A group of reservations to use.
        capacity_reservation_group_arn: Option<String>,
        /// Licences that the instance uses.
        license_specifications: Vec<License>,
        /// Bandwidth to EBS of its own.
        ebs_optimized: bool = false,
        /// Nitro Enclaves.
        enable_nitro_enclave: bool = false,
        /// More CPU credits than earned (T2, T3).
        enable_unlimited_credits | "enable_t2_unlimited": bool = false,
        /// What becomes of the instance when the guest switches itself off.
        shutdown_behavior: ShutdownBehavior = ShutdownBehavior::Stop,
        /// The template switches the instance off by itself: only wait for it.
        disable_stop_instance: bool = false,
        /// Not supported: there is no winrm communicator that needs a password.
        windows_password_timeout: Option<String>,
        /// Tags of the instance, its volumes and its network interface.
        run_tags: BTreeMap<String, Template>,
        /// The same as blocks.
        run_tag: Vec<TagBlock>,
        /// Tags of the instance's volumes, besides `run_tags`.
        run_volume_tags: BTreeMap<String, Template>,
        /// The same as blocks.
        run_volume_tag: Vec<TagBlock>,
    }
}
