//! `shell-local` as a post-processor; the work is in [`crate::script::local`].

use bakehouse_api::{Artifact, Body, Cx, Diagnostics, Options, Result, async_trait};

use super::{Outcome, PostProcessor, Row};
use crate::script::local::{Local, LocalOptions};

pub const ROW: Row = Row { kind: "shell-local", schema: || LocalOptions::schema("shell-local"), prepare };

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    Some(Box::new(Local::prepare(body, diagnostics)?))
}

#[async_trait]
impl PostProcessor for Local {
    async fn run(&self, cx: &Cx, _artifact: &Artifact) -> Result<Outcome> {
        Local::run(self, cx, None).await?;
        Ok(Outcome { artifact: None, keep_by_default: true, must_keep: true })
    }
}
