//! What each type takes and refuses, in HCL and in legacy JSON; what Packer 1.6.6 does with the same is
//! the measure.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::body::Verbatim;
use crate::{Number, SpanTree, Template, Value};

struct Decoded<T> {
    value: Option<T>,
    findings: Vec<String>,
}

fn decode<T: Decode>(value: &Value, weak: bool) -> Decoded<T> {
    let (engine, secrets, mut diagnostics) =
        (Arc::new(Verbatim) as Arc<dyn Interpolate>, Secrets::default(), Diagnostics::default());
    let mut cx = Ctx { engine: &engine, secrets: &secrets, diagnostics: &mut diagnostics, weak };
    let value = decode_node(&Node::new(value.clone(), SpanTree::default()), &mut cx);
    assert_eq!(value.is_none(), diagnostics.has_errors(), "{diagnostics:?}");
    Decoded { value, findings: diagnostics.0.into_iter().map(|finding| finding.summary).collect() }
}

fn hcl<T: Decode>(value: impl Into<Value>) -> Option<T> {
    decode(&value.into(), false).value
}

fn json<T: Decode>(value: impl Into<Value>) -> Option<T> {
    decode(&value.into(), true).value
}

fn fraction(text: &str) -> Value {
    Value::new(Data::Number(text.parse::<Number>().unwrap()))
}

fn list(items: &[&str]) -> Value {
    Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
}

fn both<T: Decode + PartialEq + Debug>(value: impl Into<Value>, in_hcl: Option<T>, in_json: Option<T>) {
    let value = value.into();
    assert_eq!(hcl::<T>(value.clone()), in_hcl, "HCL: {value:?}");
    assert_eq!(json::<T>(value.clone()), in_json, "JSON: {value:?}");
}

#[test]
fn texts() {
    both::<String>(8, Some("8".into()), Some("8".into()));
    both::<String>(true, Some("true".into()), Some("1".into()));
    both::<String>(fraction("1.5"), Some("1.5".into()), Some("1.5".into()));
    both::<String>(list(&["a"]), None, None);
    both::<String>(Value::object(BTreeMap::new()), None, None);
}

#[test]
fn booleans() {
    for (word, in_hcl, in_json) in [
        ("true", Some(true), Some(true)),
        ("1", Some(true), Some(true)),
        ("0", Some(false), Some(false)),
        ("T", None, Some(true)),
        ("True", None, Some(true)),
        ("f", None, Some(false)),
        ("", None, Some(false)),
        ("yes", None, None),
        ("tRuE", None, None),
    ] {
        both(word, in_hcl, in_json);
    }
    both(1, None, Some(true));
    both(2, None, Some(true));
    both(0, None, Some(false));
    // A trilean: in JSON, an empty text leaves it open.
    both::<Option<bool>>("", None, Some(None));
    both::<Option<bool>>("true", Some(Some(true)), Some(Some(true)));
}

#[test]
fn integers() {
    for (text, in_hcl, in_json) in [
        ("2", Some(2), Some(2)),
        ("-2", Some(-2), Some(-2)),
        ("1e3", Some(1000), None),
        ("0x10", None, Some(16)),
        ("0b11", None, Some(3)),
        ("1_000", None, Some(1000)),
        ("", None, Some(0)),
        (" 2", None, None),
        ("1.5", None, None),
        ("two", None, None),
        ("0x", None, None),
    ] {
        both::<i64>(text, in_hcl, in_json);
    }
    // Go reads a leading zero as base 8.
    both::<i64>("010", Some(10), Some(8));
    both::<i64>(true, None, Some(1));
    both::<i64>(fraction("1.5"), None, Some(1));
    both::<i64>(list(&["2"]), None, None);
    assert_eq!(decode::<i64>(&fraction("1.5"), true).findings, ["`1.5` is used as 1"]);
    assert_eq!(decode::<u16>(&Value::from(70_000), false).findings, ["`70000` must lie between 0 and 65535"]);
    assert_eq!(decode::<u16>(&fraction("1e300"), true).value, None);
}

#[test]
fn durations() {
    let second = Duration::from_secs(1);
    both("1m30s", Some(90 * second), Some(90 * second));
    both("1.5h", Some(5400 * second), Some(5400 * second));
    both("250ms", Some(second / 4), Some(second / 4));
    both("-10s", Some(Duration::ZERO), Some(Duration::ZERO));
    both("0", Some(Duration::ZERO), Some(Duration::ZERO));
    for wrong in ["10", "", "s", "1 s", "1x"] {
        both::<Duration>(wrong, None, None);
    }
    both(10, None, Some(Duration::from_nanos(10)));
    assert_eq!(decode::<Duration>(&Value::from(10), true).findings, ["`10` is a duration of 10 nanoseconds"]);
}

#[test]
fn durations_are_written_as_they_are_read() {
    for text in ["0s", "5m", "1h30m", "10s", "100ms", "1m500ms", "7ns"] {
        assert_eq!(duration_text(parse_duration(text).unwrap()), text);
    }
}

#[test]
fn lists() {
    let strings = |items: &[&str]| Some(items.iter().map(|item| item.to_string()).collect::<Vec<String>>());
    both(list(&["a", "b"]), strings(&["a", "b"]), strings(&["a", "b"]));
    both("a,b", None, strings(&["a", "b"]));
    both("", None, strings(&[]));
    both(3, None, strings(&["3"]));
    both(Value::object(BTreeMap::new()), None, strings(&[]));
    both("0,1", None, Some(vec![0, 1]));
    both(1, None, Some(vec![1]));
    both::<Vec<Vec<String>>>(list(&["-m", "2"]), None, Some(vec![vec!["-m".into()], vec!["2".into()]]));
    assert_eq!(
        decode::<Vec<String>>(&"a".into(), false).findings,
        ["this must be a list of strings, and it is a string"]
    );
}

#[test]
fn a_list_is_split_before_its_late_parts_are_rendered() {
    let parts: Vec<Template> = json("{{.A}},{{.B}}").unwrap();
    let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(texts, ["{{.A}}", "{{.B}}"]);
}

#[test]
fn maps() {
    let object = Value::object([("a".to_owned(), Value::from(true))].into());
    let map = |text: &str| Some(BTreeMap::from([("a".to_owned(), text.to_owned())]));
    both(object, map("true"), map("1"));
    both::<BTreeMap<String, String>>("a", None, None);
    both::<BTreeMap<String, String>>(list(&["a"]), None, None);
}

#[test]
fn a_choice_keeps_its_words() {
    crate::choices! {
        #[derive(Hash)]
        enum Seed { Auto = "auto", Yes = "true" }
    }
    both(true, Some(Seed::Yes), Some(Seed::Yes));
    both("auto", Some(Seed::Auto), Some(Seed::Auto));
    both::<Seed>("Auto", None, None);
    assert_eq!(decode::<Seed>(&"atuo".into(), false).findings, ["`atuo` is not one of auto, true"]);
}

#[test]
fn only_the_sensitive_parts_of_a_value_are_secrets() {
    let secrets = Secrets::default();
    let hidden = |value: Value| value.sensitive(true);
    secrets.add_sensitive(&Value::tuple(vec![
        "shown".into(),
        hidden("hunter2".into()),
        hidden(Value::from(123_456)),
        hidden(Value::from(22)),
        hidden(Value::from(true)),
        hidden(list(&["inner"])),
    ]));
    let known: Vec<String> = secrets.all().iter().map(|secret| secret.reveal().to_owned()).collect();
    assert_eq!(known, ["hunter2", "123456", "inner"]);
}
