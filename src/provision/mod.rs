//! Provisioners: what is done inside a running guest, or beside it.
//!
//! To add one: a file here with an option struct, a type that implements [`Provisioner`], and a
//! `prepare` function that decodes and checks everything that can be known offline (it is called
//! to validate, and again with the real `build.*` when the machine runs, so it changes nothing);
//! then its line in [`table`].

mod breakpoint;
#[cfg(test)]
mod fake;
mod file;
mod reboot;
mod shell;
mod shell_local;
mod sleep;
mod tree;

use bakehouse_api::{Body, Cx, Diagnostics, Guest, Input, Result, Schema, async_trait};

/// May a step be left out because it ran before?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Its inputs tell all that it does to the guest.
    ByInputs,
    /// It does more than that, for this reason. `cache = true` says that it does not matter.
    Outside(&'static str),
    Never(&'static str),
}

#[async_trait]
pub trait Provisioner: Send + Sync {
    /// What a checkpoint key hashes: everything it reads.
    fn inputs(&self) -> Vec<Input>;

    fn caching(&self) -> Caching {
        Caching::ByInputs
    }

    /// Does it need a communicator?
    fn needs_guest(&self) -> bool {
        true
    }

    async fn run(&self, cx: &Cx, guest: &Guest) -> Result<()>;
}

pub struct Row {
    pub kind: &'static str,
    pub schema: fn() -> Schema,
    pub prepare: fn(&Body, &mut Diagnostics) -> Option<Box<dyn Provisioner>>,
}

/// In the order they are listed to users.
pub fn table() -> &'static [Row] {
    &[shell::ROW, file::ROW, shell_local::ROW, breakpoint::ROW, sleep::ROW]
}

pub fn find(kind: &str) -> Option<&'static Row> {
    table().iter().find(|row| row.kind == kind)
}
