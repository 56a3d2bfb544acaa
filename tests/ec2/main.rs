//! Whole builds against the EC2 endpoint on loopback (tests/cloud): its instances are real guests.
#![allow(clippy::unwrap_used)] // a test may panic

mod account;
mod bake;
mod both;
mod cloud;
mod disk;
mod faults;
mod interrupt;
#[path = "../support/mod.rs"]
mod support;
mod values;
