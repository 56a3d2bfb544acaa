//! A TPM for the guest: swtpm, started beside QEMU and ended with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_kit::process::{Program, Running};

const START: Duration = Duration::from_secs(10);

/// For swtpm to write its state and go, once QEMU closed the connection.
const END: Duration = Duration::from_secs(5);

/// Runs until its undo or until QEMU closes the connection.
pub struct Swtpm {
    running: Running,
    pub socket: PathBuf,
}

impl Swtpm {
    /// Its state is whole when this returns.
    pub async fn end(mut self, cx: &Cx) -> Result<()> {
        if tokio::time::timeout(END, self.running.wait(cx)).await.is_err() {
            self.running.stop(cx).await?;
        }
        Ok(())
    }
}

/// Starts swtpm with its state in `state`; it ends by itself when QEMU goes.
pub async fn start(cx: &Cx, state: &Path, socket: PathBuf, tpm1: bool) -> Result<Swtpm> {
    std::fs::create_dir_all(state).map_err(|error| Error::io(format!("making {}", state.display()), &error))?;
    let mut program = Program::new("swtpm").args(["socket", "--terminate", "--tpmstate"]);
    program = program.arg(format!("dir={},mode=0600", state.display()));
    program = program.args(["--ctrl", &format!("type=unixio,path={}", socket.display())]);
    if !tpm1 {
        program = program.arg("--tpm2");
    }
    let mut running = program.spawn(cx).await.map_err(|error| {
        let error = Error::from(error);
        let missing = error.kind() == Kind::Missing;
        if missing { error.hint("`vtpm` needs it: Debian and Ubuntu have the package `swtpm`") } else { error }
    })?;
    let ready = cx
        .wait_for("swtpm to listen", START, Duration::from_millis(20), || {
            let (listens, ended) = (is_socket(&socket), running.ended(cx).is_some());
            let tail = running.stderr_tail();
            async move {
                match (listens, ended) {
                    (true, _) => Ok(Some(())),
                    (false, true) => Err(Error::new(Kind::Host, format!("swtpm ended at once; it said:\n{tail}"))),
                    (false, false) => Ok(None),
                }
            }
        })
        .await;
    ready.map_err(|error| error.context("starting the TPM emulator"))?;
    Ok(Swtpm { running, socket })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}
