//! `validate`: everything that can be known without starting anything.

use std::sync::Arc;

use bakehouse_api::{Result, Secrets};

use super::environment::Environment;
use super::http::Http;
use super::template::{self, TemplateArgs};
use super::{End, say, switch};
use crate::engine::{Kinds, Purpose, prepare};
use crate::report::diagnostic;
use crate::template::json::fix;
use crate::template::load::{LoadRequest, check_syntax, load};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    template: TemplateArgs,
    /// Only read the template: evaluate nothing, look at no component.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    syntax_only: bool,
    /// Say nothing about values in -var-file that the template does not declare.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    no_warn_undeclared_var: bool,
    /// Read the data sources that the builds need, instead of taking their values as unknown.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    evaluate_datasources: bool,
    /// Print the findings as one JSON object, for editors.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub fn run(args: Args) -> Result<End> {
    let environment = Environment::read()?;
    let request = LoadRequest {
        warn_undeclared: !args.no_warn_undeclared_var,
        fetch: args.evaluate_datasources.then(|| Arc::new(Http::default()) as _),
        ..args.template.request(&environment, &Secrets::default())?
    };
    let loaded = if args.syntax_only { check_syntax(&request) } else { load(&request) };
    let mut findings = loaded.diagnostics;
    if let Some(plan) = loaded.plan {
        findings.extend(prepare(plan, &Kinds::all(), Purpose::Check).1);
    }
    fix::hint(&mut findings, &loaded.sources);
    let end = if findings.has_errors() { End::Failure } else { End::Success };
    if args.json {
        say(diagnostic::json(&findings, &loaded.sources));
        return Ok(end);
    }
    template::print(&findings, &loaded.sources, &environment);
    if end == End::Success {
        let syntax = "Syntax-only check passed. Everything looks okay.";
        say(if args.syntax_only { syntax } else { "The configuration is valid." });
    }
    Ok(end)
}
