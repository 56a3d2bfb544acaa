use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bakehouse_api::{Body, Facts, Severity, Value};

use super::{LoadRequest, Loaded, load};
use crate::report::diagnostic::render;

mod data;
mod wrong;

/// A folder with files, and what to load from it.
struct Case {
    dir: tempfile::TempDir,
    request: LoadRequest,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let request = LoadRequest {
            path: ".".into(),
            config_type: None,
            vars: vec![],
            var_files: vec![],
            only: vec![],
            except: vec![],
            env: BTreeMap::new(),
            cwd: dir.path().into(),
            secrets: Default::default(),
            now: SystemTime::UNIX_EPOCH,
            warn_undeclared: true,
            fetch: None,
            data: vec![],
            services: None,
            unset_is_unknown: false,
            stdin: None,
        };
        Self { dir, request }
    }

    fn hcl(text: &str) -> Self {
        Self::new(&[("a.pkr.hcl", text)])
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.request.vars.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Loaded {
        load(&self.request)
    }

    /// Loads what has no errors.
    fn sound(&self) -> Loaded {
        let loaded = self.load();
        let shown = render(&loaded.diagnostics, &loaded.sources, false);
        assert!(loaded.plan.is_some() && !loaded.diagnostics.has_errors(), "{shown}");
        loaded
    }

    fn names(&self) -> Vec<String> {
        self.sound().plan.expect("is sound").builds.into_iter().map(|build| build.name).collect()
    }

    fn errors(&self) -> Vec<String> {
        self.load().diagnostics.0.into_iter().filter(|d| d.severity == Severity::Error).map(|d| d.summary).collect()
    }

    fn shown(&self) -> String {
        let loaded = self.load();
        assert!(loaded.plan.is_none());
        render(&loaded.diagnostics, &loaded.sources, false)
    }
}

fn entry(body: &Body, name: &str) -> Value {
    let entry = body.entries.iter().find(|entry| entry.name == name);
    entry.unwrap_or_else(|| panic!("no {name} in {:?}", body.entries)).node.value.clone()
}

fn text(value: &Value) -> String {
    crate::template::convert::to_text(value).expect("is simple")
}

const SMALL: &str = r#"
source "null" "a" {}
source "null" "b" {}
build {
  sources = ["source.null.a"]
}
build {
  name    = "web"
  sources = ["null.a", "source.null.b"]
  source "null.b" {
    name  = "c"
    extra = "${source.type}.${source.name}"
  }
}
"#;

#[test]
fn builds_and_their_names() {
    let case = Case::hcl(SMALL);
    assert_eq!(case.names(), ["null.a", "web.null.a", "web.null.b", "web.null.c"]);
    let plan = case.sound().plan.expect("is sound");
    let last = &plan.builds[3].source;
    assert_eq!(text(&entry(last, "extra")), "null.c");
    assert_eq!(
        (last.build.as_str(), last.build_name.as_str(), last.builder_type.as_str()),
        ("web.null.c", "c", "null")
    );
}

#[test]
fn only_and_except() {
    let mut case = Case::hcl(SMALL);
    case.request.only = vec!["web.*".into()];
    case.request.except = vec!["*.c,nothing".into()];
    assert_eq!(case.names(), ["web.null.a", "web.null.b"]);
}

#[test]
fn later_sources_of_values_win() {
    let template = r#"
variable "v" { default = "default" }
source "null" "a" { v = var.v }
build { sources = ["null.a"] }
"#;
    let mut case = Case::new(&[("a.pkr.hcl", template)]);
    let value = |case: &Case| text(&entry(&case.sound().plan.expect("is sound").builds[0].source, "v"));
    assert_eq!(value(&case), "default");
    case.request.env.insert("PKR_VAR_v".into(), "env".into());
    assert_eq!(value(&case), "env");
    let write = |name: &str, text: &str| std::fs::write(case.dir.path().join(name), text).expect("written");
    write("x.auto.pkrvars.json", "{\"v\": \"auto json\"}");
    write("x.auto.pkrvars.hcl", "v = \"auto hcl\"\n");
    assert_eq!(value(&case), "auto json");
    write("1.pkrvars.hcl", "v = \"one\"\n");
    write("2.pkrvars.json", "{\"v\": \"two\"}");
    case.request.var_files = vec!["1.pkrvars.hcl".into(), "2.pkrvars.json".into()];
    assert_eq!(value(&case), "two");
    case.request.var_files.reverse();
    assert_eq!(value(&case), "one");
    let case = case.var("v", "${literal}");
    assert_eq!(value(&case), "${literal}");
}

