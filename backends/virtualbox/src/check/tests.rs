use std::sync::Arc;

use bakehouse_api::body::Verbatim;
use bakehouse_api::{Backend, Body, Diagnostics, Entry, Form, Node, Severity, Span, SpanTree, Value};

use crate::{VirtualBoxIso, VirtualBoxOvf, VirtualBoxVm};

const THERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

fn usual(kind: &str) -> Vec<(&'static str, Value)> {
    let mut usual = vec![("ssh_username", Value::from("x"))];
    match kind {
        "virtualbox-iso" => usual.extend([("iso_url", THERE.into()), ("iso_checksum", "none".into())]),
        "virtualbox-ovf" => usual.push(("source_path", THERE.into())),
        _ => usual.push(("vm_name", "mine".into())),
    }
    usual
}

/// A source with these options, and those that it needs at least.
pub fn body(kind: &str, options: &[(&str, Value)]) -> Body {
    let given = |name: &str| options.iter().any(|(given, _)| *given == name);
    let usual = usual(kind).into_iter().filter(|(name, _)| !given(name)).map(|(name, value)| (name, value, 0));
    let given = options.iter().enumerate().map(|(index, (name, value))| (*name, value.clone(), index as u32 + 1));
    let entry = |(name, value, at): (&str, Value, u32)| {
        let span = Span { start: at, ..Span::default() };
        let node = Node::new(value, SpanTree::leaf(span));
        Entry { name: name.to_owned(), name_span: span, form: Form::Attribute, node }
    };
    Body {
        kind: kind.into(),
        name: "x".into(),
        build: format!("{kind}.x"),
        build_name: "x".into(),
        builder_type: kind.into(),
        root: ".".into(),
        span: Span::default(),
        entries: usual.chain(given).map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    }
}

/// Errors and warnings, each with the option it points at.
fn findings(kind: &str, options: &[(&str, Value)]) -> Vec<String> {
    let backends: [&dyn Backend; 3] = [&VirtualBoxIso, &VirtualBoxOvf, &VirtualBoxVm];
    let backend = backends.iter().find(|backend| backend.kind() == kind).unwrap();
    let mut found = Diagnostics::default();
    let prepared = backend.prepare(&body(kind, options), &mut found);
    assert_eq!(prepared.is_some(), !found.has_errors());
    let shown = found.0.iter().map(|finding| {
        let place = finding.span.map_or(0, |span| span.start) as usize;
        let option = if place == 0 { "" } else { options[place - 1].0 };
        let kind = if finding.severity == Severity::Error { "error" } else { "warning" };
        format!("{kind} at {option}: {}", finding.summary)
    });
    shown.collect()
}

fn list(items: &[Value]) -> Value {
    Value::tuple(items.to_vec())
}

#[test]
fn plain_sources_have_nothing_wrong() {
    for kind in ["virtualbox-iso", "virtualbox-ovf", "virtualbox-vm"] {
        assert_eq!(findings(kind, &[]), [] as [&str; 0]);
    }
    let line = list(&[list(&["modifyvm".into(), "{{ .Name }}".into()])]);
    assert_eq!(findings("virtualbox-iso", &[("vboxmanage", line)]), [] as [&str; 0]);
}

#[test]
fn everything_wrong_with_a_new_machine_is_told_at_once() {
    let found = findings(
        "virtualbox-iso",
        &[
            ("memory", 2.into()),
            ("cpu_execution_cap", 200.into()),
            ("gfx_vram_size", 512.into()),
            ("gfx_efi_resolution", "large".into()),
            ("nvram_file", "/no/such/file".into()),
            ("disk_additional_size", list(&[1.into(), 0.into(), 1.into(), 1.into()])),
            ("hard_drive_discard", true.into()),
            ("iso_interface", "pcie".into()),
            ("host_port_min", 4000.into()),
            ("host_port_max", 3000.into()),
            ("vrdp_bind_address", "localhost".into()),
            ("vboxmanage", list(&[list(&[])])),
            ("guest_additions_sha256", "abc".into()),
            ("vm_name", "a/b".into()),
        ],
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn appliances_and_machines_have_rules_of_their_own() {
    let ovf = [
        ("source_path", "https://example.org/x.ova".into()),
        ("import_flags", list(&["--vmname".into(), "x".into()])),
        ("skip_export", true.into()),
        ("format", "ova".into()),
    ];
    let vm = [("skip_export", true.into()), ("force_delete_snapshot", true.into()), ("keep_registered", false.into())];
    let all = [findings("virtualbox-ovf", &ovf), findings("virtualbox-vm", &vm)].concat();
    insta::assert_snapshot!(all.join("\n"));
}
