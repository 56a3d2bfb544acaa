//! User variables: defaults, then variable files, then `-var`; each may refer to others.

use std::collections::{BTreeMap, VecDeque};

use bakehouse_api::{Diagnostic, Diagnostics, Span};

use super::Request;
use super::read::read;
use super::template::{Template, not_text};
use super::undeclared;
use crate::template::interpolate::{BuildFacts, Engine, EngineCx, EngineError, user_variables};

struct Raw {
    text: String,
    span: Option<Span>,
}

pub fn resolve(template: &Template, request: &Request, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
    let raw = raw(template, request, diagnostics);
    let resolved = interpolate(raw, request, diagnostics);
    for name in &template.sensitive {
        match resolved.get(&name.text) {
            Some(value) => request.secrets.add(value),
            None => {
                let unknown = Diagnostic::warning(format!("there is no variable `{}`", name.text)).at(name.span);
                diagnostics.push(unknown.did_you_mean(&name.text, resolved.keys().map(String::as_str)));
            }
        }
    }
    resolved
}

/// What each variable is set to, before anything is rendered.
fn raw(template: &Template, request: &Request, diagnostics: &mut Diagnostics) -> BTreeMap<String, Raw> {
    let mut raw = BTreeMap::new();
    for variable in &template.variables {
        if let Some(default) = &variable.default {
            raw.insert(variable.name.clone(), Raw { text: default.text.clone(), span: Some(default.span) });
        }
    }
    let declared = |name: &str| template.variables.iter().any(|variable| variable.name == name);
    let undeclared = |name: &str, span: Option<Span>| {
        let mut warning = Diagnostic::warning(format!("the template does not declare a variable `{name}`"));
        warning.span = span;
        warning.did_you_mean(name, template.variables.iter().map(|variable| variable.name.as_str()))
    };
    let mut strangers = Vec::new();
    for file in &request.var_files {
        let Some(item) = read(&file.text, file.file, diagnostics) else { continue };
        let Some(entries) = item.entries() else {
            diagnostics.push(Diagnostic::error("a variable file must be an object").at(item.span()));
            continue;
        };
        for (name, name_span, item) in entries {
            if request.warn_undeclared && !declared(name) {
                strangers.push((name.clone(), undeclared(name, Some(*name_span))));
            }
            if item.text().is_none() && !item.is_null() {
                diagnostics.push(not_text(name, item));
            }
            // Null empties a variable.
            let text = item.text().unwrap_or_default().to_owned();
            raw.insert(name.clone(), Raw { text, span: Some(item.span()) });
        }
    }
    for (name, text) in &request.vars {
        if !declared(name) {
            strangers.push((name.clone(), undeclared(name, None)));
        }
        raw.insert(name.clone(), Raw { text: text.clone(), span: None });
    }
    // What is asked for has its use, declared or not: Packer takes it, and templates rely on it.
    let mut used = undeclared::used(template);
    used.extend(raw.values().flat_map(|raw| user_variables(&raw.text)));
    diagnostics.0.extend(strangers.into_iter().filter(|(name, _)| !used.contains(name)).map(|(_, warning)| warning));
    for variable in &template.variables {
        let name = &variable.name;
        if raw.contains_key(name) {
            continue;
        }
        let hint = format!("give it one with -var {name}=... or in a -var-file");
        let missing = Diagnostic::error(format!("the variable `{name}` has no value")).at(variable.name_span);
        diagnostics.push(missing.hint(hint));
        // Nothing that refers to it is wrong as well.
        raw.insert(name.clone(), Raw { text: String::new(), span: None });
    }
    raw
}

/// Each after those that it refers to; those that wait for each other come last.
fn order(raw: &BTreeMap<String, Raw>) -> Vec<String> {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    let mut users: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut ready = VecDeque::new();
    for (name, raw) in raw {
        let needs = user_variables(&raw.text);
        if needs.is_empty() {
            ready.push_back(name.as_str());
        } else {
            waiting.insert(name, needs.len());
        }
        for need in needs {
            users.entry(need).or_default().push(name);
        }
    }
    let mut order = Vec::with_capacity(raw.len());
    while let Some(name) = ready.pop_front() {
        order.push(name.to_owned());
        for user in users.remove(name).unwrap_or_default() {
            let Some(missing) = waiting.get_mut(user) else { continue };
            *missing -= 1;
            if *missing == 0 {
                waiting.remove(user);
                ready.push_back(user);
            }
        }
    }
    order.extend(waiting.into_keys().map(str::to_owned));
    order
}

fn interpolate(
    raw: BTreeMap<String, Raw>,
    request: &Request,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let cx = EngineCx {
        env: Some(request.env.clone()),
        services: request.services.clone(),
        ..engine_cx(request, BTreeMap::new())
    };
    let mut engine = Engine::new(cx);
    let mut failed: Vec<(String, EngineError)> = Vec::new();
    let mut waiting = order(&raw);
    // A name that is itself computed is no edge of the order: such variables get another round.
    loop {
        let before = waiting.len();
        failed.clear();
        for name in std::mem::take(&mut waiting) {
            match engine.run(&raw[&name].text, &BTreeMap::new()) {
                Ok(text) => engine.set_variable(name, text),
                Err(error) => {
                    failed.push((name.clone(), error));
                    waiting.push(name);
                }
            }
        }
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for name in waiting {
        engine.set_variable(name, String::new());
    }
    report(&failed, &raw, &engine, diagnostics);
    engine.into_variables()
}

/// With every name known, what still fails is wrong by itself; the rest wait for each other.
fn report(
    failed: &[(String, EngineError)],
    raw: &BTreeMap<String, Raw>,
    engine: &Engine,
    diagnostics: &mut Diagnostics,
) {
    let mut own_fault = false;
    let mut circle = Vec::new();
    for (name, _) in failed {
        let raw = &raw[name];
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

/// The engine of everything outside of a build.
pub fn engine_cx(request: &Request, user: BTreeMap<String, String>) -> EngineCx {
    EngineCx {
        user: Some(user),
        build_name: String::new(),
        build_type: String::new(),
        facts: BuildFacts::Never,
        root: request.root.clone(),
        cwd: request.cwd.clone(),
        version: request.version.clone(),
        now: request.now,
        env: None,
        services: None,
    }
}
