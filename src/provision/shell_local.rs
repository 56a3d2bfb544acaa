//! `shell-local` as a provisioner; the work is in [`crate::script::local`].

use bakehouse_api::{Body, Cx, Diagnostics, Guest, Input, Options, Result, async_trait};

use super::{Caching, Provisioner, Row};
use crate::script::local::{Local, LocalOptions};

pub const ROW: Row = Row { kind: "shell-local", schema: || LocalOptions::schema("shell-local"), prepare };

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Provisioner>> {
    Some(Box::new(Local::prepare(body, diagnostics)?))
}

#[async_trait]
impl Provisioner for Local {
    fn inputs(&self) -> Vec<Input> {
        Local::inputs(self)
    }

    fn caching(&self) -> Caching {
        Caching::Outside("it acts on this machine: it runs each time, unless it has `cache = true`")
    }

    fn needs_guest(&self) -> bool {
        false
    }

    async fn run(&self, cx: &Cx, guest: &Guest) -> Result<()> {
        Local::run(self, cx, Some(&guest.facts)).await
    }
}
