//! `source` and `build` blocks to the plan's builds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Body, Diagnostic, Entry, Span, Type, Value};

use super::config::{Blocks, Config, Declared, Outline, Source, check_labels};
use super::load::Session;
use super::locals::Tainted;
use super::select::Selection;
use super::steps::{self, Target};
use super::syntax::{Attribute, Block};
use crate::template::eval::{Expanded, Piece, Scope, body_references};
use crate::template::plan::{Build, Plan};

/// One source that a build uses.
struct Usage {
    /// "qemu.debian"
    id: String,
    span: Span,
    /// The `source` block within the build, with what it adds.
    block: Option<Expanded>,
}

/// The parts of a `build` block.
struct BuildBlock {
    name: Option<String>,
    usages: Vec<Usage>,
    provisioners: Vec<Expanded>,
    on_error: Option<Expanded>,
    cache_ttl: Option<Duration>,
    /// Each `post-processor` alone, each `post-processors` as a chain.
    chains: Vec<Vec<Expanded>>,
}

pub fn plan(session: &mut Session<'_>, blocks: &Blocks, config: &mut Config, tainted: &Tainted) -> Plan {
    let request = session.request;
    let selection = Selection::new(&request.only, &request.except, &mut session.diagnostics);
    let build_blocks = declare(session, blocks, config);
    let mut plan = Plan { plugins: config.plugins.clone(), ..Plan::default() };
    for block in &build_blocks {
        let Some(parts) = build_block(session, block, config) else { continue };
        for usage in &parts.usages {
            let Some(source) = find_source(session, config, usage) else { continue };
            let build =
                Builder { session, block, parts: &parts, usage, source, selection: &selection, tainted }.build();
            plan.builds.extend(build);
        }
    }
    plan
}

/// The bodies that the selected builds are made of. What cannot be told yet counts as selected.
pub fn selected(session: &mut Session<'_>, blocks: &Blocks, config: &mut Config) -> Vec<Arc<Block>> {
    let request = session.request;
    let selection = Selection::new(&request.only, &request.except, &mut session.diagnostics);
    let mut bodies: Vec<Arc<Block>> =
        blocks.late.blocks().filter(|block| block.kind.text == "dynamic").cloned().collect();
    for block in declare(session, blocks, config) {
        let Some(parts) = build_block(session, &block, config) else { continue };
        if parts.usages.is_empty() {
            bodies.push(block.block.clone());
            bodies.extend(config.sources.iter().map(|source| source.block.block.clone()));
        }
        for usage in &parts.usages {
            let Some(source) = find_source(session, config, usage) else { continue };
            let alias = alias(session, usage, &source);
            if selection.includes(&build_name(parts.name.as_deref(), &source.kind, &alias)) {
                bodies.extend([block.block.clone(), source.block.block.clone()]);
            }
        }
    }
    bodies
}

/// Expands what stands at the top level: keeps the sources, returns the builds.
fn declare(session: &mut Session<'_>, blocks: &Blocks, config: &mut Config) -> Vec<Expanded> {
    let scope = config.scope.clone();
    let mut build_blocks = Vec::new();
    let mut declared = Declared::default();
    for piece in session.evaluate(|e| e.expand(&blocks.late, &scope)) {
        let Some(block) = known_block(session, piece) else { continue };
        match block.kind.text.as_str() {
            "source" => config.sources.extend(source(session, block, &mut declared)),
            "build" => build_blocks.push(block),
            other => {
                let error = Diagnostic::error(format!("`dynamic` cannot make a `{other}` here"));
                session
                    .diagnostics
                    .push(error.at(block.kind.span).hint("at the top level it makes `source` and `build` blocks"));
            }
        }
    }
    build_blocks
}

/// A block; what is not known yet is passed over where values may be unknown.
fn known_block(session: &mut Session<'_>, piece: Piece<'_>) -> Option<Expanded> {
    match piece {
        Piece::Block(block) => Some(block),
        Piece::Unknown(block) => {
            if !session.partly_unknown {
                session.error(block.header(), "`for_each` must be known before the machine runs");
            }
            None
        }
        Piece::Attribute(_) => None,
    }
}

