//! To errors about options of older versions: that `fix` writes what took their place.

use std::collections::HashMap;

use bakehouse_api::{Diagnostics, FileId, SourceMap, Span};

use super::{fix, pretty};
use crate::template::json::read;

pub fn hint(findings: &mut Diagnostics, sources: &SourceMap) {
    let mut fixed: HashMap<FileId, Option<String>> = HashMap::new();
    for finding in &mut findings.0 {
        let Some(span) = finding.span else { continue };
        let Some(source) = sources.get(span.file) else { continue };
        let path = source.path.to_string_lossy();
        if !path.ends_with(".json") || path.ends_with(".pkr.json") {
            continue;
        }
        let Some(key) = key(&source.text, span) else { continue };
        let fixed = fixed.entry(span.file).or_insert_with(|| with_new_spellings(&source.text, span.file));
        if fixed.as_ref().is_some_and(|text| !text.contains(&format!("{key}:"))) {
            finding.hint = Some(format!("older versions had it: `bakehouse fix {path}` writes what took its place"));
        }
    }
}

/// The key of an object, with its quotes, that the span is about.
fn key(text: &str, span: Span) -> Option<&str> {
    let key = text.get(span.start as usize..span.end as usize)?;
    let rest = text.get(span.end as usize..)?;
    (key.starts_with('"') && rest.trim_start().starts_with(':')).then_some(key)
}

fn with_new_spellings(text: &str, file: FileId) -> Option<String> {
    let root = read::read(text, file, &mut Diagnostics::default())?;
    fix(&root).ok().as_ref().map(pretty)
}
