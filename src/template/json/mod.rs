//! Legacy JSON templates: text to values with places, their form, variables, builds.

mod builds;
pub mod fix;
pub(crate) mod read;
pub mod template;
mod undeclared;
pub mod upgrade;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, Secrets};

use super::hcl::version;
use super::plan::Plan;
use super::services::Services;
use template::{Template, Text};

/// What a template is loaded with.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder of the template.
    pub root: PathBuf,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    pub now: SystemTime,
    /// The version of Packer whose language this is, for `min_packer_version` and `packer_version`.
    pub version: String,
    /// `-var-file`, in order.
    pub var_files: Vec<VarFile>,
    /// `-var`, in order.
    pub vars: Vec<(String, String)>,
    /// Warn about values in files for variables that are not declared.
    pub warn_undeclared: bool,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub secrets: Secrets,
    /// What `vault` and `consul_key` ask. None: they are errors.
    pub services: Option<Arc<dyn Services>>,
}

#[derive(Clone, Debug)]
pub struct VarFile {
    pub file: FileId,
    pub text: String,
}

/// The template itself, unless its text is no JSON, and everything wrong with its form.
pub fn parse(text: &str, file: FileId) -> (Option<Template>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let root = read::read(text, file, &mut diagnostics);
    let template = root.and_then(|root| template::template(&root, &mut diagnostics));
    (template, diagnostics)
}

/// Everything that can be found wrong is found; a plan comes only from a template without errors.
pub fn plan(template: &Template, request: &Request) -> (Plan, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    if let Some(minimum) = template.min_version.as_ref().filter(|minimum| !minimum.text.is_empty()) {
        check_version(minimum, &request.version, &mut diagnostics);
    }
    let user = variables::resolve(template, request, &mut diagnostics);
    undeclared::warn(template, &user, &mut diagnostics);
    (Plan { builds: builds::builds(template, user, request, &mut diagnostics), ..Plan::default() }, diagnostics)
}

fn check_version(minimum: &Text, version: &str, diagnostics: &mut Diagnostics) {
    let wanted = minimum.text.as_str();
    let finding = match version::at_least(version, wanted) {
        Some(true) => return,
        Some(false) => {
            format!("this template needs Packer {wanted} or later, and the language here is that of {version}")
        }
        None => "`min_packer_version` must be a version like \"1.8.0\"".to_owned(),
    };
    diagnostics.push(Diagnostic::error(finding).at(minimum.span));
}

#[cfg(test)]
mod tests;
