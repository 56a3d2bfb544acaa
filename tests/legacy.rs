//! Legacy templates, side by side with Debian's packer 1.6.6: what is accepted and refused, what `inspect`
//! shows, what builds make. Each file of `tests/legacy/` is one case; its `_args` are the command line's.

#![allow(clippy::unwrap_used)] // a test that cannot prepare itself has failed

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PACKER: &str = "/usr/bin/packer";

/// A template and the arguments that it is read with.
struct Case {
    path: PathBuf,
    args: Vec<String>,
}

impl Case {
    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }

    /// `command` with this template, run where the variable files are.
    fn run(&self, program: &str, command: &[&str]) -> Ran {
        run_in(&folder("files"), program, command, &self.args, &self.path)
    }
}

struct Ran {
    success: bool,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { success: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy").join(name)
}

/// The cases of a folder, by name.
fn cases(name: &str) -> Vec<Case> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| Case { args: args(&path), path }).collect()
}

fn args(template: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(template).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    json["_args"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn run_in(dir: &Path, program: &str, command: &[&str], args: &[String], template: &Path) -> Ran {
    assert!(program != PACKER || Path::new(PACKER).exists(), "{PACKER} is missing: scripts/need test installs it");
    let output = Command::new(program)
        .args(command)
        .args(args)
        .arg(template)
        .current_dir(dir)
        .env("CHECKPOINT_DISABLE", "1")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output();
    output.unwrap_or_else(|error| panic!("cannot run {program}: {error}")).into()
}

const OURS: &str = env!("CARGO_BIN_EXE_bakehouse");

/// Fails with all that is wrong, not the first of it.
#[track_caller]
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn packer_is_the_version_that_we_compare_with() {
    let version = Command::new(PACKER).arg("version").env("CHECKPOINT_DISABLE", "1").output();
    let version = version.unwrap_or_else(|error| panic!("{PACKER}: {error}; scripts/need test installs it"));
    assert!(Ran::from(version).out.contains("v1.6.6"));
}

#[test]
fn what_packer_accepts_is_accepted() {
    let check = |case: &Case| {
        let (theirs, ours) = (case.run(PACKER, &["validate"]), case.run(OURS, &["validate"]));
        let fine = theirs.success && ours.success && ours.out.contains("The configuration is valid.");
        (!fine).then(|| format!("{}\npacker: {}\nours: {}", case.name(), theirs.out + &theirs.err, ours.err))
    };
    let cases = cases("accepted");
    assert!(cases.len() >= 40);
    none(cases.iter().filter_map(check).collect());
}

#[test]
fn what_packer_refuses_is_refused_with_its_place() {
    let check = |case: &Case| {
        let (theirs, ours) = (case.run(PACKER, &["validate"]), case.run(OURS, &["validate"]));
        let placed = ours.err.contains(".json:") || ours.err.contains("cannot read");
        let fine = !theirs.success && !ours.success && placed && ours.err.contains("error: ");
        (!fine).then(|| format!("{}\npacker: {}\nours: {}", case.name(), theirs.out + &theirs.err, ours.err))
    };
    let cases = cases("rejected");
    assert!(cases.len() >= 40);
    none(cases.iter().filter_map(check).collect());
}

#[test]
fn syntax_only_asks_for_no_component_and_no_value() {
    let dir = tempfile::tempdir().unwrap();
    for (text, fine) in [
        (r#"{"builders": [{"type": "no-such"}], "variables": {"a": null}}"#, true),
        (r#"{"builders": []}"#, true),
        (r#"{"builders": [{"name": "x"}]}"#, false),
        (r#"{"builders": [], "bulders": []}"#, false),
        (r#"{"builders": ["#, false),
    ] {
        let path = dir.path().join("t.json");
        std::fs::write(&path, text).unwrap();
        for program in [PACKER, OURS] {
            let ran = run_in(dir.path(), program, &["validate", "-syntax-only"], &[], &path);
            assert_eq!(ran.success, fine, "{program}: {text}: {}{}", ran.out, ran.err);
            assert_eq!(ran.out.contains("Syntax-only check passed. Everything looks okay."), fine, "{program}: {text}");
        }
    }
}
