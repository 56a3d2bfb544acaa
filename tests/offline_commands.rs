//! Commands that only tell: init, plugins, explain, schema.
#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::path::Path;

use assert_cmd::Command;

const MIXED: &str = r#"
packer {
  required_plugins {
    qemu   = { version = "~> 1", source = "github.com/hashicorp/qemu" }
    vmware = { version = ">= 1.0.0", source = "github.com/hashicorp/vmware" }
    docker = { version = ">= 1.0.0", source = "github.com/hashicorp/docker" }
  }
}
variable "never_set" { type = string }
source "qemu" "a" { headless = var.never_set }
source "vmware-iso" "b" {}
build {
  sources = ["source.qemu.a", "vmware-iso.b"]
  provisioner "shell" { inline = ["true"] }
}
build {
  name    = "late"
  sources = ["qemu.a"]
  post-processors {
    post-processor "googlecompute-export" {}
  }
}
"#;

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn bakehouse(dir: &Path, args: &[&str]) -> Ran {
    let output = Command::cargo_bin("bakehouse").unwrap().current_dir(dir).env("NO_COLOR", "1").args(args).output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn mixed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.pkr.hcl"), MIXED).unwrap();
    dir
}

#[test]
fn init_names_what_is_not_built_in() {
    let dir = mixed();
    let ran = bakehouse(dir.path(), &["init", "."]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(
        ran.out,
        "qemu (github.com/hashicorp/qemu ~> 1): built in: builder.qemu\n\
         vmware (github.com/hashicorp/vmware >= 1.0.0): not built in: vmware-iso\n\
         docker (github.com/hashicorp/docker >= 1.0.0): not built in, and not used by these builds\n"
    );
    assert!(ran.err.contains("the builder `vmware-iso` is not built in"), "{}", ran.err);
    assert!(ran.err.contains("the post-processor `googlecompute-export` is not built in"), "{}", ran.err);
    assert!(ran.err.contains("t.pkr.hcl:13"), "{}", ran.err);
}

#[test]
fn init_succeeds_where_the_selected_builds_need_nothing_else() {
    let dir = mixed();
    let ran = bakehouse(dir.path(), &["init", "-upgrade", "-only=qemu.*", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("Components are built in: there is nothing to upgrade"), "{}", ran.out);
    assert!(
        ran.out.contains("vmware (github.com/hashicorp/vmware >= 1.0.0): not built in, and not used"),
        "{}",
        ran.out
    );
    let late = bakehouse(dir.path(), &["plugins", "required", "-only", "late.*", "."]);
    assert_eq!(late.code, Some(1), "{}", late.out);
    std::fs::write(dir.path().join("old.json"), "{}").unwrap();
    assert_eq!(bakehouse(dir.path(), &["init", "old.json"]).code, Some(0));
}

#[test]
fn init_reports_what_is_wrong_with_the_requirements() {
    let dir = tempfile::tempdir().unwrap();
    let template = "packer {\n  required_plugins {\n    a = { versoin = \"1\" }\n  }\n}\n";
    std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
    let ran = bakehouse(dir.path(), &["init", "."]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("a required plugin has no `versoin`"), "{}", ran.err);
}

#[test]
fn plugins_are_listed_and_never_installed() {
    let here = Path::new(".");
    let installed = bakehouse(here, &["plugins", "installed"]);
    assert!(installed.out.lines().any(|line| line == "post-processor.manifest"), "{}", installed.out);
    for verb in ["install", "remove"] {
        let ran = bakehouse(here, &["plugins", verb, "github.com/hashicorp/qemu", "v1.1.0"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains(&format!("cannot {verb} github.com/hashicorp/qemu: components are built in")));
    }
}

#[test]
fn explain_tells_of_an_option_and_corrects_a_wrong_name() {
    let here = Path::new(".");
    let told = bakehouse(here, &["explain", "provisioner.shell.inline"]);
    assert_eq!(told.code, Some(0));
    assert!(told.out.contains("type     list of strings"), "{}", told.out);
    let wrong = bakehouse(here, &["explain", "qemu.disk_siez"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("did you mean `disk_size`?"), "{}", wrong.err);
}

#[test]
fn schema_prints_json_and_corrects_a_wrong_name() {
    let here = Path::new(".");
    let whole: serde_json::Value = serde_json::from_str(&bakehouse(here, &["schema"]).out).unwrap();
    assert!(whole["$defs"]["builder.qemu"]["properties"]["disk_size"].is_object());
    let one: serde_json::Value =
        serde_json::from_str(&bakehouse(here, &["schema", "post-processor.shell-local"]).out).unwrap();
    assert_eq!(one["title"], "post-processor.shell-local");
    let several = bakehouse(here, &["schema", "shell-local"]);
    assert!(several.err.contains("may be provisioner.shell-local or post-processor.shell-local"), "{}", several.err);
    assert!(bakehouse(here, &["schema", "qmeu"]).err.contains("try: bakehouse schema qemu"));
}
