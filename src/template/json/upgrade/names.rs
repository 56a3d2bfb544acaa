//! What the variables and builders of a legacy template are called in HCL2.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use bakehouse_api::Value;

use super::super::template::{Builder, Template};
use crate::template::interpolate::{Command, Operand, Part, Pipe, Term, called_with, parts};

/// How a variable of the legacy template becomes one of HCL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It must be set from outside.
    Required,
    /// Its default asks for nothing but the environment, as a default of HCL2 may.
    Plain,
    /// Its default needs a local.
    Computed,
    /// It is used, and empty while nobody sets it.
    Undeclared,
}

pub struct Names {
    variables: BTreeMap<String, (String, Sort)>,
    /// Variables that are empty while nobody sets them, or may be.
    empty: BTreeSet<String>,
    /// Variables that hold what the locals ask of the environment.
    pub environment: BTreeMap<String, String>,
    /// One for each builder.
    pub labels: Vec<String>,
    timestamp: String,
    /// Has something asked for the local that holds the time?
    pub timestamp_used: Cell<bool>,
}

impl Names {
    pub fn new(template: &Template) -> Self {
        let mut taken = BTreeSet::new();
        let mut variables = BTreeMap::new();
        let mut asked = BTreeSet::new();
        let mut empty = BTreeSet::new();
        for variable in &template.variables {
            let sort = variable.default.as_ref().map_or(Sort::Required, |default| sort(&default.text));
            if let (Sort::Computed, Some(default)) = (sort, &variable.default) {
                asked.extend(called_with("env", &default.text));
            }
            if variable.default.as_ref().is_some_and(|default| is_all_calls(&default.text)) {
                empty.insert(variable.name.clone());
            }
            variables.insert(variable.name.clone(), (distinct(&mut taken, &variable.name), sort));
        }
        for name in used(template) {
            variables.entry(name.clone()).or_insert_with(|| {
                empty.insert(name.clone());
                (distinct(&mut taken, &name), Sort::Undeclared)
            });
        }
        let name = |asked: String| (asked.clone(), distinct(&mut taken, &format!("env_{asked}")));
        let environment = asked.into_iter().map(name).collect();
        let timestamp = distinct(&mut taken, "timestamp");
        let labels = labels(&template.builders);
        Self { variables, empty, environment, labels, timestamp, timestamp_used: Cell::new(false) }
    }

    /// By their names in the legacy template.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str, Sort)> {
        self.variables.iter().map(|(name, (identifier, sort))| (name.as_str(), identifier.as_str(), *sort))
    }

    /// How the value of a variable is asked for.
    pub fn reference(&self, variable: &str) -> Option<String> {
        let (identifier, sort) = self.variables.get(variable)?;
        let root = if *sort == Sort::Computed { "local" } else { "var" };
        Some(format!("{root}.{identifier}"))
    }

    /// Is the text nothing but a variable that may be empty?
    pub fn is_maybe_empty(&self, text: &str) -> bool {
        is_all_calls(text) && called_with("user", text).iter().any(|name| self.empty.contains(name))
    }

    /// The local that holds the time of the start.
    pub fn timestamp(&self) -> &str {
        self.timestamp_used.set(true);
        &self.timestamp
    }
}

fn is_all_calls(text: &str) -> bool {
    parts(text)
        .is_ok_and(|parts| parts.is_some_and(|parts| parts.iter().all(|part| matches!(part, Part::Action { .. }))))
}

fn sort(default: &str) -> Sort {
    let Ok(Some(parts)) = parts(default) else { return Sort::Computed };
    let plain = parts.iter().all(|part| match part {
        Part::Text(_) => true,
        Part::Action { pipe, .. } => asks_environment(pipe),
    });
    if plain { Sort::Plain } else { Sort::Computed }
}

fn asks_environment(pipe: &Pipe) -> bool {
    let [Command { operands, .. }] = pipe.commands.as_slice() else { return false };
    let [Operand { term: Term::Function(function), .. }, Operand { term: Term::String(_), .. }] = operands.as_slice()
    else {
        return false;
    };
    function == "env"
}

/// The variables that something in the template asks for.
fn used(template: &Template) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut see = |text: &str| names.extend(called_with("user", text));
    template.builders.iter().for_each(|builder| see(&builder.name.text));
    template.variables.iter().filter_map(|variable| variable.default.as_ref()).for_each(|text| see(&text.text));
    template.options().for_each(|entry| texts(&entry.node.value, &mut see));
    names
}

fn texts(value: &Value, see: &mut dyn FnMut(&str)) {
    if let Some(text) = value.as_str() {
        see(text);
    }
    value.as_items().into_iter().flatten().for_each(|item| texts(item, see));
    for (name, field) in value.as_fields().into_iter().flatten() {
        see(name);
        texts(field, see);
    }
}

/// A builder keeps a name that HCL2 takes; sources of different types may share one.
fn labels<'t>(builders: &'t [Builder]) -> Vec<String> {
    let keeps = |builder: &&Builder| is_identifier(&builder.name.text);
    let mut taken: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for builder in builders.iter().filter(keeps) {
        taken.entry(&builder.kind).or_default().insert(builder.name.text.clone());
    }
    let mut label = |builder: &'t Builder| match keeps(&builder) {
        true => builder.name.text.clone(),
        false => distinct(taken.entry(&builder.kind).or_default(), &builder.name.text),
    };
    builders.iter().map(&mut label).collect()
}

pub fn is_identifier(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(inner)
}

/// The nearest name that HCL2 takes: one underscore for what it does not take.
pub fn identifier(name: &str) -> String {
    if is_identifier(name) {
        return name.to_owned();
    }
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let text = words.join("_");
    if is_identifier(&text) { text } else { format!("_{text}") }
}

fn distinct(taken: &mut BTreeSet<String>, name: &str) -> String {
    let first = identifier(name);
    let mut text = first.clone();
    let mut count = 1;
    while !taken.insert(text.clone()) {
        count += 1;
        text = format!("{first}_{count}");
    }
    text
}
