//! `bakehouse console` with a pipe, beside `packer console`: the same values, and an error for an error.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::io::Write;
use std::process::{Command, Stdio};

const TEMPLATE: &str = r#"
variable "s" {
  default = "x"
}
variable "secret" {
  default   = "hidden"
  sensitive = true
}
variable "m" {
  default = { a = 1, b = ["two"] }
}
locals {
  z = "q${var.s}"
}
"#;

/// Standard output and success; the lines go to standard input.
fn console(program: &str, template: bool, lines: &str) -> (String, bool) {
    let desk = tempfile::tempdir().unwrap();
    std::fs::write(desk.path().join("t.pkr.hcl"), TEMPLATE).unwrap();
    let mut command = Command::new(program);
    command.arg("console").args(template.then_some("t.pkr.hcl")).current_dir(desk.path());
    command.env("CHECKPOINT_DISABLE", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = command.spawn();
    let mut child =
        started.unwrap_or_else(|error| panic!("cannot run {program}: {error}; scripts/need test installs it"));
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&output.stdout).trim_end().to_owned(), output.status.success())
}

fn ours(lines: &str) -> (String, bool) {
    console(env!("CARGO_BIN_EXE_bakehouse"), true, lines)
}

#[test]
fn values_print_as_in_packer() {
    let lines = [
        "1",
        "1.5",
        "1/3",
        "1e20",
        "0.000001",
        "9007199254740993",
        "12345678901234567890123",
        "true",
        "null",
        "\"a\\nb\"",
        "\"q\\\"q\"",
        "[]",
        "{}",
        "[1, \"a\\\"\", null, [], {}, [true]]",
        "{ a = 1, \"b c\" = [1, { x = 2 }], n = null }",
        "setunion([\"b\"], [\"a\"])",
        "var.s",
        "var.m",
        "var",
        "local.z",
        "var.secret",
        "\"x${var.secret}\"",
        "[for x in var.m.b : upper(x)]",
        "path.root",
        "variables",
        "",
        "1\n2",
        "var.nope",
        "1 +",
        "1\nvar.nope",
        "var.nope\n1",
    ];
    for line in lines {
        let lines = format!("{line}\n");
        let (packers, succeeded) = console("packer", true, &lines);
        let mine = ours(&lines);
        assert_eq!(mine.1, succeeded, "{line}");
        if succeeded {
            assert_eq!(mine.0, packers, "{line}");
        }
    }
}

#[test]
fn what_is_derived_from_a_secret_is_one() {
    assert_eq!(ours("upper(var.secret)\n"), ("<sensitive>".into(), true));
}

#[test]
fn without_a_template_there_are_functions() {
    assert_eq!(console(env!("CARGO_BIN_EXE_bakehouse"), false, "upper(\"x\")\n"), ("X".into(), true));
}

#[test]
fn help_names_the_words() {
    let (text, _) = ours("help\n");
    assert!(["variables", "exit", "help"].iter().all(|word| text.contains(word)), "{text}");
}
