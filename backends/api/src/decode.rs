//! From evaluated values to the Rust types of an option struct, with Packer's weak typing: numbers
//! and booleans as strings and back, a single value for a list. All errors are collected.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::value::Data;
use crate::{Body, Diagnostic, Diagnostics, Entry, Form, Interpolate, Node, Secret, Secrets, Span, Template};

use std::sync::Arc;

/// What the engine shows for a field where there are none.
const NO_VALUE: &str = "<no value>";

/// What decoding needs besides the value.
pub struct Ctx<'a> {
    pub engine: &'a Arc<dyn Interpolate>,
    pub secrets: &'a Secrets,
    pub diagnostics: &'a mut Diagnostics,
}

impl Ctx<'_> {
    pub fn error(&mut self, span: Span, summary: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(summary).at(span));
    }
}

/// A type that an option can have.
pub trait Decode: Sized {
    /// As the reference shows it: "string", "list of strings", "duration".
    fn type_name() -> String;
    /// Null and unknown never arrive here. None after a diagnostic was pushed.
    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self>;
    /// Stands for a value that only the running machine knows.
    fn placeholder() -> Self;
    /// The value when the option is absent; none makes it required.
    fn absent() -> Option<Self> {
        None
    }
    /// Entries of one name: several only where nested blocks repeat.
    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        let [entry] = entries else {
            let (first, again) = (&entries[0], &entries[1]);
            cx.diagnostics.push(
                Diagnostic::error(format!("`{}` is set more than once", again.name))
                    .at(again.name_span)
                    .related(first.name_span, "first set here"),
            );
            return None;
        };
        decode_node(&entry.node, cx)
    }
}

/// Decodes what is known; an unknown value becomes the placeholder.
pub fn decode_node<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    if node.value.has_sensitive() {
        remember_secret(&node.value, cx.secrets);
    }
    match &node.value.data {
        Data::Unknown(_) => Some(T::placeholder()),
        Data::Null(_) => T::absent().or_else(|| {
            cx.error(node.span(), format!("this must be {}, not null", T::type_name()));
            None
        }),
        _ => T::decode(node, cx),
    }
}

fn remember_secret(value: &crate::Value, secrets: &Secrets) {
    if let Some(text) = scalar_text(value) {
        secrets.add(&text);
    }
    for item in value.as_items().into_iter().flatten() {
        remember_secret(item, secrets);
    }
    for field in value.as_fields().into_iter().flat_map(|fields| fields.values()) {
        remember_secret(field, secrets);
    }
}

/// A string, number or bool as text.
pub fn scalar_text(value: &crate::Value) -> Option<String> {
    match &value.data {
        Data::String(text) => Some(text.to_string()),
        Data::Number(number) => Some(number.to_string()),
        Data::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn wrong<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    cx.error(node.span(), format!("this must be {}, and it is {}", article(&T::type_name()), node.value.kind_name()));
    None
}

fn article(noun: &str) -> String {
    let an = noun.starts_with(['a', 'e', 'i', 'o']);
    format!("{} {noun}", if an { "an" } else { "a" })
}

/// A scalar as text with its `{{ }}` parts rendered.
fn text<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<String> {
    let Some(raw) = scalar_text(&node.value) else {
        wrong::<T>(node, cx);
        return None;
    };
    if !raw.contains("{{") {
        return Some(raw);
    }
    match cx.engine.render(&raw, &BTreeMap::new()) {
        Ok(rendered) => {
            if rendered.contains(NO_VALUE) && !raw.contains(NO_VALUE) {
                let text = format!("`{raw}` asks for a field, and there are none here: it becomes `{rendered}`");
                cx.diagnostics.push(Diagnostic::warning(text).at(node.span()));
            }
            Some(rendered)
        }
        Err(reason) => {
            cx.error(node.span(), format!("cannot render `{raw}`: {reason}"));
            None
        }
    }
}

impl Decode for String {
    fn type_name() -> String {
        "string".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        text::<Self>(node, cx)
    }

    fn placeholder() -> Self {
        "unknown".into()
    }
}

impl Decode for PathBuf {
    fn type_name() -> String {
        "path".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        String::decode(node, cx).map(PathBuf::from)
    }

    fn placeholder() -> Self {
        "unknown".into()
    }
}

impl Decode for Secret {
    fn type_name() -> String {
        "string (secret)".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        cx.secrets.add(&text);
        Some(Secret::new(text))
    }

    fn placeholder() -> Self {
        Secret::new("unknown")
    }
}

impl Decode for Template {
    fn type_name() -> String {
        "string".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        match scalar_text(&node.value) {
            Some(raw) => Some(Template::new(raw, node.span(), cx.engine.clone())),
            None => wrong(node, cx),
        }
    }

    fn placeholder() -> Self {
        Template::new("unknown", Span::default(), Arc::new(crate::body::Verbatim))
    }
}

impl Decode for bool {
    fn type_name() -> String {
        "bool".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        if let Data::Bool(value) = node.value.data {
            return Some(value);
        }
        match text::<Self>(node, cx)?.as_str() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "F" | "0" | "" => Some(false),
            _ => wrong(node, cx),
        }
    }

    fn placeholder() -> Self {
        false
    }
}

macro_rules! decode_integer {
    ($($ty:ty),*) => {$(
        impl Decode for $ty {
            fn type_name() -> String {
                "integer".into()
            }

            fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
                let text = text::<Self>(node, cx)?;
                if let Ok(value) = text.trim().parse() {
                    return Some(value);
                }
                if text.trim().parse::<i128>().is_ok() {
                    let (low, high) = (<$ty>::MIN, <$ty>::MAX);
                    cx.error(node.span(), format!("`{text}` must lie between {low} and {high}"));
                    return None;
                }
                wrong(node, cx)
            }

            fn placeholder() -> Self {
                0
            }
        }
    )*};
}
decode_integer!(u8, u16, u32, u64, i32, i64);

