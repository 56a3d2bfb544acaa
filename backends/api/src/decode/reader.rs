//! Hands out the entries of a body by option name and reports what nobody took.

use std::collections::BTreeMap;

use super::{Ctx, Decode, duration};
use crate::value::Data;
use crate::{Body, Diagnostic, Diagnostics, Entry, Form, Shape, Span};

pub struct Reader<'a> {
    cx: Ctx<'a>,
    owner: String,
    span: Span,
    entries: BTreeMap<String, Vec<Entry>>,
    spans: BTreeMap<String, Span>,
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a Body, diagnostics: &'a mut Diagnostics) -> Self {
        let weak = body.entries.iter().any(|entry| entry.form == Form::Member);
        let cx = Ctx { engine: &body.engine, secrets: &body.secrets, diagnostics, weak };
        Self::over(format!("{} `{}`", body.kind, body.name), body.span, body.entries.clone(), cx)
    }

    pub(super) fn over(owner: String, span: Span, list: Vec<Entry>, cx: Ctx<'a>) -> Self {
        // Nobody can judge yet what only the running machine will tell.
        let known = list.iter().filter(|entry| !matches!(entry.node.value.data, Data::Unknown(_)));
        let mut spans: BTreeMap<String, Span> = known.map(|entry| (entry.name.clone(), entry.node.span())).collect();
        spans.insert(String::new(), span);
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in list {
            entries.entry(entry.name.clone()).or_default().push(entry);
        }
        Self { cx, owner, span, entries, spans }
    }

    /// Decodes the option called `name` or one of `aliases`. `default` makes it optional.
    pub fn take<T: Decode>(&mut self, name: &str, aliases: &[&str], default: Option<fn() -> T>) -> Option<T> {
        let mut set = Vec::new();
        for name in std::iter::once(&name).chain(aliases) {
            let Some(entries) = self.entries.remove(*name) else { continue };
            if self.says_nothing::<T>(&entries) {
                self.spans.remove(*name);
            } else {
                set.push(entries);
            }
        }
        if let [first, second, ..] = &set[..] {
            self.set_twice(&first[0], &second[0]);
        }
        match set.first() {
            Some(entries) => T::decode_entries(entries, &mut self.cx),
            None => default.map(|make| make()).or_else(T::absent).or_else(|| self.missing(name)),
        }
    }

    fn set_twice(&mut self, first: &Entry, second: &Entry) {
        let twice = Diagnostic::error(format!("`{}` and `{}` are one option", first.name, second.name));
        let twice = twice.at(second.name_span).related(first.name_span, "it is set here already");
        self.cx.diagnostics.push(twice.hint("keep one of them"));
    }

    /// Packer's options begin empty: null, an empty text and a count of 0 are what an option has that nobody set.
    fn says_nothing<T: Decode>(&self, entries: &[Entry]) -> bool {
        let [Entry { node, .. }] = entries else { return false };
        let empty = || self.text(&node.value).as_deref() == Some("");
        let zero = || match &node.value.data {
            Data::Number(number) => number.is_zero(),
            _ => self.text(&node.value).as_deref() == Some("0"),
        };
        match T::shape() {
            _ if node.value.is_null() => true,
            Shape::Text | Shape::Path | Shape::Secret | Shape::Choice(_) => empty(),
            Shape::Form { name, .. } => name != duration::NAME && (empty() || zero()),
            Shape::Integer { min: 0, .. } => zero() || self.cx.weak && empty(),
            _ => false,
        }
    }

    /// A text as it is rendered, unless it waits for fields.
    fn text(&self, value: &crate::Value) -> Option<String> {
        let text = value.as_str()?;
        if text.contains("{{") { self.cx.engine.render(text, &BTreeMap::new()).ok() } else { Some(text.to_owned()) }
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        let summary = format!("{} needs the option `{name}`", self.owner);
        self.cx.error(self.span, summary);
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
