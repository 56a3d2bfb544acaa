//! From options to a RunInstances request: nothing is asked here.

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CapacityReservationPreference, CapacityReservationSpecification, CapacityReservationTarget,
    CreditSpecificationRequest, EbsBlockDevice, EnclaveOptionsRequest, HttpTokensState,
    IamInstanceProfileSpecification, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceMetadataTagsState,
    InstanceNetworkInterfaceSpecification, InstanceType, LicenseConfigurationRequest, MarketType, Placement,
    ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tenancy,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Ec2, tagged};
use crate::network::{Network, given};
use crate::options::run::{Preference, Switch, Tokens};
use crate::options::{BlockDevice, RunOptions};
use crate::source_ami::SourceAmi;

/// The tags of what a launch makes.
#[derive(Clone, Debug, Default)]
pub struct LaunchTags {
    pub instance: Vec<(String, String)>,
    pub volumes: Vec<(String, String)>,
    pub network_interface: Vec<(String, String)>,
    pub spot: Vec<(String, String)>,
}

pub struct Launch<'a> {
    pub run: &'a RunOptions,
    pub devices: Vec<BlockDeviceMapping>,
    pub source: &'a SourceAmi,
    pub network: &'a Network,
    pub groups: Vec<String>,
    pub key_name: Option<String>,
    pub profile: Option<String>,
    /// Not yet encoded.
    pub user_data: Option<Vec<u8>>,
    pub tags: LaunchTags,
    pub token: String,
}

impl RunOptions {
    pub fn is_spot(&self) -> bool {
        !self.spot_instance_types.is_empty() || given(&self.spot_price).is_some_and(|price| price != "0")
    }

    /// None: EC2's regular price is the limit.
    fn highest_price(&self) -> Option<String> {
        given(&self.spot_price).filter(|price| price != "auto" && price != "0")
    }

    pub fn instance_types(&self) -> Vec<String> {
        if self.spot_instance_types.is_empty() {
            self.instance_type.iter().cloned().collect()
        } else {
            self.spot_instance_types.clone()
        }
    }
}

impl Launch<'_> {
    pub fn request(&self, ec2: &Ec2, instance_type: &str) -> RunInstancesFluentBuilder {
        let run = self.run;
        let user_data = self.user_data.as_ref().map(|data| STANDARD.encode(data));
        let profile = self.profile.as_ref().map(|name| IamInstanceProfileSpecification::builder().name(name).build());
        let mut request = ec2
            .api
            .run_instances()
            .image_id(&self.source.id)
            .instance_type(InstanceType::from(instance_type))
            .min_count(1)
            .max_count(1)
            .client_token(format!("{}-{instance_type}", self.token))
            .set_key_name(self.key_name.clone())
            .set_user_data(user_data)
            .set_iam_instance_profile(profile)
            .set_block_device_mappings(Some(self.devices.clone()).filter(|devices| !devices.is_empty()))
            .metadata_options(metadata(run))
            .set_placement(placement(run, self.network))
            .set_capacity_reservation_specification(reservation(run))
            .set_license_specifications(licenses(run))
            .set_tag_specifications(self.tag_specifications());
        if run.ebs_optimized {
            request = request.ebs_optimized(true);
        }
        if run.enable_nitro_enclave {
            request = request.enclave_options(EnclaveOptionsRequest::builder().enabled(true).build());
        }
        if run.enable_unlimited_credits {
            let unlimited = CreditSpecificationRequest::builder().cpu_credits("unlimited").build();
            request = request.credit_specification(unlimited);
        }
        request = if run.is_spot() {
            request.instance_market_options(self.spot())
        } else {
            request.instance_initiated_shutdown_behavior(ShutdownBehavior::from(run.shutdown_behavior.as_str()))
        };
        self.connect(request)
    }

    /// A public address is a property of the network card, which then carries subnet and groups itself.
    fn connect(&self, request: RunInstancesFluentBuilder) -> RunInstancesFluentBuilder {
        let subnet = self.network.subnet.clone();
        let groups = Some(self.groups.clone()).filter(|groups| !groups.is_empty());
        match self.run.associate_public_ip_address {
            None => request.set_subnet_id(subnet).set_security_group_ids(groups),
            Some(public) => request.network_interfaces(
                InstanceNetworkInterfaceSpecification::builder()
                    .device_index(0)
                    .associate_public_ip_address(public)
                    .delete_on_termination(true)
                    .set_subnet_id(subnet)
                    .set_groups(groups)
                    .build(),
            ),
        }
    }

    fn spot(&self) -> InstanceMarketOptionsRequest {
        let spot = SpotMarketOptions::builder()
            .spot_instance_type(SpotInstanceType::OneTime)
            .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
            .set_max_price(self.run.highest_price());
        InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build()
    }

    fn tag_specifications(&self) -> Option<Vec<aws_sdk_ec2::types::TagSpecification>> {
        let tags = &self.tags;
        let spot = if self.run.is_spot() { tags.spot.as_slice() } else { &[] };
        tagged([
            (ResourceType::Instance, tags.instance.as_slice()),
            (ResourceType::Volume, &tags.volumes),
            (ResourceType::NetworkInterface, &tags.network_interface),
            (ResourceType::SpotInstancesRequest, spot),
        ])
    }
}

