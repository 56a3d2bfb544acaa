//! The `{{ }}` engine: Go's text/template as far as options of a template use it, with Packer's
//! functions. Errors say at which byte of the text they are.

mod calls;
mod exec;
mod functions;
mod lex;
mod parse;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::{Facts, Interpolate};

use super::convert::to_text;
use super::plan::FACTS;
use super::services::Services;

pub use calls::{Part, called_with, parts, settle, user_variables};
pub use parse::{Command, Operand, Pipe, Term};

/// What the functions of the engine answer from.
#[derive(Clone, Debug)]
pub struct EngineCx {
    /// What `user` knows: the variables of a JSON template. None: the template is HCL2. A name that is not
    /// among them is an error within `variables`, and elsewhere empty, as in Packer.
    pub user: Option<BTreeMap<String, String>>,
    /// Empty outside of a build.
    pub build_name: String,
    pub build_type: String,
    pub facts: BuildFacts,
    /// The folder of the template.
    pub root: PathBuf,
    pub cwd: PathBuf,
    /// What `packer_version` says.
    pub version: String,
    /// When the run began.
    pub now: SystemTime,
    /// What `env` knows. None: outside of `variables`, where it may not be asked.
    pub env: Option<BTreeMap<String, String>>,
    /// What `vault` and `consul_key` ask, where `env` may be asked too.
    pub services: Option<Arc<dyn Services>>,
}

/// What `build` knows.
#[derive(Clone, Debug)]
pub enum BuildFacts {
    /// Nothing: what is read here is read before the machine runs.
    Never,
    /// No machine runs yet, every fact is `unknown`.
    Later,
    Known(Facts),
}

impl BuildFacts {
    /// Before there was `{{build `ID`}}`, a step's options asked for `{{.ID}}`, and templates still do.
    fn as_field(&self, name: &str) -> Option<String> {
        match self {
            _ if !FACTS.contains(&name) => None,
            Self::Never => None,
            Self::Later => Some(functions::UNKNOWN.to_owned()),
            Self::Known(facts) => facts.get(name).map_or(Some(String::new()), |fact| to_text(fact).ok()),
        }
    }
}

impl From<Option<&Facts>> for BuildFacts {
    fn from(facts: Option<&Facts>) -> Self {
        facts.map_or(Self::Later, |facts| Self::Known(facts.clone()))
    }
}

/// Where in the text, and what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (at byte {at})")]
pub struct EngineError {
    pub at: usize,
    pub text: String,
}

impl EngineError {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

#[derive(Clone, Debug)]
pub struct Engine {
    cx: EngineCx,
}

impl Engine {
    pub fn new(cx: EngineCx) -> Self {
        Self { cx }
    }

    /// Gives a variable of a JSON template its value.
    pub fn set_variable(&mut self, name: String, value: String) {
        self.cx.user.get_or_insert_default().insert(name, value);
    }

    pub fn into_variables(self) -> BTreeMap<String, String> {
        self.cx.user.unwrap_or_default()
    }

    /// Like [`Interpolate::render`], with the place of the error.
    pub fn run(&self, text: &str, data: &BTreeMap<String, String>) -> Result<String, EngineError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        exec::run(&parse::parse(text)?, &self.cx, data)
    }
}

impl Interpolate for Engine {
    fn render(&self, text: &str, data: &BTreeMap<String, String>) -> Result<String, String> {
        self.run(text, data).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
