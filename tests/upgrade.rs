//! `hcl2_upgrade`: what it writes is read, planned and built as the legacy template is.

#![allow(clippy::unwrap_used)] // a test that cannot prepare itself has failed

mod cases;

use std::path::{Path, PathBuf};

use cases::{Case, OURS, PACKER, built, cases, none, run_in, workshop};
use serde_json::Value as Json;

/// A legacy template and its upgraded form, in a folder with the variable files.
struct Upgraded {
    dir: tempfile::TempDir,
    legacy: PathBuf,
    hcl2: PathBuf,
    legacy_args: Vec<String>,
    hcl2_args: Vec<String>,
}

fn upgrade(case: &Case) -> Upgraded {
    let dir = workshop(&case.path);
    let legacy = dir.path().join(case.path.file_name().unwrap());
    let hcl2 = PathBuf::from(format!("{}.pkr.hcl", legacy.display()));
    let ran = run_in(dir.path(), OURS, &["hcl2_upgrade"], &[], &legacy);
    assert!(ran.success && hcl2.exists(), "{}: {}{}", case.name(), ran.out, ran.err);
    let hcl2_args = case.args.iter().map(|arg| with_types(arg)).collect();
    Upgraded { dir, legacy, hcl2, legacy_args: case.args.clone(), hcl2_args }
}

/// `-only=a` of a legacy template is `-only=type.a` in HCL2; `-except=a` also names post-processors.
fn with_types(arg: &str) -> String {
    let Some((flag, names)) = arg.split_once('=').filter(|(flag, _)| matches!(*flag, "-only" | "-except")) else {
        return arg.to_owned();
    };
    let names: Vec<String> = names.split(',').map(|name| format!("*.{name},{name}")).collect();
    format!("{flag}={}", names.join(","))
}

impl Upgraded {
    fn plan(&self, template: &Path, args: &[String]) -> Json {
        let ran = run_in(self.dir.path(), OURS, &["inspect", "--json"], args, template);
        let document: Json = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out));
        document["plan"].clone()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.hcl2).unwrap()
    }
}

/// All that are accepted, but for three that HCL2 takes otherwise.
fn upgradable() -> Vec<Case> {
    let otherwise = |case: &Case| match case.name().as_str() {
        // `{{timestamp}}` has another form.
        "engine-functions" => true,
        // An error in HCL2.
        "variable-set-and-not-declared" => true,
        // In a variable file, null empties a legacy variable.
        "variable-file" => true,
        _ => false,
    };
    cases("accepted").into_iter().chain(cases("builds")).filter(|case| !otherwise(case)).collect()
}

