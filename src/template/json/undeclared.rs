//! `{{user}}` of a name that nobody declares is empty, as in Packer, and most likely a slip.

use std::collections::BTreeMap;

use bakehouse_api::{Diagnostic, Diagnostics, Entry, Span, SpanTree, Value};

use super::template::Template;
use crate::template::interpolate::user_variables;

pub fn warn(template: &Template, known: &BTreeMap<String, String>, diagnostics: &mut Diagnostics) {
    let mut finder = Finder { known, diagnostics };
    for builder in &template.builders {
        finder.text(&builder.name.text, builder.name.span);
    }
    for Entry { node, .. } in template.options() {
        finder.value(&node.value, &node.spans);
    }
}

struct Finder<'a> {
    known: &'a BTreeMap<String, String>,
    diagnostics: &'a mut Diagnostics,
}

impl Finder<'_> {
    fn value(&mut self, value: &Value, spans: &SpanTree) {
        if let Some(text) = value.as_str() {
            self.text(text, spans.span);
        }
        for (i, item) in value.as_items().into_iter().flatten().enumerate() {
            self.value(item, spans.items.get(i).unwrap_or(spans));
        }
        for (name, field) in value.as_fields().into_iter().flatten() {
            let spans = spans.fields.get(name).unwrap_or(spans);
            self.text(name, spans.span);
            self.value(field, spans);
        }
    }

    fn text(&mut self, text: &str, span: Span) {
        for name in user_variables(text) {
            if self.known.contains_key(&name) {
                continue;
            }
            let finding =
                Diagnostic::warning(format!("the template does not declare a variable `{name}`: it is empty here"));
            let finding = finding.at(span).did_you_mean(&name, self.known.keys().map(String::as_str));
            self.diagnostics.push(finding);
        }
    }
}
