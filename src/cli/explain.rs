//! `explain`: the documentation of a component or of one option.

use bakehouse_api::{Error, Kind, Result};

use super::{End, say};
use crate::reference::explain;

#[derive(clap::Args)]
pub struct Args {
    /// What to explain: `qemu`, `qemu.disk_size`, `provisioner.shell.inline`. Without it: the list of all
    /// components.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub fn run(args: &Args) -> Result<End> {
    let text = match &args.name {
        None => explain::list(),
        Some(name) => explain::explain(name).map_err(|unknown| {
            let error = Error::new(Kind::Config, &unknown);
            error.hint(match unknown.near() {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`bakehouse explain` lists the components".into(),
            })
        })?,
    };
    say(text.trim_end());
    Ok(End::Success)
}
