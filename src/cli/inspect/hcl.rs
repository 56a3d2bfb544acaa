//! A template in HCL2, in the form that Packer prints.

use std::fmt::Write;
use std::time::SystemTime;

use bakehouse_api::Value;
use bakehouse_api::value::Data;

use crate::report::machine_line;
use crate::template::hcl::config::{Config, Outline};

pub fn human(config: &Config) -> String {
    let mut text = String::from("Packer Inspect: HCL2 mode\n\n> input-variables:\n\n");
    for variable in &config.variables {
        let value = if variable.sensitive { "<sensitive>".into() } else { shown(&variable.value) };
        let _ = writeln!(text, "var.{}: {value}", variable.name);
    }
    text.push_str("\n> local-variables:\n\n");
    for local in &config.locals {
        let _ = writeln!(text, "local.{}: {}", local.name, shown(&local.value));
    }
    text.push_str("\n> builds:\n\n");
    for (index, build) in config.builds.iter().enumerate() {
        text.push_str(&outline(index, build));
    }
    text
}

fn outline(index: usize, build: &Outline) -> String {
    let name = build.name.clone().unwrap_or_else(|| format!("<unnamed build {index}>"));
    let mut text = format!("  > {name}:\n\n");
    if let Some(description) = &build.description {
        let _ = writeln!(text, "  > Description: {description}\n");
    }
    let mut list = |title: &str, items: &[String], none: &str| {
        let _ = writeln!(text, "    {title}:\n");
        for item in items.iter().map(String::as_str).chain(items.is_empty().then_some(none)) {
            let _ = writeln!(text, "      {item}\n");
        }
    };
    list("sources", &build.sources, "<no source>");
    list("provisioners", &build.provisioners, "<no provisioner>");
    let chain = |(at, chain): (usize, &Vec<String>)| format!("{at}:\n        {}", chain.join("\n        "));
    let chains: Vec<String> = build.post_processors.iter().enumerate().map(chain).collect();
    list("post-processors", &chains, "<no post-processor>");
    text
}

/// Packer's `template-variable`, `template-builder` and `template-provisioner` lines.
pub fn machine(config: &Config) -> String {
    let now = SystemTime::now();
    let mut lines = Vec::new();
    for variable in &config.variables {
        let (default, required) = match &variable.default {
            _ if variable.sensitive => ("<sensitive>".into(), "0"),
            Some(default) => (plain(default), "0"),
            None => (String::new(), "1"),
        };
        lines.push(machine_line(now, "", &["template-variable", &variable.name, &default, required]));
    }
    for build in &config.builds {
        for source in &build.sources {
            let kind = source.split('.').next().unwrap_or_default();
            lines.push(machine_line(now, "", &["template-builder", source, kind]));
        }
        for kind in &build.provisioners {
            lines.push(machine_line(now, "", &["template-provisioner", kind]));
        }
    }
    lines.join("\n")
}

/// A string without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| shown(value), str::to_owned)
}

/// A value as HCL writes it, on one line.
fn shown(value: &Value) -> String {
    if value.sensitive {
        return "<sensitive>".into();
    }
    let list = |items: &[Value]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match &value.data {
        Data::Unknown(_) => "<unknown>".into(),
        Data::Null(_) => "null".into(),
        Data::Bool(value) => value.to_string(),
        Data::Number(number) => number.to_string(),
        Data::String(text) => format!("{text:?}"),
        Data::List(_, items) | Data::Set(_, items) => format!("[{}]", list(items)),
        Data::Tuple(items) => format!("[{}]", list(items)),
        Data::Map(_, fields) => object(fields.iter()),
        Data::Object(fields) => object(fields.iter()),
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name} = {}", shown(value))).collect();
    format!("{{ {} }}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_are_written() {
        let secret = Value::from("pw").sensitive(true);
        let list = Value::tuple(vec![Value::from("a\"b"), Value::from(1), Value::null(), secret]);
        assert_eq!(shown(&list), r#"["a\"b", 1, null, <sensitive>]"#);
        let object = Value::object([("on".to_owned(), Value::from(true))].into());
        assert_eq!(shown(&object), "{ on = true }");
        assert_eq!(plain(&Value::from("x")), "x");
    }

    #[test]
    fn a_build_reads_as_in_packer() {
        let build = Outline {
            name: None,
            description: None,
            sources: vec!["null.n".into()],
            provisioners: vec![],
            post_processors: vec![vec!["manifest".into(), "checksum".into()]],
        };
        insta::assert_snapshot!(outline(1, &build), @r"
          > <unnamed build 1>:

            sources:

              null.n

            provisioners:

              <no provisioner>

            post-processors:

              0:
                manifest
                checksum
        ");
    }
}