fn source(session: &mut Session<'_>, block: Expanded, declared: &mut Declared) -> Option<Source> {
    if !check_labels(&block.kind, &block.labels, &["type", "name"], &mut session.diagnostics) {
        return None;
    }
    let [kind, name] = block.labels.as_slice() else { return None };
    let (kind, name, span) = (kind.text.clone(), name.text.clone(), name.span);
    declared.declare("source", &format!("{kind}.{name}"), span, &mut session.diagnostics).then_some(Source {
        kind,
        name,
        block,
    })
}

fn find_source(session: &mut Session<'_>, config: &Config, usage: &Usage) -> Option<Source> {
    let id = |source: &Source| format!("{}.{}", source.kind, source.name);
    if let Some(source) = config.sources.iter().find(|source| id(source) == usage.id) {
        return Some(source.clone());
    }
    let known: Vec<String> = config.sources.iter().map(id).collect();
    let error = Diagnostic::error(format!("there is no source `{}`", usage.id)).at(usage.span);
    let error = error.did_you_mean(&usage.id, known.iter().map(String::as_str));
    let hint = match usage.id.split_once('.') {
        Some((kind, name)) => format!("declare it with `source \"{kind}\" \"{name}\" {{}}`"),
        None => "a source is named by its type and its name, like \"source.qemu.debian\"".to_owned(),
    };
    let hint = error.hint.clone().unwrap_or(hint);
    session.diagnostics.push(error.hint(hint));
    None
}

fn build_block(session: &mut Session<'_>, block: &Expanded, config: &mut Config) -> Option<BuildBlock> {
    check_labels(&block.kind, &block.labels, &[], &mut session.diagnostics);
    let mut parts = BuildBlock {
        name: None,
        usages: vec![],
        provisioners: vec![],
        on_error: None,
        cache_ttl: None,
        chains: vec![],
    };
    let mut description = None;
    for piece in session.evaluate(|e| e.expand(&block.block.body, &block.scope)) {
        match piece {
            Piece::Attribute(attribute) => match attribute.name.text.as_str() {
                "name" => parts.name = text(session, attribute, &block.scope),
                "description" => description = text(session, attribute, &block.scope),
                "cache_ttl" => parts.cache_ttl = duration(session, attribute, &block.scope),
                "sources" => parts.usages.extend(usages(session, attribute, &block.scope)),
                other => {
                    let error = Diagnostic::error(format!("`build` has no option `{other}`")).at(attribute.name.span);
                    session
                        .diagnostics
                        .push(error.did_you_mean(other, ["name", "description", "sources", "cache_ttl"]));
                }
            },
            inner => {
                if let Some(inner) = known_block(session, inner) {
                    build_part(session, inner, &mut parts);
                }
            }
        }
    }
    let mut labels = |steps: &[Expanded]| steps.iter().map(|step| outlined(session, step)).collect::<Vec<_>>();
    let (provisioners, post_processors) =
        (labels(&parts.provisioners), parts.chains.iter().map(|chain| labels(chain)).collect());
    config.builds.push(Outline {
        name: parts.name.clone(),
        description,
        sources: parts.usages.iter().map(|usage| usage.id.clone()).collect(),
        provisioners,
        post_processors,
    });
    if parts.usages.is_empty() && !session.diagnostics.has_errors() && !session.partly_unknown {
        let warning = Diagnostic::warning("this build has no sources: it makes nothing").at(block.header());
        session.diagnostics.push(warning.hint("name them with `sources = [\"source.type.name\"]`"));
    }
    Some(parts)
}

/// "shell", or "shell.setup" for one that has a name.
fn outlined(session: &mut Session<'_>, step: &Expanded) -> String {
    let kind = &step.labels[0].text;
    let name = step.block.body.attribute("name");
    let name = name.and_then(|name| session.quietly(|session| text(session, name, &step.scope)));
    name.map_or_else(|| kind.clone(), |name| format!("{kind}.{name}"))
}

fn text(session: &mut Session<'_>, attribute: &Attribute, scope: &Scope) -> Option<String> {
    let value = session.evaluate(|e| e.eval_as(&attribute.value, &Type::String, scope))?;
    value.as_str().map(str::to_owned)
}

fn duration(session: &mut Session<'_>, attribute: &Attribute, scope: &Scope) -> Option<Duration> {
    let written = text(session, attribute, scope)?;
    steps::duration(session, &written, attribute.value.span)
}

