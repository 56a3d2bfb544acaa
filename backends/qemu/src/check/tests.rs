use std::path::Path;
use std::sync::Arc;

use bakehouse_api::body::Verbatim;
use bakehouse_api::{Backend, Body, Diagnostics, Entry, Form, Node, Severity, Span, SpanTree, Value};

use crate::Qemu;

/// Errors and warnings about a source with these options, each with the option it points at.
fn findings(options: &[(&str, Value)]) -> Vec<String> {
    let usual = [
        ("iso_url", Value::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))),
        ("iso_checksum", "none".into()),
        ("ssh_username", "x".into()),
    ];
    let given = |name: &str| options.iter().any(|(given, _)| *given == name);
    let usual = usual.into_iter().filter(|(name, _)| !given(name));
    let options: Vec<(&str, Value)> = usual.chain(options.iter().cloned()).collect();
    let entry = |(index, (name, value)): (usize, &(&str, Value))| {
        let span = Span { start: index as u32 + 1, ..Span::default() };
        let node = Node::new(value.clone(), SpanTree::leaf(span));
        Entry { name: (*name).to_owned(), name_span: span, form: Form::Attribute, node }
    };
    let body = Body {
        kind: "qemu".into(),
        name: "x".into(),
        build: "qemu.x".into(),
        build_name: "x".into(),
        builder_type: "qemu".into(),
        root: Path::new(".").into(),
        span: Span::default(),
        entries: options.iter().enumerate().map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    };
    let mut found = Diagnostics::default();
    let prepared = Qemu.prepare(&body, &mut found);
    assert_eq!(prepared.is_some(), !found.has_errors());
    let shown = found.0.iter().map(|finding| {
        let place = finding.span.map_or(0, |span| span.start) as usize;
        let option = if place == 0 { "" } else { options[place - 1].0 };
        let kind = if finding.severity == Severity::Error { "error" } else { "warning" };
        format!("{kind} at {option}: {}", finding.summary)
    });
    shown.collect()
}

fn pair(one: &str, two: &str) -> Value {
    Value::tuple(vec![Value::tuple(vec![one.into(), two.into()])])
}

#[test]
fn a_plain_source_has_nothing_wrong() {
    assert_eq!(findings(&[]), [] as [&str; 0]);
    assert_eq!(findings(&[("qemuargs", pair("-m", "1024M")), ("cloud_init", true.into())]), [] as [&str; 0]);
}

#[test]
fn everything_wrong_is_told_at_once_and_in_its_place() {
    let found = findings(&[
        ("cpus", 3.into()),
        ("sockets", 2.into()),
        ("cores", 2.into()),
        ("threads", 1.into()),
        ("use_backing_file", true.into()),
        ("disk_compression", true.into()),
        ("format", "raw".into()),
        ("host_port_min", 4000.into()),
        ("host_port_max", 3000.into()),
        ("vnc_port_min", 5800.into()),
        ("use_pflash", true.into()),
        ("efi_secure_boot", true.into()),
        ("machine_type", "pc".into()),
        ("efi_firmware_code", "/no/such/code.fd".into()),
        ("vm_name", "a/b".into()),
        ("qemuargs", pair("m", "1024M")),
        ("use_tpm1", true.into()),
    ]);
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn unknown_options_and_words_get_a_suggestion() {
    let found = findings(&[("disk_sise", "1G".into()), ("disk_interface", "virtoi".into())]);
    assert_eq!(found.len(), 2, "{found:?}");
    let sizes = findings(&[("disk_size", "ten".into())]);
    assert_eq!(sizes, ["error at disk_size: `ten` is not a size"]);
}

#[test]
fn a_login_without_credentials_needs_no_user_name_where_a_seed_is_made() {
    let nobody = ("ssh_username", Value::null());
    let missing = findings(std::slice::from_ref(&nobody));
    assert!(missing.iter().any(|finding| finding.contains("needs the option `ssh_username`")), "{missing:?}");
    assert_eq!(findings(&[nobody, ("disk_image", true.into())]), [] as [&str; 0]);
}
