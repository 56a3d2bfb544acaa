//! The post-processors, one file each, and the table that names them.

use bakehouse_api::{Artifact, Body, Cx, Diagnostics, Input, Result, Schema, async_trait};

pub struct Outcome {
    /// None: the input goes on.
    pub artifact: Option<Artifact>,
    pub keep_by_default: bool,
    pub must_keep: bool,
}

#[async_trait]
pub trait PostProcessor: Send + Sync {
    fn inputs(&self) -> Vec<Input>;
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome>;
}

pub struct Row {
    pub kind: &'static str,
    pub schema: fn() -> Schema,
    pub prepare: fn(&Body, &mut Diagnostics) -> Option<Box<dyn PostProcessor>>,
}

pub fn table() -> &'static [Row] {
    &[]
}
