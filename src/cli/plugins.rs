//! `plugins`: there are none to install, for the components are built in.

use bakehouse_api::{Error, Kind, Result};

use super::template::TemplateArgs;
use super::{End, init, say};
use crate::reference::components;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the components that are built in.
    Installed,
    /// List the plugins that a template requires, and whether they are built in.
    Required(Required),
    /// Refused: components are built in.
    Install(Named),
    /// Refused: components are built in.
    Remove(Named),
}

#[derive(clap::Args)]
pub struct Required {
    #[command(flatten)]
    template: TemplateArgs,
}

#[derive(clap::Args)]
pub struct Named {
    /// The plugin, its version, and whatever else Packer takes.
    #[arg(value_name = "PLUGIN", trailing_var_arg = true, allow_hyphen_values = true)]
    plugin: Vec<String>,
}

pub fn run(command: &Command) -> Result<End> {
    match command {
        Command::Installed => {
            components().iter().for_each(|component| say(component.path()));
            Ok(End::Success)
        }
        Command::Required(args) => init::check(&args.template),
        Command::Install(named) => Err(refused(&named.plugin, "install")),
        Command::Remove(named) => Err(refused(&named.plugin, "remove")),
    }
}

fn refused(plugin: &[String], verb: &str) -> Error {
    let what = plugin.iter().find(|word| !word.starts_with('-')).map_or("a plugin", String::as_str);
    let error = Error::new(Kind::Config, format!("cannot {verb} {what}: components are built in, not plugins"));
    error.hint("`bakehouse plugins installed` lists them")
}
