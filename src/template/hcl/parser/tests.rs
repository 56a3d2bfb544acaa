use std::time::{Duration, Instant};

use bakehouse_api::FileId;
use proptest::prelude::*;

use super::{parse_expression, parse_file, parse_template};
use crate::template::hcl::syntax::{ExprKind, Step};

fn errors(source: &str) -> Vec<String> {
    parse_file(FileId(0), source).1.0.into_iter().map(|error| error.summary).collect()
}

fn sound(source: &str) {
    assert_eq!(errors(source), Vec::<String>::new(), "{source:?}");
}

#[test]
fn every_error_of_a_file_is_found() {
    let source = "a = [1, 2\nb = \"abc\nc = \"${ f( }\"\nd = 'x'\ne : 1\nf = 1 2\ng = [1 2, ?]\nok = 1\n}\nblock {\n";
    assert_eq!(
        errors(source),
        [
            "this `[` is never closed",
            "this string is never closed",
            "expected a value, but here is `}`",
            "a string is written in double quotes",
            "an attribute is set with `=`, not with `:`",
            "expected the end of the line, but here is `2`",
            "expected `,` or `]`, but here is `2`",
            "expected a value, but here is `?`",
            "there is no block that this could close",
            "this block is never closed",
        ]
    );
}

#[test]
fn what_follows_an_error_is_still_read() {
    let (body, _) = parse_file(FileId(0), "a = [1, ?, 3]\nb {\n  x = (\n}\nc = 1\n");
    let names: Vec<&str> = body.attributes().map(|attribute| attribute.name.text.as_str()).collect();
    assert!(names.contains(&"c"), "{names:?}");
}

#[test]
fn forms_of_the_language() {
    for source in [
        "",
        "\u{feff}a = 1",
        "a = 1\r\nb = 2\r\n",
        "a { b = 1 }",
        "a {}\n",
        "a \"b\" c {\n}\n",
        "a = <<EOT\n${b}\nEOT\n",
        "a = [\n1,\n2,\n]\n",
        "a = {\n b = 1\n c : 2, \"d\" = 3, (e) = 4\n}\n",
        "a = f(\n1,\nb...\n)\n",
        "a = b ? c : d ? e : f\n",
        "a = [for k, v in b : v if k != 1]\n",
        "a = {for v in b : v => v...}\n",
        "a = b.*.c[0].d[*].e.0.1[\"f\"]\n",
        "a = -b + !c * (\n1\n)\n",
        "a = \"%{ if b }c%{ else }%{ for d in e ~} ${d} %{ endfor }%{ endif }\"\n",
        "a = { for = 1, if = 2 }\n",
        "a = 1e400\nb = 123456789012345678901234567890\n",
        "a = { b = 1, b = 2 }\n",
        "a = /* c */ 1 # d\n",
    ] {
        sound(source);
    }
}

#[test]
fn operators_bind_as_in_hcl() {
    let expr = parse_expression(FileId(0), "1 + 2 * 3 - 4").expect("parses");
    let ExprKind::Binary(_, rest) = expr.kind else { panic!("no sum") };
    assert_eq!(rest.len(), 2);
    assert!(matches!(rest[0].1.kind, ExprKind::Binary(..)));
}

#[test]
fn indices_with_dots_are_told_from_numbers() {
    let expr = parse_expression(FileId(0), "a.0.1").expect("parses");
    let ExprKind::Traverse(_, steps) = expr.kind else { panic!("no traversal") };
    assert!(matches!(steps.as_slice(), [Step::Legacy(a, _), Step::Legacy(b, _)] if a == "0" && b == "1"));
}

#[test]
fn five_hundred_levels() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{a=", "}"), ("f(", ")"), ("\"${", "}\""), ("!(", ")"), ("a[", "]")]
    {
        let source = format!("x = {}1{}\n", open.repeat(500), close.repeat(500));
        sound(&source);
    }
    sound(&format!("{}{}", "a {\n".repeat(500), "}\n".repeat(500)));
    sound(&format!("x = {}1\n", "a ? b : ".repeat(500)));
    sound(&format!("x = \"{}{}\"\n", "%{ if a }".repeat(500), "%{ endif }".repeat(500)));
}

#[test]
fn operators_in_any_number() {
    sound(&format!("x = 1{}\n", " + 1".repeat(20_000)));
    sound(&format!("x = {}a\n", "!".repeat(20_000)));
    sound(&format!("x = a{}\n", ".b".repeat(20_000)));
}

#[test]
fn depth_has_a_limit_that_is_an_error() {
    for open in ["(", "[", "{a=", "f(", "\"${", "a[", "a ? ", "-(", "[for a in "] {
        let found = errors(&format!("x = {}", open.repeat(50_000)));
        assert!(found.iter().any(|error| error.contains("levels deep")), "{open}: {found:?}");
    }
    let found = errors(&"a {\n".repeat(50_000));
    assert!(found.iter().any(|error| error.contains("levels deep")), "blocks");
}

/// What takes quadratic time would not end within the limit.
#[test]
fn nasty_inputs_take_linear_time() {
    let pieces = [
        "(",
        "[",
        "{",
        "{a=",
        "\"",
        "\"${",
        "${",
        "%{",
        "<<E\n",
        "<<E\n${",
        "[1 2",
        "a = [\n",
        "f(?",
        "}",
        "\n",
        "a\n",
        "a {\n",
        "a = \"x\n",
        "/*",
        "# c\n",
        "a = 1 1\n",
        "[for ",
        "?",
        "a.",
        ".0",
        "b ? ",
        "\\",
        "\"\\",
        "%{if a}",
        "[(]",
        "x {} ",
        "\"a\" ",
        "(\nb = 1\n",
        "[\nb = \n",
    ];
    for piece in pieces {
        for prefix in ["", "x = ", "x = <<E\n", "x = \"", "a {\n"] {
            let source = format!("{prefix}{}", piece.repeat(48 * 1024 / piece.len()));
            let start = Instant::now();
            parse_file(FileId(0), &source);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(3), "{prefix:?} and {piece:?} took {took:?}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(source in super::super::lexer::tests::soup()) {
        for text in [source.clone(), format!("a = {source}"), format!("a = \"{source}\"\nb = 1\n")] {
            let (body, diagnostics) = parse_file(FileId(0), &text);
            for error in &diagnostics.0 {
                let span = error.span.expect("syntax errors have a place");
                prop_assert!(span.start <= span.end && span.end as usize <= text.len());
            }
            prop_assert!(body.items.len() <= text.len());
        }
        let _ = parse_expression(FileId(0), &source);
        let _ = parse_template(FileId(0), &source);
    }
}
