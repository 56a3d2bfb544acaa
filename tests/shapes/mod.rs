//! Values for options, by the shape that the options say they have.

use bakehouse_api::Shape;
use serde_json::{Value, json};

/// What an option of that shape takes.
pub fn right(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Path | Shape::Secret => "text".into(),
        Shape::Bool => "true".into(),
        Shape::Integer { max, .. } => i64::try_from(*max).map_or(1.into(), Value::from),
        Shape::Form { name, .. } => name.split('"').nth(1).unwrap_or_else(|| panic!("{name} has no example")).into(),
        Shape::Choice(words) => words[0].into(),
        Shape::List(inner) => json!([right(inner)]),
        Shape::Map(inner) => json!({ "key": right(inner) }),
        Shape::Block { fields, .. } => fields.iter().map(|f| (f.name.to_owned(), right(&f.shape))).collect(),
    }
}

/// What it refuses.
pub fn wrong(shape: &Shape) -> Value {
    match shape {
        Shape::Map(_) | Shape::Block { .. } => json!(["text"]),
        Shape::List(inner) if matches!(**inner, Shape::Block { .. }) => json!(1),
        _ => json!({ "key": "text" }),
    }
}
