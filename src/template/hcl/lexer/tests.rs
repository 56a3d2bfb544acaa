use proptest::prelude::*;

use super::{Token, TokenKind, lex, lex_template};

fn joined(source: &str, tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text(source)).collect()
}

/// Kinds and texts, without whitespace.
fn shown(source: &str) -> Vec<String> {
    let tokens = lex(source).into_iter().filter(|token| token.kind != TokenKind::Whitespace);
    tokens
        .map(|token| format!("{:?} {:?}", token.kind, token.text(source)).replace("Punct(", "").replace(')', ""))
        .collect()
}

fn texts(source: &str) -> Vec<&str> {
    lex(source).into_iter().map(|token| token.text(source)).filter(|text| !text.trim_matches(' ').is_empty()).collect()
}

#[test]
fn templates_nest() {
    assert_eq!(
        texts(r#"x = "a ${ { b = "c}${d}" } } e""#),
        ["x", "=", "\"", "a ", "${", "{", "b", "=", "\"", "c}", "${", "d", "}", "\"", "}", "}", " e", "\""]
    );
}

#[test]
fn escapes_start_no_template() {
    assert_eq!(texts(r#""a\"$${b}%%{c}\\""#), ["\"", r#"a\"$${b}%%{c}\\"#, "\""]);
}

#[test]
fn strip_markers() {
    assert_eq!(texts(r#""%{~ if x ~}y""#), ["\"", "%{~", "if", "x", "~}", "y", "\""]);
}

#[test]
fn heredocs_end_at_a_line_with_their_word() {
    let source = "x = <<-EOT\n  a EOT\r\n\tEOT ${b}\n  EOT\ny";
    assert_eq!(
        texts(source),
        ["x", "=", "<<-EOT\n", "  a EOT\r\n", "\tEOT ", "${", "b", "}", "\n", "  EOT", "\n", "y"]
    );
}

#[test]
fn a_forgotten_quote_ends_with_its_line() {
    assert_eq!(texts("a = \"${ b(\"c }\nd = 1"), ["a", "=", "\"", "${", "b", "(", "\"", "c }", "\n", "d", "=", "1"]);
}

#[test]
fn line_ends_comments_and_the_mark_are_kept() {
    let source = "\u{feff}a # b\r\n/* c\n */ // d";
    let kinds = shown(source);
    assert_eq!(
        kinds,
        [
            "Bom \"\\u{feff}\"",
            "Ident \"a\"",
            "Comment \"# b\"",
            "Newline \"\\r\\n\"",
            "Comment \"/* c\\n */\"",
            "Comment \"// d\""
        ]
    );
}

#[test]
fn numbers_and_the_dots_behind_them() {
    assert_eq!(
        texts("1.5e-3 a.0.1 [1...] 1.e 2e"),
        ["1.5e-3", "a", ".", "0.1", "[", "1", "...", "]", "1", ".", "e", "2", "e"]
    );
}

/// Pieces that mean something to the lexer, in any order.
pub fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just("${".to_owned()),
        Just("%{".to_owned()),
        Just("${~".to_owned()),
        Just("~}".to_owned()),
        Just("}".to_owned()),
        Just("{".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("<<E\n".to_owned()),
        Just("<<-E\r\n".to_owned()),
        Just("\n E\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\\".to_owned()),
        Just("$${".to_owned()),
        Just("/*".to_owned()),
        Just("*/".to_owned()),
        Just("#".to_owned()),
        Just(" = ".to_owned()),
        Just(", ".to_owned()),
        Just("for x in ".to_owned()),
        Just(" if ".to_owned()),
        Just("endif".to_owned()),
        Just(" : ".to_owned()),
        Just(" ? ".to_owned()),
        Just(" => ".to_owned()),
        Just("...".to_owned()),
        Just("[*]".to_owned()),
        Just(".0".to_owned()),
        Just(" + -".to_owned()),
        Just("name".to_owned()),
        Just("ä".to_owned()),
        Just("1e9".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_is_lost(source in soup()) {
        prop_assert_eq!(joined(&source, &lex(&source)), source.as_str());
        prop_assert_eq!(joined(&source, &lex_template(&source)), source.as_str());
    }

    #[test]
    fn nothing_of_any_text_is_lost(source in any::<String>()) {
        prop_assert_eq!(joined(&source, &lex(&source)), source.as_str());
    }
}
