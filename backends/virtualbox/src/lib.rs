//! The VirtualBox backend: `virtualbox-iso` installs a machine, `virtualbox-ovf` imports one and
//! `virtualbox-vm` takes one that is registered already. All of it goes through VBoxManage.
//!
//! To add an option of the machine: its line in `options/`, what can be wrong with it in `check.rs`, the
//! argument it becomes in `hardware.rs`, and in `version.rs` since when VirtualBox knows it, if that is later
//! than 6.1. To add a verb of VBoxManage: a function in `vboxmanage/verbs.rs`.

#![forbid(unsafe_code)]

mod builder;
mod check;
mod claim;
mod elsewhere;
mod evidence;
mod existing;
mod export;
mod guest_additions;
mod hardware;
mod iso;
mod machine;
mod media;
mod options;
mod ovf;
mod scancodes;
mod start;
mod storage;
mod tidy;
mod undo;
mod vboxmanage;
mod vm;

use std::sync::Arc;

use bakehouse_api::{Backend, Body, Builder, Diagnostics, Options, Schema, Undoer};

macro_rules! backend {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $options:ty) => {
        $(#[$doc])*
        pub struct $name;

        impl Backend for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn schema(&self) -> Schema {
                <$options>::schema(self.kind())
            }

            fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
                builder::prepare::<$options>(body, diagnostics)
            }

            fn undoers(&self) -> Vec<Arc<dyn Undoer>> {
                undo::undoers()
            }
        }
    };
}

backend!(
    /// The builder type `virtualbox-iso`.
    VirtualBoxIso, "virtualbox-iso", options::IsoBuildOptions);
backend!(
    /// The builder type `virtualbox-ovf`.
    VirtualBoxOvf, "virtualbox-ovf", options::OvfBuildOptions);
backend!(
    /// The builder type `virtualbox-vm`.
    VirtualBoxVm, "virtualbox-vm", options::VmBuildOptions);
