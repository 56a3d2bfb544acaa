//! The services that keep secrets: what the language asks of them, and not how they are reached.

use std::fmt;

/// Answers `vault(...)` and `consul_key(...)`. Errors say what was asked and what came of it.
pub trait Services: Send + Sync {
    fn vault(&self, path: &str, key: &str) -> Result<String, String>;
    fn consul_key(&self, key: &str) -> Result<String, String>;
}

impl fmt::Debug for dyn Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services")
    }
}
