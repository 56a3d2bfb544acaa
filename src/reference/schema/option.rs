//! One option, with everything that stands for its type.

use bakehouse_api::{Field, Shape};
use serde_json::{Map, Value, json};

/// A string whose value is only known when it is evaluated.
pub fn expression() -> Value {
    json!({ "type": "string", "pattern": r"\$\{|%\{|\{\{" })
}

pub fn properties(fields: &[Field]) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields {
        properties.insert(field.name.into(), property(field));
        for alias in field.aliases {
            let mut other = property(field);
            other["description"] = format!("An older name of `{}`. {}", field.name, field.doc).into();
            other["deprecated"] = true.into();
            properties.insert((*alias).into(), other);
        }
    }
    properties
}

fn property(field: &Field) -> Value {
    let mut forms = forms(&field.shape);
    if !field.required {
        forms.push(json!({ "type": "null" }));
    }
    let mut property = Map::from_iter([("anyOf".to_owned(), forms.into())]);
    if !field.doc.is_empty() {
        property.insert("description".into(), field.doc.as_str().into());
    }
    if let Some(default) = &field.default {
        property.insert("default".into(), default.clone());
    }
    if field.unsupported() {
        property.insert("deprecated".into(), true.into());
    }
    property.into()
}

/// All that decoding takes for it.
fn forms(shape: &Shape) -> Vec<Value> {
    let evaluated = || super::reference("expression");
    match shape {
        Shape::Text | Shape::Path | Shape::Secret => vec![json!({ "type": ["string", "number", "boolean"] })],
        Shape::Bool => vec![
            json!({ "type": "boolean" }),
            json!({ "enum": ["true", "false", "1", "0", 1, 0, "t", "T", "True", "TRUE", "f", "F", "False", "FALSE", ""] }),
            evaluated(),
        ],
        Shape::Integer { min, max } => vec![
            json!({ "type": "integer", "minimum": number(*min), "maximum": number(*max) }),
            json!({ "type": "string", "pattern": r"^[-+]?(\d[\d_]*|0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+)$|^$" }),
            evaluated(),
        ],
        Shape::Form { pattern, .. } => {
            let mut forms = vec![json!({ "type": "string", "pattern": pattern }), evaluated()];
            // What may go without a unit may also be a number.
            if regex::Regex::new(pattern).is_ok_and(|form| form.is_match("40960")) {
                forms.push(json!({ "type": "integer", "minimum": 0 }));
            }
            forms
        }
        Shape::Choice(words) => {
            let booleans = words.iter().filter_map(|word| word.parse::<bool>().ok()).map(Value::from);
            let words = words.iter().map(|word| Value::from(*word)).chain(booleans);
            vec![json!({ "enum": words.collect::<Vec<_>>() }), evaluated()]
        }
        Shape::List(inner) => {
            let mut forms = forms(inner);
            forms.insert(0, json!({ "type": "array", "items": any(self::forms(inner)) }));
            forms.extend(split(inner));
            if !forms.contains(&evaluated()) {
                forms.push(evaluated());
            }
            forms
        }
        Shape::Map(inner) => vec![json!({ "type": "object", "additionalProperties": any(forms(inner)) }), evaluated()],
        Shape::Block { doc, fields } => {
            let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
            let block = json!({
                "type": "object",
                "description": doc.split_whitespace().collect::<Vec<_>>().join(" "),
                "properties": properties(fields),
                "required": required,
                "additionalProperties": false,
            });
            // HCL's JSON syntax may write a block as a list of one.
            let listed = json!({ "type": "array", "items": block, "maxItems": 1 });
            vec![block, listed, evaluated()]
        }
    }
}

/// A text of words between commas, which legacy JSON takes for a list.
fn split(inner: &Shape) -> Option<Value> {
    match inner {
        Shape::Choice(words) => {
            let word = words.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|");
            Some(json!({ "type": "string", "pattern": format!("^(({word})(,({word}))*)?$") }))
        }
        Shape::Integer { .. } => Some(json!({ "type": "string", "pattern": r"^(-?\d+(,-?\d+)*)?$" })),
        Shape::Form { .. } => Some(json!({ "type": "string", "pattern": "," })),
        _ => None,
    }
}

fn any(mut forms: Vec<Value>) -> Value {
    if forms.len() == 1 { forms.remove(0) } else { json!({ "anyOf": forms }) }
}

fn number(bound: i128) -> Value {
    i64::try_from(bound).map(Value::from).or(u64::try_from(bound).map(Value::from)).unwrap_or(Value::Null)
}
