use bakehouse_api::value::Data;
use bakehouse_api::{Severity, SourceMap, Value};

use super::*;

fn request() -> Request {
    Request {
        root: "/templates".into(),
        cwd: "/home/me".into(),
        env: [("HOME".to_owned(), "/home/me".to_owned())].into(),
        now: SystemTime::UNIX_EPOCH,
        version: "1.10.0".into(),
        var_files: Vec::new(),
        vars: Vec::new(),
        warn_undeclared: true,
        only: Vec::new(),
        except: Vec::new(),
        secrets: Secrets::default(),
        services: None,
    }
}

/// Both steps in one: a plan comes only from a template without errors.
fn load(text: &str, file: FileId, request: &Request) -> (Option<Plan>, Diagnostics) {
    let (template, mut diagnostics) = parse(text, file);
    let Some(template) = template else { return (None, diagnostics) };
    let (plan, found) = super::plan(&template, request);
    diagnostics.extend(found);
    (Some(plan).filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// "line:column summary" of every finding.
fn findings(text: &str, request: &Request) -> Vec<String> {
    let mut sources = SourceMap::default();
    let file = sources.add("t.json", text);
    let (plan, diagnostics) = load(text, file, request);
    assert_eq!(plan.is_none(), diagnostics.has_errors());
    let place = |d: &Diagnostic| d.span.and_then(|span| sources.place(span)).unwrap_or_default();
    let show = |d: &Diagnostic| format!("{} {}", place(d).trim_start_matches("t.json:"), d.summary);
    diagnostics.0.iter().map(show).collect()
}

fn plan(text: &str, request: &Request) -> Plan {
    let (plan, diagnostics) = load(text, FileId(0), request);
    plan.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn rendered(body: &bakehouse_api::Body, name: &str) -> String {
    let entry = body.entries.iter().find(|entry| entry.name == name).expect(name);
    body.engine.render(entry.node.value.as_str().expect("a string"), &BTreeMap::new()).expect("renders")
}

#[test]
fn a_whole_template() {
    let text = r#"{
        "_comment": "anything",
        "min_packer_version": "1.6.0",
        "description": "A test.",
        "variables": {"user": "deb", "home": "{{env `HOME`}}", "where": "{{user `home`}}/{{user `user`}}", "size": null},
        "sensitive-variables": ["user"],
        "builders": [
            {"type": "qemu", "disk_size": "{{user `size`}}", "qemuargs": [["-m", "1G"]], "vga": {"on": true}},
            {"type": "qemu", "name": "{{user `user`}}-big"}
        ],
        "provisioners": [
            {"type": "shell", "inline": ["a"], "override": {"deb-big": {"inline": ["b"]}}, "pause_before": "10s", "max_retries": "2"},
            {"type": "file", "only": ["qemu"], "timeout": "1m", "destination": "{{user `where`}}/{{build_name}}-{{build `ID`}}"},
            {"type": "sleep", "except": ["qemu"]}
        ],
        "error-cleanup-provisioner": {"type": "shell-local"},
        "post-processors": ["manifest", {"type": "compress", "keep_input_artifact": true}, [{"type": "artifice", "name": "x"}, "checksum"]]
    }"#;
    let request = Request { vars: vec![("size".into(), "5G".into())], ..request() };
    let plan = plan(text, &request);
    let names: Vec<&str> = plan.builds.iter().map(|build| build.name.as_str()).collect();
    assert_eq!(names, ["qemu", "deb-big"]);
    let (small, big) = (&plan.builds[0], &plan.builds[1]);
    assert_eq!(rendered(&small.source, "disk_size"), "5G");
    assert_eq!(small.source.entries.len(), 3);
    assert_eq!(big.source.kind, "qemu");

    let kinds = |steps: &[crate::template::plan::Step]| steps.iter().map(|step| step.kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&small.provisioners), ["shell", "file"]);
    assert_eq!(kinds(&big.provisioners), ["shell", "sleep"]);
    let shell = &big.provisioners[0];
    assert_eq!((shell.pause_before.as_secs(), shell.max_retries), (10, 2));
    let body = shell.config.validate().expect("evaluates");
    assert_eq!(body.entries[0].node.value, Value::tuple(vec![Value::from("b")]));
    assert_eq!(small.provisioners[1].timeout.map(|timeout| timeout.as_secs()), Some(60));
    let late = &small.provisioners[1].config;
    assert_eq!(rendered(&late.validate().expect("evaluates"), "destination"), "/home/me/deb/qemu-unknown");
    let facts = [("ID".to_owned(), Value::from("vm-1"))].into();
    assert_eq!(rendered(&late.body(&facts).expect("evaluates"), "destination"), "/home/me/deb/qemu-vm-1");
    assert!(small.on_error.is_some());

    let chains: Vec<Vec<&str>> =
        small.post.iter().map(|chain| chain.iter().map(|post| post.name.as_str()).collect()).collect();
    assert_eq!(chains, [vec!["manifest"], vec!["compress"], vec!["x", "checksum"]]);
    assert_eq!(small.post[1][0].keep_input_artifact, Some(true));
    assert_eq!(request.secrets.len(), 1);
}

#[test]
fn nested_values_keep_their_places() {
    let text = "\u{feff}{\"builders\": [{\"type\": \"x\", \"a\": [{\"b\": 1.50}]}]}";
    let plan = plan(text, &request());
    let entry = &plan.builds[0].source.entries[0];
    let number = entry.node.spans.item(0).field("b").span;
    assert_eq!(&text[number.start as usize..number.end as usize], "1.50");
    let name = entry.name_span;
    assert_eq!(&text[name.start as usize..name.end as usize], "\"a\"");
    let value = &entry.node.value.as_items().expect("a list")[0].as_fields().expect("an object")["b"];
    assert!(matches!(&value.data, Data::Number(number) if number.to_string() == "1.5"));
}

#[test]
fn only_and_except_choose_builds_and_cut_chains() {
    let text = r#"{"builders": [{"type": "a"}, {"type": "b"}], "post-processors": [[{"type": "x"}, {"type": "y", "name": "why"}, "z"]]}"#;
    let names =
        |request: &Request| plan(text, request).builds.iter().map(|build| build.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&Request { only: vec!["b".into()], ..request() }), ["b"]);
    assert_eq!(names(&Request { except: vec!["b".into()], ..request() }), ["a"]);
    let cut = plan(text, &Request { except: vec!["why".into()], ..request() });
    assert_eq!(cut.builds[0].post[0].len(), 1);
    let gone = plan(text, &Request { except: vec!["x".into()], ..request() });
    assert!(gone.builds[0].post.is_empty());
}

