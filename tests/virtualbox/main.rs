//! VirtualBox through the program: whole builds, and builds that are ended, with a real VBoxManage.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "../support/mod.rs"]
mod support;

mod ended;
mod guest;
mod home;
