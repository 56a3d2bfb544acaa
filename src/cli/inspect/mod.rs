//! `inspect`: what a template declares, in the form that Packer prints or as one JSON document.

mod document;
mod hcl;
mod legacy;

pub use hcl::values;

use bakehouse_api::{Result, Secrets};

use super::environment::Environment;
use super::template::{self, TemplateArgs};
use super::{End, say};
use crate::template::load::{LoadRequest, load};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    template: TemplateArgs,
    /// Print one JSON document: variables, locals, sources, builds and, where every value is known, the
    /// plan with all options. Sensitive values are masked.
    #[arg(long, conflicts_with = "machine_readable")]
    json: bool,
}

pub fn run(args: &Args, machine_readable: bool) -> Result<End> {
    let environment = Environment::read()?;
    let secrets = Secrets::default();
    let request = args.template.request(&environment, &secrets)?;
    let loaded = load(&LoadRequest { unset_is_unknown: true, ..request });
    if args.json {
        template::print(&loaded.diagnostics, &loaded.sources, &environment);
        say(format_args!("{:#}", document::document(&loaded, &secrets)));
    } else if let Some(legacy) = &loaded.legacy {
        // As in Packer, a template is shown even if its variables lack values.
        say(if machine_readable { legacy::machine(legacy) } else { legacy::human(legacy) });
        return Ok(End::Success);
    } else {
        template::print(&loaded.diagnostics, &loaded.sources, &environment);
        if let Some(config) = &loaded.config {
            say(if machine_readable { hcl::machine(config) } else { hcl::human(config).trim_end().to_owned() });
        }
    }
    Ok(if loaded.diagnostics.has_errors() { End::Failure } else { End::Success })
}
