use std::collections::BTreeMap;
use std::time::SystemTime;

use bakehouse_api::{FileId, Type, Value};

use super::{Evaluator, Scope};
use crate::template::functions::{CallCx, find};
use crate::template::hcl::parser::{parse_expression, parse_template};

fn host() -> CallCx {
    CallCx { root: ".".into(), cwd: "/".into(), env: BTreeMap::new(), now: SystemTime::UNIX_EPOCH, services: None }
}

fn scope() -> Scope {
    let host = host();
    let value = |text: &str| {
        let expr = parse_expression(FileId(0), text).expect("parses");
        Evaluator::new(&host).eval(&expr, &Scope::default()).expect("evaluates")
    };
    let object = |fields: Vec<(&str, Value)>| {
        Value::object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let var = object(vec![
        ("s", "x".into()),
        ("list", value("[{a = [1, 2]}, {a = [3]}]")),
        ("secret", Value::from("hush").sensitive(true)),
        ("later", Value::unknown(Type::String)),
    ]);
    Scope::new([("var".to_owned(), var), ("build".to_owned(), Value::unknown(Type::Any))])
}

fn eval(text: &str) -> Result<Value, String> {
    let expr = parse_expression(FileId(0), text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let host = host();
    let mut evaluator = Evaluator::new(&host);
    let value = evaluator.eval(&expr, &scope());
    value.ok_or_else(|| evaluator.diagnostics.0.iter().map(|d| d.summary.clone()).collect::<Vec<_>>().join("; "))
}

/// As JSON.
fn json(text: &str) -> String {
    let value = eval(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let text = find("jsonencode").expect("is there").call(&host(), &[value]).expect("encodes");
    text.as_str().expect("is a string").to_owned()
}

/// Results of `packer console` 1.6.6.
#[test]
fn same_as_packer() {
    let table = [
        ("true ? 1 : \"a\"", "\"1\""),
        ("var.list.*.a[0]", "[1,2]"),
        ("var.list.*.a.0", "[1,3]"),
        ("var.list[*].a[0]", "[1,3]"),
        ("\"1\" == 1", "false"),
        ("{ (1) = 2, \"b-c\" : 3 }", "{\"1\":2,\"b-c\":3}"),
        ("\"%{ for x in [1,2] ~}\\n ${x} %{ endfor }|\"", "\"1 2 |\""),
        ("\"a\\u00e9 $${x} %%{y}\"", "\"aé ${x} %{y}\""),
        ("1 == 1 ? null : 2", "null"),
        ("[for k, v in {a=1,b=2} : \"${k}${v}\"]", "[\"a1\",\"b2\"]"),
        ("{for k, v in [\"x\",\"y\",\"x\"] : v => k...}", "{\"x\":[0,2],\"y\":[1]}"),
        ("[[1,2],[3]][*][0]", "[1,3]"),
        ("-\"3\"", "-3"),
        ("!\"true\"", "false"),
        ("5 % -3", "2"),
        ("1 + 2 * 3 == 7 && !false", "true"),
        ("true ? [1] : [\"a\"]", "[\"1\"]"),
        ("\"${true}\"", "true"),
        ("\"${1}x\"", "\"1x\""),
        ("try(nonesuch, 3)", "3"),
        ("can(nonesuch)", "false"),
        ("[1,2].0", "1"),
        ("\"a  ${~ var.s ~}  \\n b\"", "\"axb\""),
        ("upper([\"a\"]...)", "\"A\""),
        ("var.s.*", "[\"x\"]"),
        ("null[*]", "[]"),
        ("{a = 1, a = 2}", "{\"a\":2}"),
        ("\"%{ if var.s == \"x\" }yes%{ else }no%{ endif }\"", "\"yes\""),
        ("false && nonesuch == 1", "false"),
        ("[for v in [1,2,3] : v if v != 2]", "[1,3]"),
        ("null != null ? \"${null}-\" : \"none\"", "\"none\""),
        ("false ? [1][5] : 7", "7"),
        ("true ? 1 : nonesuch(2)", "1"),
        ("true ? {a = 1}.a : {}.b", "1"),
        ("\"${[1]}\"", "[1]"),
        ("1e3", "1000"),
    ];
    for (text, expected) in table {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn heredocs_as_in_packer() {
    let table = [
        ("<<-EOT\n    a\n\n      b ${var.s}\n    ${var.s} c\n  EOT\n", "a\n\n  b x\nx c\n"),
        ("<<-EOT\n    one\n   \n      two\n    EOT\n", "one\n   \n  two\n"),
        ("<<EOT\n  %{ for v in [1,2] ~}\n\n    ${v}\n  %{ endfor ~}\n  z\nEOT\n", "  \n    1\n  \n    2\n    z\n"),
        ("<<-EOT\n\t\ta\n\t  b\n  EOT\n", "a\n b\n"),
        ("<<EOT\n a\\n \"q\" $${x}\nEOT\n", " a\\n \"q\" ${x}\n"),
        ("<<-EOT\n     %{ if true }\n       q\n     %{ endif }\n   EOT\n", "\n  q\n\n"),
        ("<<-EOT\n    a ${\"b\\nc\"}\n      d\n    EOT\n", "a b\nc\n  d\n"),
        ("<<-EOT\n${var.s}\n  b\nEOT\n", "x\n  b\n"),
    ];
    for (text, expected) in table {
        assert_eq!(eval(text).expect(text).as_str(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let table = [
        ("[1][1]", "this list has no element 1: its elements are 0 to 0"),
        ("\"x\" && true", "a bool is required, and this is a string"),
        ("{a=1}.b", "this object has no attribute `b`"),
        ("\"${null}x\"", "a string is required, and this is null"),
        ("\"a\" > 1", "a number is required: `a` is not a number, and this is a string"),
        ("1/0", "division by zero"),
        ("var.nope", "there is no variable `nope`"),
        ("nope.x", "there is nothing called `nope` here"),
        ("uper(1)", "there is no function `uper`"),
        ("env(\"HOME\")", "`env` can be called only in a variable's default"),
        ("{for v in [1, 1] : v => v}", "the key \"1\" comes more than once"),
        ("[nope, nada]", "there is nothing called `nope` here; there is nothing called `nada` here"),
        ("1 + null", "this is null, and an operator needs a value"),
        ("false ? 1 : {}.b", "this object has no attribute `b`"),
        ("nope ? nada : 1", "there is nothing called `nope` here"),
        ("[for x in 5 : x]", "only a list, a set, a map or an object can be gone through, and this is a number"),
    ];
    for (text, expected) in table {
        assert_eq!(eval(text).expect_err(text), expected, "{text}");
    }
}

#[test]
fn unknown_spreads() {
    for text in [
        "var.later",
        "\"a ${var.later}\"",
        "upper(var.later)",
        "var.later == \"x\"",
        "build.Host",
        "build.Anything.x[0]",
        "build.x ? 1 : 2",
        "1 + build.Port",
        "[for x in build.list : x]",
        "{ (var.later) = 1 }",
        "\"%{ if build.x }a%{ endif }\"",
    ] {
        assert!(eval(text).expect(text).has_unknown(), "{text}");
    }
    assert_eq!(json("{ a = [var.later, 1] }.a[1]"), "1");
}

#[test]
fn sensitive_spreads() {
    for text in [
        "\"a ${var.secret}\"",
        "upper(var.secret)",
        "var.secret == \"x\"",
        "var.secret == \"x\" ? 1 : 2",
        "[for x in split(\"\", var.secret) : x]",
        "{ (var.secret) = 1 }",
        "\"%{ if var.secret == \"x\" }a%{ endif }\"",
        "[var.secret][0]",
        "split(\"\", var.secret)[0]",
    ] {
        assert!(eval(text).expect(text).has_sensitive(), "{text}");
    }
    assert!(!eval("[var.secret, 1][1]").expect("evaluates").has_sensitive());
}

#[test]
fn deep_nesting_evaluates() {
    let text = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let index = "[0]".repeat(500);
    assert_eq!(json(&format!("{text}{index}")), "1");
    assert_eq!(json(&format!("1{}", " + 1".repeat(5000))), "5001");
}

#[test]
fn template_files() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("a.tpl"), "%{ for n in names ~}\n- ${n}\n%{ endfor ~}\n").expect("written");
    std::fs::write(dir.path().join("bad.tpl"), "ok\n  ${nope}\n").expect("written");
    let host = CallCx { root: dir.path().into(), ..host() };
    let run = |text: &str| {
        let expr = parse_expression(FileId(0), text).expect("parses");
        let mut evaluator = Evaluator::new(&host);
        (evaluator.eval(&expr, &scope()), evaluator.diagnostics.0)
    };
    let (value, _) = run("templatefile(\"a.tpl\", { names = [\"x\", \"y\"] })");
    assert_eq!(value.expect("evaluates").as_str(), Some("- x\n- y\n"));
    let (value, _) = run("templatefile(\"a.tpl\", { names = [var.secret] })");
    assert!(value.expect("evaluates").sensitive);
    let (value, errors) = run("templatefile(\"bad.tpl\", {})");
    assert!(value.is_none());
    assert_eq!(errors[0].summary, "there is nothing called `nope` here");
    assert!(errors[0].detail.as_deref().is_some_and(|detail| detail.ends_with("bad.tpl:2:5")), "{errors:?}");
    let (value, errors) = run("templatefile(\"none.tpl\", {})");
    assert!(value.is_none() && errors[0].summary.starts_with("cannot read the template"));
}

#[test]
fn a_template_of_a_file_keeps_quotes_and_backslashes() {
    let parts = parse_template(FileId(0), "a \"b\" \\n ${1 + 1}").expect("parses");
    let host = host();
    let value = Evaluator::new(&host).template(&parts, Default::default(), &Scope::default());
    assert_eq!(value.expect("evaluates").as_str(), Some("a \"b\" \\n 2"));
}
