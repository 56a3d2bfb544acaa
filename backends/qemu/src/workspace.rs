//! Where a build works, and short paths for sockets.

use std::path::PathBuf;

use bakehouse_api::{Cx, Error, Result};
use bakehouse_kit::undo;

pub use bakehouse_kit::workspace::{Workspace, refuse_existing};

/// `sun_path` takes 108 bytes; the longest socket name here has 12.
const LONGEST_SOCKET_DIR: usize = 90;

/// The scratch folder of the build, or a short one where its path is too long for a socket.
pub fn socket_dir(cx: &Cx) -> Result<PathBuf> {
    if cx.temp().as_os_str().len() <= LONGEST_SOCKET_DIR {
        return Ok(cx.temp().clone());
    }
    let made = tempfile::Builder::new().prefix("bakehouse-").tempdir_in("/tmp");
    let dir = made.map_err(|error| Error::io("making a folder for sockets in /tmp", &error))?.keep();
    cx.hold(undo::path(&dir))?;
    Ok(dir)
}
