//! Input that nobody meant: each piece of it ends in an error with its place, soon, and never in a panic.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bakehouse::report::diagnostic;
use bakehouse::template::load::{ConfigType, LoadRequest, Loaded, load};

/// What takes more than linear time or waits for something would not end within it, on the busiest machine.
const SOON: Duration = Duration::from_secs(600);

const HCL: &str = include_str!("../fuzz/seeds/hcl/whole.pkr.hcl");
const HCL_AS_JSON: &str = include_str!("bad_input/whole.pkr.json");
const LEGACY: &str = include_str!("../fuzz/seeds/json/whole.json");

/// Loads, and shows every finding with the lines that it is about.
fn judged(name: &str, text: &[u8]) -> (Loaded, String) {
    let start = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let loaded = load(&LoadRequest { path, config_type: None, ..LoadRequest::of_text("", ConfigType::Hcl2) });
    let shown = diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
    assert!(start.elapsed() < SOON, "{name} took {:?}", start.elapsed());
    (loaded, shown)
}

/// The errors, of which there is at least one; each has a place.
#[track_caller]
fn refused(name: &str, text: impl AsRef<[u8]>) -> String {
    let (loaded, shown) = judged(name, text.as_ref());
    assert!(loaded.plan.is_none() && loaded.diagnostics.has_errors(), "{name} is taken");
    for error in loaded.diagnostics.0.iter().filter(|finding| finding.severity == bakehouse_api::Severity::Error) {
        assert!(error.span.is_some(), "no place: {error:?}");
    }
    shown
}

#[track_caller]
fn taken(name: &str, text: impl AsRef<[u8]>) {
    let (loaded, shown) = judged(name, text.as_ref());
    assert!(loaded.plan.is_some(), "{shown}");
}

#[test]
fn every_beginning_of_a_template_in_hcl_is_taken_or_refused_with_a_place() {
    taken("whole.pkr.hcl", HCL);
    let mut sound = 0;
    for end in 0..HCL.len() {
        let (loaded, _) = judged("whole.pkr.hcl", &HCL.as_bytes()[..end]);
        match loaded.plan {
            Some(_) => sound += 1,
            None => drop(refused("whole.pkr.hcl", &HCL.as_bytes()[..end])),
        }
    }
    // Between its blocks a file may end.
    assert!((8..HCL.len() / 8).contains(&sound), "{sound} of {}", HCL.len());
}

#[test]
fn no_beginning_of_a_template_in_json_is_taken() {
    for (name, text) in [("whole.pkr.json", HCL_AS_JSON), ("whole.json", LEGACY)] {
        taken(name, text);
        for end in 0..text.trim_end().len() {
            refused(name, &text.as_bytes()[..end]);
        }
    }
}

#[test]
fn a_byte_that_is_no_text_is_shown_where_it_stands() {
    for (name, text) in [("t.pkr.hcl", HCL), ("t.pkr.json", HCL_AS_JSON), ("t.json", LEGACY)] {
        for at in [0, text.len() / 2, text.len() - 1] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = 0xff;
            let shown = refused(name, &bytes);
            assert!(shown.contains("is not UTF-8: see byte"), "{shown}");
        }
    }
}

