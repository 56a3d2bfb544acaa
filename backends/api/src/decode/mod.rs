//! From evaluated values to the Rust types of an option struct, with Packer's weak typing. All errors
//! are collected.
//!
//! HCL converts numbers and booleans to strings and back. Legacy JSON ([`crate::Form::Member`]) is weaker still:
//! a single value stands for a list, a string of words between commas too, `1` is true and true is `"1"`.

mod collection;
mod duration;
mod reader;
mod scalar;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::value::Data;
use crate::{Diagnostic, Diagnostics, Entry, Interpolate, Node, Secrets, Shape, Span};

pub use collection::decode_struct;
pub use duration::{duration_text, parse_duration};
pub use reader::Reader;
pub use scalar::{go_integer, scalar_text, word};

/// What decoding needs besides the value.
pub struct Ctx<'a> {
    pub engine: &'a Arc<dyn Interpolate>,
    pub secrets: &'a Secrets,
    pub diagnostics: &'a mut Diagnostics,
    /// The values stand in legacy JSON.
    pub weak: bool,
}

impl Ctx<'_> {
    pub fn error(&mut self, span: Span, summary: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(summary).at(span));
    }
}

/// A type that an option can have.
pub trait Decode: Sized {
    /// Its `{{ }}` parts are rendered when their fields are known, not when it is decoded.
    const LATE: bool = false;
    fn shape() -> Shape;
    /// As messages and the reference show it: "string", "list of strings", "duration".
    fn type_name() -> String {
        Self::shape().to_string()
    }
    /// Null and unknown never arrive here. None after a diagnostic was pushed.
    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self>;
    /// Stands for a value that only the running machine knows.
    fn placeholder() -> Self;
    /// A default as a template would write it.
    fn to_json(&self) -> serde_json::Value;
    /// The value when the option is absent; none makes it required.
    fn absent() -> Option<Self> {
        None
    }
    /// Entries of one name: several only where nested blocks repeat.
    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        decode_node(&only_entry(entries, cx)?.node, cx)
    }
}

/// An error when there are several.
fn only_entry<'e>(entries: &'e [Entry], cx: &mut Ctx<'_>) -> Option<&'e Entry> {
    let [entry] = entries else {
        let (first, again) = (entries.first()?, entries.get(1)?);
        cx.diagnostics.push(
            Diagnostic::error(format!("`{}` is set more than once", again.name))
                .at(again.name_span)
                .related(first.name_span, "first set here"),
        );
        return None;
    };
    Some(entry)
}

/// Decodes what is known; an unknown value becomes the placeholder.
pub fn decode_node<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    if node.value.has_sensitive() {
        cx.secrets.add_sensitive(&node.value);
    }
    match &node.value.data {
        Data::Unknown(_) => Some(T::placeholder()),
        Data::Null(_) => T::absent().or_else(|| {
            cx.error(node.span(), format!("this must be {}, not null", article(&T::type_name())));
            None
        }),
        _ => T::decode(node, cx),
    }
}

/// Reports a value of another type.
pub fn wrong<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    cx.diagnostics.push(mismatch::<T>(node));
    None
}

fn mismatch<T: Decode>(node: &Node) -> Diagnostic {
    let summary = format!("this must be {}, and it is {}", article(&T::type_name()), node.value.kind_name());
    Diagnostic::error(summary).at(node.span())
}

fn article(noun: &str) -> String {
    let an = noun.starts_with(['a', 'e', 'i', 'o']);
    format!("{} {noun}", if an { "an" } else { "a" })
}
