use std::time::{Duration, SystemTime};

use bakehouse_api::Value;
use proptest::prelude::*;

use super::*;

fn cx() -> EngineCx {
    EngineCx {
        user: Some([("a".to_owned(), "1".to_owned())].into()),
        build_name: "debian".into(),
        build_type: "qemu".into(),
        facts: BuildFacts::Known([("ID".to_owned(), Value::from("vm-7")), ("Port".to_owned(), Value::from(22))].into()),
        root: "/templates".into(),
        cwd: "/home/me".into(),
        version: "1.2.3".into(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_580_738_706),
        env: None,
        services: None,
    }
}

fn render(text: &str) -> Result<String, EngineError> {
    let data = [("Vars", "A=1 "), ("Path", "/tmp/x.sh")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Engine::new(cx()).run(text, &data.into())
}

fn check(table: &[(&str, &str)]) {
    for (text, shown) in table {
        match render(text) {
            Ok(rendered) => assert_eq!(rendered, *shown, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn packers_functions() {
    check(&[
        ("plain } text", "plain } text"),
        ("chmod +x {{.Path}}; {{ .Vars }}{{.Path}}", "chmod +x /tmp/x.sh; A=1 /tmp/x.sh"),
        ("{{user `a`}}", "1"),
        ("{{build_name}}-{{build_type}}", "debian-qemu"),
        ("{{build `ID`}}:{{build \"Port\"}}", "vm-7:22"),
        ("{{timestamp}}", "1580738706"),
        ("{{isotime}}", "2020-02-03T14:05:06Z"),
        ("{{isotime \"2006-01-02\"}}", "2020-02-03"),
        ("{{strftime \"%Y%m\"}}", "202002"),
        ("{{pwd}} {{template_dir}} {{packer_version}}", "/home/me /templates 1.2.3"),
        ("{{split \"a-b\" \"-\" 1}}", "b"),
        ("{{replace \"a\" \"b\" 1 \"aaa\"}}", "baa"),
        ("{{replace_all \"a\" \"b\" \"aaa\"}}", "bbb"),
        ("{{\"abc\" | upper}}{{lower `X`}}", "ABCx"),
    ]);
    assert_eq!(render("{{uuid}}").map(|id| id.len()), Ok(36));
    let amazon = Engine::new(EngineCx { build_type: "amazon-ebs".into(), ..cx() });
    let cleaned = amazon.run("{{clean_resource_name `a b!c:d`}}", &BTreeMap::new());
    assert_eq!(cleaned, Ok("a b-c-d".into()));
}

/// As Packer 1.6.6 renders them.
#[test]
fn gos_language() {
    check(&[
        ("{{printf \"%05d-%s-%v-%q-%x\" 5 \"a\" true \"q\" \"hi\"}}", "00005-a-true-\"q\"-6869"),
        ("{{if eq \"a\" \"a\" \"b\"}}yes{{else}}no{{end}}", "yes"),
        ("{{if eq .Path \"x\"}}x{{else if eq .Vars \"y\"}}y{{else}}z{{end}}", "z"),
        ("{{len \"héé\"}} {{index \"abc\" 1}} {{slice \"abcdef\" 1 3}}", "5 98 bc"),
        ("{{and 1 0}} {{or 0 \"x\"}} {{not \"\"}}", "0 x true"),
        ("{{print 1 2 \"a\" \"b\" 3}}|{{println \"a\" 1}}", "1 2ab3|a 1\n"),
        ("{{1e6}} {{100000.0}} {{1e21}} {{0.000001}} {{12345678.0}}", "1e+06 100000 1e+21 1e-06 1.2345678e+07"),
        ("{{ 1.5 }} {{ 0x10 }} {{ true }} {{ 'a' }} {{ -3 }}", "1.5 16 true 97 -3"),
        ("{{/* c */}}x", "x"),
        ("a {{- \"b\" -}} c", "abc"),
        ("a {{- /* c */ -}} c", "ac"),
        ("{{ $x := \"q\" }}{{ $x }}{{ $x = \"r\" }}{{ $x }}", "qr"),
        ("{{ with \"a\" }}{{.}}{{else}}n{{end}}", "a"),
        ("{{lt 1 2}} {{ne \"a\" \"b\"}} {{gt \"b\" \"a\"}}", "true true true"),
        ("{{html \"<a>\"}} {{js \"\\\"a\"}} {{urlquery \"a b\"}}", "&lt;a&gt; \\\"a a+b"),
        ("{{user \"a\" | printf \"%s-%s\" \"x\"}}", "x-1"),
        ("{{(upper \"a\")}}{{(\"a\")}}", "Aa"),
        ("}}{{\"}}\"}}", "}}}}"),
        ("{{\"\\u00e9\\n\\x41\\101\"}}", "é\nAA"),
        ("{{range $k, $v := .}}{{$k}}={{$v}};{{end}}", "Path=/tmp/x.sh;Vars=A=1 ;"),
        ("{{range .}}{{.}}{{break}}{{end}}{{$.Path}}", "/tmp/x.sh/tmp/x.sh"),
        ("{{index . \"Path\"}} {{len .}}", "/tmp/x.sh 2"),
        ("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .Path}}{{template \"x\"}}", "</tmp/x.sh><<no value>>"),
        ("{{block \"x\" `a`}}{{.}}{{end}}{{template \"x\" 2}}", "a2"),
    ]);
}

#[test]
fn errors_say_what_and_where() {
    let table = [
        ("{{.Pth}}", 2, "there is no field `.Pth` here; did you mean `.Path`?"),
        ("ab {{ .Zebra }}", 6, "there is no field `.Zebra` here; there are .Path, .Vars"),
        ("{{.Path.X}}", 2, "a string has no field `X`"),
        ("{{ nope }}", 3, "there is no function `nope`"),
        ("{{ uper `a` }}", 3, "there is no function `uper`; did you mean `upper`?"),
        ("{{build `Prot`}}", 2, "the build has no `Prot`; did you mean `Port`?"),
        ("{{split `a-b` `-` 5}}", 2, "`a-b` has 2 parts, and no part 5"),
        ("{{upper}}", 2, "`upper` takes 1 arguments, and there are 0"),
        ("{{upper 1}}", 8, "`upper` needs a string here, and this is a whole number"),
        (
            "{{env `HOME`}}",
            2,
            "`env` works only in the `variables` of a template; give a variable this value and use it here",
        ),
        ("{{eq 1 1.0}}", 7, "`eq` cannot compare a whole number and a number"),
        ("{{ \"a", 3, "a string has no end"),
        ("{{`a", 2, "a `raw` string has no end"),
        ("x{{end", 1, "an action has no end `}}`"),
        ("{{if}}", 0, "a value is missing here"),
        ("{{if 1}}x", 0, "`if` has no `{{end}}` up to byte 9"),
        ("{{end}}", 0, "there is nothing open for `end`"),
        ("{{user`a`}}", 6, "a space is missing between `user` and ```"),
        ("{{break}}", 0, "`break` stands outside of a `range`"),
        ("{{ 5 + 5 }}", 5, "`+` is not a number"),
        ("{{range 3}}x{{end}}", 8, "`range` cannot go through a whole number"),
        ("{{$x}}", 2, "there is no variable `$x`"),
        ("{{(1}}", 2, "this parenthesis is not closed"),
        ("{{template \"x\"}}", 0, "there is no template `x`"),
        ("{{define \"x\"}}y", 0, "`define` has no `{{end}}` up to byte 15"),
        ("{{if 1}}{{define \"x\"}}{{end}}{{end}}", 8, "`define` stands outside of everything else"),
        (
            "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
            14,
            "templates include each other more than 64 times",
        ),
        (
            "{{vault `a` `b`}}",
            2,
            "`vault` works only in the `variables` of a template; give a variable this value and use it here",
        ),
        ("{{printf \"%d\" \"a\"}}", 14, "`%d` cannot show a string"),
        (
            "{{clean_resource_name `a`}}",
            2,
            "builder `qemu` has no rule for names that `clean_resource_name` could follow",
        ),
    ];
    for (text, at, reason) in table {
        assert_eq!(render(text), Err(EngineError::new(at, reason)), "{text}");
    }
    assert_eq!(EngineError::new(3, "no").to_string(), "no (at byte 3)");
}

#[test]
fn facts_are_unknown_until_the_machine_runs() {
    let validating = Engine::new(EngineCx { facts: BuildFacts::Later, ..cx() });
    assert_eq!(validating.run("{{build `Whatever`}}", &BTreeMap::new()), Ok("unknown".into()));
    let builder = Engine::new(EngineCx { facts: BuildFacts::Never, ..cx() });
    let error = builder.run("{{build `ID`}}", &BTreeMap::new()).expect_err("a builder knows no machine");
    assert!(error.text.starts_with("`build` works only in provisioners"), "{error}");
}

#[test]
fn variables_can_ask_the_environment() {
    let engine = Engine::new(EngineCx { env: Some([("A".to_owned(), "b".to_owned())].into()), ..cx() });
    assert_eq!(engine.run("{{env `A`}}{{env `B`}}", &BTreeMap::new()), Ok("b".into()));
    let error = engine.run("{{user `b`}}", &BTreeMap::new()).expect_err("variables know each other");
    assert_eq!(error.text, "there is no variable `b`; did you mean `a`?");
}

#[test]
fn elsewhere_an_undeclared_variable_is_empty() {
    check(&[("<{{user `b`}}>", "<>")]);
}

#[test]
fn an_option_without_fields_shows_no_value() {
    let render = |text: &str| Engine::new(cx()).run(text, &BTreeMap::new());
    assert_eq!(render("{{.Vars}} {{.A.B}} {{.}} {{print .}}"), Ok("<no value> <no value> <no value> <nil>".into()));
    assert_eq!(render("{{if .A}}a{{else}}b{{end}}{{range .L}}c{{else}}d{{end}}"), Ok("bd".into()));
    assert!(render("{{len .}}").is_err());
}

#[test]
fn an_option_of_a_step_may_name_facts_like_fields() {
    let engine = |facts| Engine::new(EngineCx { facts, ..cx() });
    let known = engine(BuildFacts::Known([("Host".to_owned(), "10.0.2.15".into())].into()));
    let render = |engine: &Engine| engine.run("{{.Host}}|{{ .WinRMPassword }}|{{.Vars}}", &BTreeMap::new());
    assert_eq!(render(&known), Ok("10.0.2.15||<no value>".into()));
    assert_eq!(render(&engine(BuildFacts::Later)), Ok("unknown|unknown|<no value>".into()));
    assert_eq!(render(&engine(BuildFacts::Never)), Ok("<no value>|<no value>|<no value>".into()));
    let own = [("Host".to_owned(), "the option's".to_owned())].into();
    assert_eq!(known.run("{{.Host}}", &own), Ok("the option's".into()));
}

#[test]
fn the_build_is_known_within_a_build_only() {
    let engine = Engine::new(EngineCx { build_name: String::new(), ..cx() });
    let error = engine.run("{{build_name}}", &BTreeMap::new()).expect_err("no build");
    assert_eq!(error.text, "`build_name` is known within a build only");
}

#[test]
fn hcl_templates_are_told_about_var() {
    let engine = Engine::new(EngineCx { user: None, ..cx() });
    let error = engine.run("{{user `a`}}", &BTreeMap::new()).expect_err("no user variables");
    assert_eq!(error.text, "`user` belongs to JSON templates; in HCL2 this is `${var.a}`");
}

#[test]
fn loops_within_loops_come_to_an_end() {
    let text = "{{range $}}".repeat(60) + "x" + &"{{end}}".repeat(60);
    let error = render(&text).expect_err("too many steps");
    assert_eq!(error.text, "this goes on for more than 100000 steps");
}

/// Another implementation of the same language.
#[test]
fn agrees_with_gotmpl() {
    let texts = [
        "{{if and true (not false)}}a{{end}}",
        "{{with $x := \"v\"}}{{$x}}{{.}}{{end}}",
        "a\n {{- 1}} b {{2 -}}\n c",
        "{{printf \"%-6s|%6.2f|%+d|%x|%t\" \"ab\" 3.14159 5 255 true}}",
        "{{if 0}}a{{else if \"\"}}b{{else}}c{{end}}",
        "{{le 1 1}}{{ge 2 3}}{{ne 1 2}}{{eq 1 2 1}}",
        "{{print \"a\" 1 2 true \"b\"}}",
        "{{html \"a<b>&'\\\"\"}}{{urlquery \"a/b?c\"}}",
        "{{slice \"hello\" 2}}{{index \"abc\" 0}}{{len \"abc\"}}",
        "{{- /* gone */ -}} x {{- `y` }}",
        "{{(printf \"%s\" \"a\") | len}}",
        "{{define \"x\"}}{{if .}}{{.}}{{else}}-{{end}}{{end}}{{template \"x\" 1}}{{template \"x\"}}{{block \"y\" \"z\"}}{{.}}{{end}}",
    ];
    for text in texts {
        let data = gotmpl::Value::Map(Default::default());
        let theirs = gotmpl::Template::new("t").parse(text).and_then(|template| template.execute_to_string(&data));
        let ours = Engine::new(cx()).run(text, &BTreeMap::new());
        assert_eq!(ours.map_err(|e| e.to_string()), theirs.map_err(|e| e.to_string()), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_rendered_or_refused(text in "\\PC{0,80}") {
        let _ = render(&text);
    }

    #[test]
    fn any_soup_of_pieces_is_rendered_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{{-", "-}}", " ", "if", "else", "end", "range", "with", "break", "$x", ":=", "=", ",", ".", ".Path",
            "(", ")", "|", "\"", "`", "'", "\\u00", "\\", "é", "1", "-", "0x", ".5", "1e999", "/*", "*/", "printf", "\"%5s\"",
            "\"%[9]d\"", "slice", "index", "eq", "build", "split", "replace", "isotime", "$", "nil", "and", "strftime", "\"%\"",
        ]), 0..24),
    ) {
        if let Err(error) = render(&pieces.concat()) {
            prop_assert!(error.at <= pieces.concat().len());
        }
    }
}
