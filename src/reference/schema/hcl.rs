//! HCL2 templates in JSON syntax: blocks are objects, their labels are keys, and a list of objects is
//! several blocks.

use serde_json::{Map, Value, json};

use super::super::common;
use super::{Component, Role, of, option, reference, required};

pub fn definitions(components: &[Component]) -> Map<String, Value> {
    let mut definitions = Map::new();
    definitions.insert("hcl".into(), root());
    definitions.insert("hcl.build".into(), build());
    for role in Role::ALL {
        definitions.insert(format!("hcl.{}", role.word()), kinds(components, role));
    }
    definitions
}

fn root() -> Value {
    let named = |body: Value| several(json!({ "type": "object", "additionalProperties": several(body) }));
    let variable = json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "description": "A type expression, like \"list(string)\"." },
            "default": { "description": "Without one the variable must be set." },
            "description": { "type": "string" },
            "sensitive": { "type": ["boolean", "string"] },
            "validation": several(json!({
                "type": "object",
                "properties": { "condition": {}, "error_message": { "type": "string" } },
                "required": ["condition"],
            })),
            "//": {},
        },
        "additionalProperties": false,
    });
    let local = json!({
        "type": "object",
        "properties": { "expression": {}, "sensitive": { "type": ["boolean", "string"] }, "//": {} },
        "required": ["expression"],
        "additionalProperties": false,
    });
    let plugins = json!({
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": { "version": { "type": "string" }, "source": { "type": "string" } },
            "additionalProperties": false,
        },
    });
    let packer = json!({
        "type": "object",
        "properties": { "required_version": { "type": "string" }, "required_plugins": several(plugins), "//": {} },
        "additionalProperties": false,
    });
    let object = || several(json!({ "type": "object" }));
    json!({
        "type": "object",
        "properties": {
            "packer": several(packer),
            "variable": named(variable),
            "variables": object(),
            "local": named(local),
            "locals": object(),
            "data": several(reference("hcl.data-source")),
            "source": several(reference("hcl.builder")),
            "build": several(reference("hcl.build")),
            "communicator": object(),
            "dynamic": object(),
            "hcp_packer_registry": object(),
            "//": { "description": "A comment." },
        },
        "additionalProperties": false,
    })
}

fn build() -> Value {
    let object = || several(json!({ "type": "object" }));
    let chain = json!({
        "type": "object",
        "properties": { "post-processor": several(reference("hcl.post-processor")), "dynamic": object(), "//": {} },
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "description": { "type": "string" },
            "cache_ttl": { "description": "How long the checkpoints of its provisioners count." },
            "sources": { "anyOf": [{ "type": "array", "items": { "type": "string" } }, reference("expression")] },
            "source": object(),
            "provisioner": several(reference("hcl.provisioner")),
            "error-cleanup-provisioner": several(reference("hcl.provisioner")),
            "post-processor": several(reference("hcl.post-processor")),
            "post-processors": several(chain),
            "dynamic": object(),
            "hcp_packer_registry": object(),
            "//": {},
        },
        "additionalProperties": false,
    })
}

/// The label that names a type, and what stands below it. Types that are not built in pass.
fn kinds(components: &[Component], role: Role) -> Value {
    let kind = |component: &Component| {
        let body = body(component);
        let below = match role {
            Role::Builder | Role::DataSource => {
                several(json!({ "type": "object", "additionalProperties": several(body) }))
            }
            Role::Provisioner | Role::PostProcessor => several(body),
        };
        (component.schema.kind.clone(), below)
    };
    json!({ "type": "object", "properties": of(components, role).map(kind).collect::<Map<_, _>>() })
}

fn body(component: &Component) -> Value {
    let mut around = option::properties(&common::fields(component.role));
    around.insert("dynamic".into(), json!({}));
    around.insert("//".into(), json!({}));
    if component.role == Role::Provisioner {
        let doc = "Options that are different in some builds, by the source's name.";
        around.insert("override".into(), json!({ "description": doc }));
    }
    // A `source` block within a build may give what is required, and so may an override.
    let needed = match component.role {
        Role::Builder => json!([{}]),
        Role::DataSource => json!([{ "required": required(component) }]),
        _ => json!([{ "required": required(component) }, { "required": ["override"] }]),
    };
    json!({
        "allOf": [reference(&component.path()), { "properties": around }],
        "anyOf": needed,
        "unevaluatedProperties": false,
    })
}

/// One, or a list of several.
fn several(one: Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}
