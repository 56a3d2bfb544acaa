//! Reboots in the middle of provisioning. A machine that is told to reboot answers for a while
//! longer: before a step starts, the guest is asked whether it is on its way down, and a machine
//! that came back is told from one that has yet to go by its boot id.

use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{CommError, Command, Communicator, Cx, Error, Guest, Kind, Result};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(250);

/// Both parts are empty where the guest has no such thing.
const PROBE: &str = "cat /proc/sys/kernel/random/boot_id 2>/dev/null; systemctl is-system-running 2>/dev/null; true";

/// A connection to a guest that stays.
pub struct Steady {
    pub comm: Arc<dyn Communicator>,
    /// What tells one boot from the next, where the guest can say.
    pub boot: Option<String>,
}

/// The connection was lost in a way that a new one can mend.
pub fn lost(error: &CommError) -> bool {
    matches!(error, CommError::Lost(_) | CommError::NotStarted(_))
}

/// Waits until the guest answers and is not on its way down.
pub async fn steady(cx: &Cx, guest: &Guest, deadline: Instant) -> Result<Steady> {
    let mut announced = false;
    let wait = async {
        loop {
            let comm = guest.comm(cx).await?;
            match probe(cx, &*comm).await {
                Ok((boot, false)) => return Ok(Steady { comm, boot }),
                Ok((_, true)) => {
                    if !std::mem::replace(&mut announced, true) {
                        cx.message("the guest is shutting down; waiting for it to come back");
                    }
                    tokio::time::sleep(POLL).await;
                }
                Err(error) if lost(&error) => {
                    if !std::mem::replace(&mut announced, true) {
                        cx.message("the connection to the guest is gone; waiting for it to come back");
                    }
                    guest.close().await;
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    within(deadline, wait).await
}

/// After a connection that was lost: waits for the guest to come back. `before` is the boot id that
/// the lost connection saw.
pub async fn come_back(cx: &Cx, guest: &Guest, before: Option<&str>, deadline: Instant) -> Result<Steady> {
    guest.close().await;
    let mut found = steady(cx, guest, deadline).await?;
    if before.is_some() && found.boot.as_deref() == before {
        // Only sshd or the network restarted, or the guest has yet to go down: look once more.
        tokio::time::sleep(2 * POLL).await;
        found = steady(cx, guest, deadline).await?;
    }
    let same = found.boot.is_none() || found.boot.as_deref() == before;
    cx.message(if same { "the guest answers again" } else { "the guest has rebooted and answers again" });
    Ok(found)
}

async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(Kind::Timeout, "the guest did not come back in time")
            .hint("does it boot by itself? Where its boot takes longer, raise `start_retry_timeout`")),
    }
}

/// The boot id, and whether the guest is on its way down.
async fn probe(cx: &Cx, comm: &dyn Communicator) -> Result<(Option<String>, bool), CommError> {
    let mut answer = Vec::new();
    comm.run(cx, &Command::new(PROBE), &mut |_, bytes| answer.extend_from_slice(bytes)).await?;
    let answer = String::from_utf8_lossy(&answer);
    let mut lines = answer.lines().map(str::trim);
    let boot = lines.clone().find(|line| line.len() == 36 && line.matches('-').count() == 4).map(str::to_owned);
    Ok((boot, lines.any(|line| line == "stopping")))
}
