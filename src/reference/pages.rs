//! The pages of docs/reference/: one for each component, one for what builders share, one for the functions.

use std::collections::BTreeMap;
use std::fmt::Write;

use bakehouse_api::{Field, Shape};

use super::{Component, Role, common, components, default_text, functions};

const NOTE: &str =
    "Written from the option structs: change those, then run `UPDATE_REFERENCE=1 cargo test --test reference`.";

/// Path below docs/reference/ -> text.
pub fn pages() -> BTreeMap<String, String> {
    let components = components();
    let shared = shared_sections(&components);
    let mut pages =
        BTreeMap::from([("README.md".to_owned(), index(&components)), ("functions.md".to_owned(), functions::page())]);
    for component in &components {
        let path = format!("{}s/{}.md", component.role.word(), component.schema.kind);
        pages.insert(path, page(component, &shared));
    }
    pages.insert("builders/common.md".into(), shared_page(&shared));
    for role in [Role::Provisioner, Role::PostProcessor] {
        let word = role.word();
        let text = format!("# Options of every {word}\n\n{NOTE}\n{}", table(&common::fields(role)));
        pages.insert(format!("{word}s/common.md"), text);
    }
    pages
}

fn index(components: &[Component]) -> String {
    let mut text = format!("# Reference\n\n{NOTE}\nNames and defaults are Packer's; what is ours is additive.\n");
    for role in Role::ALL {
        let word = role.word();
        let _ = writeln!(text, "\n## {}\n\n| type | |\n| --- | --- |", role.title());
        for Component { schema, .. } in components.iter().filter(|component| component.role == role) {
            let _ = writeln!(text, "| [{kind}]({word}s/{kind}.md) | {} |", cell(&schema.doc), kind = schema.kind);
        }
        let common = match role {
            Role::Builder => "What several builders share",
            Role::Provisioner | Role::PostProcessor => "What all of them have",
            Role::DataSource => continue,
        };
        let _ = writeln!(text, "\n{common}: [common options]({word}s/common.md).");
    }
    text.push_str("\n## More\n\n- [Functions](functions.md): what expressions can compute.\n");
    text.push_str("- [Events](events.md): what `build --events json` prints.\n");
    text
}

type Section = (&'static str, Vec<Field>);

/// The fields by section, those of the struct itself first, in the order they are written.
fn sections(fields: &[Field]) -> Vec<(Option<&'static str>, Vec<Field>)> {
    let mut sections: Vec<(Option<&'static str>, Vec<Field>)> = Vec::new();
    for field in fields {
        match sections.iter_mut().find(|(section, _)| *section == field.section) {
            Some((_, list)) => list.push(field.clone()),
            None => sections.push((field.section, vec![field.clone()])),
        }
    }
    sections
}

/// The sections that more than one builder has.
fn shared_sections(components: &[Component]) -> Vec<Section> {
    let builders = components.iter().filter(|component| component.role == Role::Builder);
    let mut counted: Vec<(Section, usize)> = Vec::new();
    for builder in builders {
        for (section, fields) in sections(&builder.schema.fields) {
            let Some(section) = section else { continue };
            match counted.iter_mut().find(|((known, _), _)| *known == section) {
                Some((_, count)) => *count += 1,
                None => counted.push(((section, fields), 1)),
            }
        }
    }
    counted.into_iter().filter(|(_, count)| *count > 1).map(|(section, _)| section).collect()
}

fn shared_page(shared: &[Section]) -> String {
    let mut text = format!("# Options that several builders share\n\n{NOTE}\n");
    for (section, fields) in shared {
        let _ = write!(text, "\n## {}\n{}", title(section), table(fields));
    }
    text
}

fn page(component: &Component, shared: &[Section]) -> String {
    let Component { role, schema } = component;
    let mut text = format!("# {} ({})\n\n{NOTE}\n\n{}\n", schema.kind, role.word(), schema.doc);
    let mut elsewhere = Vec::new();
    let shares = matches!(role, Role::Builder | Role::DataSource);
    for (section, fields) in sections(&schema.fields) {
        match section {
            None => text.push_str(&table(&fields)),
            Some(section) if shares && shared.iter().any(|(known, _)| *known == section) => {
                let title = title(section);
                let page = if *role == Role::Builder { "common.md" } else { "../builders/common.md" };
                elsewhere.push(format!("- [{title}]({page}#{})", anchor(&title)));
            }
            Some(section) => {
                let _ = write!(text, "\n## {}\n{}", title(section), table(&fields));
            }
        }
    }
    for field in &schema.fields {
        if let Shape::Block { doc, fields } = &field.shape {
            let _ = write!(text, "\n## The block `{}`\n\n{}\n{}", field.name, one_line(doc), table(fields));
        }
    }
    if !shares {
        elsewhere.push(format!("- [Options of every {}](common.md)", role.word()));
    }
    if !elsewhere.is_empty() {
        let _ = writeln!(text, "\n## Also\n\n{}", elsewhere.join("\n"));
    }
    text
}

/// What a struct says of itself, as a heading.
fn title(section: &str) -> String {
    one_line(section).trim_end_matches('.').to_owned()
}

/// The anchor that code hosts give a heading.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn table(fields: &[Field]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let mut text = "\n| option | type | default | |\n| --- | --- | --- | --- |\n".to_owned();
    for field in fields {
        let names: Vec<String> = field.names().map(|name| format!("`{name}`")).collect();
        let default = match default_text(field) {
            Some(default) => format!("`{default}`"),
            None if field.required => "required".into(),
            None => String::new(),
        };
        let shape = cell(&field.shape.to_string());
        let _ = writeln!(text, "| {} | {shape} | {} | {} |", names.join(", "), cell(&default), cell(&field.doc));
    }
    text
}

pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
