//! Hands out the entries of a body by option name and reports what nobody took.

use std::collections::BTreeMap;

use super::{Ctx, Decode};
use crate::{Body, Diagnostic, Diagnostics, Entry, Form, Span};

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
        match found {
            Some(entries) if !matches!(entries.as_slice(), [entry] if entry.node.value.is_null()) => {
                T::decode_entries(&entries, &mut self.cx)
            }
            _ => match default.map(|make| make()).or_else(T::absent) {
                Some(value) => Some(value),
                None => self.missing(name),
            },
        }
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
