//! The QEMU backend: bakes disks in a local machine, with KVM where it truly works.

#![forbid(unsafe_code)]

mod accel;
mod agent;
mod argv;
mod bridge;
mod builder;
mod check;
mod checkpoint;
mod courier;
mod disk;
mod evidence;
mod firmware;
mod frozen;
mod hardware;
mod instance;
mod keyboard;
mod launch;
mod live;
mod machine;
mod net;
mod options;
mod power;
mod qmp;
mod reads;
mod recall;
mod size;
mod start;
mod tpm;
mod vm;
mod workspace;

use std::sync::Arc;

use bakehouse_api::instance::Launcher;
use bakehouse_api::{Backend, Body, Builder, Diagnostics, Options, Schema, Undoer};

/// Boots disks as EC2 would.
pub fn launcher() -> Arc<dyn Launcher> {
    Arc::new(instance::Local)
}

/// The builder type `qemu`.
pub struct Qemu;

impl Backend for Qemu {
    fn kind(&self) -> &'static str {
        "qemu"
    }

    fn schema(&self) -> Schema {
        options::QemuOptions::schema(self.kind())
    }

    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
        let builder = builder::QemuBuilder::prepare(body, diagnostics)?;
        Some(Box::new(builder))
    }

    fn undoers(&self) -> Vec<Arc<dyn Undoer>> {
        vec![Arc::new(power::PowerOff)]
    }
}
