//! `variable` and `variables` blocks, and where their values come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Span, Type, Value};

use super::config::{Blocks, Declared, Variable, check_attributes_only, check_options};
use super::files::{Files, ValueFile};
use super::load::Session;
use super::parser::{parse_expression, parse_file};
use super::syntax::{Block, Expr, Name};
use super::types::Constraint;
use crate::template::eval::{Calls, Evaluator, Scope};
use crate::template::{composed, convert};

/// What a `variable` block says.
struct Declaration {
    name: Name,
    constraint: Constraint,
    /// Where the type was written; none when it follows from the default.
    typed: bool,
    default: Option<Value>,
    description: Option<String>,
    sensitive: bool,
    /// An error was reported: later ones would only follow from it.
    broken: bool,
}

/// A value from outside of the template.
enum Given {
    /// From the command line or the environment, with its origin: literal or HCL, as the type says.
    Text(String, String),
    Value(Value, Span),
}

pub fn load(session: &mut Session<'_>, blocks: &Blocks, files: &Files) -> Vec<Variable> {
    let declarations = declarations(session, blocks);
    let mut given = given(session, &declarations, files);
    let mut variables = Vec::with_capacity(declarations.len());
    for declaration in declarations {
        let value = match given.remove(&declaration.name.text) {
            Some(given) => resolve(session, &declaration, given),
            None => declaration.default.clone().or_else(|| unset(session, &declaration)),
        };
        // What failed is unknown from here on, so that it is reported once.
        let value = value.unwrap_or_else(|| Value::unknown(Type::Any)).sensitive(declaration.sensitive);
        session.remember(&value);
        variables.push(Variable {
            name: declaration.name.text,
            ty: declaration.constraint.ty,
            description: declaration.description,
            sensitive: declaration.sensitive,
            default: declaration.default,
            value,
            span: declaration.name.span,
        });
    }
    variables
}

fn unset(session: &mut Session<'_>, declaration: &Declaration) -> Option<Value> {
    if !declaration.broken && !session.request.unset_is_unknown {
        let name = &declaration.name.text;
        let error = Diagnostic::error(format!("the variable `{name}` has no value")).at(declaration.name.span);
        let hint = format!("give it with `-var {name}=...`, PKR_VAR_{name} or a `default`");
        session.diagnostics.push(error.hint(hint));
    }
    None
}

fn declarations(session: &mut Session<'_>, blocks: &Blocks) -> Vec<Declaration> {
    let mut declared = Declared::default();
    let mut list = Vec::new();
    for block in &blocks.variables {
        check_attributes_only(block, &mut session.diagnostics);
        for attribute in block.body.attributes() {
            let Name { text, span } = &attribute.name;
            if declared.declare("variable", text, *span, &mut session.diagnostics) {
                let default = eval_default(session, &attribute.value);
                list.push(Declaration {
                    name: attribute.name.clone(),
                    constraint: inferred(default.as_ref()),
                    typed: false,
                    broken: default.is_none(),
                    default,
                    description: None,
                    sensitive: false,
                });
            }
        }
    }
    for block in &blocks.variable {
        let Some(name) = block.labels.first() else { continue };
        if declared.declare("variable", &name.text, name.span, &mut session.diagnostics) {
            list.push(declaration(session, block, name));
        }
    }
    list
}

fn declaration(session: &mut Session<'_>, block: &Arc<Block>, name: &Name) -> Declaration {
    let options = ["type", "default", "description", "sensitive"];
    check_options(block, &options, &["validation"], &mut session.diagnostics);
    if !super::lexer::is_ident(&name.text) {
        session.error(name.span, "the name of a variable is made of letters, digits, `_` and `-`");
    }
    let before = session.diagnostics.errors();
    let written = block.body.attribute("type");
    let constraint = written.map(|attribute| session.evaluate(|e| e.constraint(&attribute.value)));
    let default = block.body.attribute("default").and_then(|attribute| {
        let value = eval_default(session, &attribute.value)?;
        let Some(Some(constraint)) = &constraint else { return Some(value) };
        match constraint.apply(&value) {
            Ok(value) => Some(value),
            Err(reason) => {
                session.error(attribute.value.span, format!("the default does not fit the type: {reason}"));
                None
            }
        }
    });
    let description = text_option(session, block, "description");
    let sensitive = bool_option(session, block, "sensitive");
    let constraint = match constraint {
        Some(Some(constraint)) => constraint,
        Some(None) => Constraint::any(),
        None => inferred(default.as_ref()),
    };
    Declaration {
        name: name.clone(),
        constraint,
        typed: written.is_some(),
        default,
        description,
        sensitive,
        broken: session.diagnostics.errors() > before,
    }
}

fn eval_default(session: &mut Session<'_>, expr: &Expr) -> Option<Value> {
    session.evaluate(|evaluator| {
        evaluator.calls = Calls::Default;
        evaluator.eval(expr, &Scope::default())
    })
}

/// Without a type the default's one counts, where it is a simple one.
fn inferred(default: Option<&Value>) -> Constraint {
    match default.map(convert::type_of) {
        Some(ty @ (Type::String | Type::Number | Type::Bool)) => Constraint::of(ty),
        _ => Constraint::any(),
    }
}

