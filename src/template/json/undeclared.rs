//! `{{user}}` of a name that nobody declares is empty, as in Packer, and most likely a slip.

use std::collections::{BTreeMap, BTreeSet};

use bakehouse_api::{Diagnostic, Diagnostics, Entry, Span, SpanTree, Value};

use super::template::Template;
use crate::template::interpolate::user_variables;

pub fn warn(template: &Template, known: &BTreeMap<String, String>, diagnostics: &mut Diagnostics) {
    each_text(template, &mut |text, span| {
        for name in user_variables(text).into_iter().filter(|name| !known.contains_key(name)) {
            let finding =
                Diagnostic::warning(format!("the template does not declare a variable `{name}`: it is empty here"));
            diagnostics.push(finding.at(span).did_you_mean(&name, known.keys().map(String::as_str)));
        }
    });
}

/// The variables that builders and steps ask for.
pub fn used(template: &Template) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    each_text(template, &mut |text, _| used.extend(user_variables(text)));
    used
}

fn each_text(template: &Template, see: &mut dyn FnMut(&str, Span)) {
    for builder in &template.builders {
        see(&builder.name.text, builder.name.span);
    }
    for Entry { node, .. } in template.options() {
        within(&node.value, &node.spans, see);
    }
}

fn within(value: &Value, spans: &SpanTree, see: &mut dyn FnMut(&str, Span)) {
    if let Some(text) = value.as_str() {
        see(text, spans.span);
    }
    for (i, item) in value.as_items().into_iter().flatten().enumerate() {
        within(item, spans.items.get(i).unwrap_or(spans), see);
    }
    for (name, field) in value.as_fields().into_iter().flatten() {
        let spans = spans.fields.get(name).unwrap_or(spans);
        see(name, spans.span);
        within(field, spans, see);
    }
}