fn metadata(run: &RunOptions) -> InstanceMetadataOptionsRequest {
    let asked = run.metadata_options.as_ref();
    let on = |switch: Option<Switch>| switch == Some(Switch::Enabled);
    let mut made = InstanceMetadataOptionsRequest::builder()
        .http_endpoint(match asked.map(|asked| asked.http_endpoint) {
            Some(Switch::Disabled) => InstanceMetadataEndpointState::Disabled,
            _ => InstanceMetadataEndpointState::Enabled,
        })
        .http_tokens(match asked.map(|asked| asked.http_tokens) {
            Some(Tokens::Optional) => HttpTokensState::Optional,
            _ => HttpTokensState::Required,
        })
        .set_http_put_response_hop_limit(
            asked.and_then(|asked| asked.http_put_response_hop_limit).map(|hops| hops as i32),
        );
    if on(asked.map(|asked| asked.instance_metadata_tags)) {
        made = made.instance_metadata_tags(InstanceMetadataTagsState::Enabled);
    }
    made.build()
}

fn placement(run: &RunOptions, network: &Network) -> Option<Placement> {
    let asked = run.placement.as_ref();
    let tenancy = asked.and_then(|asked| asked.tenancy).or(run.tenancy).map(|tenancy| Tenancy::from(tenancy.as_str()));
    let host = asked.and_then(|asked| given(&asked.host_id));
    let group = asked.and_then(|asked| given(&asked.host_resource_group_arn));
    // A subnet is in one zone already.
    let zone = network.zone.clone().filter(|_| network.subnet.is_none());
    if tenancy.is_none() && host.is_none() && group.is_none() && zone.is_none() {
        return None;
    }
    let made = Placement::builder().set_tenancy(tenancy).set_host_id(host).set_host_resource_group_arn(group);
    Some(made.set_availability_zone(zone).build())
}

fn reservation(run: &RunOptions) -> Option<CapacityReservationSpecification> {
    let (id, group) = (given(&run.capacity_reservation_id), given(&run.capacity_reservation_group_arn));
    if id.is_some() || group.is_some() {
        let target = CapacityReservationTarget::builder()
            .set_capacity_reservation_id(id)
            .set_capacity_reservation_resource_group_arn(group);
        return Some(CapacityReservationSpecification::builder().capacity_reservation_target(target.build()).build());
    }
    let preference = match run.capacity_reservation_preference {
        Preference::Unset => return None,
        Preference::None => CapacityReservationPreference::None,
        Preference::Open => CapacityReservationPreference::Open,
    };
    Some(CapacityReservationSpecification::builder().capacity_reservation_preference(preference).build())
}

fn licenses(run: &RunOptions) -> Option<Vec<LicenseConfigurationRequest>> {
    let licenses =
        run.license_specifications.iter().filter_map(|license| license.license_configuration_request.as_ref());
    let licenses = licenses.map(|license| {
        LicenseConfigurationRequest::builder().license_configuration_arn(&license.license_configuration_arn).build()
    });
    Some(licenses.collect()).filter(|licenses: &Vec<_>| !licenses.is_empty())
}

pub fn mapping(device: &BlockDevice) -> BlockDeviceMapping {
    let made = BlockDeviceMapping::builder().device_name(&device.device_name);
    if device.no_device {
        return made.no_device("").build();
    }
    if let Some(name) = given(&device.virtual_name).filter(|name| name.starts_with("ephemeral")) {
        return made.virtual_name(name).build();
    }
    let number = |number: Option<u32>| number.filter(|number| *number > 0).map(|number| number as i32);
    let ebs = EbsBlockDevice::builder()
        .delete_on_termination(device.delete_on_termination)
        .set_encrypted(device.encrypted)
        .set_kms_key_id(given(&device.kms_key_id))
        .set_iops(number(device.iops))
        .set_throughput(number(device.throughput))
        .set_snapshot_id(given(&device.snapshot_id))
        .set_volume_size(number(device.volume_size))
        .set_volume_type(device.volume_type.map(|kind| kind.as_str().into()));
    made.ebs(ebs.build()).build()
}

/// The devices of a launch. `encryption` is the key of `encrypt_boot`, if it is asked for: every volume is
/// encrypted as it is made, those of the source image too, and so are the snapshots of the image.
pub fn mappings(
    devices: &[&BlockDevice],
    source: &SourceAmi,
    encryption: Option<Option<&str>>,
) -> Vec<BlockDeviceMapping> {
    let mut made: Vec<BlockDeviceMapping> = devices.iter().map(|device| mapping(device)).collect();
    let Some(key) = encryption else { return made };
    for mapping in &mut made {
        if let Some(ebs) = mapping.ebs.as_mut().filter(|ebs| ebs.encrypted.is_none()) {
            encrypt(ebs, key);
        }
    }
    let inherited = source
        .devices
        .iter()
        .filter(|theirs| !devices.iter().any(|ours| Some(ours.device_name.as_str()) == theirs.device_name()));
    for theirs in inherited {
        let (Some(name), Some(ebs)) = (theirs.device_name(), theirs.ebs()) else { continue };
        let mut ebs = ebs.clone();
        encrypt(&mut ebs, key);
        made.push(BlockDeviceMapping::builder().device_name(name).ebs(ebs).build());
    }
    made
}

/// Windows images map the disks of the host there, whether it has some or not.
pub fn without_ephemeral(devices: &mut Vec<BlockDeviceMapping>) {
    for letter in 'a'..='z' {
        let name = format!("xvdc{letter}");
        if !devices.iter().any(|device| device.device_name() == Some(&name)) {
            devices.push(BlockDeviceMapping::builder().device_name(name).no_device("").build());
        }
    }
}

fn encrypt(ebs: &mut EbsBlockDevice, key: Option<&str>) {
    ebs.encrypted = Some(true);
    ebs.kms_key_id = key.map(str::to_owned);
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