impl Decode for Duration {
    fn type_name() -> String {
        "duration, like \"1m30s\"".into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let text = text::<Self>(node, cx)?;
        match parse_duration(&text) {
            Some(duration) => Some(duration),
            None => {
                cx.diagnostics.push(
                    Diagnostic::error(format!("`{text}` is not a duration"))
                        .at(node.span())
                        .hint("write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\""),
                );
                None
            }
        }
    }

    fn placeholder() -> Self {
        Duration::ZERO
    }
}

/// Go's durations: `1h2m3.5s`, units h m s ms us µs ns; a bare `0`. Negative ones become zero, as
/// nothing can wait that long.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| {
            rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphabetic()))
        })?;
        rest = &rest[unit.len()..];
        seconds += number * scale;
    }
    if negative { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(seconds).ok() }
}

impl<T: Decode> Decode for Option<T> {
    fn type_name() -> String {
        T::type_name()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        T::decode(node, cx).map(Some)
    }

    fn placeholder() -> Self {
        Some(T::placeholder())
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        if let [entry] = entries
            && entry.node.value.is_null()
        {
            return Some(None);
        }
        T::decode_entries(entries, cx).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn type_name() -> String {
        match T::type_name().as_str() {
            "string" => "list of strings".into(),
            other => format!("list ({other})"),
        }
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let Some(items) = node.items() else {
            return decode_node(node, cx).map(|single| vec![single]);
        };
        let decoded: Vec<Option<T>> = items.iter().map(|item| decode_node(item, cx)).collect();
        decoded.into_iter().collect()
    }

    fn placeholder() -> Self {
        Vec::new()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        if let [entry] = entries
            && (entry.form == Form::Attribute || entry.node.value.as_items().is_some())
        {
            return decode_node(&entry.node, cx);
        }
        let decoded: Vec<Option<T>> = entries.iter().map(|entry| decode_node(&entry.node, cx)).collect();
        decoded.into_iter().collect()
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn type_name() -> String {
        match T::type_name().as_str() {
            "string" => "map of strings".into(),
            other => format!("map ({other})"),
        }
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let Some(fields) = node.fields() else { return wrong(node, cx) };
        let decoded: Vec<Option<(String, T)>> =
            fields.iter().map(|(name, field)| Some((name.clone(), decode_node(field, cx)?))).collect();
        decoded.into_iter().collect()
    }

    fn placeholder() -> Self {
        BTreeMap::new()
    }

    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }
}

/// Hands out the entries of a body by option name and reports what nobody took.
pub struct Reader<'a> {
    cx: Ctx<'a>,
    owner: String,
    span: Span,
    entries: BTreeMap<String, Vec<Entry>>,
    spans: BTreeMap<String, Span>,
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a Body, diagnostics: &'a mut Diagnostics) -> Self {
        let cx = Ctx { engine: &body.engine, secrets: &body.secrets, diagnostics };
        Self::over(format!("{} `{}`", body.kind, body.name), body.span, body.entries.clone(), cx)
    }

    fn over(owner: String, span: Span, list: Vec<Entry>, cx: Ctx<'a>) -> Self {
        let spans = list.iter().map(|entry| (entry.name.clone(), entry.node.span())).collect();
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in list {
            entries.entry(entry.name.clone()).or_default().push(entry);
        }
        Self { cx, owner, span, entries, spans }
    }

    /// Decodes the option called `name` or one of `aliases`. `default` makes it optional.
    pub fn take<T: Decode>(&mut self, name: &str, aliases: &[&str], default: Option<fn() -> T>) -> Option<T> {
        let found = std::iter::once(&name).chain(aliases).find_map(|name| self.entries.remove(*name));
        let fallback = || default.map(|make| make()).or_else(T::absent);
        match found {
            Some(entries) if entries.len() == 1 && entries[0].node.value.is_null() => match fallback() {
                Some(value) => Some(value),
                None => self.missing(name),
            },
            Some(entries) => T::decode_entries(&entries, &mut self.cx),
            None => match fallback() {
                Some(value) => Some(value),
                None => self.missing(name),
            },
        }
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        let owner = self.owner.clone();
        self.cx.error(self.span, format!("{owner} needs the option `{name}`"));
        None
    }

    /// Reports every entry that no option took.
    pub fn finish(mut self, fields: &[crate::Field]) -> BTreeMap<String, Span> {
        let names: Vec<&str> = fields.iter().flat_map(|field| field.names()).collect();
        for (name, entries) in std::mem::take(&mut self.entries) {
            let unknown = Diagnostic::error(format!("{} has no option `{name}`", self.owner))
                .at(entries[0].name_span)
                .did_you_mean(&name, names.iter().copied());
            self.cx.diagnostics.push(unknown);
        }
        self.spans
    }
}

/// Decodes a nested block or object into an option struct.
pub fn decode_struct<T: crate::Options>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    let Some(fields) = node.fields() else {
        cx.error(node.span(), format!("this must be a block or an object, and it is {}", node.value.kind_name()));
        return None;
    };
    let entry = |(name, node): (String, Node)| {
        let form = if node.value.as_fields().is_some() { Form::Block } else { Form::Attribute };
        Entry { name, name_span: node.span(), form, node }
    };
    let entries = fields.into_iter().map(entry).collect();
    let inner = Ctx { engine: cx.engine, secrets: cx.secrets, diagnostics: &mut *cx.diagnostics };
    T::read(Reader::over("this block".into(), node.span(), entries, inner))
}
