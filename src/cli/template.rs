//! The arguments that every command over a template shares, and reading it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::{Diagnostics, Error, FileId, Kind, Result, Secrets, SourceMap};

use super::environment::Environment;
use super::services::HttpServices;
use crate::report::diagnostic;
use crate::template::load::{ConfigType, LoadRequest};

#[derive(clap::Args)]
pub struct TemplateArgs {
    /// The template: a `.pkr.hcl`, `.pkr.json` or legacy `.json` file, a folder of them, or `-` for
    /// standard input.
    #[arg(value_name = "TEMPLATE")]
    pub path: PathBuf,
    /// Only these builds; `*` matches any part of a name.
    #[arg(long, value_name = "BUILD,...", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All but these builds and post-processors.
    #[arg(long, value_name = "BUILD,...", value_delimiter = ',')]
    pub except: Vec<String>,
    /// Set a variable.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Set variables from a file.
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// Read the template as this, whatever its name.
    #[arg(long, value_name = "hcl2|json", value_parser = config_type)]
    pub config_type: Option<ConfigType>,
}

impl TemplateArgs {
    /// What to load, asking nothing of the world.
    pub fn request(&self, environment: &Environment, secrets: &Secrets) -> Result<LoadRequest> {
        let mut stdin = None;
        if self.path == Path::new("-") {
            let read = self::stdin().map_err(|error| Error::io("reading the template from standard input", &error));
            stdin = Some(read?);
        }
        Ok(LoadRequest {
            path: self.path.clone(),
            config_type: self.config_type,
            vars: self.vars.clone(),
            var_files: self.var_files.clone(),
            warn_undeclared: false,
            only: self.only.clone(),
            except: self.except.clone(),
            env: environment.vars.clone(),
            cwd: environment.cwd.clone(),
            secrets: secrets.clone(),
            now: SystemTime::now(),
            fetch: None,
            data: crate::registry::data_sources(),
            services: Some(Arc::new(HttpServices::new(environment.vars.clone(), environment.cwd.clone()))),
            unset_is_unknown: false,
            stdin,
        })
    }
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be a name, an equals sign and a value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn config_type(word: &str) -> Result<ConfigType, String> {
    match word {
        "hcl2" => Ok(ConfigType::Hcl2),
        "json" => Ok(ConfigType::Json),
        _ => Err("it must be hcl2 or json".into()),
    }
}

/// The text of one file, or of standard input.
pub fn read_legacy(path: &Path, environment: &Environment, sources: &mut SourceMap) -> Result<(FileId, String)> {
    let shown = path.display();
    let bytes = if path == Path::new("-") { stdin() } else { std::fs::read(environment.cwd.join(path)) };
    let bytes = bytes.map_err(|error| Error::io(format!("reading the template {shown}"), &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(Kind::Config, format!("the template {shown} is not UTF-8: see byte {at}"))
    })?;
    Ok((sources.add(path, text.clone()), text))
}

fn stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Prints findings to standard error.
pub fn print(findings: &Diagnostics, sources: &SourceMap, environment: &Environment) {
    if !findings.is_empty() {
        let color = environment.color(None, &std::io::stderr());
        eprintln!("{}", diagnostic::render(findings, sources, color).trim_end());
    }
}
