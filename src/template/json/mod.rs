//! Legacy JSON templates.

mod builds;
pub(crate) mod read;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, Secrets};

use super::plan::Plan;
use read::Item;

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
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub secrets: Secrets,
}

#[derive(Clone, Debug)]
pub struct VarFile {
    pub file: FileId,
    pub text: String,
}

const ROOT_KEYS: [&str; 9] = [
    "builders",
    "description",
    "error-cleanup-provisioner",
    "min_packer_version",
    "post-processors",
    "provisioners",
    "push",
    "sensitive-variables",
    "variables",
];

/// Everything that can be found wrong is found; a plan comes only from a template without errors.
pub fn load(text: &str, file: FileId, request: &Request) -> (Option<Plan>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let plan = load_root(text, file, request, &mut diagnostics);
    (plan.filter(|_| !diagnostics.has_errors()), diagnostics)
}

fn load_root(text: &str, file: FileId, request: &Request, diagnostics: &mut Diagnostics) -> Option<Plan> {
    let root = read::read(text, file, diagnostics)?;
    let Some(entries) = root.entries() else {
        diagnostics.push(Diagnostic::error("a template must be an object").at(root.span()));
        return None;
    };
    for (name, name_span, _) in entries {
        if !name.starts_with('_') && !ROOT_KEYS.contains(&name.as_str()) {
            let unknown = Diagnostic::error(format!("a template has no key `{name}`")).at(*name_span);
            diagnostics.push(unknown.did_you_mean(name, ROOT_KEYS));
        }
    }
    if let Some(push) = root.get("push") {
        diagnostics.push(Diagnostic::warning("`push` has no effect").at(push.span()));
    }
    if let Some(minimum) = root.get("min_packer_version") {
        check_version(minimum, &request.version, diagnostics);
    }
    let user = variables::resolve(&root, request, diagnostics);
    Some(Plan { builds: builds::builds(&root, user, request, diagnostics), ..Plan::default() })
}

fn check_version(minimum: &Item, version: &str, diagnostics: &mut Diagnostics) {
    let wanted = minimum.text().and_then(parts);
    let Some(wanted) = wanted else {
        let wrong = Diagnostic::error("`min_packer_version` must be a version like \"1.8.0\"");
        return diagnostics.push(wrong.at(minimum.span()));
    };
    if parts(version).is_some_and(|have| have < wanted) {
        let text = minimum.text().unwrap_or_default();
        let old = format!("this template needs Packer {text} or later, and the language here is that of {version}");
        diagnostics.push(Diagnostic::error(old).at(minimum.span()));
    }
}

/// "1.8.0-dev" as numbers.
fn parts(version: &str) -> Option<[u64; 3]> {
    let release = version.strip_prefix('v').unwrap_or(version);
    let release = release.split(['-', '+']).next().unwrap_or(release);
    let mut numbers = [0; 3];
    let mut parts = release.split('.');
    for number in &mut numbers {
        let Some(part) = parts.next() else { break };
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests;
