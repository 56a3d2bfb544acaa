//! `schema`: a JSON Schema for editors and checkers.

use bakehouse_api::{Error, Kind, Result};

use super::{End, say};
use crate::reference::{components, schema};

#[derive(clap::Args)]
pub struct Args {
    /// The options of one component, like `qemu` or `provisioner.shell`. Without it: whole JSON templates.
    #[arg(value_name = "COMPONENT")]
    component: Option<String>,
}

pub fn run(args: &Args) -> Result<End> {
    let Some(name) = &args.component else {
        say(format_args!("{:#}", schema::templates()));
        return Ok(End::Success);
    };
    let components = components();
    let named =
        |short: bool| components.iter().filter(move |c| if short { c.schema.kind == *name } else { c.path() == *name });
    let meant: Vec<_> = named(false).chain(named(true)).collect();
    match meant.as_slice() {
        [component] => {
            say(format_args!("{:#}", schema::component(component)));
            Ok(End::Success)
        }
        [] => {
            let paths: Vec<String> = components.iter().flat_map(|c| [c.path(), c.schema.kind.clone()]).collect();
            let near = bakehouse_api::diag::nearest(name, paths.iter().map(String::as_str));
            let error = Error::new(Kind::Config, format!("no component is called `{name}`"));
            Err(error.hint(match near {
                Some(near) => format!("bakehouse schema {near}"),
                None => "`bakehouse explain` lists the components".into(),
            }))
        }
        several => {
            let paths: Vec<String> = several.iter().map(|component| component.path()).collect();
            let error = Error::new(Kind::Config, format!("`{name}` may be {}", paths.join(" or ")));
            Err(error.hint(format!("bakehouse schema {}", paths[0])))
        }
    }
}
