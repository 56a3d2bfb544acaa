//! From a path and the command line's options to a plan: the one door to the template language.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use bakehouse_api::{Diagnostic, Diagnostics, Secrets, SourceMap};

use super::hcl;
use super::hcl::config::Config;
use super::plan::Plan;

/// The version of Packer whose templates we read: what `required_version` is checked against and
/// what `packer.version` says.
pub const PACKER_VERSION: &str = "1.16.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Hcl2,
    Json,
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
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub secrets: Secrets,
    pub now: SystemTime,
    /// What the standard input held, when the path is `-`.
    pub stdin: Option<String>,
}

#[derive(Debug, Default)]
pub struct Loaded {
    /// None when there were errors.
    pub plan: Option<Plan>,
    /// What was read, for `inspect` and `console`; none for JSON templates and syntax errors.
    pub config: Option<Config>,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

pub fn load(request: &LoadRequest) -> Loaded {
    match config_type(request) {
        ConfigType::Hcl2 => hcl::load::load(request),
        ConfigType::Json => {
            let error = Diagnostic::error(format!("{} is a legacy JSON template", request.path.display()));
            Loaded { diagnostics: error.into(), ..Loaded::default() }
        }
    }
}

/// HCL2 by its name, or a folder; anything else is legacy JSON.
fn config_type(request: &LoadRequest) -> ConfigType {
    let name = request.path.to_string_lossy();
    let hcl = name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json") || request.cwd.join(&request.path).is_dir();
    request.config_type.unwrap_or(if hcl { ConfigType::Hcl2 } else { ConfigType::Json })
}
