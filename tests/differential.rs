//! Bakehouse beside Debian's packer 1.6.6: the same values of expressions, the same templates taken and
//! refused, the same `inspect`. What differs on purpose is listed with its reason, and must differ.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

const BAKEHOUSE: &str = env!("CARGO_BIN_EXE_bakehouse");
const PACKER: &str = "packer";

const LATER: &str = "Packer has this function since a later version";

/// Expressions whose values differ, and why.
const EXPRESSIONS: &[(&str, &str)] = &[
    (r#"element(["a"], -1)"#, "a negative index makes Packer panic on longer lists"),
    ("merge()", "nothing merged is an empty object, not null"),
    ("jsonencode(null)", "null is a value of JSON"),
    (r#"filebase64("${path.root}/note.txt")"#, LATER),
    (r#"templatefile("${path.root}/greeting.tpl", { name = "x", items = [1, 2] })"#, LATER),
    (r#"regex("[0-9]+", "abc123")"#, LATER),
];

/// Templates on which the programs do not agree, and why.
const TEMPLATES: &[(&str, &str)] = &[];

fn run(program: &str, command: &str, folder: &Path) -> Output {
    let mut run = Command::new(program);
    run.args([command, "."]).current_dir(folder).stdin(Stdio::null());
    run.env("CHECKPOINT_DISABLE", "1").env("NO_COLOR", "1").env("PACKER_NO_COLOR", "1");
    run.output().unwrap_or_else(|error| panic!("cannot run {program}: {error}; scripts/need test installs it"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The local values that `inspect` shows, by name. An expression that fails has none.
fn locals(program: &str, folder: &Path) -> BTreeMap<String, String> {
    let output = run(program, "inspect", folder);
    let shown = said(&output);
    let local = |line: &str| {
        let (name, value) = line.strip_prefix("local.")?.split_once(": ")?;
        (value != "\"<unknown>\"").then(|| (name.to_owned(), value.to_owned()))
    };
    shown.lines().filter_map(local).collect()
}

#[test]
fn expressions_have_the_same_values() {
    let listed = include_str!("differential/expressions.txt");
    let expressions: Vec<&str> = listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(expressions.len() >= 900, "{} expressions", expressions.len());

    let folder = tempfile::tempdir().unwrap();
    let mut batch = String::from("locals {\n");
    for (number, expression) in expressions.iter().enumerate() {
        writeln!(batch, "  e{number} = {expression}").unwrap();
    }
    batch.push_str("}\n");
    for (name, text) in [
        ("batch.pkr.hcl", batch.as_str()),
        ("values.pkr.hcl", include_str!("differential/values.pkr.hcl")),
        ("greeting.tpl", include_str!("differential/greeting.tpl")),
        ("note.txt", include_str!("differential/note.txt")),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }

    let (ours, packers) = (locals(BAKEHOUSE, folder.path()), locals(PACKER, folder.path()));
    assert!(packers.len() > 700, "packer shows only {} values", packers.len());
    let mut known: BTreeSet<&str> = EXPRESSIONS.iter().map(|(expression, _)| *expression).collect();
    let mut different = String::new();
    for (number, expression) in expressions.iter().enumerate() {
        let name = format!("e{number}");
        let (mine, theirs) = (ours.get(&name), packers.get(&name));
        if mine != theirs && !known.remove(expression) {
            writeln!(different, "{expression}\n  bakehouse {mine:?}\n  packer    {theirs:?}").unwrap();
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!(known.is_empty(), "these do not differ: {known:?}");
}

/// Whether a template is taken, and what `inspect` shows of one that is.
#[derive(Debug, PartialEq)]
struct Judged {
    taken: bool,
    shown: Option<String>,
}

fn judge(program: &str, folder: &Path) -> Judged {
    let taken = run(program, "validate", folder).status.success();
    let shown = taken.then(|| said(&run(program, "inspect", folder)));
    Judged { taken, shown }
}

/// The two judgements, where they differ.
fn disagreement(template: &str) -> Option<(Judged, Judged)> {
    let folder = tempfile::tempdir().unwrap();
    let name = if template.starts_with('{') { "t.pkr.json" } else { "t.pkr.hcl" };
    std::fs::write(folder.path().join(name), template).unwrap();
    let (ours, packers) = (judge(BAKEHOUSE, folder.path()), judge(PACKER, folder.path()));
    (ours != packers).then_some((ours, packers))
}

#[test]
fn templates_are_taken_and_shown_alike() {
    let listed = include_str!("differential/templates.txt");
    let (_, listed) = listed.split_once("\n=== ").unwrap();
    let templates: Vec<(&str, &str)> =
        listed.split("\n=== ").map(|template| template.split_once('\n').unwrap()).collect();
    assert!(templates.len() >= 60, "{} templates", templates.len());

    let different = Mutex::new(BTreeMap::new());
    let pending = Mutex::new(templates.iter());
    // Packer takes most of a second to start, whatever the template.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, template)) = { pending.lock().unwrap().next() } {
                    if let Some(judged) = disagreement(template) {
                        different.lock().unwrap().insert(*name, judged);
                    }
                }
            });
        }
    });
    let different = different.into_inner().unwrap();
    let known: BTreeSet<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = different.keys().copied().collect();
    let unexpected: Vec<_> = different.iter().filter(|(name, _)| !known.contains(*name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(known.is_subset(&found), "these do not differ: {:?}", known.difference(&found));
}
