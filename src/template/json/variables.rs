//! User variables: defaults, then variable files, then `-var`; each may refer to others.

use std::collections::BTreeMap;

use bakehouse_api::decode::scalar_text;
use bakehouse_api::{Diagnostic, Diagnostics, Span};

use super::Request;
use super::read::{Item, read};
use crate::template::interpolate::{Engine, EngineCx};

struct Raw {
    text: String,
    span: Option<Span>,
}

pub fn resolve(root: &Item, request: &Request, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
    let declared: Vec<&str> = match root.get("variables").and_then(Item::entries) {
        Some(entries) => entries.iter().map(|(name, ..)| name.as_str()).collect(),
        None => Vec::new(),
    };
    let mut raw = defaults(root, diagnostics);
    for file in &request.var_files {
        let Some(item) = read(&file.text, file.file, diagnostics) else { continue };
        let Some(entries) = item.entries() else {
            diagnostics.push(Diagnostic::error("a variable file must be an object").at(item.span()));
            continue;
        };
        for (name, name_span, item) in entries {
            undeclared(name, Some(*name_span), &declared, diagnostics);
            raw.extend(value(name, item, diagnostics));
        }
    }
    for (name, text) in &request.vars {
        undeclared(name, None, &declared, diagnostics);
        raw.insert(name.clone(), Raw { text: text.clone(), span: None });
    }
    for (name, name_span, item) in root.get("variables").and_then(Item::entries).into_iter().flatten() {
        if !item.is_null() || raw.contains_key(name) {
            continue;
        }
        let hint = format!("give it one with -var {name}=... or in a -var-file");
        diagnostics.push(Diagnostic::error(format!("the variable `{name}` has no value")).at(*name_span).hint(hint));
        // Nothing that refers to it is wrong as well.
        raw.insert(name.clone(), Raw { text: String::new(), span: None });
    }
    let resolved = interpolate(raw, request, diagnostics);
    mark_sensitive(root, &resolved, request, diagnostics);
    resolved
}

fn defaults(root: &Item, diagnostics: &mut Diagnostics) -> BTreeMap<String, Raw> {
    let Some(variables) = root.get("variables") else { return BTreeMap::new() };
    let Some(entries) = variables.entries() else {
        let text = format!("`variables` must be an object, and it is {}", variables.kind_name());
        diagnostics.push(Diagnostic::error(text).at(variables.span()));
        return BTreeMap::new();
    };
    entries
        .iter()
        .filter(|(_, _, item)| !item.is_null())
        .filter_map(|(name, _, item)| value(name, item, diagnostics))
        .collect()
}

fn value(name: &str, item: &Item, diagnostics: &mut Diagnostics) -> Option<(String, Raw)> {
    let text = match item {
        Item::Scalar(node) => scalar_text(&node.value),
        _ => None,
    };
    match text {
        Some(text) => Some((name.to_owned(), Raw { text, span: Some(item.span()) })),
        None => {
            let text = format!("the variable `{name}` must be a string, and it is {}", item.kind_name());
            diagnostics.push(Diagnostic::error(text).at(item.span()));
            None
        }
    }
}

/// Packer takes them without a word, and templates rely on it.
fn undeclared(name: &str, span: Option<Span>, declared: &[&str], diagnostics: &mut Diagnostics) {
    if declared.contains(&name) {
        return;
    }
    let mut warning = Diagnostic::warning(format!("the template does not declare a variable `{name}`"));
    warning.span = span;
    diagnostics.push(warning.did_you_mean(name, declared.iter().copied()));
}

/// Variables whose values are known make others known, until all are or no more become so.
fn interpolate(
    raw: BTreeMap<String, Raw>,
    request: &Request,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut waiting = raw;
    let mut resolved = BTreeMap::new();
    loop {
        let engine = engine(request, resolved.clone());
        let mut known = Vec::new();
        for (name, raw) in &waiting {
            if let Ok(text) = engine.run(&raw.text, &BTreeMap::new()) {
                known.push((name.clone(), text));
            }
        }
        if known.is_empty() {
            break;
        }
        for (name, text) in known {
            waiting.remove(&name);
            resolved.insert(name, text);
        }
    }
    report(&waiting, &resolved, request, diagnostics);
    resolved.extend(waiting.into_keys().map(|name| (name, String::new())));
    resolved
}

fn report(
    waiting: &BTreeMap<String, Raw>,
    resolved: &BTreeMap<String, String>,
    request: &Request,
    diagnostics: &mut Diagnostics,
) {
    // With every name known, what still fails is wrong by itself; the rest wait for each other.
    let mut all = resolved.clone();
    all.extend(waiting.keys().map(|name| (name.clone(), String::new())));
    let engine = engine(request, all);
    let mut own_fault = false;
    let mut circle = Vec::new();
    for (name, raw) in waiting {
        match engine.run(&raw.text, &BTreeMap::new()) {
            Ok(_) => circle.push((name, raw)),
            Err(error) => {
                own_fault = true;
                let mut finding = Diagnostic::error(format!("cannot render the variable `{name}`: {error}"));
                finding.span = raw.span;
                diagnostics.push(finding);
            }
        }
    }
    if own_fault {
        return;
    }
    for (name, raw) in circle {
        let mut finding = Diagnostic::error(format!("the value of the variable `{name}` depends on itself"));
        finding.span = raw.span;
        diagnostics.push(finding);
    }
}

fn engine(request: &Request, user: BTreeMap<String, String>) -> Engine {
    Engine::new(EngineCx { env: Some(request.env.clone()), ..engine_cx(request, user) })
}

/// The engine of everything outside of a build.
pub fn engine_cx(request: &Request, user: BTreeMap<String, String>) -> EngineCx {
    EngineCx {
        user: Some(user),
        build_name: String::new(),
        build_type: String::new(),
        facts: None,
        root: request.root.clone(),
        cwd: request.cwd.clone(),
        version: request.version.clone(),
        now: request.now,
        env: None,
    }
}

fn mark_sensitive(root: &Item, resolved: &BTreeMap<String, String>, request: &Request, diagnostics: &mut Diagnostics) {
    let Some(list) = root.get("sensitive-variables") else { return };
    let Some(names) = list.items() else {
        diagnostics.push(Diagnostic::error("`sensitive-variables` must be a list of names").at(list.span()));
        return;
    };
    for item in names {
        match item.text().map(|name| (name, resolved.get(name))) {
            Some((_, Some(text))) => request.secrets.add(text),
            Some((name, None)) => {
                let unknown = Diagnostic::error(format!("there is no variable `{name}`")).at(item.span());
                diagnostics.push(unknown.did_you_mean(name, resolved.keys().map(String::as_str)));
            }
            None => diagnostics.push(Diagnostic::error("this must be the name of a variable").at(item.span())),
        }
    }
}
