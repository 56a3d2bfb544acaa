//! The mistakes that templates are most often refused for, and what is said about them.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::process::{Command, Stdio};

/// What `validate` says about a template that it refuses.
fn said(template: &str, args: &[&str]) -> String {
    said_of("t.pkr.hcl", template, args)
}

fn said_of(name: &str, template: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), template).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bakehouse"))
        .arg("validate")
        .args(args)
        .arg(name)
        .current_dir(folder.path())
        .env_clear()
        .env("PKR_VAR_from_env", "[1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[test]
fn a_variable_without_a_value() {
    insta::assert_snapshot!(said("variable \"password\" {\n  type      = string\n  sensitive = true\n}\n", &[]));
}

#[test]
fn a_misspelt_variable() {
    let template = "variable \"region\" { default = \"x\" }\nlocals {\n  name = \"web-${var.regoin}\"\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn a_misspelt_function() {
    insta::assert_snapshot!(said("locals { name = uper(\"web\") }\n", &[]));
}

#[test]
fn a_misspelt_option() {
    let template = "source \"file\" \"note\" {\n  content = \"x\"\n  tagret  = \"note.txt\"\n}\nbuild {\n  sources = [\"source.file.note\"]\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn an_option_of_older_versions() {
    let template = r#"{"builders": [{
  "type": "qemu", "iso_url": "http://localhost/a.iso", "ssh_username": "root", "shutdown_command": "poweroff",
  "iso_checksum": "5d41402abc4b2a76b9719d911017c592", "iso_checksum_type": "md5",
  "iso_chekcsum": "none"
}]}"#;
    insta::assert_snapshot!(said_of("t.json", template, &[]));
}

#[test]
fn a_source_that_is_not_declared() {
    let template =
        "source \"null\" \"debian\" { communicator = \"none\" }\nbuild { sources = [\"source.null.debain\"] }\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn values_of_the_wrong_type() {
    let template = "variable \"cpus\" {\n  type = number\n}\nvariable \"from_env\" {\n  type = list(number)\n}\n";
    insta::assert_snapshot!(said(template, &["-var", "cpus=many"]));
}

#[test]
fn an_index_out_of_range() {
    let template = "variable \"at\" { default = 3 }\nlocals {\n  sizes = [1, 2, 4]\n  size  = local.sizes[var.at]\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn a_secret_in_an_error_stays_one() {
    let template =
        "variable \"password\" {\n  default   = \"hunter2\"\n  sensitive = true\n}\nlocals { n = var.password + 1 }\n";
    let said = said(template, &[]);
    assert!(!said.contains("a number is required: `hunter2`"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn a_null_within_a_text() {
    let template =
        "variable \"proxy\" {\n  type    = string\n  default = null\n}\nlocals { env = \"http_proxy=${var.proxy}\" }\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn commas_and_quotes_that_are_missing() {
    let template = "locals {\n  list = [\n    \"a\"\n    \"b\"\n  ]\n  text = \"open\n  next = 1, other = 2\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn a_block_that_is_never_closed() {
    let template = "source \"null\" \"a\" {\n  communicator = \"none\"\n\nbuild {\n  sources = [\"null.a\"]\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}

#[test]
fn several_things_on_one_line() {
    let template = "source \"null\" \"a\" { communicator = \"none\" }\nbuild {\n  sources = [\"null.a\"]\n  provisioner \"shell-local\" { inline = [\"x\"], only = [\"null.a\"] }\n}\n";
    insta::assert_snapshot!(said(template, &[]));
}
