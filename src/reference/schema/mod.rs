//! JSON Schema (draft 2020-12): for legacy JSON templates, for `*.pkr.json`, and for single components.
//!
//! It takes what decoding takes: a number or bool as a string, a single value for a list, and wherever an
//! expression may stand, a string with `${ }` or `{{ }}` in it. Components that are not built in are not
//! judged: their templates are valid until such a build is selected.

mod hcl;
mod legacy;
mod option;

use serde_json::{Map, Value, json};

use super::{Component, Role, components};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Of whole templates, told apart by the keys that only legacy ones have.
pub fn templates() -> Value {
    let components = components();
    let mut definitions = Map::new();
    definitions.insert("expression".into(), option::expression());
    for component in &components {
        definitions.insert(component.path(), options(component));
    }
    definitions.extend(legacy::definitions(&components));
    definitions.extend(hcl::definitions(&components));
    json!({
        "$schema": DRAFT,
        "title": "Packer templates in JSON",
        "description": "Legacy JSON templates and HCL2 templates in JSON syntax (*.pkr.json), as Bakehouse reads them.",
        "type": "object",
        "if": { "anyOf": legacy::KEYS.map(|key| json!({ "required": [key] })) },
        "then": { "$ref": "#/$defs/legacy" },
        "else": { "$ref": "#/$defs/hcl" },
        "$defs": definitions,
    })
}

/// Of the options of one component.
pub fn component(component: &Component) -> Value {
    let mut schema = options(component);
    schema["$schema"] = DRAFT.into();
    schema["required"] = required(component).into();
    schema["additionalProperties"] = false.into();
    schema["$defs"] = json!({ "expression": option::expression() });
    schema
}

/// The options alone: what stands around them decides what else may, and what must.
fn options(component: &Component) -> Value {
    json!({
        "title": component.path(),
        "description": component.schema.doc,
        "type": "object",
        "properties": option::properties(&component.schema.fields),
    })
}

fn required(component: &Component) -> Vec<&'static str> {
    component.schema.fields.iter().filter(|field| field.required).map(|field| field.name).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn of(components: &[Component], role: Role) -> impl Iterator<Item = &Component> {
    components.iter().filter(move |component| component.role == role)
}
