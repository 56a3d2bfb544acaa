use bakehouse_api::{FileId, SourceMap};

use super::{parse_body, parse_values};

fn errors(text: &str) -> Vec<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("a.pkr.json", text);
    let (_, diagnostics) = parse_body(file, text);
    let place = |error: bakehouse_api::Diagnostic| {
        let span = error.span.expect("errors have a place");
        format!("{} {}", sources.place(span).expect("in the file"), error.summary)
    };
    diagnostics.0.into_iter().map(place).collect()
}

#[test]
fn errors_in_strings_are_found_where_they_stand() {
    assert_eq!(
        errors("{\"locals\": {\"a\": \"x ${b +}\",\n \"c\": \"%{ if d }\"}}"),
        ["a.pkr.json:1:26 expected a value, but here is `}`", "a.pkr.json:2:8 this directive is never closed"]
    );
}

#[test]
fn blocks_are_objects() {
    assert_eq!(
        errors("{\"source\": {\"null\": 1}, \"build\": [true]}"),
        [
            "a.pkr.json:1:21 `source` needs an object here: its keys are labels",
            "a.pkr.json:1:35 build must be an object, and it is a bool"
        ]
    );
}

#[test]
fn several_blocks_of_one_kind() {
    let text =
        "{\"build\": [{\"sources\": []}, {}], \"source\": [{\"null\": {\"a\": [{}, {}]}}, {\"null\": {\"b\": {}}}]}";
    let (body, diagnostics) = parse_body(FileId(0), text);
    assert!(diagnostics.is_empty());
    let blocks: Vec<String> = body
        .blocks()
        .map(|block| block.labels.iter().fold(block.kind.text.clone(), |id, label| format!("{id}.{}", label.text)))
        .collect();
    assert_eq!(blocks, ["build", "build", "source.null.a", "source.null.a", "source.null.b"]);
}

#[test]
fn values_are_no_templates() {
    let (values, diagnostics) = parse_values(FileId(0), "{\"//\": 1, \"a\": \"${b}\", \"c\": [1, null]}");
    assert!(diagnostics.is_empty());
    assert_eq!(values.len(), 2);
    assert_eq!(values[0].1.as_str(), Some("${b}"));
    assert_eq!(parse_values(FileId(0), "[1]").1.errors(), 1);
    assert_eq!(parse_values(FileId(0), "{\"a\": 1,}").1.errors(), 1);
}
