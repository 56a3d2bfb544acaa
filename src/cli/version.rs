//! `version`, `-v`, `--version`

use std::time::SystemTime;

use bakehouse_api::Result;

use super::{End, say};
use crate::report::machine_line;

pub fn run(machine_readable: bool) -> Result<End> {
    let version = env!("CARGO_PKG_VERSION");
    if machine_readable {
        say(machine_line(SystemTime::now(), "", &["version", version]));
    } else {
        say(format_args!("Bakehouse v{version}"));
    }
    Ok(End::Success)
}
