//! Texts, numbers and booleans, each of which may stand for another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{Ctx, Decode, mismatch, wrong};
use crate::value::Data;
use crate::{Diagnostic, Node, Number, Secret, Shape, Span, Template, Value};

/// What the engine shows for a field where there are none.
const NO_VALUE: &str = "<no value>";

/// A string, number or bool as text.
pub fn scalar_text(value: &Value) -> Option<String> {
    match &value.data {
        Data::String(text) => Some(text.to_string()),
        Data::Number(number) => Some(number.to_string()),
        Data::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The same as an option of text gets it: in legacy JSON, true is "1".
fn raw<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<String> {
    match node.value.data {
        Data::Bool(value) if cx.weak => Some(u8::from(value).to_string()),
        _ => scalar_text(&node.value).or_else(|| wrong::<T>(node, cx).map(|_| String::new())),
    }
}

/// A scalar as text with its `{{ }}` parts rendered.
pub(super) fn text<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<String> {
    let raw = raw::<T>(node, cx)?;
    render(raw, node.span(), cx)
}

/// The word for a choice: here, true is always "true".
#[doc(hidden)]
pub fn word(node: &Node, cx: &mut Ctx<'_>) -> Option<String> {
    match scalar_text(&node.value) {
        Some(word) => render(word, node.span(), cx),
        None => wrong(node, cx),
    }
}

pub(super) fn render(raw: String, span: Span, cx: &mut Ctx<'_>) -> Option<String> {
    if !raw.contains("{{") {
        return Some(raw);
    }
    match cx.engine.render(&raw, &BTreeMap::new()) {
        Ok(rendered) => {
            if rendered.contains(NO_VALUE) && !raw.contains(NO_VALUE) {
                let text = format!("`{raw}` asks for a field, and there are none here: it becomes `{rendered}`");
                cx.diagnostics.push(Diagnostic::warning(text).at(span));
            }
            Some(rendered)
        }
        Err(reason) => {
            cx.error(span, format!("cannot render `{raw}`: {reason}"));
            None
        }
    }
}

impl Decode for String {
    fn shape() -> Shape {
        Shape::Text
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        text::<Self>(node, cx)
    }

    fn placeholder() -> Self {
        "unknown".into()
    }

    fn to_json(&self) -> serde_json::Value {
        json!(self)
    }
}

impl Decode for PathBuf {
    fn shape() -> Shape {
        Shape::Path
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        text::<Self>(node, cx).map(PathBuf::from)
    }

    fn placeholder() -> Self {
        "unknown".into()
    }

    fn to_json(&self) -> serde_json::Value {
        json!(self.to_string_lossy())
    }
}

impl Decode for Secret {
    fn shape() -> Shape {
        Shape::Secret
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let text = text::<Self>(node, cx)?;
        cx.secrets.add(&text);
        Some(Secret::new(text))
    }

    fn placeholder() -> Self {
        Secret::new("unknown")
    }

    fn to_json(&self) -> serde_json::Value {
        json!(self.to_string())
    }
}

impl Decode for Template {
    const LATE: bool = true;

    fn shape() -> Shape {
        Shape::Text
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let raw = raw::<Self>(node, cx)?;
        Some(Template::new(raw, node.span(), cx.engine.clone()))
    }

    fn placeholder() -> Self {
        Template::new("unknown", Span::default(), Arc::new(crate::body::Verbatim))
    }

    fn to_json(&self) -> serde_json::Value {
        json!(self.text)
    }
}

impl Decode for bool {
    fn shape() -> Shape {
        Shape::Bool
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let word = match &node.value.data {
            Data::Bool(value) => return Some(*value),
            Data::Number(number) if cx.weak => return Some(!number.is_zero()),
            Data::String(_) => text::<Self>(node, cx)?,
            _ => return wrong(node, cx),
        };
        match word.as_str() {
            "true" | "1" => return Some(true),
            "false" | "0" => return Some(false),
            "t" | "T" | "TRUE" | "True" if cx.weak => return Some(true),
            "f" | "F" | "FALSE" | "False" | "" if cx.weak => return Some(false),
            _ => {}
        }
        let finding = Diagnostic::error(format!("`{word}` is not a bool")).at(node.span());
        cx.diagnostics.push(finding.hint("write true or false"));
        None
    }

    fn placeholder() -> Self {
        false
    }

    fn to_json(&self) -> serde_json::Value {
        json!(self)
    }
}

macro_rules! decode_integer {
    ($($ty:ty),*) => {$(
        impl Decode for $ty {
            fn shape() -> Shape {
                Shape::Integer { min: <$ty>::MIN.into(), max: <$ty>::MAX.into() }
            }

            fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
                let whole = integer::<Self>(node, cx)?;
                let value = Self::try_from(whole).ok();
                if value.is_none() {
                    let (low, high) = (Self::MIN, Self::MAX);
                    cx.error(node.span(), format!("`{whole}` must lie between {low} and {high}"));
                }
                value
            }

            fn placeholder() -> Self {
                0
            }

            fn to_json(&self) -> serde_json::Value {
                json!(self)
            }
        }
    )*};
}
decode_integer!(u8, u16, u32, u64, i32, i64);

fn integer<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<i128> {
    match &node.value.data {
        Data::Number(number) => whole(number).or_else(|| cut::<T>(number, node, cx)),
        Data::Bool(value) if cx.weak => Some((*value).into()),
        Data::String(_) => {
            let text = text::<T>(node, cx)?;
            let read = if cx.weak { go_integer(&text) } else { text.parse().ok().as_ref().and_then(whole) };
            if read.is_none() {
                cx.error(node.span(), format!("`{text}` is not an integer"));
            }
            read
        }
        _ => wrong::<T>(node, cx).map(|_| 0),
    }
}

fn whole(number: &Number) -> Option<i128> {
    i128::try_from(number.to_big()?).ok()
}

/// In legacy JSON, Packer cuts a fraction off without a word; in HCL it refuses it.
fn cut<T: Decode>(number: &Number, node: &Node, cx: &mut Ctx<'_>) -> Option<i128> {
    let cut = whole(&number.trunc()).filter(|_| cx.weak);
    let finding = match cut {
        Some(cut) => Diagnostic::warning(format!("`{number}` is used as {cut}")).at(node.span()),
        None => mismatch::<T>(node).detail("it has a fraction or is too large"),
    };
    cx.diagnostics.push(finding);
    cut
}

/// Go's `ParseInt` with base 0: `0x1f`, `0b11`, `017` and `1_000` are numbers. Nothing is zero.
pub fn go_integer(text: &str) -> Option<i128> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = [("0x", 16), ("0b", 2), ("0o", 8)].into_iter().find(|(prefix, _)| lower.starts_with(prefix));
    let (digits, radix) = match radix {
        Some((_, radix)) => (&lower[2..], radix),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix) || c == '_') {
        return None;
    }
    i128::from_str_radix(&digits.replace('_', ""), radix).ok().map(|number| sign * number)
}
