//! A legacy template, in the words of Packer: as it is written, with nothing evaluated.

use std::time::SystemTime;

use crate::report::machine_line;
use crate::template::json::template::{Builder, Template};

/// A line for people, and the event that programs get before it.
struct Line {
    text: String,
    event: Vec<String>,
}

pub fn human(template: &Template) -> String {
    let texts: Vec<String> = lines(template).into_iter().map(|line| line.text).collect();
    texts.join("\n")
}

pub fn machine(template: &Template) -> String {
    let now = SystemTime::now();
    let mut printed = Vec::new();
    for line in lines(template) {
        let event: Vec<&str> = line.event.iter().map(String::as_str).collect();
        if !event.is_empty() {
            printed.push(machine_line(now, "", &event));
        }
        printed.push(machine_line(now, "", &["ui", "say", &line.text]));
    }
    printed.join("\n")
}

fn lines(template: &Template) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |text: String| lines.push(Line { text, event: Vec::new() });
    say("Packer Inspect: JSON mode".into());
    if let Some(description) = template.description.as_deref().filter(|text| !text.is_empty()) {
        say("Description:\n".into());
        say(format!("{description}\n"));
    }
    lines.extend(variables(template));
    lines.extend(list("Builders:\n", "  <No builders>", builders(template)));
    let provisioner = |kind: &String| (format!("  {kind}"), vec!["template-provisioner".to_owned(), kind.clone()]);
    let provisioners = template.provisioners.iter().map(|step| provisioner(&step.kind)).collect();
    lines.extend(list("Provisioners:\n", "  <No provisioners>", provisioners));
    // The last list has no empty line of its own.
    lines.pop();
    lines.push(Line { text: NOTE.into(), event: Vec::new() });
    lines
}

const NOTE: &str = "\nNote: If your build names contain user variables or template\n\
    functions such as 'timestamp', these are processed at build time,\n\
    and therefore only show in their raw form here.";

type Row = (String, Vec<String>);

/// A heading, its rows, an empty line.
fn list(title: &str, none: &str, rows: Vec<Row>) -> Vec<Line> {
    let rows = if rows.is_empty() { vec![(none.to_owned(), Vec::new())] } else { rows };
    let mut lines = vec![Line { text: title.into(), event: Vec::new() }];
    lines.extend(rows.into_iter().map(|(text, event)| Line { text, event }));
    lines.push(Line { text: String::new(), event: Vec::new() });
    lines
}

fn variables(template: &Template) -> Vec<Line> {
    if template.variables.is_empty() {
        return list("Variables:\n", "  <No variables>", Vec::new());
    }
    let event = |name: &str, default: &str, required: &str| {
        vec!["template-variable".to_owned(), name.to_owned(), default.to_owned(), required.to_owned()]
    };
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    let with_default = template.variables.iter().filter(|variable| variable.default.is_some());
    let width = with_default.map(|variable| variable.name.len()).max().unwrap_or_default();
    for variable in &template.variables {
        let name = &variable.name;
        let Some(default) = &variable.default else {
            required.push((format!("  {name}"), event(name, "", "1")));
            continue;
        };
        let shown = if template.is_sensitive(name) { "<sensitive>" } else { &default.text };
        optional.push((format!("  {name:<width$} = {shown}"), event(name, shown, "0")));
    }
    let mut lines = Vec::new();
    if !required.is_empty() {
        lines.extend(list("Required variables:\n", "", required));
    }
    let mut with_defaults = list("Optional variables and their defaults:\n", "", optional);
    // Packer prints the heading even over nothing.
    with_defaults.retain(|line| !(line.text.is_empty() && line.event.is_empty()));
    lines.extend(with_defaults);
    lines.push(Line { text: String::new(), event: Vec::new() });
    lines
}

fn builders(template: &Template) -> Vec<Row> {
    let mut builders: Vec<&Builder> = template.builders.iter().collect();
    builders.sort_by(|a, b| a.name.text.cmp(&b.name.text));
    let width = builders.iter().map(|builder| builder.name.text.len()).max().unwrap_or_default();
    let row = |builder: &Builder| {
        let (name, kind) = (&builder.name.text, &builder.kind);
        let kind_shown = if name == kind { String::new() } else { format!(" ({kind})") };
        (format!("  {name:<width$}{kind_shown}"), vec!["template-builder".to_owned(), name.clone(), kind.clone()])
    };
    builders.into_iter().map(row).collect()
}
