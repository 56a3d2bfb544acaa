//! The EC2 endpoint on loopback behaves as its README says: tests/cloud/test_endpoint.py.
#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::process::Command;

#[test]
fn the_endpoint_behaves_like_ec2_and_its_instances_are_guests() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cloud/check");
    let status = Command::new(check).env("BAKEHOUSE_TINY", support::tiny()).status().unwrap();
    assert!(status.success(), "{check}: {status}");
}
