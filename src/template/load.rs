//! From a path and the command line's options to a plan: the one door to the template language.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::{DataSource, Diagnostics, Secrets, SourceMap};

use super::hcl::config::Config;
use super::hcl::{self, load::Session};
use super::json;
use super::plan::Plan;
use super::services::{Services, remembering};

/// The version of Packer whose templates we read: what `required_version` is checked against and
/// what `packer.version` says.
pub const PACKER_VERSION: &str = "1.16.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Hcl2,
    Json,
}

/// What `data "http"` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub url: String,
    pub method: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// A successful answer; several headers of one name are joined with commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// How data sources reach the world, which the language itself does not touch.
pub trait Fetch: Send + Sync {
    /// The error says what went wrong, for whoever reads the template.
    fn fetch(&self, request: &HttpRequest) -> Result<HttpAnswer, String>;
}

impl fmt::Debug for dyn Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetch")
    }
}

/// Everything that a template may depend on.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// A folder, a file, or `-` for the standard input.
    pub path: PathBuf,
    /// What the path is; none: its name tells.
    pub config_type: Option<ConfigType>,
    /// `-var name=value`, in order.
    pub vars: Vec<(String, String)>,
    /// `-var-file`, in order.
    pub var_files: Vec<PathBuf>,
    /// Warn about values in files for variables that are not declared.
    pub warn_undeclared: bool,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub secrets: Secrets,
    pub now: SystemTime,
    /// Reads the data sources that the selected builds need. None: their values are unknown.
    pub fetch: Option<Arc<dyn Fetch>>,
    /// The data sources of the platforms that are built in.
    pub data: Vec<Arc<dyn DataSource>>,
    /// Answers the functions that ask for secrets. None: they are errors.
    pub services: Option<Arc<dyn Services>>,
    /// Take variables without a value as unknown, to show what can be shown.
    pub unset_is_unknown: bool,
    /// What the standard input held, when the path is `-`.
    pub stdin: Option<Vec<u8>>,
}

impl LoadRequest {
    /// A text by itself, as if it came by the standard input: no variables, no environment, no network.
    pub fn of_text(text: impl Into<Vec<u8>>, config_type: ConfigType) -> Self {
        Self {
            path: "-".into(),
            config_type: Some(config_type),
            vars: Vec::new(),
            var_files: Vec::new(),
            warn_undeclared: true,
            only: Vec::new(),
            except: Vec::new(),
            env: BTreeMap::new(),
            cwd: "/nowhere".into(),
            secrets: Secrets::default(),
            now: SystemTime::UNIX_EPOCH,
            fetch: None,
            services: None,
            data: Vec::new(),
            unset_is_unknown: false,
            stdin: Some(text.into()),
        }
    }
}

#[derive(Debug, Default)]
pub struct Loaded {
    /// None when there were errors.
    pub plan: Option<Plan>,
    /// What a template in HCL2 holds, for `inspect` and `console`; none for JSON and syntax errors.
    pub config: Option<Config>,
    /// What a JSON template holds; none for HCL2 and syntax errors.
    pub legacy: Option<json::template::Template>,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

pub fn load(request: &LoadRequest) -> Loaded {
    match config_type(request) {
        ConfigType::Hcl2 => hcl::load::load(request),
        ConfigType::Json => load_json(request),
    }
}

/// Only what can be seen without evaluating anything.
pub fn check_syntax(request: &LoadRequest) -> Loaded {
    match config_type(request) {
        ConfigType::Hcl2 => hcl::load::check_syntax(request),
        ConfigType::Json => {
            let (session, legacy) = read_json(request);
            Loaded { legacy, sources: session.sources, diagnostics: session.diagnostics, ..Loaded::default() }
        }
    }
}

fn read_json<'a>(request: &'a LoadRequest) -> (Session<'a>, Option<json::template::Template>) {
    let mut session = Session::new(request);
    let template = session.read(&request.path, "the template").and_then(|(file, text)| {
        let (template, found) = json::parse(&text, file);
        session.diagnostics.extend(found);
        template
    });
    (session, template)
}

/// A legacy JSON template and its files of variables.
fn load_json(request: &LoadRequest) -> Loaded {
    let (mut session, legacy) = read_json(request);
    let mut read = |path: &PathBuf| {
        let (file, text) = session.read(path, "the file of variables")?;
        Some(json::VarFile { file, text })
    };
    let var_files = request.var_files.iter().filter_map(&mut read).collect();
    let Session { root, sources, mut diagnostics, .. } = session;
    let Some(legacy) = legacy else { return Loaded { sources, diagnostics, ..Loaded::default() } };
    let request = json::Request {
        root,
        cwd: request.cwd.clone(),
        env: request.env.clone(),
        now: request.now,
        version: PACKER_VERSION.to_owned(),
        var_files,
        vars: request.vars.clone(),
        warn_undeclared: request.warn_undeclared,
        only: request.only.clone(),
        except: request.except.clone(),
        secrets: request.secrets.clone(),
        services: request.services.clone().map(|services| remembering(services, &request.secrets)),
    };
    let (plan, found) = json::plan(&legacy, &request);
    diagnostics.extend(found);
    let plan = Some(plan).filter(|_| !diagnostics.has_errors());
    Loaded { plan, legacy: Some(legacy), sources, diagnostics, ..Loaded::default() }
}

/// HCL2 by its name, or a folder; anything else is legacy JSON.
pub fn config_type(request: &LoadRequest) -> ConfigType {
    let name = request.path.to_string_lossy();
    let hcl = name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json") || request.cwd.join(&request.path).is_dir();
    request.config_type.unwrap_or(if hcl { ConfigType::Hcl2 } else { ConfigType::Json })
}

#[cfg(test)]
mod tests;
