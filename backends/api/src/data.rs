//! Data sources: values that a template asks of a platform before anything is built.

use std::fmt;

use crate::{Body, Diagnostics, Schema, Value};

pub trait DataSource: Send + Sync {
    /// As templates name it: "amazon-ami".
    fn kind(&self) -> &'static str;
    fn schema(&self) -> Schema;
    /// Checks the options, and with `ask` asks the world, which blocks. Without it, or where the options are not
    /// known yet, the value is unknown. None when there were errors.
    fn read(&self, body: &Body, ask: bool, diagnostics: &mut Diagnostics) -> Option<Value>;
}

impl fmt::Debug for dyn DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