#[test]
fn everything_wrong_is_found_at_once() {
    let text = r#"{
"builder": [],
"min_packer_version": "1.99.0",
"variables": {"a": ["x"], "need": null},
"builders": [
 {"type": "a", "type": "b"},
 {"type": "a", "name": "a"},
 {"name": "z"}
],
"provisioners": [
 {"type": "shell", "only": ["aa"], "pause_before": "soon"},
 {"type": "shell", "only": ["aa"], "except": ["a"], "override": {"b": {}}},
 "shell"
],
"post-processors": {},
"sensitive-variables": ["ned"]
}"#;
    assert_eq!(
        findings(text, &request()),
        [
            "6:16 `type` is set more than once",
            "2:1 a template has no key `builder`",
            "4:20 the variable `a` must be a string, and it is a list",
            "8:2 this builder needs a `type`",
            "12:46 only one of `only` and `except` can be set",
            "13:2 a provisioner must be an object, and this is a string",
            "15:20 `post-processors` must be a list, and it is an object",
            "3:23 this template needs Packer 1.99.0 or later, and the language here is that of 1.10.0",
            "4:27 the variable `need` has no value",
            "16:25 there is no variable `ned`",
            "7:24 there are two builders named `a`",
            "11:29 there is no builder named `aa`",
            "11:52 `soon` is not a duration",
            "12:29 there is no builder named `aa`",
            "12:66 there is no builder named `b`",
        ]
    );
}

