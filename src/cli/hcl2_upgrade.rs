//! `hcl2_upgrade`: a legacy template as HCL2.

use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result, SourceMap};

use super::environment::Environment;
use super::{End, say, switch, template};
use crate::reference;
use crate::template::json::{self, upgrade};

#[derive(clap::Args)]
pub struct Args {
    /// A legacy JSON template, or `-` for standard input.
    #[arg(value_name = "TEMPLATE")]
    path: PathBuf,
    /// Write to this file; otherwise `.pkr.hcl` is put behind the template's name.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Say in comments what each section is for.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_name = "BOOL")]
    with_annotations: bool,
}

pub fn run(args: &Args) -> Result<End> {
    let environment = Environment::read()?;
    let name = args.path.to_string_lossy();
    if name.ends_with(".pkr.hcl") || name.ends_with(".pkr.json") {
        return Err(Error::new(Kind::Config, format!("{name} is HCL2 already")));
    }
    let output = output(args)?;
    let mut sources = SourceMap::default();
    let (file, text) = template::read_legacy(&args.path, &environment, &mut sources)?;
    let (parsed, findings) = json::parse(&text, file);
    template::print(&findings, &sources, &environment);
    let (Some(parsed), false) = (parsed, findings.has_errors()) else { return Ok(End::Failure) };
    let upgraded = upgrade::upgrade(&parsed, args.with_annotations, &reference::fields_of);
    std::fs::write(environment.cwd.join(&output), upgraded)
        .map_err(|error| Error::io(format!("writing {}", output.display()), &error))?;
    say(format_args!("Successfully created {}.", output.display()));
    Ok(End::Success)
}

fn output(args: &Args) -> Result<PathBuf> {
    if let Some(output) = &args.output_file {
        return Ok(output.clone());
    }
    if args.path == Path::new("-") {
        let nameless = Error::new(Kind::Config, "a template from standard input has no name to make another of");
        return Err(nameless.hint("name the file to write: -output-file=template.pkr.hcl"));
    }
    let mut output = args.path.clone().into_os_string();
    output.push(".pkr.hcl");
    Ok(output.into())
}
