//! The `packer` block: which version a template is for, and which plugins it names.

use bakehouse_api::{Diagnostic, SpanTree};

use super::config::{check_labels, check_options};
use super::load::Session;
use super::syntax::{Attribute, Block, ExprKind};
use super::version;
use crate::template::eval::{Scope, span_tree};
use crate::template::load::PACKER_VERSION;
use crate::template::plan::Plugin;

/// Checks the block; what it asks for in `required_plugins`.
pub fn packer(session: &mut Session<'_>, block: &Block) -> Vec<Plugin> {
    check_options(block, &["required_version"], &["required_plugins"], &mut session.diagnostics);
    if let Some(attribute) = block.body.attribute("required_version") {
        check_version(session, attribute);
    }
    let mut plugins = Vec::new();
    for inner in block.body.blocks().filter(|inner| inner.kind.text == "required_plugins") {
        if check_labels(&inner.kind, &inner.labels, &[], &mut session.diagnostics) {
            plugins.extend(inner.body.attributes().filter_map(|attribute| plugin(session, attribute)));
        }
    }
    plugins
}

fn check_version(session: &mut Session<'_>, attribute: &Attribute) {
    let Some(value) =
        session.evaluate(|e| e.eval_as(&attribute.value, &bakehouse_api::Type::String, &Scope::default()))
    else {
        return;
    };
    let span = attribute.value.span;
    match version::fits(PACKER_VERSION, value.as_str().unwrap_or_default()) {
        Ok(true) => {}
        Ok(false) => session.diagnostics.push(
            Diagnostic::error("this template is for another version of Packer")
                .at(span)
                .detail(format!("templates are read here as Packer {PACKER_VERSION} does")),
        ),
        Err(error) => session.error(span, error.to_string()),
    }
}

/// Components are built in, so nothing is installed; what is written must still make sense.
fn plugin(session: &mut Session<'_>, attribute: &Attribute) -> Option<Plugin> {
    let value = session.evaluate(|e| e.eval(&attribute.value, &Scope::default()))?;
    let name = attribute.name.text.clone();
    let span = attribute.value.span;
    // A bare constraint, from before plugins had a source.
    if let Some(constraint) = value.as_str() {
        check_constraint(session, constraint, span);
        return Some(Plugin { name, source: None, version: Some(constraint.to_owned()) });
    }
    let Some(fields) = value.as_fields() else {
        let error = Diagnostic::error("a required plugin is an object").at(span);
        session.diagnostics.push(error.hint("write `{ version = \">= 1.0.0\", source = \"github.com/...\" }`"));
        return None;
    };
    let written = match &attribute.value.kind {
        ExprKind::Object(_) => span_tree(&attribute.value),
        _ => SpanTree::leaf(span),
    };
    let (mut source, mut constraint) = (None, None);
    for (field, value) in fields {
        let at = written.field(field).span;
        match (field.as_str(), value.as_str()) {
            ("source", Some(text)) => source = Some(text.to_owned()),
            ("version", Some(text)) => {
                check_constraint(session, text, at);
                constraint = Some(text.to_owned());
            }
            ("source" | "version", None) => session.error(at, format!("`{field}` must be a string")),
            _ => session.diagnostics.push(
                Diagnostic::error(format!("a required plugin has no `{field}`"))
                    .at(at)
                    .did_you_mean(field, ["version", "source"]),
            ),
        }
    }
    Some(Plugin { name, source, version: constraint })
}

fn check_constraint(session: &mut Session<'_>, constraint: &str, span: bakehouse_api::Span) {
    if let Err(error) = version::fits("0.0.0", constraint) {
        session.error(span, error.to_string());
    }
}
