//! The order of things: files, variables, locals and data, then sources and builds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, SourceMap, Span, Type, Value};

use super::config::{Blocks, Config};
use super::{builds, files, locals, required, validation, variables};
use crate::template::eval::{Evaluator, Scope};
use crate::template::functions::CallCx;
use crate::template::load::{LoadRequest, Loaded, PACKER_VERSION};
use crate::template::services::remembering;

/// What every step of loading works with.
pub struct Session<'a> {
    pub request: &'a LoadRequest,
    /// As written, for `path.root`.
    pub root: PathBuf,
    pub host: Arc<CallCx>,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    /// The value of a data source is not known: what depends on it cannot be judged.
    pub partly_unknown: bool,
    /// Kinds of data sources that were reported as not built in.
    pub foreign_data: HashSet<String>,
}

impl<'a> Session<'a> {
    pub fn new(request: &'a LoadRequest) -> Self {
        let root = root_of(&request.cwd, &request.path);
        let host = CallCx {
            root: request.cwd.join(&root),
            cwd: request.cwd.clone(),
            env: request.env.clone(),
            now: request.now,
            services: request.services.clone().map(|services| remembering(services, &request.secrets)),
        };
        let (sources, diagnostics) = (SourceMap::default(), Diagnostics::default());
        let foreign_data = HashSet::new();
        Self { request, root, host: Arc::new(host), sources, diagnostics, partly_unknown: false, foreign_data }
    }

    /// Runs something whose findings do not count.
    pub fn quietly<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let kept = std::mem::take(&mut self.diagnostics);
        let result = run(self);
        self.diagnostics = kept;
        result
    }

    /// Reads a text into the source map; none after an error.
    pub fn read(&mut self, path: &Path, what: &str) -> Option<(FileId, String)> {
        let bytes = match &self.request.stdin {
            Some(bytes) if path == Path::new("-") => Ok(bytes.clone()),
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
                let file = self.sources.add(path, String::from_utf8_lossy(error.as_bytes()));
                let span = Span::new(file, at, at + char::REPLACEMENT_CHARACTER.len_utf8());
                Diagnostic::error(format!("{what} {shown} is not UTF-8: see byte {at}")).at(span)
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
    let plan = plan.filter(|_| !diagnostics.has_errors());
    Loaded { plan, config, sources, diagnostics, legacy: None }
}

/// Only what can be seen without evaluating anything: the grammar and the kinds of blocks.
pub fn check_syntax(request: &LoadRequest) -> Loaded {
    let mut session = Session::new(request);
    if let Some(files) = files::read(&mut session).filter(|_| !session.diagnostics.has_errors()) {
        Blocks::collect(&files.bodies, &mut session.diagnostics);
    }
    let Session { sources, diagnostics, .. } = session;
    Loaded { sources, diagnostics, ..Loaded::default() }
}

/// A source that several builds use reports its errors once.
fn dedup(diagnostics: &mut Diagnostics) {
    let mut seen = HashSet::new();
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

/// What there is without any template: functions, `path` and `packer`.
pub fn without_template(request: &LoadRequest) -> Config {
    let session = Session::new(request);
    let scope = Scope::new(namespaces(&session, &[]));
    let host = session.host;
    Config {
        variables: Vec::new(),
        locals: Vec::new(),
        sources: Vec::new(),
        builds: Vec::new(),
        plugins: Default::default(),
        scope,
        host,
    }
}

/// Everything up to the values that sources and builds are made of. None after syntax errors.
fn load_config(session: &mut Session<'_>) -> Option<(Blocks, Config, locals::Tainted)> {
    let files = files::read(session)?;
    if session.diagnostics.has_errors() {
        return None;
    }
    let blocks = Blocks::collect(&files.bodies, &mut session.diagnostics);
    let plugins = blocks.packer.iter().flat_map(|block| required::packer(session, block)).collect();
    let variables = variables::load(session, &blocks, &files);
    let mut scope = Scope::new(namespaces(session, &variables));
    validation::run(session, &blocks, &scope);
    let (locals, tainted) = locals::load(session, &blocks, &mut scope);
    Some((blocks, Config { plugins, variables, locals, ..Config::new(scope, session.host.clone()) }, tainted))
}

/// No registry of images is told of a build, so there is nothing that could name its version there.
fn packer() -> Value {
    let fields = [("version", PACKER_VERSION), ("iterationID", ""), ("versionFingerprint", "")];
    Value::object(fields.map(|(name, value)| (name.to_owned(), value.into())).into())
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
        ("packer", packer()),
        ("source", object(vec![("name", unknown()), ("type", unknown())])),
        ("build", Value::unknown(Type::Any)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
