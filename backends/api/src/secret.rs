//! Secrets are marked where they enter and redacted once, between the event channel and every reporter.

use std::fmt;
use std::sync::{Arc, RwLock};

/// A string that must never be shown. `Debug` and `Display` print `<sensitive>`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<sensitive>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<sensitive>")
    }
}

/// Every secret of a run, shared between those who learn one and the redactor.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<RwLock<Vec<Secret>>>);

impl Secrets {
    /// Marks `text` (and each line of a text of several lines: output arrives by lines).
    pub fn add(&self, text: &str) {
        for part in std::iter::once(text).chain(text.lines()) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let mut known = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !known.iter().any(|secret| secret.reveal() == part) {
                known.push(Secret::new(part));
            }
        }
    }

    /// How many are known; a redactor rebuilds itself when this grows.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn all(&self) -> Vec<Secret> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
