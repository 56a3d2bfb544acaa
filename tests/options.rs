//! Every option of every component takes the type that the reference says it has, in each way in which HCL
//! and legacy JSON may write it, and refuses another one at its place.
#![allow(clippy::unwrap_used)] // a test may panic

mod shapes;

use std::sync::Arc;

use bakehouse::reference::{Component, Role, components};
use bakehouse::{post, provision, registry};
use bakehouse_api::body::Verbatim;
use bakehouse_api::{Body, Diagnostic, Diagnostics, Entry, Field, Form, Node, Severity, Shape, Span, SpanTree, Value};
use shapes::{right, wrong};

const NAME: u32 = 100;
const VALUE: u32 = 200;

fn place(start: u32) -> Span {
    Span { start, end: start + 50, ..Span::default() }
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(flag) => (*flag).into(),
        serde_json::Value::Number(number) => number.as_i64().unwrap().into(),
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => Value::tuple(items.iter().map(value).collect()),
        serde_json::Value::Object(fields) => {
            Value::object(fields.iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
    }
}

/// What the component finds wrong with one option alone, at the option's place.
fn findings(component: &Component, name: &str, form: Form, value: Value) -> Vec<Diagnostic> {
    let node = Node::new(value, SpanTree::leaf(place(VALUE)));
    let body = Body {
        kind: component.schema.kind.clone(),
        name: "x".into(),
        build: "null.x".into(),
        build_name: "x".into(),
        builder_type: "null".into(),
        root: ".".into(),
        span: Span::default(),
        entries: vec![Entry { name: name.to_owned(), name_span: place(NAME), form, node }],
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    };
    let mut found = Diagnostics::default();
    let kind = component.schema.kind.as_str();
    match component.role {
        Role::Builder => {
            let backends = registry::backends();
            let backend = backends.iter().find(|backend| backend.kind() == kind).unwrap();
            drop(backend.prepare(&body, &mut found));
        }
        Role::Provisioner => drop((provision::find(kind).unwrap().prepare)(&body, &mut found)),
        Role::PostProcessor => drop((post::find(kind).unwrap().prepare)(&body, &mut found)),
        Role::DataSource => {
            let sources = registry::data_sources();
            let source = sources.iter().find(|source| source.kind() == kind).unwrap();
            drop(source.read(&body, false, &mut found));
        }
    }
    let here = |finding: &Diagnostic| finding.span == Some(place(NAME)) || finding.span == Some(place(VALUE));
    found.0.into_iter().filter(here).collect()
}

/// Complaints about the type; that a file is missing is another matter.
fn about_the_type(finding: &Diagnostic) -> bool {
    let words =
        ["this must be", "has no option", "is not a bool", "is not an integer", "is not a duration", "is not a size"];
    finding.severity == Severity::Error && words.iter().any(|word| finding.summary.contains(word))
}

/// Other ways to write the same in HCL.
fn in_hcl(shape: &Shape) -> Vec<serde_json::Value> {
    match shape {
        Shape::Text | Shape::Secret => vec![7.into(), true.into()],
        Shape::Bool => vec![true.into(), "1".into()],
        Shape::Integer { .. } => vec![1.into(), "1".into()],
        _ => Vec::new(),
    }
}

/// Other ways to write the same in legacy JSON.
fn in_json(shape: &Shape) -> Vec<serde_json::Value> {
    let mut ways = in_hcl(shape);
    match shape {
        Shape::Bool => ways.extend([1.into(), "T".into(), "".into()]),
        Shape::Integer { .. } => ways.extend(["0x1".into(), "".into()]),
        Shape::List(inner) => ways.extend([right(inner), "".into()]),
        _ => {}
    }
    ways
}

fn each(mut check: impl FnMut(&Component, &Field)) {
    let components = components();
    assert!(components.len() > 10);
    for component in &components {
        component.schema.fields.iter().for_each(|field| check(component, field));
    }
}

#[test]
fn each_option_takes_its_type_in_every_way_it_may_be_written() {
    each(|component, field| {
        let forms = [(Form::Attribute, in_hcl(&field.shape)), (Form::Member, in_json(&field.shape))];
        for (form, mut ways) in forms {
            ways.push(right(&field.shape));
            ways.extend(field.default.clone());
            for way in &ways {
                let found = findings(component, field.name, form, value(way));
                let found: Vec<_> = found.iter().filter(|finding| about_the_type(finding)).collect();
                assert!(found.is_empty(), "{}.{} = {way} ({form:?}): {found:?}", component.path(), field.name);
            }
        }
    });
}

#[test]
fn each_option_refuses_another_type_at_its_place() {
    each(|component, field| {
        for form in [Form::Attribute, Form::Member] {
            let found = findings(component, field.name, form, value(&wrong(&field.shape)));
            let refused = found.iter().any(|finding| finding.severity == Severity::Error);
            assert!(refused, "{}.{} ({form:?})", component.path(), field.name);
        }
    });
}

#[test]
fn hcl_takes_no_single_value_for_a_list() {
    each(|component, field| {
        let Shape::List(inner) = &field.shape else { return };
        if matches!(**inner, Shape::Block { .. }) {
            return;
        }
        let found = findings(component, field.name, Form::Attribute, value(&right(inner)));
        let refused = found.iter().any(about_the_type);
        // A list that stands for the outer one has elements of the wrong type.
        assert!(refused, "{}.{}: {found:?}", component.path(), field.name);
    });
}

#[test]
fn an_unknown_option_is_refused_with_the_one_that_was_meant() {
    for component in components() {
        let Some(field) = component.schema.fields.iter().find(|field| field.name.len() > 5) else { continue };
        let slip = format!("{}x", field.name);
        let found = findings(&component, &slip, Form::Attribute, "x".into());
        let hints: Vec<_> = found.iter().filter_map(|finding| finding.hint.as_deref()).collect();
        assert!(hints.contains(&format!("did you mean `{}`?", field.name).as_str()), "{}: {found:?}", component.path());
    }
}
