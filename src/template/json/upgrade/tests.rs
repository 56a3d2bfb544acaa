use bakehouse_api::{Field, FileId, Shape};

use super::upgrade;
use crate::template::json::parse;

fn upgraded(json: &str) -> String {
    let (template, diagnostics) = parse(json, FileId(0));
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    upgrade(&template.unwrap(), false, &|_| Vec::new())
}

/// What becomes of one option of a builder, of a provisioner, and of a variable's default.
#[track_caller]
fn option(text: &str, expected: &str, place: fn(&str) -> String) {
    let upgraded = upgraded(&place(&serde_json::to_string(text).unwrap()));
    let lines: Vec<&str> = upgraded.lines().map(str::trim).filter(|line| line.starts_with("option ")).collect();
    assert_eq!(lines, [format!("option = {expected}")], "{upgraded}");
}

fn in_source(text: &str) -> String {
    format!(
        r#"{{"variables": {{"a": "1", "b": "{{{{user `a`}}}}", "c d": ""}}, "builders": [{{"type": "x", "option": {text}}}]}}"#
    )
}

fn in_step(text: &str) -> String {
    format!(r#"{{"builders": [{{"type": "x"}}], "provisioners": [{{"type": "y", "option": {text}}}]}}"#)
}

fn in_variable(text: &str) -> String {
    format!(r#"{{"builders": [{{"type": "x"}}], "variables": {{"option": {text}}}}}"#)
}

#[test]
fn calls_become_expressions() {
    for (text, expected) in [
        ("{{user `a`}}", "var.a"),
        ("{{user \"b\"}}-{{ user `c d` }}", r#""${local.b}-${var.c_d}""#),
        ("{{user `nobody`}}", "var.nobody"),
        ("{{timestamp}}", "local.timestamp"),
        ("{{isotime}} {{isotime `2006`}}", r#""${timestamp()} ${legacy_isotime("2006")}""#),
        ("{{strftime `%Y`}}", r#"legacy_strftime("%Y")"#),
        ("{{uuid}}", "uuidv4()"),
        ("{{template_dir}}/{{pwd}}", r#""${abspath(path.root)}/${path.cwd}""#),
        ("{{packer_version}}", "packer.version"),
        ("{{user `a` | upper}}", "upper(var.a)"),
        ("{{replace_all `-` `_` (user `a`)}}", r#"replace(var.a, "-", "_")"#),
        ("{{split (user `a`) `.` 1}}", r#"split(".", var.a)[1]"#),
        ("{{`x`}}y", r#""xy""#),
    ] {
        option(text, expected, in_source);
    }
    option("{{build `ID`}}", "build.ID", in_step);
    option("{{build_name}}.{{build_type}}", r#""${source.name}.${source.type}""#, in_step);
    option("{{vault `p` `k`}}", r#"var.option != null ? var.option : vault("p", "k")"#, in_variable);
    option("{{consul_key `k`}}", r#"var.option != null ? var.option : consul_key("k")"#, in_variable);
    option("{{env `X` | lower}}", "var.option != null ? var.option : lower(var.env_X)", in_variable);
}

#[test]
fn what_has_no_counterpart_stays_with_the_values_of_variables_in_it() {
    for (text, expected) in [
        ("{{.HTTPIP}}:{{ .HTTPPort }}", r#""{{.HTTPIP}}:{{ .HTTPPort }}""#),
        ("{{build_name}}", r#""{{build_name}}""#),
        ("{{if eq (user `a`) `1`}}x{{end}}", r#""{{if eq (`${var.a}`) `1`}}x{{end}}""#),
        ("{{user `a` | clean_resource_name}}", r#""{{`${var.a}` | clean_resource_name}}""#),
        ("{{replace_all `/a/` `b` `c`}}", r#""{{replace_all `/a/` `b` `c`}}""#),
        ("{{`{{`}}", r#""{{`{{`}}""#),
        ("{{build `ID`}}", r#""{{build `ID`}}""#),
        ("{{ not closed", r#""{{ not closed""#),
    ] {
        option(text, expected, in_source);
    }
    let noted = |text: &str| upgraded(&in_source(&format!("{text:?}"))).contains("# Here `{{ }}` calls stay");
    assert!(noted("{{printf `%s` `x`}}"));
    assert!(!noted("{{ .Name }} {{build_name}}"));
}

#[test]
fn text_that_hcl2_would_take_for_its_own_is_escaped() {
    for (text, expected) in [
        ("${a} %{b} $ {c}", r#""$${a} %%{b} $ {c}""#),
        ("$${{user `a`}}", r#""${"$$"}${var.a}""#),
        ("${{ .Path }}", r#""$${{ .Path }}""#),
        ("a\"\\\n\r\t\u{1}", r#""a\"\\\n\r\t\u0001""#),
    ] {
        option(text, expected, in_source);
    }
}

#[test]
fn names_that_hcl2_does_not_take_are_changed_and_stay_distinct() {
    let text = upgraded(
        r#"{"variables": {"a.b": "", "a b": "", "1": ""},
            "builders": [{"type": "x", "name": "a b"}, {"type": "x", "name": "a_b"}, {"type": "y", "name": "a_b"}],
            "provisioners": [{"type": "p", "only": ["a b", "nobody"]}]}"#,
    );
    for line in [
        "# Was \"1\".\nvariable \"_1\" {",
        "# Was \"a b\".\nvariable \"a_b\" {",
        "# Was \"a.b\".\nvariable \"a_b_2\" {",
        "source \"x\" \"a_b_2\" {}\n\nsource \"x\" \"a_b\" {}\n\nsource \"y\" \"a_b\" {}",
        "source \"source.x.a_b_2\" {\n    name = \"a b\"\n  }",
        "only = [\"x.a b\", \"nobody\"]",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_whole_template() {
    let whole = upgraded(
        r#"{
            "_comment": "Images of the shop.\nAsk Ann.",
            "description": "The shop",
            "min_packer_version": "v1.5.0",
            "variables": {
                "ami": null, "home": "{{env `HOME`}}/x", "region": "eu-west-1",
                "name": "shop-{{user `region`}}-{{timestamp}}", "key": "{{env `KEY` | lower}}"
            },
            "sensitive-variables": ["key"],
            "builders": [{
                "type": "amazon-ebs", "name": "shop {{user `region`}}", "ami_name": "{{user `name`}}",
                "source_ami_filter": {"filters": {"name": "debian-*", "tag:a b": "c"}, "owners": ["1", "2"]},
                "launch_block_device_mappings": [
                    {"device_name": "/dev/sda1", "volume_size": 20, "delete_on_termination": true}
                ],
                "metadata_options": {"http_tokens": "required"}, "tags": {"Name": "{{user `name`}}"},
                "spot_price": null
            }, {
                "type": "qemu", "qemuargs": [["-m", "1024"], ["-cpu", "host"]], "disk_size": "{{user `home`}}"
            }],
            "provisioners": [{
                "type": "shell", "inline": ["echo {{user `key`}}"], "only": ["shop {{user `region`}}"],
                "pause_before": 5, "max_retries": 2
            }, {
                "type": "shell", "script": "a.sh", "except": ["qemu"],
                "override": {"qemu": {"script": "b.sh", "environment_vars": ["A={{user `ami`}}"]}}
            }],
            "error-cleanup-provisioner": {"type": "shell-local", "inline": ["true"], "only": ["qemu"]},
            "post-processors": [
                "manifest",
                [{"type": "compress", "only": "qemu", "keep_input_artifact": true}, {"type": "vagrant", "name": "v"}]
            ]
        }"#,
    );
    insta::assert_snapshot!(whole);
}

/// The options of one component, of which each takes another type.
fn known(path: &str) -> Vec<Field> {
    let field = |name, shape| Field {
        name,
        aliases: &[],
        shape,
        default: None,
        required: false,
        doc: String::new(),
        section: None,
    };
    let list = |shape| Shape::List(Box::new(shape));
    let pair = || Shape::Block { doc: "", fields: vec![field("on", Shape::Bool)] };
    match path {
        "provisioner.y" => vec![
            field("list", list(Shape::Text)),
            field("bool", Shape::Bool),
            field("count", Shape::Integer { min: 0, max: 99 }),
            field("text", Shape::Text),
            field("block", list(pair())),
            field("objects", list(Shape::Map(Box::new(Shape::Text)))),
        ],
        _ => Vec::new(),
    }
}

#[test]
fn a_value_in_the_place_of_another_becomes_what_the_option_takes() {
    for (json, expected) in [
        (r#""list": "a""#, r#"list = ["a"]"#),
        (r#""list": "a,b""#, r#"list = ["a", "b"]"#),
        (r#""list": """#, "list = []"),
        (r#""list": {}"#, "list = []"),
        (r#""list": [1, true]"#, r#"list = [1, "1"]"#),
        (r#""list": "{{user `a`}}""#, r#"list = compact(split(",", var.a))"#),
        (r#""list": null"#, "list = null"),
        (r#""bool": 1"#, "bool = true"),
        (r#""bool": "T""#, "bool = true"),
        (r#""bool": """#, "bool = false"),
        (r#""bool": "{{user `a`}}""#, "bool = var.a"),
        (r#""bool": "{{user `empty`}}""#, r#"bool = coalesce(var.empty, "false")"#),
        (r#""count": "{{user `nobody`}}""#, r#"count = coalesce(var.nobody, "0")"#),
        (r#""text": "{{user `empty`}}""#, "text = var.empty"),
        (r#""count": "0x10""#, "count = 16"),
        (r#""count": true"#, "count = 1"),
        (r#""count": 2.9"#, "count = 2"),
        (r#""text": true"#, r#"text = "1""#),
        (r#""block": {"on": 1}"#, "block { on = true }"),
        (r#""block": [{"on": 0}]"#, "block { on = false }"),
        (r#""objects": [{"k": "v"}]"#, r#"objects = [{ k = "v" }]"#),
        (r#""unheard-of": "a,b""#, r#"unheard-of = "a,b""#),
    ] {
        let json = format!(
            r#"{{"variables": {{"a": "x", "empty": ""}}, "builders": [{{"type": "x"}}], "provisioners": [{{"type": "y", {json}}}]}}"#
        );
        let (template, diagnostics) = parse(&json, FileId(0));
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        let text = upgrade(&template.unwrap(), false, &known);
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.contains(&format!("provisioner \"y\" {{ {expected} }}")), "{expected}\n{text}");
    }
}
