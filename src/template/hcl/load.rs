//! The order of things: files, variables, locals and data, then sources and builds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, SourceMap, Span, Type, Value};

use super::config::{Blocks, Config, check_labels, check_options};
use super::files;
use super::syntax::{Block, ExprKind};
use super::{builds, locals, variables, version};
use crate::template::eval::{Evaluator, Scope};
use crate::template::functions::CallCx;
use crate::template::load::{LoadRequest, Loaded, PACKER_VERSION};

/// What every step of loading works with.
pub struct Session<'a> {
    pub request: &'a LoadRequest,
    /// As written, for `path.root`.
    pub root: PathBuf,
    pub host: Arc<CallCx>,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

impl<'a> Session<'a> {
    pub fn new(request: &'a LoadRequest) -> Self {
        let root = root_of(&request.cwd, &request.path);
        let host = CallCx {
            root: request.cwd.join(&root),
            cwd: request.cwd.clone(),
            env: request.env.clone(),
            now: request.now,
        };
        let (sources, diagnostics) = (SourceMap::default(), Diagnostics::default());
        Self { request, root, host: Arc::new(host), sources, diagnostics }
    }

    /// Reads a text into the source map; none after an error.
    pub fn read(&mut self, path: &Path, what: &str) -> Option<(FileId, String)> {
        let bytes = match &self.request.stdin {
            Some(text) if path == Path::new("-") => Ok(text.clone().into_bytes()),
            _ => std::fs::read(self.request.cwd.join(path)),
        };
        let shown = path.display();
        let error = match bytes.map(String::from_utf8) {
            Ok(Ok(text)) if u32::try_from(text.len()).is_ok() => {
                return Some((self.sources.add(path, text.clone()), text));
            }
            Ok(Ok(_)) => Diagnostic::error(format!("{what} {shown} is larger than 4 GiB")),
            Ok(Err(error)) => {
                let at = error.utf8_error().valid_up_to();
                Diagnostic::error(format!("{what} {shown} is not UTF-8: see byte {at}"))
            }
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let diagnostic = Diagnostic::error(format!("cannot read {what} {shown}: {error}"));
                if missing { diagnostic.hint("relative paths start at the working directory") } else { diagnostic }
            }
        };
        self.diagnostics.push(error);
        None
    }

    /// Runs an evaluation and keeps what it found wrong.
    pub fn evaluate<T>(&mut self, run: impl FnOnce(&mut Evaluator<'_>) -> T) -> T {
        let mut evaluator = Evaluator::new(&self.host);
        let result = run(&mut evaluator);
        self.diagnostics.extend(evaluator.diagnostics);
        result
    }

    pub fn error(&mut self, span: Span, summary: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(summary).at(span));
    }

    pub fn remember(&self, value: &Value) {
        self.request.secrets.add_sensitive(value);
    }
}

pub fn load(request: &LoadRequest) -> Loaded {
    let mut session = Session::new(request);
    let (plan, config) = match load_config(&mut session) {
        None => (None, None),
        Some((blocks, mut config, tainted)) => {
            let plan = builds::plan(&mut session, &blocks, &mut config, &tainted);
            (Some(plan), Some(config))
        }
    };
    let Session { sources, mut diagnostics, .. } = session;
    dedup(&mut diagnostics);
    Loaded { plan: plan.filter(|_| !diagnostics.has_errors()), config, sources, diagnostics }
}

/// A source that several builds use reports its errors once.
fn dedup(diagnostics: &mut Diagnostics) {
    let mut seen = std::collections::HashSet::new();
    diagnostics.0.retain(|d| seen.insert((d.span, d.summary.clone(), d.detail.clone())));
}

