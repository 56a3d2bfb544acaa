//! `bakehouse run` and `preflight` on the real disks of this project: their guests believe to be on EC2.
#![allow(clippy::unwrap_used)] // a test may panic

mod guests;
mod interrupted;
mod looks;
#[path = "../support/mod.rs"]
mod support;
