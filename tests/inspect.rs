//! `inspect --json` for programs, and `validate -syntax-only` of HCL2.

#![allow(clippy::unwrap_used)] // a test that cannot prepare itself has failed

use std::process::{Command, Output};

use serde_json::{Value as Json, json};

/// Runs the program in a folder with the one file `t.pkr.hcl`.
fn run(template: &str, args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bakehouse"));
    command.args(args).arg("t.pkr.hcl").current_dir(dir.path()).env("NO_COLOR", "1");
    command.output().unwrap()
}

fn inspected(template: &str, args: &[&str]) -> Json {
    let output = run(template, &[&["inspect", "--json"], args].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

const TEMPLATE: &str = r#"
variable "size" {
  type        = number
  default     = 5
  description = "How big"
}
variable "key" {
  type      = string
  default   = "hidden-key"
  sensitive = true
}
variable "needed" { type = string }
locals { twice = var.size * 2 }
source "null" "a" { communicator = "none" }
build {
  name    = "b"
  sources = ["source.null.a"]
  provisioner "shell-local" {
    inline       = ["echo ${local.twice} ${build.ID}", "echo ${var.needed}", var.key]
    pause_before = "1m"
    max_retries  = 2
  }
  post-processors {
    post-processor "manifest" {
      output              = "{{build_name}}.json"
      keep_input_artifact = true
    }
    post-processor "checksum" {}
  }
}
"#;

#[test]
fn everything_declared_is_in_the_document() {
    let document = inspected(TEMPLATE, &["-var", "needed=n"]);
    assert_eq!(document["language"], "hcl2");
    assert_eq!(
        document["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == "size").unwrap(),
        &json!({"name": "size", "type": "number", "description": "How big", "sensitive": false, "required": false,
            "default": 5, "value": 5})
    );
    assert_eq!(document["locals"], json!([{"name": "twice", "value": 10}]));
    assert_eq!(document["sources"], json!([{"type": "null", "name": "a"}]));
    assert_eq!(
        document["builds"],
        json!([{"name": "b", "description": null, "sources": ["null.a"], "provisioners": ["shell-local"],
            "post_processors": [["manifest", "checksum"]]}])
    );
}

#[test]
fn the_plan_holds_every_option_that_is_known() {
    let document = inspected(TEMPLATE, &["-var", "needed=n"]);
    assert_eq!(
        document["plan"],
        json!([{
            "name": "b.null.a",
            "type": "null",
            "options": {"communicator": "none"},
            "provisioners": [{
                "type": "shell-local", "name": "shell-local", "pause_before_seconds": 60.0, "max_retries": 2,
                "timeout_seconds": null, "continue_on_error": false,
                "options": {"inline": ["<unknown>", "echo n", "<sensitive>"]},
            }],
            "error_cleanup_provisioner": null,
            "post_processors": [[
                {"type": "manifest", "name": "manifest", "keep_input_artifact": true, "options": {"output": "a.json"}},
                {"type": "checksum", "name": "checksum", "keep_input_artifact": null, "options": {}},
            ]],
        }])
    );
}

#[test]
fn a_variable_without_a_value_is_shown_and_secrets_are_not() {
    let output = run(TEMPLATE, &["inspect", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let document: Json = serde_json::from_str(&text).unwrap();
    let needed = document["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == "needed");
    assert_eq!(needed.unwrap()["required"], true);
    assert!(!text.contains("hidden-key"), "{text}");
    assert!(text.contains("<sensitive>"), "{text}");
}

#[test]
fn a_template_that_is_wrong_is_shown_as_far_as_it_is_read() {
    let output = run(
        "locals { a = 1 }\nsource \"null\" \"a\" {\n  communicator = var.no\n}\nbuild { sources = [\"null.a\"] }\n",
        &["inspect", "--json"],
    );
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success());
    assert_eq!(document["plan"], Json::Null);
    assert_eq!(document["sources"], json!([{"type": "null", "name": "a"}]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("t.pkr.hcl:3:"));
}

#[test]
fn inspect_prints_lines_or_a_document_not_both() {
    let output = run(TEMPLATE, &["inspect", "--json", "-machine-readable"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be used with"));
}

#[test]
fn syntax_only_reads_hcl2_and_evaluates_nothing() {
    for (text, fine) in [
        ("", true),
        ("source \"no-such\" \"a\" {\n  option = var.nobody\n}\nbuild { sources = [\"no-such.a\"] }\n", true),
        ("locals { a = nobody(1) }\n", true),
        ("source \"null\" \"a\" {\n", false),
        ("locals { a = 1 + }\n", false),
        ("locals { a = \"${\" }\n", false),
    ] {
        let output = run(text, &["validate", "-syntax-only"]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), fine, "{text}\n{err}");
        assert_eq!(out.contains("Syntax-only check passed. Everything looks okay."), fine, "{text}\n{out}");
        assert_eq!(err.contains("t.pkr.hcl:"), !fine, "{text}\n{err}");
    }
}
