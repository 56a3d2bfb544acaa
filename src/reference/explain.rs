//! The documentation of what a name names: `qemu`, `qemu.disk_size`, `provisioner.shell.inline`.

use std::fmt::Write;

use bakehouse_api::diag::nearest;
use bakehouse_api::{Field, Shape};

use super::{Component, Role, components, default_text};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unknown {
    #[error("no component is called `{name}`")]
    Component { name: String, near: Option<String> },
    #[error("{component} has no option `{name}`")]
    Option { component: String, name: String, near: Option<String> },
    #[error("`{option}` has no options of its own: it is {shape}")]
    NoBlock { option: String, shape: String },
}

impl Unknown {
    /// The name that was meant, perhaps.
    pub fn near(&self) -> Option<&str> {
        match self {
            Unknown::Component { near, .. } | Unknown::Option { near, .. } => near.as_deref(),
            Unknown::NoBlock { .. } => None,
        }
    }
}

/// Every component, one line each.
pub fn list() -> String {
    let mut text = String::new();
    for component in components() {
        let _ = writeln!(text, "{:<32} {}", component.path(), component.schema.doc);
    }
    text
}

/// All that the name may mean: `shell-local` is a provisioner and a post-processor.
pub fn explain(name: &str) -> Result<String, Unknown> {
    let components = components();
    let mut steps: Vec<&str> = name.split('.').collect();
    let role = Role::ALL.into_iter().find(|role| role.word() == steps[0] && steps.len() > 1);
    if role.is_some() {
        steps.remove(0);
    }
    let in_role = |component: &&Component| role.is_none_or(|role| role == component.role);
    let meant: Vec<&Component> =
        components.iter().filter(in_role).filter(|component| component.schema.kind == steps[0]).collect();
    if meant.is_empty() {
        let known = components.iter().filter(in_role).map(|component| component.schema.kind.as_str());
        let near = nearest(steps[0], known).map(str::to_owned);
        return Err(Unknown::Component { name: steps[0].to_owned(), near });
    }
    let told: Vec<_> = meant.into_iter().map(|component| tell(component, &steps[1..])).collect();
    // What is an option of one and not of the other is told of the one.
    if told.iter().any(Result::is_ok) {
        return Ok(told.into_iter().flatten().collect::<Vec<_>>().join("\n"));
    }
    told.into_iter().collect::<Result<Vec<_>, _>>().map(|told| told.join("\n"))
}

fn tell(component: &Component, options: &[&str]) -> Result<String, Unknown> {
    let mut path = component.path();
    let mut fields = component.all_fields();
    let mut found: Option<Field> = None;
    for name in options {
        if let Some(option) = &found {
            fields = match block(&option.shape) {
                Some(fields) => fields.to_vec(),
                None => return Err(Unknown::NoBlock { option: path, shape: option.shape.to_string() }),
            };
        }
        let Some(field) = fields.iter().find(|field| field.names().any(|known| known == *name)) else {
            let near = nearest(name, fields.iter().flat_map(Field::names)).map(str::to_owned);
            return Err(Unknown::Option { component: path, name: (*name).to_owned(), near });
        };
        path = format!("{path}.{}", field.name);
        found = Some(field.clone());
    }
    Ok(match found {
        Some(field) => option(&path, &field),
        None => format!("{path}\n\n  {}\n\n{}", component.schema.doc, summary(&fields)),
    })
}

fn block(shape: &Shape) -> Option<&[Field]> {
    match shape {
        Shape::Block { fields, .. } => Some(fields),
        Shape::List(inner) | Shape::Map(inner) => block(inner),
        _ => None,
    }
}

fn option(path: &str, field: &Field) -> String {
    let mut text = format!("{path}\n\n");
    for line in wrapped(&field.doc, 90) {
        let _ = writeln!(text, "  {line}");
    }
    let needed = match default_text(field) {
        Some(default) => default,
        None if field.required => "none: the option is required".into(),
        None => "none: the option may be left out".into(),
    };
    let _ = writeln!(text, "\n  type     {}\n  default  {needed}", field.shape);
    if !field.aliases.is_empty() {
        let _ = writeln!(text, "  also     {}", field.aliases.join(", "));
    }
    if let Some(fields) = block(&field.shape) {
        let _ = write!(text, "\n{}", summary(fields));
    }
    text
}

/// A line for each option: its name and the first sentence about it.
fn summary(fields: &[Field]) -> String {
    let mut text = String::new();
    for field in fields {
        let required = if field.required { " Required." } else { "" };
        let _ = writeln!(text, "  {:<30} {}{required}", field.name, first_sentence(&field.doc));
    }
    text
}

fn first_sentence(doc: &str) -> &str {
    doc.find(". ").map_or(doc, |end| &doc[..=end])
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.len() - 1;
        if !lines[line].is_empty() && lines[line].chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            let space = if lines[line].is_empty() { "" } else { " " };
            lines[line].push_str(space);
            lines[line].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_told_with_its_type_and_default() {
        let told = explain("qemu.disk_size").unwrap();
        assert!(told.starts_with("builder.qemu.disk_size\n\n  Size of the main disk"), "{told}");
        assert!(told.contains("\n  default  40960M\n"), "{told}");
        assert!(explain("builder.qemu.qemu_img_args.create").unwrap().contains("list of strings"));
        assert!(explain("qemu.ssh_wait_timeout").unwrap().starts_with("builder.qemu.ssh_timeout"));
    }

    #[test]
    fn a_kind_of_two_roles_is_told_twice() {
        let told = explain("shell-local.command").unwrap();
        assert!(told.starts_with("provisioner.shell-local.command"), "{told}");
        assert!(told.contains("\npost-processor.shell-local.command"), "{told}");
        assert!(!explain("post-processor.shell-local.command").unwrap().contains("provisioner."));
        assert!(explain("shell-local.pause_before").unwrap().starts_with("provisioner.shell-local.pause_before"));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_one() {
        assert_eq!(explain("qmeu").unwrap_err().near(), Some("qemu"));
        let unknown = explain("qemu.disk_siez").unwrap_err();
        assert_eq!(unknown.to_string(), "builder.qemu has no option `disk_siez`");
        assert_eq!(unknown.near(), Some("disk_size"));
        let inner = explain("qemu.memory.size").unwrap_err();
        assert_eq!(inner.to_string(), "`builder.qemu.memory` has no options of its own: it is integer");
    }

    #[test]
    fn the_list_names_every_component() {
        assert!(list().contains("\nprovisioner.shell "));
    }
}
