//! The EC2 backend: bakes AMIs.
//!
//! A builder is an option struct of `options/`, what of it can be refused offline (`check/`), and what becomes of
//! the instance once it is off (a [`machine::Harvest`]). Everything up to there is shared: `survey` asks AWS before
//! anything is made, `machine` makes key pair, security group and instance and reaches the guest. To add an AWS
//! builder: a file like `ebs.rs` with its [`builder::Job`], and its arms in [`Aws`]. `bridge/` moves disks without any
//! instance.
//!
//! Whatever is acquired goes through [`held::acquire`], which puts the undo into the journal before the call.

#![forbid(unsafe_code)]

mod account;
mod artifact;
mod bake;
mod bridge;
mod builder;
mod check;
mod client;
mod copy;
mod data;
mod ebs;
mod held;
mod image;
mod instance;
mod key_pair;
mod launch;
mod machine;
mod mark;
mod names;
mod network;
mod options;
mod profile;
mod reregister;
mod retire;
mod security_group;
mod session_manager;
mod share;
mod source_ami;
mod spread;
mod surrogate;
mod survey;
#[cfg(test)]
mod testing;
mod volume;
mod volumes;

use std::sync::Arc;

use bakehouse_api::{Backend, Body, Builder, Diagnostics, Options, Schema, Undoer};

pub use account::account;
pub use bridge::bridge;
pub use data::{data_sources, secret_field, secret_text};

use builder::AwsBuilder;
use client::Sessions;

/// Every AWS builder; they share their logins.
pub fn backends() -> Vec<Box<dyn Backend>> {
    let sessions = Sessions::of_process();
    let kinds = [Kind::Ebs, Kind::Surrogate, Kind::Volume];
    kinds.map(|kind| Box::new(Aws { kind, sessions: sessions.clone() }) as Box<dyn Backend>).into()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ebs,
    Surrogate,
    Volume,
}

struct Aws {
    kind: Kind,
    sessions: Arc<Sessions>,
}

impl Backend for Aws {
    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Ebs => "amazon-ebs",
            Kind::Surrogate => "amazon-ebssurrogate",
            Kind::Volume => "amazon-ebsvolume",
        }
    }

    fn schema(&self) -> Schema {
        match self.kind {
            Kind::Ebs => options::EbsOptions::schema(self.kind()),
            Kind::Surrogate => options::surrogate::SurrogateOptions::schema(self.kind()),
            Kind::Volume => options::volume::VolumeOptions::schema(self.kind()),
        }
    }

    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
        let sessions = self.sessions.clone();
        let builder = match self.kind {
            Kind::Ebs => AwsBuilder::new(body, ebs::Ebs::prepare(body, diagnostics)?, sessions),
            Kind::Surrogate => AwsBuilder::new(body, surrogate::SurrogateJob::prepare(body, diagnostics)?, sessions),
            Kind::Volume => AwsBuilder::new(body, volume::VolumeJob::prepare(body, diagnostics)?, sessions),
        };
        Some(Box::new(builder))
    }

    fn undoers(&self) -> Vec<Arc<dyn Undoer>> {
        // One for all of them.
        match self.kind {
            Kind::Ebs => vec![Arc::new(held::Release { sessions: self.sessions.clone() })],
            _ => Vec::new(),
        }
    }
}
