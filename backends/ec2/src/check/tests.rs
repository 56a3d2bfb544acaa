use bakehouse_api::{Diagnostics, Options};
use serde_json::{Value, json};

use super::*;
use crate::testing;

/// A template that is right, with `changes`.
fn found(changes: Value) -> Vec<String> {
    let mut options = json!({
        "ami_name": "web 1", "source_ami": "ami-1", "instance_type": "t3.micro", "ssh_username": "admin",
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        match value {
            Value::Null => drop(options.as_object_mut().expect("an object").remove(name)),
            value => options[name] = value.clone(),
        }
    }
    let body = testing::body(options);
    let mut found = Diagnostics::default();
    if let Some(options) = EbsOptions::from_body(&body, &mut found) {
        ebs(&body, &options, &mut found);
    }
    found.0.into_iter().map(|diagnostic| diagnostic.summary).collect()
}

#[test]
fn a_right_template_is_right() {
    assert_eq!(found(json!({})), Vec::<String>::new());
    let much = json!({
        "ami_name": "a-b_c.d/(e) [f]'@1",
        "ami_regions": ["us-east-1"],
        "region_kms_key_ids": { "us-east-1": "alias/images" },
        "encrypt_boot": true,
        "kms_key_id": "12345678-1234-1234-1234-123456789012",
        "ami_users": ["123456789012"],
        "deprecate_at": "2030-01-31T00:00:00Z",
        "tags": { "Name": "{{ .SourceAMIName }}" },
        "tag": [{ "key": "os", "value": "debian" }],
        "boot_mode": "uefi",
        "tpm_support": "v2.0",
        "uefi_data": "QU1aTlVFRkk=",
        "no_ephemeral": true,
        "license_specifications": [{ "license_configuration_request": { "license_configuration_arn": "arn:l" } }],
        "metadata_options": { "http_put_response_hop_limit": 2 },
        "temporary_security_group_source_cidrs": ["192.0.2.0/24", "2001:db8::/32"],
        "launch_block_device_mappings": [{ "device_name": "/dev/xvda", "volume_type": "gp3", "iops": 3000 }],
    });
    assert_eq!(found(much), Vec::<String>::new());
}

#[test]
fn names_that_aws_refuses() {
    for (name, expected) in [
        ("ab", "`ami_name` must have 3 to 128 characters, and it has 2"),
        ("web:1", "an AMI name may not have the character `:`"),
        ("", "`ami_name` is required"),
    ] {
        assert_eq!(found(json!({ "ami_name": name })), [expected]);
    }
    assert_eq!(found(json!({ "ami_name": null, "skip_create_ami": true })), Vec::<String>::new());
}

#[test]
fn one_mistake_each() {
    let long = "x".repeat(257);
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (changes, expected) in [
        (json!({ "source_ami": null }), "the source image is missing"),
        (json!({ "source_ami": "debian" }), "`debian` is no id of an image: those begin with `ami-`"),
        (
            json!({ "source_ami": null, "source_ami_filter": { "filters": { "name": "x" } } }),
            "`source_ami_filter` needs `owners`",
        ),
        (json!({ "instance_type": null }), "`instance_type` or `spot_instance_types` is required"),
        (
            json!({ "spot_instance_types": ["t3.small"] }),
            "`instance_type` and `spot_instance_types` exclude each other",
        ),
        (json!({ "spot_price": "cheap" }), "`cheap` is no price: write `auto` or dollars an hour"),
        (json!({ "tags": { "aws:x": "1" } }), "the tag `aws:x`: keys that begin with `aws:` are Amazon's own"),
        (json!({ "tags": { "k": long } }), "the tag `k`: a value has at most 256 characters, and this has 257"),
        (json!({ "tags": { "k": "1" }, "tag": [{ "key": "k", "value": "2" }] }), "the tag `k` is set twice"),
        (json!({ "kms_key_id": "alias/x" }), "`kms_key_id` needs `encrypt_boot = true`"),
        (json!({ "kms_key_id": "x", "encrypt_boot": true }), "`x` is no key: take its id, `alias/NAME` or its ARN"),
        (
            json!({ "ami_regions": ["us-east-1", "us-east-2"], "region_kms_key_ids": { "us-east-1": "" } }),
            "`region_kms_key_ids` has no key for us-east-2",
        ),
        (json!({ "ami_users": ["12345"] }), "`12345` is no account: those have 12 digits"),
        (json!({ "ami_groups": ["friends"] }), "`friends` is no group: the only one is `all`"),
        (json!({ "ami_groups": ["all"], "encrypt_boot": true }), "what is encrypted cannot be shared with everybody"),
        (json!({ "deprecate_at": "2020-01-01T00:00:00Z" }), "`2020-01-01T00:00:00Z` is past"),
        (json!({ "deprecate_at": "2099-01-01T00:00:00Z" }), "`2099-01-01T00:00:00Z` is more than ten years away"),
        (json!({ "deprecate_at": "soon" }), "`soon` is not a time like 2026-01-31T00:00:00Z"),
        (
            json!({ "metadata_options": { "http_put_response_hop_limit": 65 } }),
            "`http_put_response_hop_limit` must lie between 1 and 64, and it is 65",
        ),
        (json!({ "user_data": "x".repeat(16385) }), "user data may have 16 KiB at most, and this has 16385 bytes"),
        (json!({ "user_data_file": "nowhere" }), "there is no file `nowhere`"),
        (
            json!({ "temporary_security_group_source_cidrs": ["10.0.0.0"] }),
            "`10.0.0.0` is no network in CIDR form, like 192.0.2.0/24",
        ),
        (
            json!({ "ssh_interface": "session_manager" }),
            "`ssh_interface = \"session_manager\"` needs an instance profile",
        ),
        (json!({ "ssh_keypair_name": "mine" }), "`ssh_keypair_name` needs the private key of that pair"),
        (json!({ "temporary_key_pair_type": "ecdsa" }), "EC2 knows no key pairs of kind `ecdsa`"),
        (json!({ "access_key": "AKIA" }), "`access_key` and `secret_key` belong together, and only one of them is set"),
        (json!({ "custom_endpoint_ec2": "localhost:5000" }), "`localhost:5000` is no URL of an endpoint"),
        (json!({ "insecure_skip_tls_verify": true }), "`insecure_skip_tls_verify` is not supported"),
        (json!({ "run_tags": many }), "the instance would have 53 tags, and EC2 takes 50"),
        (json!({ "tpm_support": "v2.0" }), "`tpm_support` needs `boot_mode = \"uefi\"`"),
        (json!({ "boot_mode": "legacy-bios", "uefi_data": "QU1a" }), "`uefi_data` needs a `boot_mode` with UEFI"),
        (json!({ "uefi_data": "no base64" }), "`uefi_data` must be at most 64000 characters of base64"),
        (
            json!({ "license_specifications": [{}] }),
            "`license_specifications` needs the block `license_configuration_request`",
        ),
        (json!({ "communicator": "winrm" }), "the communicator `winrm` is not supported"),
    ] {
        assert_eq!(found(changes.clone()), [expected], "{changes}");
    }
}

#[test]
fn devices_that_aws_refuses() {
    let device = |more: Value| {
        let mut device = json!({ "device_name": "/dev/sdb" });
        device.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        found(json!({ "launch_block_device_mappings": [device] }))
    };
    for (more, expected) in [
        (
            json!({ "volume_type": "gp3", "iops": 2999 }),
            "`iops` of gp3 must lie between 3000 and 16000, and it is 2999",
        ),
        (
            json!({ "volume_type": "gp3", "throughput": 1001 }),
            "`throughput` must lie between 125 and 1000, and it is 1001",
        ),
        (json!({ "volume_type": "gp2", "throughput": 200 }), "`throughput` is for gp3 only, and this is gp2"),
        (json!({ "volume_type": "io1" }), "io1 needs `iops`"),
        (json!({ "volume_type": "gp2", "iops": 100 }), "`iops` is for io1, io2 and gp3, and this is gp2"),
        (json!({ "kms_key_id": "alias/x" }), "`kms_key_id` needs `encrypted = true`"),
    ] {
        assert_eq!(device(more), [format!("/dev/sdb: {expected}")]);
    }
    let twice = json!({ "launch_block_device_mappings": [{ "device_name": "a" }, { "device_name": "a" }] });
    assert_eq!(found(twice), ["the device `a` is there twice"]);
}

#[test]
fn everything_is_found_at_once() {
    let found = found(json!({ "ami_name": "x", "ami_users": ["1"], "source_ami": "y" }));
    assert_eq!(found.len(), 3, "{found:?}");
}
