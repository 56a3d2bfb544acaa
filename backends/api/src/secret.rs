//! Secrets are marked where they enter and redacted once, between the event channel and every reporter.

use std::fmt;
use std::sync::{Arc, RwLock};

use crate::Value;
use crate::value::Data;

/// Shorter texts are not redacted: they tell nothing, and to hide every `1` and `no` would garble the output.
const SHORTEST: usize = 3;

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
            if part.chars().count() < SHORTEST {
                continue;
            }
            let mut known = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !known.iter().any(|secret| secret.reveal() == part) {
                known.push(Secret::new(part));
            }
        }
    }

    /// Marks every sensitive text and number in a value. A bool has nothing to hide.
    pub fn add_sensitive(&self, value: &Value) {
        self.add_value(value, false);
    }

    fn add_value(&self, value: &Value, outer: bool) {
        let sensitive = outer || value.sensitive;
        match &value.data {
            Data::String(text) if sensitive => self.add(text),
            Data::Number(number) if sensitive => self.add(&number.to_string()),
            _ => {}
        }
        let items = value.as_items().into_iter().flatten();
        let fields = value.as_fields().into_iter().flat_map(|fields| fields.values());
        items.chain(fields).for_each(|inner| self.add_value(inner, sensitive));
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
