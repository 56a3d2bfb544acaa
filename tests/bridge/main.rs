//! The bridge against the EC2 endpoint on loopback (tests/cloud): disks become images, and what is launched of them
//! answers.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "../ec2/cloud.rs"]
mod cloud;
mod down;
mod ends;
mod faults;
mod import;
mod post;
#[path = "../support/mod.rs"]
mod support;
mod wire;