/// What waits for the machine is shown in another way, and in HCL2 a text with a secret is one.
fn is_same(legacy: &Json, hcl2: &Json) -> bool {
    match (legacy, hcl2) {
        (Json::String(waiting), Json::String(_)) if waiting.contains("{{") => true,
        (Json::String(secret), Json::String(masked)) if masked == "<sensitive>" => secret.contains(masked),
        // Legacy JSON may write one value in the place of a list, and a number as text.
        (Json::String(_) | Json::Number(_), Json::Array(one)) if one.len() == 1 => is_same(legacy, &one[0]),
        (Json::String(digits), Json::Number(number)) => *digits == number.to_string(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        _ => legacy == hcl2,
    }
}

/// As HCL2 names builds.
fn with_typed_names(mut plan: Json) -> Json {
    for build in plan.as_array_mut().into_iter().flatten() {
        let name = format!("{}.{}", build["type"].as_str().unwrap(), build["name"].as_str().unwrap());
        build["name"] = name.into();
    }
    plan
}

#[test]
fn the_upgraded_template_is_accepted_with_the_same_plan() {
    let check = |case: &Case| {
        let upgraded = upgrade(case);
        let ran = run_in(upgraded.dir.path(), OURS, &["validate"], &upgraded.hcl2_args, &upgraded.hcl2);
        let legacy = with_typed_names(upgraded.plan(&upgraded.legacy, &upgraded.legacy_args));
        let hcl2 = upgraded.plan(&upgraded.hcl2, &upgraded.hcl2_args);
        let fine = ran.success && legacy.is_array() && is_same(&legacy, &hcl2);
        (!fine).then(|| format!("{}\n{}\n{}\n{legacy:#}\n{hcl2:#}", case.name(), upgraded.text(), ran.err))
    };
    let cases = upgradable();
    assert!(cases.len() >= 40);
    none(cases.iter().filter_map(check).collect());
}

#[test]
fn the_upgraded_template_builds_the_same() {
    let mut compared = 0;
    let mut check = |case: &Case| {
        // Two of its builds write the same file, and either may be the last.
        if case.name() == "several-builders" {
            return None;
        }
        // Some are there to be validated only.
        let legacy = built(OURS, &case.path, &case.args).ok().filter(|files| !files.is_empty())?;
        compared += 1;
        let upgraded = upgrade(case);
        let hcl2 = built(OURS, &upgraded.hcl2, &upgraded.hcl2_args);
        (hcl2.as_ref() != Ok(&legacy)).then(|| format!("{}\n{}\n{legacy:#?}\n{hcl2:#?}", case.name(), upgraded.text()))
    };
    none(upgradable().iter().filter_map(&mut check).collect());
    assert!(compared >= 20, "{compared}");
}

/// What came to HCL2 after Packer 1.6.6.
fn is_newer(case: &Case) -> bool {
    match case.name().as_str() {
        // Variables in the name that a build gives a source.
        "builder-names-are-rendered" | "builder-of-no-name-left" | "names" => true,
        // Sensitive locals, `error-cleanup-provisioner` and `legacy_isotime`.
        "awkward" | "error-cleanup-provisioner" | "variables-call-functions" => true,
        _ => false,
    }
}

#[test]
fn packer_accepts_what_it_knows_of_the_upgraded_template() {
    let check = |case: &Case| {
        let upgraded = upgrade(case);
        let ran = run_in(upgraded.dir.path(), PACKER, &["validate"], &upgraded.hcl2_args, &upgraded.hcl2);
        (ran.success == is_newer(case)).then(|| format!("{}\n{}\n{}{}", case.name(), upgraded.text(), ran.out, ran.err))
    };
    none(upgradable().iter().filter_map(check).collect());
}

#[test]
fn what_is_written_is_laid_out_as_fmt_does() {
    for case in upgradable() {
        let upgraded = upgrade(&case);
        let ran = run_in(upgraded.dir.path(), OURS, &["fmt", "-check"], &[], &upgraded.hcl2);
        assert!(ran.success, "{}\n{}{}", upgraded.text(), ran.out, ran.err);
    }
}

#[test]
fn the_file_to_write_can_be_named_and_annotated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.json");
    std::fs::write(&path, r#"{"builders": [{"type": "null", "communicator": "none"}]}"#).unwrap();
    let flags = ["hcl2_upgrade", "-output-file=out.pkr.hcl", "-with-annotations"];
    let ran = run_in(dir.path(), OURS, &flags, &[], &path);
    assert!(ran.success && ran.out == "Successfully created out.pkr.hcl.\n", "{}{}", ran.out, ran.err);
    let text = std::fs::read_to_string(dir.path().join("out.pkr.hcl")).unwrap();
    assert!(text.contains("# Each source says how one machine is made."), "{text}");
    assert!(!dir.path().join("t.json.pkr.hcl").exists());
    assert!(run_in(dir.path(), OURS, &["validate"], &[], Path::new("out.pkr.hcl")).success);
}

#[test]
fn what_cannot_be_upgraded_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, said) in [
        ("wrong.json", r#"{"builders": [{"name": "x"}]}"#, "wrong.json:1:"),
        ("new.pkr.hcl", "", "is HCL2 already"),
        ("-", "", "-output-file"),
        ("missing.json", "", "reading the template missing.json"),
    ] {
        if !text.is_empty() {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let ran = run_in(dir.path(), OURS, &["hcl2_upgrade"], &[], Path::new(name));
        assert!(!ran.success && ran.err.contains(said), "{name}: {}", ran.err);
        assert!(!dir.path().join(format!("{name}.pkr.hcl")).exists());
    }
}