pub fn text_option(session: &mut Session<'_>, block: &Block, name: &str) -> Option<String> {
    let attribute = block.body.attribute(name)?;
    let value = session.evaluate(|e| e.eval_as(&attribute.value, &Type::String, &Scope::default()))?;
    value.as_str().map(str::to_owned)
}

pub fn bool_option(session: &mut Session<'_>, block: &Block, name: &str) -> bool {
    let Some(attribute) = block.body.attribute(name) else { return false };
    let value = session.evaluate(|e| e.eval_as(&attribute.value, &Type::Bool, &Scope::default()));
    value.is_some_and(|value| value.data == bakehouse_api::value::Data::Bool(true))
}

/// Values from outside by variable; later sources win.
fn given(session: &mut Session<'_>, declarations: &[Declaration], files: &Files) -> BTreeMap<String, Given> {
    let known: Vec<&str> = declarations.iter().map(|declaration| declaration.name.text.as_str()).collect();
    let mut given = BTreeMap::new();
    for name in &known {
        let key = format!("PKR_VAR_{name}");
        if let Some(text) = session.request.env.get(&key) {
            given.insert((*name).to_owned(), Given::Text(text.clone(), format!("<{key}>")));
        }
    }
    for file in &files.values {
        read_value_file(session, file, &known, &mut given);
    }
    for (name, text) in &session.request.vars {
        if known.contains(&name.as_str()) {
            given.insert(name.clone(), Given::Text(text.clone(), format!("<-var {name}>")));
        } else {
            let error = Diagnostic::error(format!("-var sets `{name}`, and the template has no such variable"));
            let error = error.did_you_mean(name, known.iter().copied());
            let hint = || format!("declare it with `variable \"{name}\" {{}}`");
            let hint = error.hint.clone().unwrap_or_else(hint);
            session.diagnostics.push(error.hint(hint));
        }
    }
    given
}

fn read_value_file(session: &mut Session<'_>, file: &ValueFile, known: &[&str], given: &mut BTreeMap<String, Given>) {
    let values = if file.path.to_string_lossy().ends_with(".json") {
        let (values, diagnostics) = super::json::parse_values(file.file, &file.text);
        session.diagnostics.extend(diagnostics);
        values
    } else {
        hcl_values(session, file)
    };
    for (name, value) in values {
        if known.contains(&name.text.as_str()) {
            let span = name.span;
            given.insert(name.text, Given::Value(value, span));
        } else if session.request.warn_undeclared {
            let warning = Diagnostic::warning(format!("the template has no variable `{}`", name.text)).at(name.span);
            session.diagnostics.push(warning.did_you_mean(&name.text, known.iter().copied()));
        }
    }
}

fn hcl_values(session: &mut Session<'_>, file: &ValueFile) -> Vec<(Name, Value)> {
    let (body, diagnostics) = parse_file(file.file, &file.text);
    let broken = diagnostics.has_errors();
    session.diagnostics.extend(diagnostics);
    if broken {
        return Vec::new();
    }
    for block in body.blocks() {
        session.error(block.kind.span, "a file of variables holds only `name = value`");
    }
    let mut values = Vec::new();
    for attribute in body.attributes() {
        let value = session.evaluate(|evaluator| constant(evaluator, &attribute.value));
        values.extend(value.map(|value| (attribute.name.clone(), value)));
    }
    values
}

fn constant(evaluator: &mut Evaluator<'_>, expr: &Expr) -> Option<Value> {
    evaluator.calls = Calls::Constant;
    evaluator.eval(expr, &Scope::default())
}

fn resolve(session: &mut Session<'_>, declaration: &Declaration, given: Given) -> Option<Value> {
    let (value, span) = match given {
        Given::Value(value, span) => (value, Some(span)),
        Given::Text(text, origin) => parse_text(session, declaration, &text, &origin)?,
    };
    match declaration.constraint.apply(&value) {
        Ok(value) => Some(value),
        Err(reason) => {
            let name = &declaration.name.text;
            let reason = if declaration.sensitive { "it is sensitive, and not shown".to_owned() } else { reason };
            let error =
                Diagnostic::error(format!("the value of the variable `{name}` does not fit its type: {reason}"));
            let error = match span {
                Some(span) => error.at(span).related(declaration.name.span, "declared here"),
                None => error.at(declaration.name.span),
            };
            session.diagnostics.push(error);
            None
        }
    }
}

/// Strings, numbers and what has no type are taken as they are, the rest is an expression.
fn parse_text(
    session: &mut Session<'_>,
    declaration: &Declaration,
    text: &str,
    origin: &str,
) -> Option<(Value, Option<Span>)> {
    let untyped = declaration.constraint.ty == Type::Any
        && !declaration.typed
        && declaration.default.as_ref().is_none_or(Value::is_null);
    if untyped || matches!(declaration.constraint.ty, Type::String | Type::Number) {
        return Some((Value::from(composed::text(text.to_owned())), None));
    }
    // An error would show the text.
    let shown = if declaration.sensitive { "" } else { text };
    let file = session.sources.add(origin, shown);
    let expr = match parse_expression(file, text) {
        Ok(expr) => expr,
        Err(diagnostics) => {
            session.diagnostics.extend(diagnostics);
            return None;
        }
    };
    let value = session.evaluate(|evaluator| constant(evaluator, &expr))?;
    Some((value, Some(expr.span)))
}
