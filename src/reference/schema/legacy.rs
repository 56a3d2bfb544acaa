//! Legacy JSON templates: lists of objects that a `type` tells apart.

use serde_json::{Map, Value, json};

use super::super::common;
use super::{Component, Role, of, option, reference, required};

/// Root keys that no `*.pkr.json` has.
pub const KEYS: [&str; 3] = ["builders", "provisioners", "post-processors"];

pub fn definitions(components: &[Component]) -> Map<String, Value> {
    let mut definitions = Map::new();
    definitions.insert("legacy".into(), root());
    // They have no data sources.
    for role in [Role::Builder, Role::Provisioner, Role::PostProcessor] {
        definitions.insert(format!("legacy.{}", role.word()), item(components, role));
    }
    definitions
}

fn root() -> Value {
    let list = |name: &str| json!({ "type": ["array", "null"], "items": reference(name) });
    let post_processor = json!({ "anyOf": [
        { "type": "string", "description": "The type of a post-processor without options." },
        reference("legacy.post-processor"),
    ] });
    let chain = json!({ "type": "array", "items": post_processor, "description": "A chain: each takes what the one before it made." });
    json!({
        "type": "object",
        "required": ["builders"],
        "properties": {
            "description": { "type": ["string", "null"] },
            "min_packer_version": { "type": ["string", "null"], "pattern": r"^(v?\d+(\.\d+){0,2}([-+].*)?)?$" },
            "variables": {
                "type": ["object", "null"],
                "description": "Variables and their defaults; null makes one required.",
                "additionalProperties": { "type": ["string", "null"] },
            },
            "sensitive-variables": {
                "type": ["array", "null"],
                "description": "Variables whose values are not shown.",
                "items": { "type": "string" },
            },
            "builders": { "type": "array", "minItems": 1, "items": reference("legacy.builder") },
            "provisioners": list("legacy.provisioner"),
            "error-cleanup-provisioner": { "anyOf": [reference("legacy.provisioner"), { "type": "null" }] },
            "post-processors": { "type": ["array", "null"], "items": { "anyOf": [post_processor, chain] } },
            "push": { "deprecated": true, "description": "It has no effect." },
        },
        "patternProperties": { "^_": { "description": "A comment." } },
        "additionalProperties": false,
    })
}

/// A builder, provisioner or post-processor of any type.
fn item(components: &[Component], role: Role) -> Value {
    let kinds: Vec<&str> = of(components, role).map(|component| component.schema.kind.as_str()).collect();
    let known = of(components, role).map(|component| {
        json!({
            "if": { "properties": { "type": { "const": component.schema.kind } }, "required": ["type"] },
            "then": typed(component),
        })
    });
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": { "anyOf": [{ "enum": kinds }, { "type": "string", "minLength": 1 }] },
        },
        "allOf": known.collect::<Vec<_>>(),
    })
}

fn typed(component: &Component) -> Value {
    let mut around = option::properties(&common::legacy_fields(component.role));
    around.insert("type".into(), json!({}));
    match component.role {
        Role::Builder => {
            let doc = "What the build is called. Unset: the type.";
            around
                .insert("name".into(), json!({ "type": ["string", "number", "boolean", "null"], "description": doc }));
        }
        Role::Provisioner => {
            let doc = "Options that are different in some builds, by the builder's name.";
            let builds = json!({ "type": "object", "additionalProperties": { "type": "object" }, "description": doc });
            around.insert("override".into(), builds);
        }
        Role::PostProcessor | Role::DataSource => {}
    }
    json!({
        "allOf": [reference(&component.path()), { "properties": around }],
        // An override may give what is required.
        "anyOf": [{ "required": required(component) }, { "required": ["override"] }],
        "unevaluatedProperties": false,
    })
}
