//! Typing over QMP: acknowledged by QEMU, and no VNC in between.

use std::time::Duration;

use bakehouse_api::keyboard::{BootStep, Key, Keyboard};
use bakehouse_api::{Cx, Error, Kind, Result, async_trait};
use serde_json::{Value, json};

use crate::qmp::Qmp;

/// A firmware or boot loader polls its keyboard controller; a shorter press can be missed.
const HOLD: Duration = Duration::from_millis(10);

pub struct QmpKeyboard {
    pub qmp: Qmp,
}

impl QmpKeyboard {
    async fn send_keys(&self, keys: &[Key], down: bool) -> Result<()> {
        let events: Vec<Value> = keys.iter().map(|key| event(key, down)).collect();
        self.qmp.raw("input-send-event", json!({ "events": events })).await?;
        Ok(())
    }
}

fn event(key: &Key, down: bool) -> Value {
    json!({ "type": "key", "data": { "down": down, "key": { "type": "qcode", "data": key.0 } } })
}

#[async_trait]
impl Keyboard for QmpKeyboard {
    async fn send(&mut self, cx: &Cx, step: &BootStep, interval: Duration) -> Result<()> {
        let work = async {
            match step {
                BootStep::Press(keys) => {
                    self.send_keys(keys, true).await?;
                    tokio::time::sleep(HOLD.min(interval)).await;
                    let released: Vec<Key> = keys.iter().rev().cloned().collect();
                    self.send_keys(&released, false).await?;
                    tokio::time::sleep(interval.saturating_sub(HOLD)).await;
                }
                BootStep::Down(key) => self.send_keys(std::slice::from_ref(key), true).await?,
                BootStep::Up(key) => self.send_keys(std::slice::from_ref(key), false).await?,
                BootStep::Wait(_) => return Err(Error::new(Kind::Internal, "a keyboard cannot wait")),
            }
            Ok(())
        };
        cx.interruptible(work).await.map_err(|error: Error| error.context("typing the boot command"))
    }
}
