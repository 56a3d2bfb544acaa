//! The provisioners, one file each, and the table that names them.

use bakehouse_api::{Body, Cx, Diagnostics, Guest, Input, Result, Schema, async_trait};

#[async_trait]
pub trait Provisioner: Send + Sync {
    fn inputs(&self) -> Vec<Input>;
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

pub fn table() -> &'static [Row] {
    &[]
}
