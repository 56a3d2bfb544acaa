//! The power button, also as an undo: a guest whose run is interrupted shuts down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::{Error, Kind, Result, Undo, Undoer, async_trait};
use serde_json::json;

use crate::qmp::Qmp;

const KIND: &str = "qemu.power";
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// `monitor`: one of the machine's own for this, as each serves one client at a time.
/// After `patience` the undo of its process ends it.
pub fn off(monitor: &Path, patience: Duration) -> Undo {
    let data = json!({ "monitor": monitor, "seconds": patience.as_secs() });
    Undo { kind: KIND.into(), what: "the guest, by its power button".into(), data }
}

pub struct PowerOff;

#[async_trait]
impl Undoer for PowerOff {
    fn kinds(&self) -> &'static [&'static str] {
        &[KIND]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let monitor = undo.data["monitor"].as_str().map(PathBuf::from);
        let monitor =
            monitor.ok_or_else(|| Error::new(Kind::Internal, "the undo of a guest's power names no monitor"))?;
        let patience = Duration::from_secs(undo.data["seconds"].as_u64().unwrap_or(0));
        if let Ok(qmp) = Qmp::connect(&monitor).await {
            let _ = tokio::time::timeout(patience, press(&qmp)).await; // who is deaf to it loses its power next
        }
        Ok(())
    }
}

/// Presses the button until QEMU goes; a guest that is still booting does not hear the first time.
pub async fn press(qmp: &Qmp) {
    let mut events = qmp.events();
    while qmp.execute(qapi_qmp::system_powerdown {}).await.is_ok() {
        let closed =
            async { while !matches!(events.recv().await, Err(tokio::sync::broadcast::error::RecvError::Closed)) {} };
        let _ = tokio::time::timeout(PRESS_AGAIN, closed).await; // then once more
    }
}
