//! What a template declares, by kind of block, and what came of it: for planning and for `inspect`.

use std::collections::HashMap;
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Diagnostics, Span, Type, Value};

use super::syntax::{Block, Body, Name};
use crate::template::eval::{Expanded, Scope};
use crate::template::functions::CallCx;
use crate::template::plan::Plugin;

/// What was read and evaluated.
#[derive(Debug)]
pub struct Config {
    pub plugins: Vec<Plugin>,
    pub variables: Vec<Variable>,
    pub locals: Vec<Local>,
    pub sources: Vec<Source>,
    pub builds: Vec<Outline>,
    /// What names mean at the top level, for `console`.
    pub scope: Scope,
    pub host: Arc<CallCx>,
}

impl Config {
    /// Of a template that declares nothing.
    pub fn new(scope: Scope, host: Arc<CallCx>) -> Self {
        let (plugins, variables, locals, sources, builds) = Default::default();
        Self { plugins, variables, locals, sources, builds, scope, host }
    }
}

#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub ty: Type,
    pub description: Option<String>,
    pub sensitive: bool,
    pub default: Option<Value>,
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub struct Source {
    pub kind: String,
    pub name: String,
    pub block: Expanded,
}

/// A `build` block in a few words.
#[derive(Clone, Debug)]
pub struct Outline {
    pub name: Option<String>,
    pub description: Option<String>,
    /// "qemu.debian"
    pub sources: Vec<String>,
    pub provisioners: Vec<String>,
    pub post_processors: Vec<Vec<String>>,
}

/// Blocks of all files, by kind. `source` and `build` are expanded later, when values are known.
#[derive(Debug, Default)]
pub struct Blocks {
    pub packer: Vec<Arc<Block>>,
    pub variable: Vec<Arc<Block>>,
    pub variables: Vec<Arc<Block>>,
    pub local: Vec<Arc<Block>>,
    pub locals: Vec<Arc<Block>>,
    pub data: Vec<Arc<Block>>,
    /// `source`, `build` and the `dynamic` blocks that make them.
    pub late: Body,
}

const KINDS: [&str; 10] = [
    "packer",
    "source",
    "variable",
    "variables",
    "local",
    "locals",
    "data",
    "build",
    "communicator",
    "hcp_packer_registry",
];

impl Blocks {
    pub fn collect(bodies: &[Body], diagnostics: &mut Diagnostics) -> Self {
        let mut blocks = Self::default();
        for body in bodies {
            for attribute in body.attributes() {
                let name = &attribute.name;
                let error =
                    Diagnostic::error(format!("`{}` is no block: nothing can be set at the top level", name.text));
                diagnostics.push(error.at(name.span).hint("values that are used again stand in `locals { ... }`"));
            }
            body.blocks().for_each(|block| blocks.add(block, diagnostics));
        }
        blocks
    }

    fn add(&mut self, block: &Arc<Block>, diagnostics: &mut Diagnostics) {
        let kind = block.kind.text.as_str();
        let (labels, list): (&[&str], _) = match kind {
            "packer" => (&[], &mut self.packer),
            "variable" => (&["name"], &mut self.variable),
            "variables" => (&[], &mut self.variables),
            "local" => (&["name"], &mut self.local),
            "locals" => (&[], &mut self.locals),
            "data" => (&["type", "name"], &mut self.data),
            "source" | "build" | "dynamic" => {
                self.late.items.push(super::syntax::Item::Block(block.clone()));
                return;
            }
            // Packer reads these and does nothing with them either.
            "communicator" | "hcp_packer_registry" => return,
            _ => {
                let error = Diagnostic::error(format!("there is no block `{kind}`")).at(block.kind.span);
                diagnostics.push(error.did_you_mean(kind, KINDS));
                return;
            }
        };
        if check_labels(&block.kind, &block.labels, labels, diagnostics) {
            list.push(block.clone());
        }
    }
}

/// Reports too few or too many labels.
pub fn check_labels(kind: &Name, labels: &[Name], needed: &[&str], diagnostics: &mut Diagnostics) -> bool {
    if let Some(extra) = labels.get(needed.len()) {
        let what =
            if needed.is_empty() { "no label".to_owned() } else { format!("only its {}", needed.join(" and its ")) };
        diagnostics.push(Diagnostic::error(format!("`{}` takes {what}", kind.text)).at(extra.span));
        return false;
    }
    match needed.get(labels.len()) {
        None => true,
        Some(missing) => {
            let labels: Vec<String> = needed.iter().map(|label| format!("\"{label}\"")).collect();
            let error = Diagnostic::error(format!("`{}` needs its {missing} as a label", kind.text)).at(kind.span);
            diagnostics.push(error.hint(format!("write `{} {} {{`", kind.text, labels.join(" "))));
            false
        }
    }
}

/// Names that were declared, to find those that are declared twice.
#[derive(Debug, Default)]
pub struct Declared(HashMap<String, Span>);

impl Declared {
    /// False, with an error, when the name is taken.
    pub fn declare(&mut self, what: &str, name: &str, span: Span, diagnostics: &mut Diagnostics) -> bool {
        if let Some(first) = self.0.get(name) {
            let error = Diagnostic::error(format!("{what} `{name}` is declared more than once")).at(span);
            diagnostics.push(error.related(*first, "first declared here"));
            return false;
        }
        self.0.insert(name.to_owned(), span);
        true
    }
}

/// Reports attributes and blocks that a block does not have.
pub fn check_options(block: &Block, attributes: &[&str], blocks: &[&str], diagnostics: &mut Diagnostics) {
    let known = || attributes.iter().chain(blocks).copied();
    let mut report = |name: &Name, form: &str| diagnostics.push(has_no(block, form, name, known()));
    block
        .body
        .attributes()
        .filter(|a| !attributes.contains(&a.name.text.as_str()))
        .for_each(|a| report(&a.name, "option"));
    block.body.blocks().filter(|b| !blocks.contains(&b.kind.text.as_str())).for_each(|b| report(&b.kind, "block"));
}

/// Reports the blocks in a block of which every attribute is a name of the template's own.
pub fn check_attributes_only(block: &Block, diagnostics: &mut Diagnostics) {
    for inner in block.body.blocks() {
        let names = block.body.attributes().map(|attribute| attribute.name.text.as_str());
        diagnostics.push(has_no(block, "block", &inner.kind, names));
    }
}

fn has_no<'a>(block: &Block, form: &str, name: &Name, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let error = Diagnostic::error(format!("`{}` has no {form} `{}`", block.kind.text, name.text));
    error.at(name.span).did_you_mean(&name.text, known)
}
