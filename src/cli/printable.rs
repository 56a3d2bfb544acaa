//! Values as `inspect` prints them: as Packer does.

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Value};

use crate::template::printf::{Spec, quote};

const SENSITIVE: &str = "<sensitive>";

/// A string as it is, everything else as HCL would write it over several lines.
pub fn printable(value: &Value) -> String {
    match &value.data {
        _ if value.sensitive => SENSITIVE.into(),
        _ if value.has_unknown() => "<unknown>".into(),
        Data::String(text) => text.to_string(),
        _ => nested(value, 0),
    }
}

fn nested(value: &Value, indent: usize) -> String {
    let inner = " ".repeat(indent + 2);
    let outer = " ".repeat(indent);
    match &value.data {
        _ if value.sensitive => quote(SENSITIVE),
        Data::Unknown(_) => "<unknown>".into(),
        Data::Null(_) => "null".into(),
        Data::Bool(value) => value.to_string(),
        Data::Number(value) => number(value),
        Data::String(text) => quote(text),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            let item = |item: &Value| format!("{inner}{},\n", nested(item, indent + 2));
            enclosed("[", items.iter().map(item).collect(), &format!("{outer}]"))
        }
        Data::Map(_, fields) | Data::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{inner}{} = {}\n", quote(name), nested(value, indent + 2));
            let known = fields.iter().filter(|(_, value)| !value.is_null());
            enclosed("{", known.map(field).collect(), &format!("{outer}}}"))
        }
    }
}

fn enclosed(open: &str, lines: String, close: &str) -> String {
    if lines.is_empty() { format!("{open}{}", close.trim_start()) } else { format!("{open}\n{lines}{close}") }
}

/// What fits in 64 bits in full, the rest as Go's `%g`.
fn number(number: &Number) -> String {
    let float = |n: f64| Spec { verb: 'g', ..Spec::default() }.float(n, &n.to_string());
    match (number.to_i64(), number.to_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, f64::INFINITY) => "+Inf".into(),
        (None, f64::NEG_INFINITY) => "-Inf".into(),
        (None, n) => float(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_in_packer() {
        let secret = Value::from("pw").sensitive(true);
        let list = Value::tuple(vec![Value::from("a\"b"), Value::from(1), Value::null(), secret.clone()]);
        assert_eq!(printable(&list), "[\n  \"a\\\"b\",\n  1,\n  null,\n  \"<sensitive>\",\n]");
        let object = Value::object([("on".to_owned(), Value::from(true)), ("x".to_owned(), list)].into());
        assert!(printable(&object).starts_with("{\n  \"on\" = true\n  \"x\" = [\n    \"a\\\"b\",\n"));
        assert_eq!(printable(&Value::from("a\"b")), "a\"b");
        assert_eq!(printable(&secret), "<sensitive>");
        assert_eq!(printable(&Value::tuple(vec![])), "[]");
        assert_eq!(printable(&Value::object([].into())), "{}");
    }

    #[test]
    fn numbers_beyond_64_bits_lose_digits_as_in_packer() {
        let text = |text: &str| number(&text.parse().unwrap());
        assert_eq!(text("100000000000000000000"), "1e+20");
        assert_eq!(text("9007199254740993"), "9007199254740993");
        assert_eq!(text("1234567.5"), "1.2345675e+06");
        assert_eq!(text("0.5"), "0.5");
        assert_eq!((text("1e400"), text("-1e400")), ("+Inf".into(), "-Inf".into()));
    }
}