fn usages(session: &mut Session<'_>, attribute: &Attribute, scope: &Scope) -> Vec<Usage> {
    let ty = Type::List(Box::new(Type::String));
    let Some(list) = session.evaluate(|e| e.eval_as(&attribute.value, &ty, scope)) else { return Vec::new() };
    let spans = crate::template::eval::span_tree(&attribute.value);
    let mut usages = Vec::new();
    for (i, item) in list.as_items().unwrap_or_default().iter().enumerate() {
        let span = spans.item(i).span;
        match item.as_str() {
            Some(text) => usages.push(Usage { id: bare(text), span, block: None }),
            None if session.partly_unknown => {}
            None => session.error(span, "the name of a source must be known before the build starts"),
        }
    }
    usages
}

/// "source.qemu.debian" and "qemu.debian" name the same: of three parts and more, the second and the
/// third count.
pub fn bare(id: &str) -> String {
    match id.split('.').collect::<Vec<_>>().as_slice() {
        [_, kind, name, ..] => format!("{kind}.{name}"),
        _ => id.to_owned(),
    }
}

fn build_part(session: &mut Session<'_>, block: Expanded, parts: &mut BuildBlock) {
    const KINDS: [&str; 6] = [
        "source",
        "provisioner",
        "error-cleanup-provisioner",
        "post-processor",
        "post-processors",
        "hcp_packer_registry",
    ];
    let kind = block.kind.text.clone();
    let labels: &[&str] = match kind.as_str() {
        "source" => &["source"],
        "provisioner" | "error-cleanup-provisioner" | "post-processor" => &["type"],
        "post-processors" => &[],
        // Packer's registry is not asked, so what it is told does not matter.
        "hcp_packer_registry" => return,
        _ => {
            let error = Diagnostic::error(format!("`build` has no block `{kind}`")).at(block.kind.span);
            session.diagnostics.push(error.did_you_mean(&kind, KINDS));
            return;
        }
    };
    if !check_labels(&block.kind, &block.labels, labels, &mut session.diagnostics) {
        return;
    }
    match kind.as_str() {
        "source" => {
            let Some(label) = block.labels.first() else { return };
            parts.usages.push(Usage { id: bare(&label.text), span: label.span, block: Some(block) });
        }
        "provisioner" => parts.provisioners.push(block),
        "post-processor" => parts.chains.push(vec![block]),
        "post-processors" => {
            let chain = chain(session, &block);
            parts.chains.push(chain);
        }
        _ => match &parts.on_error {
            Some(first) => {
                let error = Diagnostic::error("a build has at most one error-cleanup-provisioner").at(block.header());
                session.diagnostics.push(error.related(first.header(), "the first one"));
            }
            None => parts.on_error = Some(block),
        },
    }
}

fn chain(session: &mut Session<'_>, block: &Expanded) -> Vec<Expanded> {
    let mut chain = Vec::new();
    for piece in session.evaluate(|e| e.expand(&block.block.body, &block.scope)) {
        match piece {
            piece @ Piece::Unknown(_) => {
                known_block(session, piece);
            }
            Piece::Block(inner) if inner.kind.text == "post-processor" => {
                if check_labels(&inner.kind, &inner.labels, &["type"], &mut session.diagnostics) {
                    chain.push(inner);
                }
            }
            other => {
                let name = match other {
                    Piece::Block(block) | Piece::Unknown(block) => block.kind,
                    Piece::Attribute(attribute) => attribute.name.clone(),
                };
                let error = Diagnostic::error(format!("`post-processors` has no `{}`", name.text)).at(name.span);
                session.diagnostics.push(error.hint("it holds `post-processor \"type\" { ... }` blocks, a chain"));
            }
        }
    }
    chain
}

/// Makes one build of the plan.
struct Builder<'a, 's, 'r> {
    session: &'a mut Session<'r>,
    block: &'s Expanded,
    parts: &'s BuildBlock,
    usage: &'s Usage,
    source: Source,
    selection: &'s Selection,
    tainted: &'s Tainted,
}