#[test]
fn values_of_other_types_are_expressions() {
    let template = r#"
variable "list" { type = list(number) }
variable "flag" { default = false }
variable "object" {
  type = object({ a = optional(string, "filled"), b = optional(object({ c = optional(bool, true) }), {}) })
}
variable "number" { default = 1 }
variables { simple = "x" }
source "null" "a" {
  all = jsonencode([var.list, var.flag, var.object, var.number, var.simple])
}
build { sources = ["null.a"] }
"#;
    let case = Case::hcl(template).var("list", "[\"1\", 2]").var("flag", "true").var("object", "{}").var("number", "7");
    let plan = case.sound().plan.expect("is sound");
    let all = text(&entry(&plan.builds[0].source, "all"));
    assert_eq!(all, r#"[[1,2],true,{"a":"filled","b":{"c":true}},7,"x"]"#);
}

#[test]
fn what_is_wrong_with_variables() {
    let case = Case::hcl(
        r#"
variable "unset" {}
variable "typed" { type = number }
variable "twice" { default = 1 }
variable "twice" { default = 2 }
variable "computed" { default = upper("x") }
variable "list" { type = list(string) }
variable "checked" {
  default = 3
  validation {
    condition     = var.checked > 5
    error_message = "It must be more than 5."
  }
}
"#,
    )
    .var("typed", "five")
    .var("list", "[\"a\"")
    .var("nope", "1");
    assert_eq!(
        case.errors(),
        [
            "variable `twice` is declared more than once",
            "a variable's default may only call `env`",
            "-var sets `nope`, and the template has no such variable",
            "the variable `unset` has no value",
            "the value of the variable `typed` does not fit its type: a number is required: `five` is not a number",
            "this `[` is never closed",
            "It must be more than 5.",
        ]
    );
}

#[test]
fn undeclared_values_of_a_file_are_a_warning() {
    let case = Case::new(&[("a.pkr.hcl", SMALL), ("x.auto.pkrvars.hcl", "nope = 1\n")]);
    let loaded = case.sound();
    assert_eq!(loaded.diagnostics.0[0].summary, "the template has no variable `nope`");
}

#[test]
fn secrets_are_learned() {
    let template = r#"
variable "password" { sensitive = true }
local "token" {
  sensitive  = true
  expression = "tok-1234"
}
locals { derived = "user:${var.password}" }
source "null" "a" { login = [local.derived] }
build { sources = ["null.a"] }
"#;
    let case = Case::hcl(template).var("password", "hush-hush");
    let loaded = case.sound();
    let known: Vec<String> = case.request.secrets.all().iter().map(|secret| secret.reveal().to_owned()).collect();
    assert_eq!(known, ["hush-hush", "user:hush-hush", "tok-1234"]);
    assert!(entry(&loaded.plan.expect("is sound").builds[0].source, "login").has_sensitive());
}

#[test]
fn locals_are_a_graph() {
    let chain: String = (0..3000).map(|i| format!("  l{i} = local.l{}\n", i + 1)).collect();
    let template = format!(
        "locals {{\n{chain}  l3000 = data.null.x.output\n}}\ndata \"null\" \"x\" {{ input = local.far }}\nlocals {{ far = \"end\" }}\n\
         source \"null\" \"a\" {{ v = local.l0 }}\nbuild {{ sources = [\"null.a\"] }}\n"
    );
    let plan = Case::hcl(&template).sound().plan.expect("is sound");
    assert_eq!(text(&entry(&plan.builds[0].source, "v")), "end");
}

#[test]
fn circles_are_shown() {
    let case = Case::hcl("locals {\n  a = local.b\n  b = \"${local.c}\"\n  c = [local.a]\n  d = local.a\n}\n");
    insta::assert_snapshot!(case.shown(), @r#"
    error: these values refer to each other in a circle
     --> a.pkr.hcl:2:3
      |
    2 |   a = local.b
      |   ^
    3 |   b = "${local.c}"
      |   - by way of this one
    4 |   c = [local.a]
      |   - by way of this one
      |
      = note: local.a -> local.b -> local.c -> local.a
    "#);
}

#[test]
fn an_iterator_hides_a_name_of_the_top_level() {
    let case = Case::hcl(
        r#"
source "null" "base" {}
build {
  dynamic "source" {
    for_each = { x = "1", y = "2" }
    labels   = ["source.null.base"]
    content {
      name = source.key
      v    = source.value
    }
  }
  provisioner "shell" { inline = [source.name] }
}
"#,
    );
    assert_eq!(case.names(), ["null.x", "null.y"]);
    let plan = case.sound().plan.expect("is sound");
    assert_eq!(text(&entry(&plan.builds[1].source, "v")), "2");
    let inline = plan.builds[1].provisioners[0].config.validate().expect("evaluates");
    assert_eq!(text(&entry(&inline, "inline").as_items().expect("a list")[0]), "y");
}

const STEPS: &str = r#"
source "null" "a" {}
source "null" "b" {}
build {
  sources = ["null.a", "null.b"]
  provisioner "shell" {
    name              = "first"
    inline            = ["echo ${build.Host} ${source.name}", build.name]
    pause_before      = "1m30s"
    max_retries       = 2
    timeout           = "5m"
    continue_on_error = true
    override = {
      b = { inline = ["other"], environment_vars = ["A=b"] }
    }
  }
  provisioner "file" {
    only        = ["null.a"]
    source      = "x"
    destination = "/tmp"
  }
  error-cleanup-provisioner "shell" { inline = ["rm"] }
  dynamic "provisioner" {
    for_each = ["x", "y"]
    labels   = ["shell-local"]
    iterator = each
    content {
      name   = each.value
      inline = ["${each.key} ${build.ID}"]
    }
  }
  post-processor "manifest" { except = ["null.b"] }
  post-processors {
    post-processor "compress" {
      output              = "${build.name}.gz"
      keep_input_artifact = true
    }
    post-processor "checksum" { name = "sum" }
    post-processor "manifest" {}
  }
}
"#;

#[test]
fn steps_and_their_common_options() {
    let plan = Case::hcl(STEPS).sound().plan.expect("is sound");
    let names = |i: usize| plan.builds[i].provisioners.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(0), ["first", "file", "x", "y"]);
    assert_eq!(names(1), ["first", "x", "y"]);
    let first = &plan.builds[0].provisioners[0];
    assert_eq!((first.kind.as_str(), first.max_retries, first.continue_on_error), ("shell", 2, true));
    assert_eq!((first.pause_before, first.timeout), (Duration::from_secs(90), Some(Duration::from_secs(300))));
    assert_eq!(plan.builds[0].on_error.as_ref().map(|step| step.kind.as_str()), Some("shell"));
    let chains = |i: usize| {
        let names =
            |chain: &Vec<crate::template::plan::PostStep>| chain.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        plan.builds[i].post.iter().map(names).collect::<Vec<_>>()
    };
    assert_eq!(chains(0), [vec!["manifest"], vec!["compress", "sum", "manifest"]]);
    assert_eq!(chains(1), [vec!["compress", "sum", "manifest"]]);
    assert_eq!(plan.builds[0].post[1][0].keep_input_artifact, Some(true));
    assert_eq!(plan.builds[0].post[1][1].keep_input_artifact, None);
}

#[test]
fn late_bodies_learn_what_the_machine_says() {
    let plan = Case::hcl(STEPS).sound().plan.expect("is sound");
    let config = &plan.builds[0].provisioners[0].config;
    let early = config.validate().expect("evaluates");
    assert!(early.has_unknown());
    assert!(early.entries.iter().all(|entry| entry.name == "inline"), "{:?}", early.entries);
    let facts = Facts::from([("Host".to_owned(), Value::from("10.0.0.9")), ("ID".to_owned(), Value::from("vm-1"))]);
    let inline = entry(&config.body(&facts).expect("evaluates"), "inline");
    let lines: Vec<String> = inline.as_items().expect("a list").iter().map(text).collect();
    assert_eq!(lines, ["echo 10.0.0.9 a", "a"]);
    let second = entry(&plan.builds[0].provisioners[3].config.body(&facts).expect("evaluates"), "inline");
    assert_eq!(text(&second.as_items().expect("a list")[0]), "1 vm-1");
}

#[test]
fn override_replaces_options_of_its_source() {
    let plan = Case::hcl(STEPS).sound().plan.expect("is sound");
    let body = plan.builds[1].provisioners[0].config.validate().expect("evaluates");
    assert_eq!(body.entries.len(), 2);
    assert_eq!(text(&entry(&body, "inline").as_items().expect("a list")[0]), "other");
}

#[test]
fn except_cuts_a_chain_at_the_post_processor_it_names() {
    let mut case = Case::hcl(STEPS);
    case.request.except = vec!["sum".into()];
    let plan = case.sound().plan.expect("is sound");
    assert_eq!(plan.builds[0].post.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn nested_blocks_and_their_places() {
    let template = "source \"null\" \"a\" {\n  disk {\n    size = 1\n  }\n  disk { size = 2 }\n  tags = { x = [1, \"y\"] }\n  \
                    dynamic \"net\" {\n    for_each = { a = 1, b = 2 }\n    content {\n      name = net.key\n      ip { v = net.value }\n      ip { v = 0 }\n    }\n  }\n}\n\
                    build { sources = [\"null.a\"] }\n";
    let loaded = Case::hcl(template).sound();
    let plan = loaded.plan.expect("is sound");
    let body = &plan.builds[0].source;
    let names: Vec<&str> = body.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["disk", "disk", "tags", "net", "net"]);
    let tags = &body.entries[2].node;
    let y = tags.fields().expect("an object")["x"].items().expect("a list")[1].span();
    assert_eq!(loaded.sources.place(y).expect("a place"), "a.pkr.hcl:6:20");
    let net = body.entries[4].node.fields().expect("an object");
    assert_eq!(text(&net["name"].value), "b");
    assert_eq!(net["ip"].items().expect("two").len(), 2);
}

#[test]
fn the_json_syntax_says_the_same() {
    let template = r#"{
  "//": "a comment",
  "variable": { "v": { "type": "list(string)", "default": ["x"] } },
  "locals": [{ "l": "${var.v[0]}-${upper(\"y\")}" }],
  "source": { "null": { "a": { "v": "${local.l}", "tags": { "k": [1, "${local.l}"] } }, "b": {} } },
  "build": {
    "sources": ["null.a", "null.b"],
    "provisioner": [
      { "shell": { "inline": ["echo ${build.ID}"], "only": ["null.a"] } },
      { "file": { "source": "x", "destination": "/tmp" } }
    ],
    "post-processors": [{ "post-processor": [{ "compress": {} }, { "manifest": {} }] }]
  }
}"#;
    let plan = Case::new(&[("a.pkr.json", template)]).sound().plan.expect("is sound");
    assert_eq!(text(&entry(&plan.builds[0].source, "v")), "x-Y");
    let kinds = |i: usize| plan.builds[i].provisioners.iter().map(|step| step.kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(0), ["shell", "file"]);
    assert_eq!(kinds(1), ["file"]);
    assert_eq!(plan.builds[0].post[0].len(), 2);
}

#[test]
fn legacy_json_is_read_too() {
    let case = Case::new(&[("t.json", r#"{"builders": [{"type": "null", "communicator": "none"}]}"#)]);
    let request = LoadRequest { path: "t.json".into(), ..case.request.clone() };
    assert_eq!(load(&request).plan.expect("is sound").builds[0].name, "null");
    let stdin = Some(r#"{"builders": [{"type": "null", "name": "x"}]}"#.into());
    let request = LoadRequest { path: "-".into(), stdin, ..case.request.clone() };
    assert_eq!(load(&request).plan.expect("is sound").builds[0].name, "x");
}

#[test]
fn missing_and_unreadable_files() {
    let case = Case::new(&[]);
    assert_eq!(case.errors(), ["there is no template in ."]);
    let case = Case::new(&[("a.pkr.hcl", SMALL)]);
    let request = LoadRequest { path: "b.pkr.hcl".into(), var_files: vec!["none".into()], ..case.request.clone() };
    let errors: Vec<String> = load(&request).diagnostics.0.into_iter().map(|d| d.summary).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("cannot read the template b.pkr.hcl: "), "{errors:?}");
    std::fs::write(case.dir.path().join("c.pkr.hcl"), b"a = \"\xff\"").expect("written");
    assert_eq!(case.errors(), ["the template c.pkr.hcl is not UTF-8: see byte 5"]);
}

#[test]
fn the_version_that_a_template_wants() {
    let template = |wanted: &str| format!("packer {{\n  required_version = \"{wanted}\"\n}}\n{SMALL}");
    Case::hcl(&template(">= 1.7.0")).sound();
    assert_eq!(Case::hcl(&template("< 1.10")).errors(), ["this template is for another version of Packer"]);
    assert_eq!(Case::hcl(&template("new")).errors(), ["`new` is no version constraint"]);
}