fn root_of(cwd: &Path, path: &Path) -> PathBuf {
    if cwd.join(path).is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Everything up to the values that sources and builds are made of. None after syntax errors.
fn load_config(session: &mut Session<'_>) -> Option<(Blocks, Config, locals::Tainted)> {
    let files = files::read(session)?;
    if session.diagnostics.has_errors() {
        return None;
    }
    let blocks = Blocks::collect(&files.bodies, &mut session.diagnostics);
    blocks.packer.iter().for_each(|block| check_packer(session, block));
    let variables = variables::load(session, &blocks, &files);
    let mut scope = Scope::new(namespaces(session, &variables));
    variables::validate(session, &blocks, &scope);
    let (locals, tainted) = locals::load(session, &blocks, &mut scope);
    let host = session.host.clone();
    let config = Config { variables, locals, sources: Vec::new(), builds: Vec::new(), scope, host };
    Some((blocks, config, tainted))
}

fn namespaces(session: &Session<'_>, variables: &[super::config::Variable]) -> Vec<(String, Value)> {
    let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
    let object = |fields: Vec<(&str, Value)>| {
        Value::object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let unknown = || Value::unknown(Type::String);
    let path = object(vec![("root", text(&session.root)), ("cwd", text(&session.request.cwd))]);
    let vars = variables.iter().map(|variable| (variable.name.as_str(), variable.value.clone())).collect();
    [
        ("var", object(vars)),
        ("local", object(vec![])),
        ("data", object(vec![])),
        ("path", path),
        ("packer", object(vec![("version", PACKER_VERSION.into())])),
        ("source", object(vec![("name", unknown()), ("type", unknown())])),
        ("build", Value::unknown(Type::Any)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

pub fn check_packer(session: &mut Session<'_>, block: &Block) {
    check_options(block, &["required_version"], &["required_plugins"], &mut session.diagnostics);
    if let Some(attribute) = block.body.attribute("required_version")
        && let Some(value) = session.evaluate(|e| e.eval_as(&attribute.value, &Type::String, &Scope::default()))
    {
        let span = attribute.value.span;
        match version::fits(PACKER_VERSION, value.as_str().unwrap_or_default()) {
            Ok(true) => {}
            Ok(false) => session.diagnostics.push(
                Diagnostic::error("this template is for another version of Packer")
                    .at(span)
                    .detail(format!("templates are read here as Packer {PACKER_VERSION} does")),
            ),
            Err(error) => session.error(span, error.to_string()),
        }
    }
    block.body.blocks().filter(|inner| inner.kind.text == "required_plugins").for_each(|inner| {
        if check_labels(&inner.kind, &inner.labels, &[], &mut session.diagnostics) {
            check_plugins(session, inner);
        }
    });
}

/// Builders are built in, so nothing is installed; what is written must still make sense.
fn check_plugins(session: &mut Session<'_>, block: &Block) {
    for attribute in block.body.attributes() {
        let Some(value) = session.evaluate(|e| e.eval(&attribute.value, &Scope::default())) else { continue };
        let span = attribute.value.span;
        let Some(fields) = value.as_fields() else {
            let error = Diagnostic::error("a required plugin is an object").at(span);
            session.diagnostics.push(error.hint("write `{ version = \">= 1.0.0\", source = \"github.com/...\" }`"));
            continue;
        };
        let written = match &attribute.value.kind {
            ExprKind::Object(_) => crate::template::eval::span_tree(&attribute.value),
            _ => bakehouse_api::SpanTree::leaf(span),
        };
        for (name, field) in fields {
            let at = written.field(name).span;
            match (name.as_str(), field.as_str()) {
                ("source", Some(_)) => {}
                ("version", Some(constraint)) => {
                    if let Err(error) = version::fits("0.0.0", constraint) {
                        session.error(at, error.to_string());
                    }
                }
                ("source" | "version", None) => session.error(at, format!("`{name}` must be a string")),
                _ => session.diagnostics.push(
                    Diagnostic::error(format!("a required plugin has no `{name}`"))
                        .at(at)
                        .did_you_mean(name, ["version", "source"]),
                ),
            }
        }
    }
}