impl Builder<'_, '_, '_> {
    /// None when it is not selected or has errors.
    fn build(mut self) -> Option<Build> {
        let alias = alias(self.session, self.usage, &self.source);
        let id = format!("{}.{alias}", self.source.kind);
        let name = build_name(self.parts.name.as_deref(), &self.source.kind, &alias);
        if !self.selection.includes(&name) {
            return None;
        }
        self.check_tainted();
        let target = Target {
            id,
            name: name.clone(),
            alias,
            kind: self.source.kind.clone(),
            root: self.session.root.clone(),
            host: self.session.host.clone(),
            secrets: self.session.request.secrets.clone(),
        };
        let source = self.source_body(&target);
        let session = &mut *self.session;
        let provisioners = self.parts.provisioners.iter().filter_map(|step| steps::provisioner(session, step, &target));
        let provisioners = provisioners.collect();
        let on_error = self.parts.on_error.as_ref().and_then(|step| steps::provisioner(session, step, &target));
        let mut post = Vec::new();
        for chain in &self.parts.chains {
            let mut kept = Vec::new();
            for step in chain {
                let Some(step) = steps::post_processor(session, step, &target) else { continue };
                if self.selection.excepts(&step.name) {
                    break;
                }
                kept.push(step);
            }
            if !kept.is_empty() {
                post.push(kept);
            }
        }
        Some(Build { name, source, cache_ttl: self.parts.cache_ttl, provisioners, on_error, post })
    }

    /// Reports the foreign data sources that this build needs.
    fn check_tainted(&mut self) {
        let mut needed: BTreeMap<Span, (String, Span)> = BTreeMap::new();
        for block in [&self.source.block.block, &self.block.block] {
            body_references(&block.body, &mut |root, steps, expr| {
                if let Some((kind, declared)) = self.tainted.source_of(root, steps) {
                    needed.entry(*declared).or_insert_with(|| (kind.clone(), expr.span));
                }
            });
        }
        for (declared, (kind, used)) in needed {
            let summary = format!("the data source `{kind}` is not built in");
            if self.session.request.fetch.is_some() {
                let error = Diagnostic::error(summary).at(declared).related(used, "needed here");
                self.session.diagnostics.push(error.hint("pass the value as a variable instead"));
            } else if self.session.foreign_data.insert(kind) {
                let warning = Diagnostic::warning(format!("{summary}: its values are unknown")).at(declared);
                self.session.diagnostics.push(warning.hint("to build what needs it, pass the value as a variable"));
            }
        }
    }

    /// The source's options, with what the build adds to them.
    fn source_body(&mut self, target: &Target) -> Body {
        let own = self.source.block.clone();
        let scope = target.source_scope(&own.scope);
        let mut entries = self.session.evaluate(|e| e.entries(&own.block.body, &scope, &|_| false));
        if let Some(block) = &self.usage.block {
            let scope = target.source_scope(&block.scope);
            let added = self.session.evaluate(|e| e.entries(&block.block.body, &scope, &|name| name == "name"));
            for entry in added {
                self.add(&mut entries, entry);
            }
        }
        entries.iter().for_each(|entry| self.session.remember(&entry.node.value));
        target.body(&self.source.kind, &self.source.name, own.header(), entries, None)
    }

    fn add(&mut self, entries: &mut Vec<Entry>, entry: Entry) {
        let attribute = entry.form == bakehouse_api::Form::Attribute;
        if let Some(first) = entries.iter().find(|first| attribute && first.name == entry.name) {
            let error = Diagnostic::error(format!("`{}` is set by the source already", entry.name)).at(entry.name_span);
            let error = error.related(first.name_span, "set here");
            self.session.diagnostics.push(error.hint("a build can only add options to its source"));
            return;
        }
        entries.push(entry);
    }
}

/// The `name` in the build's own `source` block, else the source's name.
fn alias(session: &mut Session<'_>, usage: &Usage, source: &Source) -> String {
    let block = usage.block.as_ref();
    let renamed = block.and_then(|block| Some((block.block.body.attribute("name")?.clone(), block.scope.clone())));
    let renamed = renamed.and_then(|(attribute, scope)| text(session, &attribute, &scope));
    renamed.unwrap_or_else(|| source.name.clone())
}

/// As `-only` names it.
fn build_name(build: Option<&str>, kind: &str, alias: &str) -> String {
    match build {
        Some(build) => format!("{build}.{kind}.{alias}"),
        None => format!("{kind}.{alias}"),
    }
}

/// `source.name` and `source.type` for one build.
pub fn source_value(alias: &str, kind: &str) -> Value {
    Value::object([("name".to_owned(), alias.into()), ("type".to_owned(), kind.into())].into())
}
