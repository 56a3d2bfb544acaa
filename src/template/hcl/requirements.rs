//! What a template asks for by name: its plugins, and the components that its builds use. Nothing is
//! evaluated for it, so variables need no values.

use bakehouse_api::{Diagnostics, SourceMap, Span};

use super::builds::bare;
use super::config::Blocks;
use super::load::Session;
use super::select::Selection;
use super::syntax::{Block, Body, Expr, ExprKind, Part};
use super::{files, required};
use crate::template::load::LoadRequest;
use crate::template::plan::Plugin;

#[derive(Debug, Default)]
pub struct Requirements {
    pub plugins: Vec<Plugin>,
    /// Each once.
    pub components: Vec<Needed>,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

/// A component that some selected build uses, and where it is first named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// "builder", "provisioner" or "post-processor"
    pub role: &'static str,
    pub kind: String,
    pub span: Span,
}

pub fn requirements(request: &LoadRequest) -> Requirements {
    let mut session = Session::new(request);
    let mut found = Requirements::default();
    if let Some(files) = files::read(&mut session)
        && !session.diagnostics.has_errors()
    {
        let blocks = Blocks::collect(&files.bodies, &mut session.diagnostics);
        for block in &blocks.packer {
            found.plugins.extend(required::packer(&mut session, block));
        }
        let selection = Selection::new(&request.only, &request.except, &mut session.diagnostics);
        let builds = blocks.late.blocks().filter(|block| block.kind.text == "build");
        builds.for_each(|build| found.build(build, &blocks.late, &selection));
    }
    let Session { sources, diagnostics, .. } = session;
    Requirements { sources, diagnostics, ..found }
}

impl Requirements {
    fn build(&mut self, build: &Block, top: &Body, selection: &Selection) {
        let name = build.body.attribute("name").and_then(|attribute| text(&attribute.value));
        let selected = |(id, _): &(String, Span)| {
            selection.includes(&name.map_or_else(|| id.clone(), |name| format!("{name}.{id}")))
        };
        let used: Vec<(String, Span)> = usages(build, top).into_iter().filter(selected).collect();
        if used.is_empty() {
            return;
        }
        for (id, span) in used {
            self.add("builder", id.split('.').next().unwrap_or_default(), span);
        }
        for block in build.body.blocks() {
            match block.kind.text.as_str() {
                "provisioner" | "error-cleanup-provisioner" => self.step("provisioner", block),
                "post-processor" => self.step("post-processor", block),
                "post-processors" => block.body.blocks().for_each(|block| self.step("post-processor", block)),
                _ => {}
            }
        }
    }

    fn step(&mut self, role: &'static str, block: &Block) {
        if let Some(kind) = block.labels.first() {
            self.add(role, &kind.text, kind.span);
        }
    }

    fn add(&mut self, role: &'static str, kind: &str, span: Span) {
        if !self.components.iter().any(|known| known.role == role && known.kind == kind) {
            self.components.push(Needed { role, kind: kind.to_owned(), span });
        }
    }
}

/// The sources of a build, "qemu.debian". Where their names are computed it may be any of the template's.
fn usages(build: &Block, top: &Body) -> Vec<(String, Span)> {
    let blocks = build.body.blocks().filter(|block| block.kind.text == "source");
    let labels = blocks.filter_map(|block| block.labels.first());
    let mut usages: Vec<(String, Span)> = labels.map(|label| (bare(&label.text), label.span)).collect();
    let Some(attribute) = build.body.attribute("sources") else { return usages };
    match &attribute.value.kind {
        ExprKind::Tuple(items) if items.iter().all(|item| text(item).is_some()) => {
            usages.extend(items.iter().filter_map(|item| Some((bare(text(item)?), item.span))));
        }
        _ => {
            let sources = top.blocks().filter(|block| block.kind.text == "source");
            let named = sources.filter(|block| block.labels.len() == 2);
            let id = |block: &Block| format!("{}.{}", block.labels[0].text, block.labels[1].text);
            usages.extend(named.map(|block| (id(block), block.header())));
        }
    }
    usages
}

/// A string without expressions.
fn text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Template(parts) => match parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}
