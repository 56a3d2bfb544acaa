//! Texts of HCL are in Unicode's form NFC (its specification, "Strings and Templates"): the two ways to write an
//! accented letter are one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::Value;
use bakehouse_api::value::Data;
use unicode_normalization::{UnicodeNormalization, is_nfc};

fn is_composed(text: &str) -> bool {
    text.is_ascii() || is_nfc(text)
}

pub fn text(text: String) -> String {
    if is_composed(&text) { text } else { text.nfc().collect() }
}

/// With every text and key in it. A set stays: what it holds was composed before it was sorted.
pub fn value(value: Value) -> Value {
    if is_settled(&value) {
        return value;
    }
    let items = |items: &[Value]| Arc::new(items.iter().cloned().map(self::value).collect::<Vec<_>>());
    let fields = |fields: &BTreeMap<String, Value>| {
        let field = |(name, field): (&String, &Value)| (text(name.clone()), self::value(field.clone()));
        Arc::new(fields.iter().map(field).collect::<BTreeMap<_, _>>())
    };
    let data = match &value.data {
        Data::String(inner) => Data::String(text(inner.to_string()).into()),
        Data::List(ty, inner) => Data::List(ty.clone(), items(inner)),
        Data::Tuple(inner) => Data::Tuple(items(inner)),
        Data::Map(ty, inner) => Data::Map(ty.clone(), fields(inner)),
        Data::Object(inner) => Data::Object(fields(inner)),
        other => other.clone(),
    };
    Value { data, sensitive: value.sensitive }
}

fn is_settled(value: &Value) -> bool {
    match &value.data {
        Data::String(text) => is_composed(text),
        Data::List(_, items) | Data::Tuple(items) => items.iter().all(is_settled),
        Data::Map(_, fields) | Data::Object(fields) => {
            fields.iter().all(|(name, field)| is_composed(name) && is_settled(field))
        }
        _ => true,
    }
}
