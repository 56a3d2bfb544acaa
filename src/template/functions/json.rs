//! JSON to values and back.

use std::collections::BTreeMap;

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Value};
use jsonc_parser::ast;

use super::{Args, CallCx, Outcome};

pub(super) fn jsonencode(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(encode(args.value(0)).into())
}

pub(super) fn jsondecode(_: &CallCx, args: &Args<'_>) -> Outcome {
    decode(args.str(0)).map_err(|reason| args.wrong(0, reason))
}

/// Compact, names sorted, `<`, `>` and `&` escaped: as Packer writes it.
pub(crate) fn encode(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match &value.data {
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Number(number) => out.push_str(&number.to_string()),
        Data::String(text) => write_string(text, out),
        Data::Null(_) | Data::Unknown(_) => out.push_str("null"),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Data::Map(_, fields) | Data::Object(fields) => {
            out.push('{');
            for (i, (name, field)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(field, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// JSON as it is defined: none of the extensions that the parser knows.
pub(crate) fn strict() -> jsonc_parser::ParseOptions {
    jsonc_parser::ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

pub(crate) fn decode(text: &str) -> Result<Value, String> {
    let parsed = jsonc_parser::parse_to_ast(text, &Default::default(), &strict()).map_err(|error| error.to_string())?;
    match &parsed.value {
        Some(value) => from_ast(value),
        None => Err("there is no JSON in it".into()),
    }
}

fn from_ast(value: &ast::Value<'_>) -> Result<Value, String> {
    Ok(match value {
        ast::Value::NullKeyword(_) => Value::null(),
        ast::Value::BooleanLit(literal) => literal.value.into(),
        ast::Value::NumberLit(literal) => Value::new(Data::Number(literal.value.parse::<Number>()?)),
        ast::Value::StringLit(literal) => Value::from(&*literal.value),
        ast::Value::Array(array) => Value::tuple(array.elements.iter().map(from_ast).collect::<Result<_, _>>()?),
        ast::Value::Object(object) => {
            let field = |field: &ast::ObjectProp<'_>| Ok((field.name.as_str().to_owned(), from_ast(&field.value)?));
            Value::object(object.properties.iter().map(field).collect::<Result<BTreeMap<_, _>, String>>()?)
        }
    })
}