#[test]
fn a_nul_byte_is_an_error_outside_of_texts() {
    for (name, text) in [("t.pkr.hcl", HCL), ("t.pkr.json", HCL_AS_JSON), ("t.json", LEGACY)] {
        refused(name, format!("\0{text}"));
        refused(name, format!("{text}\0"));
    }
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_change_nothing() {
    for (name, text) in [("t.pkr.hcl", HCL), ("t.pkr.json", HCL_AS_JSON), ("t.json", LEGACY)] {
        taken(name, format!("\u{feff}{text}"));
        taken(name, text.replace('\n', "\r\n"));
        taken(name, format!("\u{feff}{}", text.replace('\n', "\r\n")));
    }
}

#[test]
fn nothing_is_no_json_and_an_empty_template_in_hcl() {
    taken("t.pkr.hcl", "");
    taken("t.pkr.hcl", "\u{feff}\n# nothing\n");
    for name in ["t.json", "t.pkr.json"] {
        refused(name, "");
        refused(name, " \n");
    }
}

#[test]
fn ten_megabytes_are_read() {
    let line = |n: usize| format!("  l{n} = \"${{upper(\"text number {n}\")}} and more of it\"\n");
    let locals: String = (0..10_000_000 / 60).map(line).collect();
    assert!(locals.len() > 9_000_000);
    taken("t.pkr.hcl", format!("locals {{\n{locals}}}\n"));
    refused("t.pkr.hcl", format!("locals {{\n{locals}"));
    let step = |n: usize| format!(r#"{{"type": "shell-local", "inline": ["echo {{{{isotime}}}} {n}"]}},"#);
    let steps: String = (0..10_000_000 / 60).map(step).collect();
    let steps = steps.trim_end_matches(',');
    let builders = r#""builders": [{"type": "null", "communicator": "none"}]"#;
    taken("t.json", format!(r#"{{{builders}, "provisioners": [{steps}]}}"#));
    refused("t.json", format!(r#"{{{builders}, "provisioners": [{steps}"#));
}

#[test]
fn five_hundred_levels_are_taken_and_a_hundred_thousand_refused() {
    let hcl = |open: &str, middle: &str, close: &str, levels: usize| {
        format!("locals {{\n  a = {}{middle}{}\n}}\n", open.repeat(levels), close.repeat(levels))
    };
    for (open, middle, close) in
        [("[", "", "]"), ("(", "1", ")"), ("{ a = ", "1", " }"), ("upper(", "\"x\"", ")"), ("\"${", "1", "}\"")]
    {
        taken("t.pkr.hcl", hcl(open, middle, close, 500));
        let shown = refused("t.pkr.hcl", hcl(open, middle, close, 100_000));
        assert!(shown.contains("levels deep"), "{open}: {shown}");
    }
    let json = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    taken("t.pkr.json", format!(r#"{{"locals": {{"a": {}}}}}"#, json(500)));
    refused("t.pkr.json", format!(r#"{{"locals": {{"a": {}}}}}"#, json(100_000)));
    let legacy = |deep: &str| format!(r#"{{"builders": [{{"type": "foreign-thing", "x": {deep}}}]}}"#);
    taken("t.json", legacy(&json(500)));
    refused("t.json", legacy(&json(100_000)));
    for decode in ["jsondecode", "yamldecode"] {
        refused("t.pkr.hcl", format!("locals {{\n  a = {decode}(\"{}\")\n}}\n", json(100_000)));
    }
    let types = format!("{}string{}", "list(".repeat(100_000), ")".repeat(100_000));
    refused("t.pkr.hcl", format!("variable \"v\" {{\n  type = {types}\n}}\n"));
    for deep in ["(", "{{if true}}", "{{range .}}", "{{define \"x\"}}"] {
        let text = if deep == "(" { format!("{{{{{}", deep.repeat(100_000)) } else { deep.repeat(50_000) };
        let text = text.replace('"', "\\\"");
        refused("t.json", format!(r#"{{"variables": {{"a": "{text}"}}, "builders": [{{"type": "null"}}]}}"#));
    }
}

#[test]
fn values_that_grow_from_local_to_local_come_to_an_end() {
    let chain = |first: &str, next: &dyn Fn(&str) -> String, count: usize| {
        let line = |n: usize| format!("  a{n} = {}\n", next(&format!("local.a{}", n - 1)));
        format!("locals {{\n  a0 = {first}\n{}}}\n", (1..count).map(line).collect::<String>())
    };
    let deep = refused("t.pkr.hcl", chain("1", &|last| format!("[{last}]"), 20_000));
    assert!(deep.contains("nested more than 1000 levels deep"), "{deep}");
    let wide = refused("t.pkr.hcl", chain("1", &|last| format!("[{last}, {last}]"), 80));
    assert!(wide.contains("more than 10000000 parts"), "{wide}");
    let long = refused("t.pkr.hcl", chain("\"ab\"", &|last| format!("\"${{{last}}}${{{last}}}\""), 80));
    assert!(long.contains("more than 10000000 parts"), "{long}");
    taken("t.pkr.hcl", chain("1", &|last| format!("{last} + 1"), 20_000));

    let twice = |n: usize| format!(r#""a{n}": "{{{{user `a{0}`}}}}{{{{user `a{0}`}}}}","#, n - 1);
    let variables: String = (1..80).map(twice).collect();
    let text = format!(r#"{{"variables": {{{variables}"a0": "ab"}}, "builders": [{{"type": "null"}}]}}"#);
    let doubled = refused("t.json", text);
    assert!(doubled.contains("the text is longer than 64 MiB"), "{doubled}");
}

#[test]
fn circles_of_any_length_are_named() {
    assert!(refused("t.pkr.hcl", "locals {\n  a = local.a\n}\n").contains("local.a -> local.a"));
    let shown = refused(
        "t.pkr.hcl",
        "locals {\n  a = local.b\n  b = data.null.x.output\n}\ndata \"null\" \"x\" {\n  input = local.a\n}\n",
    );
    assert!(shown.contains("in a circle") && shown.contains("data.null.x"), "{shown}");
    let line = |n: usize| format!("  a{n} = local.a{}\n", (n + 1) % 20_000);
    let shown = refused("t.pkr.hcl", format!("locals {{\n{}}}\n", (0..20_000).map(line).collect::<String>()));
    assert!(shown.contains("19992 more") && shown.len() < 10_000, "{shown}");
    for variables in [r#""a": "{{user `a`}}""#, r#""a": "{{user `b`}}", "b": "{{user `a`}}""#] {
        let text =
            format!(r#"{{"variables": {{{variables}}}, "builders": [{{"type": "null", "communicator": "none"}}]}}"#);
        assert!(refused("t.json", text).contains("depends on itself"));
    }
}

struct Desk(tempfile::TempDir);

impl Desk {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            std::fs::write(desk.path(name), text).unwrap();
        }
        desk
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn validate(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bakehouse"));
        command.arg("validate").args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_clear().envs(env.iter().copied()).output().unwrap()
    }

    /// What is said of input that is refused.
    #[track_caller]
    fn refused(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let output = self.validate(args, env);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }
}

const VARIABLES: &str = "variable \"cpus\" {\n  type = number\n}\nvariable \"tags\" {\n  type = list(string)\n}\n";

#[test]
fn values_from_outside_of_the_wrong_type_are_told_with_their_origin() {
    let desk = Desk::new(&[("t.pkr.hcl", VARIABLES.as_bytes())]);
    let sound = ("PKR_VAR_tags", "[]");
    for (cpus, reason) in
        [("many", "a number is required"), ("", "a number is required"), ("1 2", "a number is required")]
    {
        let said = desk.refused(&["t.pkr.hcl"], &[("PKR_VAR_cpus", cpus), sound]);
        assert!(said.contains(reason) && said.contains("t.pkr.hcl:1:10"), "{cpus:?}: {said}");
    }
    for tags in ["a", "[", "[1, {}]", "[local.x]", "[\"a\"] [", "[file(\"x\")]", "[\"${\"]"] {
        let said = desk.refused(&["t.pkr.hcl"], &[("PKR_VAR_cpus", "1"), ("PKR_VAR_tags", tags)]);
        assert!(said.contains("<PKR_VAR_tags>:1:") || said.contains("t.pkr.hcl:4:10"), "{tags:?}: {said}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let desk = Desk::new(&[("t.pkr.hcl", b"locals {\n  a = 1\n}\n"), ("t.json", LEGACY.as_bytes())]);
    for folder in ["folder", "folder.json", "folder.pkr.hcl", "vars.pkrvars.hcl"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
    }
    for template in ["t.pkr.hcl", "t.json"] {
        for file in ["nowhere.pkrvars.hcl", "nowhere.json", "folder", "vars.pkrvars.hcl"] {
            let said = desk.refused(&["-var-file", file, template], &[]);
            assert!(said.contains(&format!("cannot read the file of variables {file}")), "{said}");
        }
    }
    for template in ["nowhere.pkr.hcl", "nowhere.json"] {
        assert!(desk.refused(&[template], &[]).contains(&format!("cannot read the template {template}")));
    }
    // A folder is a template of HCL2 whatever it is called; one within it is none of its files.
    for folder in ["folder", "folder.json", "folder.pkr.hcl"] {
        assert!(desk.refused(&[folder], &[]).contains(&format!("there is no template in {folder}")));
    }
    std::fs::create_dir(desk.path("folder/inner.pkr.hcl")).unwrap();
    std::fs::write(desk.path("folder/t.pkr.hcl"), "").unwrap();
    assert!(desk.validate(&["folder"], &[]).status.success());
}

#[test]
fn broken_files_of_variables_are_told_with_their_place() {
    let desk = Desk::new(&[
        ("t.pkr.hcl", VARIABLES.as_bytes()),
        ("t.json", LEGACY.as_bytes()),
        ("text.pkrvars.hcl", b"cpus = \xff\n"),
        ("open.pkrvars.hcl", b"cpus = [\n"),
        ("block.pkrvars.hcl", b"cpus {\n}\n"),
        ("call.pkrvars.hcl", b"cpus = upper(\"x\")\n"),
        ("name.pkrvars.hcl", b"cpus = local.x\n"),
        ("text.json", b"{\"cpus\": \"\xff\"}"),
        ("open.json", b"{\"cpus\": "),
        ("list.json", b"[1]"),
        ("empty.json", b""),
    ]);
    for file in ["text", "open", "block", "call", "name"] {
        let file = format!("{file}.pkrvars.hcl");
        let said = desk.refused(&["-var-file", &file, "t.pkr.hcl"], &[]);
        assert!(said.contains(&format!("{file}:1:")), "{file}: {said}");
    }
    for file in ["text.json", "open.json", "list.json", "empty.json"] {
        for template in ["t.pkr.hcl", "t.json"] {
            let said = desk.refused(&["-var-file", file, template], &[]);
            assert!(said.contains(&format!("{file}:1:")), "{template}, {file}: {said}");
        }
    }
}