#[test]
fn broken_files() {
    let table = [
        ("", "1:1 the file is empty"),
        ("[]", "1:1 a template must be an object"),
        (
            "{\"description\": \"a\tb\", \"builders\": [{\"type\": \"x\"}]}",
            "1:19 a string must not hold a control character as it is",
        ),
        ("{}", "1:1 a template needs at least one builder"),
    ];
    for (text, finding) in table {
        assert_eq!(findings(text, &request()), [finding], "{text}");
    }
    for text in ["{", "{\"a\": 1,}", "{// c\n}", "{'a': 1}", "{a: 1}", "{} x", "\u{feff}\u{feff}{}"] {
        let found = findings(text, &request());
        assert!(found.len() == 1 && found[0].contains("this is not valid JSON"), "{text}: {found:?}");
    }
    assert_eq!(findings(&"[".repeat(100_000), &request()).len(), 1);
}

#[test]
fn variables_that_fail() {
    let wrap = |variables: &str| format!(r#"{{"variables": {variables}, "builders": [{{"type": "null"}}]}}"#);
    let circle = wrap(r#"{"a": "{{user `b`}}", "b": "{{user `a`}}", "c": "{{user `a`}}"}"#);
    let depends = |name: &str| format!("the value of the variable `{name}` depends on itself");
    let found = findings(&circle, &request());
    assert_eq!(found.len(), 3);
    assert!(found[0].ends_with(&depends("a")) && found[1].ends_with(&depends("b")));
    let unknown = findings(&wrap(r#"{"a": "{{user `c`}}", "b": "{{user `a`}}"}"#), &request());
    assert_eq!(
        unknown,
        ["1:21 cannot render the variable `a`: there is no variable `c`; did you mean `a`? (at byte 2)"]
    );
}

#[test]
fn variable_files_come_before_var() {
    let text = r#"{"variables": {"a": "1", "b": "1", "c": "1"}, "builders": [{"type": "null", "x": "{{user `a`}}{{user `b`}}{{user `c`}}{{user `d`}}"}]}"#;
    let file =
        VarFile { file: FileId(1), text: r#"{"b": "2", "c": "2", "d": "2{{user `e`}}", "e": "5", "f": "6"}"#.into() };
    let request = Request { var_files: vec![file], vars: vec![("c".into(), "3".into())], ..request() };
    let (plan, diagnostics) = load(text, FileId(0), &request);
    assert_eq!(rendered(&plan.expect("loads").builds[0].source, "x"), "12325");
    assert_eq!(diagnostics.0.len(), 1, "what is asked for has its use");
    assert_eq!(diagnostics.0[0].severity, Severity::Warning);
    assert_eq!(diagnostics.0[0].summary, "the template does not declare a variable `f`");
}

#[test]
fn a_chain_of_many_variables_takes_no_time() {
    let link = |n: usize| format!("\"v{n}\": \"{{{{user `v{}`}}}}\"", n + 1);
    let chain: Vec<String> = (0..20_000).map(link).collect();
    let text = format!(
        r#"{{"variables": {{{}, "v20000": "end"}}, "builders": [{{"type": "null", "x": "{{{{user `v0`}}}}"}}]}}"#,
        chain.join(",")
    );
    let plan = plan(&text, &request());
    assert_eq!(rendered(&plan.builds[0].source, "x"), "end");
}

#[test]
fn what_packer_takes_and_is_likely_a_slip_is_warned_of() {
    let text = r#"{
"Builders": [{"type": "null", "x": {"{{user `a`}}": "{{user `b`}}"}, "name": 5}],
"variables": {"b1": "", "c": null},
"sensitive-variables": ["z"],
"provisioners": [{"type": "shell", "only": "5", "pause_before": 10}],
"push": {}
}"#;
    let request = Request { vars: vec![("c".into(), String::new())], ..request() };
    assert_eq!(
        findings(text, &request),
        [
            "6:1 `push` has no effect",
            "4:25 there is no variable `z`",
            "2:53 the template does not declare a variable `a`: it is empty here",
            "2:53 the template does not declare a variable `b`: it is empty here",
            "5:65 10 without a unit is 10 nanoseconds",
        ]
    );
}
