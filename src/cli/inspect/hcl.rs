//! A template in HCL2, in the form that Packer prints.

use std::fmt::Write;
use std::time::SystemTime;

use crate::cli::printable::printable;
use crate::report::machine_line;
use crate::template::hcl::config::{Config, Outline};
use crate::template::printf::quote;

pub fn human(config: &Config) -> String {
    let mut text = format!("Packer Inspect: HCL2 mode\n\n{}", values(config));
    text.push_str("\n> builds:\n\n");
    for (index, build) in config.builds.iter().enumerate() {
        text.push_str(&outline(index, build));
    }
    text
}

/// Variables and locals.
pub fn values(config: &Config) -> String {
    let mut text = String::from("> input-variables:\n\n");
    let mut variables: Vec<_> = config.variables.iter().collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    for variable in variables {
        let _ = writeln!(text, "var.{}: {}", variable.name, quote(&printable(&variable.value)));
    }
    text.push_str("\n> local-variables:\n\n");
    for local in &config.locals {
        let _ = writeln!(text, "local.{}: {}", local.name, quote(&printable(&local.value)));
    }
    text
}

fn outline(index: usize, build: &Outline) -> String {
    let name = build.name.clone().unwrap_or_else(|| format!("<unnamed build {index}>"));
    let mut text = format!("  > {name}:\n\n");
    if let Some(description) = &build.description {
        let _ = writeln!(text, "  > Description: {description}\n");
    }
    let sources: Vec<String> = build.sources.iter().map(|source| format!("      {source}\n\n")).collect();
    let chain = |(at, chain): (usize, &Vec<String>)| format!("      {at}:\n        {}\n\n", chain.join("\n        "));
    let chains: Vec<String> = build.post_processors.iter().enumerate().map(chain).collect();
    let mut list = |title: &str, items: String, none: &str| {
        let items = if items.is_empty() { format!("      {none}\n\n") } else { items };
        let _ = write!(text, "    {title}:\n\n{items}");
    };
    list("sources", sources.concat(), "<no source>");
    let provisioners = build.provisioners.iter().map(|kind| format!("      {kind}\n")).collect::<String>();
    list("provisioners", if provisioners.is_empty() { provisioners } else { provisioners + "\n" }, "<no provisioner>");
    list("post-processors", chains.concat(), "<no post-processor>");
    text
}

/// Packer's `template-variable`, `template-builder` and `template-provisioner` lines.
pub fn machine(config: &Config) -> String {
    let now = SystemTime::now();
    let mut lines = Vec::new();
    for variable in &config.variables {
        let (default, required) = match &variable.default {
            _ if variable.sensitive => ("<sensitive>".into(), "0"),
            Some(default) => (printable(default), "0"),
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

#[cfg(test)]
mod tests {
    use super::*;

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
