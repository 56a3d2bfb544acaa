//! Legacy templates, side by side with Debian's packer 1.6.6: what is accepted and refused, what `inspect`
//! shows, what builds make.

#![allow(clippy::unwrap_used)] // a test that cannot prepare itself has failed

mod cases;

use std::path::Path;
use std::process::Command;

use cases::{Case, OURS, PACKER, Ran, built, cases, folder, none, run_in};

impl Case {
    /// `command` with this template, run where the variable files are.
    fn run(&self, program: &str, command: &[&str]) -> Ran {
        run_in(&folder("files"), program, command, &self.args, &self.path)
    }

    /// `fix` takes no variables.
    fn fix(&self, program: &str) -> Ran {
        run_in(&folder("files"), program, &["fix", "-validate=false"], &[], &self.path)
    }
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

/// Lines without the time in front; where Packer's order is that of a hash table, ours is sorted.
fn sorted(text: &str, machine_readable: bool) -> Vec<String> {
    let line = |line: &str| match line.split_once(',') {
        Some((_, rest)) if machine_readable => rest.to_owned(),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn inspect_prints_what_packer_prints() {
    let mut wrong = Vec::new();
    for case in cases("accepted").iter().chain(&cases("builds")) {
        for flags in [&["inspect"][..], &["inspect", "-machine-readable"]] {
            let (theirs, ours) = (case.run(PACKER, flags), case.run(OURS, flags));
            let machine_readable = flags.len() > 1;
            if sorted(&theirs.out, machine_readable) != sorted(&ours.out, machine_readable) {
                wrong.push(format!("{} {flags:?}\n{}\n---\n{}{}", case.name(), theirs.out, ours.out, ours.err));
            }
        }
    }
    none(wrong);
}

#[test]
fn fix_prints_what_packer_prints() {
    let mut wrong = Vec::new();
    for case in cases("fix").iter().chain(&cases("accepted")) {
        // Packer prints a second `builders` beside the `Builders` that is written.
        if case.name() == "root-keys-in-any-case" {
            continue;
        }
        let (theirs, ours) = (case.fix(PACKER), case.fix(OURS));
        if !theirs.success || !ours.success || theirs.out != ours.out {
            wrong.push(format!("{}\n{}{}\n---\n{}{}", case.name(), theirs.out, theirs.err, ours.out, ours.err));
        }
    }
    none(wrong);
}

#[test]
fn every_fixer_of_packer_is_one_of_ours() {
    let listed = |program: &str, flag: &str| {
        let ran = run_in(&folder("files"), program, &["fix"], &[], Path::new(flag));
        let text = ran.out + &ran.err;
        let (_, list) = text.split_once("in order):").or(text.split_once("in this order:")).unwrap();
        let names: Vec<String> = list
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   ") && !line.trim().starts_with('-'))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect();
        names
    };
    let theirs = listed(PACKER, "-help");
    assert!(theirs.len() >= 30, "{theirs:?}");
    assert_eq!(theirs, listed(OURS, "--help"));
}

#[test]
fn what_is_fixed_is_read_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.json");
    std::fs::write(&path, r#"{"builders": [{"type": "virtualbox"}], "extra": 1}"#).unwrap();
    for program in [PACKER, OURS] {
        let checked = run_in(dir.path(), program, &["fix"], &[], &path);
        let said = checked.out + &checked.err;
        assert!(!checked.success && said.contains("key") && said.contains("extra"), "{program}: {said}");
        assert!(run_in(dir.path(), program, &["fix", "-validate=false"], &[], &path).success, "{program}");
    }
}

#[test]
fn builds_make_what_packer_makes() {
    let check = |case: &Case| {
        let theirs = built(PACKER, &case.path, &case.args);
        let ours = built(OURS, &case.path, &case.args);
        (theirs.is_err() || theirs != ours).then(|| format!("{}\n{theirs:#?}\n---\n{ours:#?}", case.name()))
    };
    none(cases("builds").iter().filter_map(check).collect());
}
