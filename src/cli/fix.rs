//! `fix`: a legacy template with the spellings of today.

use std::fmt::Write;
use std::path::PathBuf;

use bakehouse_api::{Diagnostics, Error, FileId, Kind, Result, SourceMap};

use super::environment::Environment;
use super::{End, say, switch, template};
use crate::template::json::{self, fix, read};

#[derive(clap::Args)]
#[command(after_help = listing())]
pub struct Args {
    /// A legacy JSON template, or `-` for standard input.
    #[arg(value_name = "TEMPLATE")]
    path: PathBuf,
    /// Read the fixed template once more, to see that its form is right.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOL")]
    validate: bool,
}

fn listing() -> String {
    let mut text = String::from("What is fixed, in this order:\n");
    for fixer in fix::FIXERS {
        let _ = write!(text, "\n  {:<28}{}", fixer.name, fixer.about);
    }
    text
}

pub fn run(args: &Args) -> Result<End> {
    let environment = Environment::read()?;
    let name = args.path.to_string_lossy();
    if name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json") {
        return Err(Error::new(Kind::Config, format!("{name} is HCL2, and `fix` is for legacy JSON templates")));
    }
    let mut sources = SourceMap::default();
    let (file, text) = template::read_legacy(&args.path, &environment, &mut sources)?;
    let mut findings = Diagnostics::default();
    let root = read::read(&text, file, &mut findings);
    let (Some(root), false) = (root, findings.has_errors()) else {
        template::print(&findings, &sources, &environment);
        return Ok(End::Failure);
    };
    let fixed = fix::fix(&root)
        .map_err(|error| Error::new(Kind::Config, error.to_string()).context(format!("fixing {name}")))?;
    let text = fix::pretty(&fixed);
    // Packer ends with an empty line.
    say(format_args!("{text}\n"));
    Ok(if args.validate && !holds(&text, &environment) { End::Failure } else { End::Success })
}

fn holds(text: &str, environment: &Environment) -> bool {
    let mut sources = SourceMap::default();
    sources.add("the fixed template", text);
    let (_, findings) = json::parse(text, FileId(0));
    template::print(&findings, &sources, environment);
    !findings.has_errors()
}
