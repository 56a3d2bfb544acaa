//! Legacy JSON may write a value in the place of another; HCL2 wants the type itself.

use bakehouse_api::decode::go_integer;
use bakehouse_api::value::Data;
use bakehouse_api::{Field, Shape, Value};

/// The fields of an option's blocks, where it is one of blocks.
pub fn block_fields(shape: &Shape) -> Option<&[Field]> {
    match shape {
        Shape::Block { fields, .. } => Some(fields),
        Shape::List(inner) => block_fields(inner),
        _ => None,
    }
}

/// What an option of this shape makes of the value. What cannot be known before `{{ }}` is rendered stays.
pub fn settled(shape: &Shape, value: &Value) -> Value {
    match (shape, &value.data) {
        (_, Data::Null(_)) => value.clone(),
        (Shape::List(inner), _) => Value::tuple(elements(inner, value)),
        (Shape::Map(inner), Data::Object(fields)) => {
            Value::object(fields.iter().map(|(name, field)| (name.clone(), settled(inner, field))).collect())
        }
        (Shape::Bool, Data::Number(number)) => Value::from(!number.is_zero()),
        (Shape::Bool, Data::String(word)) => match &**word {
            "t" | "T" | "TRUE" | "True" => Value::from(true),
            "f" | "F" | "FALSE" | "False" | "" => Value::from(false),
            _ => value.clone(),
        },
        (Shape::Integer { .. }, Data::Bool(flag)) => Value::from(i64::from(*flag)),
        (Shape::Integer { .. }, Data::Number(number)) => Value::new(Data::Number(number.trunc())),
        (Shape::Integer { .. }, Data::String(text)) => {
            let number = go_integer(text).and_then(|number| i64::try_from(number).ok());
            number.map_or_else(|| value.clone(), Value::from)
        }
        (Shape::Text | Shape::Path | Shape::Secret | Shape::Form { .. }, Data::Bool(flag)) => {
            Value::from(if *flag { "1" } else { "0" })
        }
        _ => value.clone(),
    }
}

/// A single value stands for a list of it, a text for its parts between commas, and nothing for no element.
fn elements(inner: &Shape, value: &Value) -> Vec<Value> {
    if let Some(items) = value.as_items() {
        return items.iter().map(|item| settled(inner, item)).collect();
    }
    if value.as_fields().is_some_and(|fields| fields.is_empty() && !matches!(inner, Shape::Map(_))) {
        return Vec::new();
    }
    match value.as_str() {
        Some("") => Vec::new(),
        Some(text) => text.split(',').map(|part| settled(inner, &Value::from(part))).collect(),
        None => vec![settled(inner, value)],
    }
}

/// What an empty text means, as a text: HCL2 makes neither a number nor a truth value of "".
pub fn zero(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::Bool => Some("\"false\""),
        Shape::Integer { .. } => Some("\"0\""),
        _ => None,
    }
}

/// A text whose parts between commas are only known once its calls are rendered.
pub fn is_split_late(shape: &Shape, value: &Value) -> bool {
    matches!(shape, Shape::List(inner) if !matches!(**inner, Shape::Block { .. }))
        && value.as_str().is_some_and(|text| text.contains("{{"))
}
