//! The `validation` blocks of variables.

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Type};

use super::config::{Blocks, check_labels, check_options};
use super::load::Session;
use super::syntax::{Attribute, Block, Step};
use crate::template::eval::{Scope, references};

/// Runs them once all variables are known.
pub fn run(session: &mut Session<'_>, blocks: &Blocks, scope: &Scope) {
    for block in &blocks.variable {
        let name = block.labels.first().map_or("", |name| name.text.as_str());
        for rule in block.body.blocks().filter(|rule| rule.kind.text == "validation") {
            validate(session, rule, name, scope);
        }
    }
}

fn validate(session: &mut Session<'_>, rule: &Block, variable: &str, scope: &Scope) {
    check_options(rule, &["condition", "error_message"], &[], &mut session.diagnostics);
    check_labels(&rule.kind, &rule.labels, &[], &mut session.diagnostics);
    let Some(condition) = rule.body.attribute("condition") else {
        return session.error(rule.kind.span, "`validation` needs a `condition`");
    };
    let Some(message) = rule.body.attribute("error_message") else {
        return session.error(rule.kind.span, "`validation` needs an `error_message`");
    };
    check_references(session, condition, variable);
    let holds = session.evaluate(|e| e.eval_as(&condition.value, &Type::Bool, scope));
    let text = session.evaluate(|e| e.eval_as(&message.value, &Type::String, scope));
    let (Some(holds), Some(text)) = (holds, text) else { return };
    let Some(text) = text.as_str() else { return };
    if !is_sentence(text) {
        let error = Diagnostic::error("an error message is a sentence").at(message.value.span);
        session.diagnostics.push(error.hint("begin it with a capital letter and end it with `.`, `?` or `!`"));
    }
    if holds.data == Data::Bool(false) {
        let error = Diagnostic::error(text).at(condition.value.span);
        session.diagnostics.push(error.detail(format!("the value of the variable `{variable}` breaks this rule")));
    }
}

/// A rule is about its own variable, and about nothing else.
fn check_references(session: &mut Session<'_>, condition: &Attribute, variable: &str) {
    let mut own = false;
    let mut foreign = Vec::new();
    references(&condition.value, &mut |root, steps, expr| match (root, steps) {
        ("var", [Step::Attribute(name), ..]) if name.text == variable => own = true,
        ("var" | "local" | "data" | "path" | "packer" | "source" | "build", _) => foreign.push(expr.span),
        _ => {}
    });
    for span in foreign {
        let error = Diagnostic::error("a `validation` can refer only to its own variable").at(span);
        session.diagnostics.push(error.hint(format!("that is `var.{variable}`")));
    }
    if !own {
        let error = Diagnostic::error(format!("this condition does not depend on `var.{variable}`"));
        session.diagnostics.push(error.at(condition.value.span));
    }
}

fn is_sentence(text: &str) -> bool {
    let capital = text.chars().next().is_some_and(|first| !first.is_alphabetic() || first.is_uppercase());
    capital && text.ends_with(['.', '?', '!'])
}
