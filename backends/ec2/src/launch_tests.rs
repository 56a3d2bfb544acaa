use aws_sdk_ec2::operation::run_instances::RunInstancesInput;
use aws_sdk_ec2::types::Image;
use serde_json::{Value, json};

use super::*;
use crate::options::EbsOptions;
use crate::testing::{decode, ec2};

fn source() -> SourceAmi {
    let root = EbsBlockDevice::builder().snapshot_id("snap-1").volume_size(8).build();
    let root = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(root).build();
    Image::builder().image_id("ami-1").block_device_mappings(root).build().into()
}

fn request(options: Value) -> RunInstancesInput {
    let options: EbsOptions = decode(options);
    let source = source();
    let network = Network { subnet: Some("subnet-1".into()), zone: Some("eu-west-1a".into()), ..Network::default() };
    let launch = Launch {
        run: &options.run,
        devices: mappings(&options.devices.launch_block_device_mappings.iter().collect::<Vec<_>>(), &source, None),
        source: &source,
        network: &network,
        groups: vec!["sg-1".into()],
        key_name: Some("key".into()),
        profile: None,
        user_data: Some(b"#!/bin/sh".to_vec()),
        tags: LaunchTags { instance: vec![("Name".into(), "x".into())], ..LaunchTags::default() },
        token: "t".into(),
    };
    launch.request(&ec2(), "t3.micro").as_input().clone().build().expect("a request is whole")
}

#[test]
fn the_least_that_a_launch_needs() {
    let made = request(json!({}));
    assert_eq!((made.image_id(), made.min_count(), made.max_count()), (Some("ami-1"), Some(1), Some(1)));
    assert_eq!(made.subnet_id(), Some("subnet-1"));
    assert_eq!(made.security_group_ids(), ["sg-1"]);
    assert_eq!(made.user_data(), Some("IyEvYmluL3No"));
    assert_eq!(made.client_token(), Some("t-t3.micro"));
    assert_eq!(made.metadata_options().unwrap().http_tokens(), Some(&HttpTokensState::Required));
    assert_eq!(made.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Stop));
    assert!(made.network_interfaces().is_empty() && made.instance_market_options().is_none());
    assert!(made.placement().is_none(), "the subnet has its zone");
    let kinds: Vec<_> = made.tag_specifications().iter().filter_map(|tags| tags.resource_type()).collect();
    assert_eq!(kinds, [&ResourceType::Instance]);
}

#[test]
fn a_public_address_is_asked_of_the_network_card() {
    let made = request(json!({ "associate_public_ip_address": true }));
    let card = &made.network_interfaces()[0];
    assert_eq!(card.associate_public_ip_address(), Some(true));
    assert_eq!((card.subnet_id(), card.groups()), (Some("subnet-1"), ["sg-1".to_owned()].as_slice()));
    assert!(made.subnet_id().is_none() && made.security_group_ids().is_empty());
}

#[test]
fn a_spot_instance_has_a_market_and_no_shutdown_behavior() {
    let made = request(json!({ "spot_price": "0.03" }));
    let market = made.instance_market_options().unwrap();
    assert_eq!(market.spot_options().unwrap().max_price(), Some("0.03"));
    assert!(made.instance_initiated_shutdown_behavior().is_none());
    let auto = request(json!({ "spot_price": "auto" }));
    assert_eq!(auto.instance_market_options().unwrap().spot_options().unwrap().max_price(), None);
}

#[test]
fn everything_else_that_a_template_may_ask_for() {
    let made = request(json!({
        "ebs_optimized": true,
        "enable_nitro_enclave": true,
        "enable_unlimited_credits": true,
        "shutdown_behavior": "terminate",
        "tenancy": "dedicated",
        "capacity_reservation_id": "cr-1",
        "license_specifications": [
            { "license_configuration_request": { "license_configuration_arn": "arn:license" } },
        ],
        "metadata_options": { "http_tokens": "optional", "http_put_response_hop_limit": 2 },
        "launch_block_device_mappings": [
            { "device_name": "/dev/sdb", "volume_size": 20, "volume_type": "gp3", "iops": 4000, "throughput": 200 },
            { "device_name": "/dev/sdc", "no_device": true },
            { "device_name": "/dev/sdd", "virtual_name": "ephemeral0" },
        ],
    }));
    assert_eq!(made.ebs_optimized(), Some(true));
    assert_eq!(made.enclave_options().unwrap().enabled(), Some(true));
    assert_eq!(made.credit_specification().unwrap().cpu_credits(), Some("unlimited"));
    assert_eq!(made.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Terminate));
    assert_eq!(made.placement().unwrap().tenancy(), Some(&Tenancy::Dedicated));
    let reservation = made.capacity_reservation_specification().unwrap().capacity_reservation_target().unwrap();
    assert_eq!(reservation.capacity_reservation_id(), Some("cr-1"));
    assert_eq!(made.license_specifications()[0].license_configuration_arn(), Some("arn:license"));
    let metadata = made.metadata_options().unwrap();
    assert_eq!(metadata.http_tokens(), Some(&HttpTokensState::Optional));
    assert_eq!(metadata.http_put_response_hop_limit(), Some(2));
    let [data, none, ephemeral] = made.block_device_mappings() else { panic!("three devices") };
    let volume = data.ebs().unwrap();
    assert_eq!((volume.volume_size(), volume.iops(), volume.throughput()), (Some(20), Some(4000), Some(200)));
    assert_eq!(none.no_device(), Some(""));
    assert_eq!(ephemeral.virtual_name(), Some("ephemeral0"));
}

#[test]
fn disks_of_the_host_are_left_out_but_for_those_that_are_asked_for() {
    let options: EbsOptions = decode(json!({
        "launch_block_device_mappings": [{ "device_name": "xvdcb", "virtual_name": "ephemeral1" }],
    }));
    let mut made = mappings(&options.devices.launch_block_device_mappings.iter().collect::<Vec<_>>(), &source(), None);
    without_ephemeral(&mut made);
    assert_eq!(made.len(), 26);
    assert_eq!((made[0].device_name(), made[0].virtual_name()), (Some("xvdcb"), Some("ephemeral1")));
    assert_eq!((made[25].device_name(), made[25].no_device()), (Some("xvdcz"), Some("")));
}

#[test]
fn an_encrypted_boot_encrypts_what_the_source_image_brings() {
    let devices = decode::<EbsOptions>(json!({
        "launch_block_device_mappings": [{ "device_name": "/dev/sdb", "volume_size": 1, "encrypted": false }],
    }));
    let devices: Vec<&BlockDevice> = devices.devices.launch_block_device_mappings.iter().collect();
    let made = mappings(&devices, &source(), Some(Some("alias/k")));
    assert_eq!(made[0].ebs().unwrap().encrypted(), Some(false), "the template's own word stands");
    let root = made[1].ebs().unwrap();
    assert_eq!((made[1].device_name(), root.encrypted()), (Some("/dev/xvda"), Some(true)));
    assert_eq!((root.kms_key_id(), root.snapshot_id()), (Some("alias/k"), Some("snap-1")));
}
