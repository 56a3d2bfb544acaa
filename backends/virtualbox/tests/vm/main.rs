//! The backend against a real VBoxManage without a kernel module, stage by stage as the engine drives it.
//!
//! Machines run on VirtualBox's interpreter. Where the packages cannot be had, the recipe says so and these tests do
//! nothing (tests/virtualbox/root.sh).

#![allow(clippy::unwrap_used)] // the helpers of tests, which clippy does not see as such

mod appliances;
mod bench;
mod failures;
mod machines;
mod snapshots;
mod typing;
