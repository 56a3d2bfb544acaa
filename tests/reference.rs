//! docs/reference/options.md is written from the option structs. `UPDATE_REFERENCE=1 cargo test --test
//! reference` writes it anew.
#![allow(clippy::unwrap_used)] // a test may panic

use std::fmt::Write;
use std::path::Path;

use bakehouse::{post, provision, registry};
use bakehouse_api::{Field, Schema};

#[test]
fn the_reference_says_what_the_structs_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/options.md");
    let text = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is out of date: UPDATE_REFERENCE=1 cargo test --test reference", path.display());
}

fn reference() -> String {
    let mut text = String::from(
        "# Options\n\nWritten from the option structs by tests/reference.rs: change the struct, not this page.\n\
         Names and defaults are Packer's; what is ours is additive.\n",
    );
    let builders: Vec<Schema> = registry::backends().iter().map(|backend| backend.schema()).collect();
    section(&mut text, "Builders", &builders);
    let provisioners: Vec<Schema> = provision::table().iter().map(|row| (row.schema)()).collect();
    section(&mut text, "Provisioners", &provisioners);
    let post_processors: Vec<Schema> = post::table().iter().map(|row| (row.schema)()).collect();
    section(&mut text, "Post-processors", &post_processors);
    text
}

fn section(text: &mut String, title: &str, schemas: &[Schema]) {
    let _ = writeln!(text, "\n## {title}");
    for schema in schemas {
        let doc = one_line(&schema.doc);
        let _ = writeln!(
            text,
            "\n### {}\n\n{doc}\n\n| option | type | default | |\n| --- | --- | --- | --- |",
            schema.kind
        );
        for field in &schema.fields {
            let _ = writeln!(text, "{}", row(field));
        }
    }
}

fn row(field: &Field) -> String {
    let names: Vec<String> = field.names().map(|name| format!("`{name}`")).collect();
    let default = match field.default {
        Some(default) => format!("`{}`", plain(default)),
        None if field.required => "required".into(),
        None => String::new(),
    };
    let cell = |text: &str| one_line(text).replace('|', "\\|");
    format!("| {} | {} | {default} | {} |", names.join(", "), cell(&field.ty), cell(&field.doc))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A default as a template would write it: `Duration::from_secs(300)` is 5m, `DiskFormat::Qcow2` qcow2.
fn plain(default: &str) -> String {
    let text = one_line(default);
    let text = text.trim_end_matches(".into()").trim_end_matches(".to_owned()").trim_end_matches(".to_string()");
    let number = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(')')?.parse::<u64>().ok();
    if let Some(seconds) = number("Duration::from_secs(") {
        return if seconds >= 60 && seconds % 60 == 0 { format!("{}m", seconds / 60) } else { format!("{seconds}s") };
    }
    if let Some(millis) = number("Duration::from_millis(") {
        return format!("{millis}ms");
    }
    match text {
        "String::new()" => "\"\"".into(),
        "Duration::ZERO" => "0s".into(),
        _ => match text.rsplit_once("::") {
            Some((_, variant)) if variant.chars().all(|c| c.is_alphanumeric()) => variant.to_lowercase(),
            _ => text.into(),
        },
    }
}
