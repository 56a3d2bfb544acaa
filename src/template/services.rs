//! The services that keep secrets: what the language asks of them, and not how they are reached.

use std::fmt;
use std::sync::Arc;

use bakehouse_api::Secrets;

/// Answers `vault(...)`, `consul_key(...)` and `aws_secretsmanager(...)`. Errors say what was asked and what came of it.
pub trait Services: Send + Sync {
    fn vault(&self, path: &str, key: &str) -> Result<String, String>;
    fn consul_key(&self, key: &str) -> Result<String, String>;
    /// A field of a secret of AWS Secrets Manager, or its only one.
    fn aws_secret(&self, name: &str, key: Option<&str>) -> Result<String, String>;
    fn aws_secret_raw(&self, name: &str) -> Result<String, String>;
}

impl fmt::Debug for dyn Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services")
    }
}

/// Every answer is a secret from then on, wherever it ends up.
struct Remembering {
    inner: Arc<dyn Services>,
    secrets: Secrets,
}

pub fn remembering(inner: Arc<dyn Services>, secrets: &Secrets) -> Arc<dyn Services> {
    Arc::new(Remembering { inner, secrets: secrets.clone() })
}

impl Remembering {
    fn keep(&self, answer: Result<String, String>) -> Result<String, String> {
        answer.inspect(|text| self.secrets.add(text))
    }
}

impl Services for Remembering {
    fn vault(&self, path: &str, key: &str) -> Result<String, String> {
        self.keep(self.inner.vault(path, key))
    }

    fn consul_key(&self, key: &str) -> Result<String, String> {
        self.keep(self.inner.consul_key(key))
    }

    fn aws_secret(&self, name: &str, key: Option<&str>) -> Result<String, String> {
        self.keep(self.inner.aws_secret(name, key))
    }

    fn aws_secret_raw(&self, name: &str) -> Result<String, String> {
        self.keep(self.inner.aws_secret_raw(name))
    }
}
