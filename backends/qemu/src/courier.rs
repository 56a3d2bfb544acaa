//! Bulk uploads around SSH: the payload becomes a read-only disk that is plugged into the running
//! machine and read there. Under emulation the guest's cipher work is what limits SSH; a virtio disk
//! has none. SSH stays the way for everything small, and whenever the guest cannot take the disk.

mod payload;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bakehouse_api::comm::OutputFn;
use bakehouse_api::event::Unit;
use bakehouse_api::{CommError, Command, Communicator, Cx, Exit, Progress, async_trait};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell, broadcast};

use crate::qmp::{Event, Qmp, QmpError};
use crate::vm::Status;

use payload::Payload;

/// Below this, plugging a disk in takes longer than SSH does.
const WORTH_IT: u64 = 8 << 20;
/// For the guest to give an unplugged disk up.
const UNPLUG: Duration = Duration::from_secs(10);

/// What is shared by all connections to one machine.
pub struct Hotplug {
    qmp: Qmp,
    bus: &'static str,
    /// One disk at a time: a root port has a single slot.
    slot: Arc<Mutex<()>>,
    count: AtomicU64,
    /// What the guest said it can; none when it cannot take a disk.
    ability: OnceCell<Option<Ability>>,
}

/// How the guest reads a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ability {
    AsRoot,
    WithSudo,
}

impl Hotplug {
    pub fn new(qmp: Qmp, bus: &'static str) -> Self {
        Self { qmp, bus, slot: Arc::default(), count: AtomicU64::new(1), ability: OnceCell::new() }
    }

    /// Waits until no disk is plugged in; false when the guest does not give one up.
    pub async fn is_idle(&self) -> bool {
        let free = tokio::time::timeout(UNPLUG, self.slot.lock()).await.is_ok();
        let nodes = self.qmp.raw("query-named-block-nodes", json!({ "flat": true })).await;
        let ours = |node: &Value| node["node-name"].as_str().is_some_and(|name| name.starts_with("courier"));
        free && nodes.is_ok_and(|nodes| !nodes.as_array().into_iter().flatten().any(ours))
    }
}

/// A communicator that sends bulk by disk, and that ends at once when the machine fails.
pub struct Courier {
    pub inner: Arc<dyn Communicator>,
    /// None where the machine has no bus for it.
    pub hotplug: Option<Arc<Hotplug>>,
    pub status: Status,
}

impl Courier {
    /// A guest whose machine stopped on a full disk never answers.
    async fn alive<T>(&self, work: impl Future<Output = Result<T, CommError>>) -> Result<T, CommError> {
        tokio::select! {
            biased;
            done = work => done,
            error = self.status.failed() => Err(CommError::Other(error.to_string())),
        }
    }

    /// True once the payload arrived. False: use the communicator.
    async fn deliver(&self, cx: &Cx, make: impl FnOnce(&Path) -> Option<Payload>) -> bool {
        let Some(hotplug) = &self.hotplug else { return false };
        let ability = *hotplug.ability.get_or_init(|| ability(cx, &*self.inner)).await;
        let Some(ability) = ability else { return false };
        let slot = hotplug.slot.clone().lock_owned().await;
        let name = format!("courier{}", hotplug.count.fetch_add(1, Ordering::Relaxed));
        let Some(payload) = make(&cx.temp().join(&name)) else { return false };
        let plugged = match Plugged::new(hotplug, name, &payload, slot).await {
            Ok(plugged) => plugged,
            Err(error) => {
                cx.message(format!("Sending by SSH, as the machine takes no disk: {error}"));
                return false;
            }
        };
        let script = payload.script(&plugged.serial(), ability == Ability::WithSudo);
        let taken = tokio::select! {
            taken = take(cx, &*self.inner, &script) => taken,
            () = progress(cx, hotplug, &plugged.name, &payload) => Err("the progress ended".to_owned()),
        };
        // The guest acknowledges in its own time; the next delivery waits for the slot, nobody else does.
        tokio::spawn(plugged.unplug(payload));
        match taken {
            Ok(()) => true,
            Err(reason) => {
                cx.message(format!("Sending by SSH, as the guest could not read the disk: {reason}"));
                false
            }
        }
    }
}

/// Linux, with tar, and allowed to read disks.
async fn ability(cx: &Cx, comm: &dyn Communicator) -> Option<Ability> {
    let probe = "[ \"$(uname -s)\" = Linux ] && [ -d /sys/block ] && command -v tar >/dev/null && \
                 if [ \"$(id -u)\" = 0 ]; then echo root; else sudo -n true 2>/dev/null && echo sudo; fi";
    let mut said = Vec::new();
    let ran = comm.run(cx, &Command::new(probe), &mut |_, bytes| said.extend_from_slice(bytes)).await;
    ran.ok().filter(Exit::success)?;
    match String::from_utf8_lossy(&said).trim() {
        "root" => Some(Ability::AsRoot),
        "sudo" => Some(Ability::WithSudo),
        _ => None,
    }
}

async fn take(cx: &Cx, comm: &dyn Communicator, script: &str) -> Result<(), String> {
    let mut said = Vec::new();
    let ran = comm.run(cx, &Command::new(script), &mut |_, bytes| said.extend_from_slice(bytes)).await;
    match ran {
        Ok(exit) if exit.success() => Ok(()),
        Ok(exit) => {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            Err(if said.is_empty() { bakehouse_kit::process::describe(&exit) } else { said })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Tells how much of the disk was read, for as long as it is polled.
async fn progress(cx: &Cx, hotplug: &Hotplug, device: &str, payload: &Payload) {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let Ok(stats) = hotplug.qmp.raw("query-blockstats", json!({})).await else { continue };
        let ours = |entry: &&Value| entry["qdev"].as_str().is_some_and(|path| path.contains(device));
        let read = stats.as_array().into_iter().flatten().find(ours).and_then(|e| e["stats"]["rd_bytes"].as_u64());
        if let Some(read) = read {
            let total = payload.bytes;
            let what = format!("upload {}", payload.what);
            cx.progress(Progress {
                what,
                done: read.min(total),
                total: Some(total),
                unit: Unit::Bytes,
                finished: read >= total,
            });
        }
    }
}

/// A disk in the machine.
struct Plugged {
    qmp: Qmp,
    name: String,
    events: broadcast::Receiver<Event>,
    slot: tokio::sync::OwnedMutexGuard<()>,
}

impl Plugged {
    async fn new(
        hotplug: &Hotplug,
        name: String,
        payload: &Payload,
        slot: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<Self, QmpError> {
        let qmp = hotplug.qmp.clone();
        let events = qmp.events();
        let file = json!({ "driver": "file", "filename": payload.file, "read-only": true });
        let node = json!({ "driver": "raw", "node-name": name, "read-only": true, "file": file });
        qmp.raw("blockdev-add", node).await?;
        let plugged = Self { qmp, name, events, slot };
        let (name, serial) = (&plugged.name, plugged.serial());
        let device =
            json!({ "driver": "virtio-blk-pci", "id": name, "drive": name, "serial": serial, "bus": hotplug.bus });
        match plugged.qmp.raw("device_add", device).await {
            Ok(_) => Ok(plugged),
            Err(error) => {
                plugged.drop_node().await;
                Err(error)
            }
        }
    }

    /// As the guest sees it in sysfs; at most 20 characters.
    fn serial(&self) -> String {
        format!("bakehouse-{}", self.name.trim_start_matches("courier"))
    }

    async fn unplug(mut self, payload: Payload) {
        let gone = async {
            self.qmp.raw("device_del", json!({ "id": self.name })).await.ok()?;
            loop {
                let event = match self.events.recv().await {
                    Ok(event) => event,
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return None,
                };
                if event.name == "DEVICE_DELETED" && event.data["device"] == self.name.as_str() {
                    return Some(());
                }
            }
        };
        // A guest that keeps the disk does no harm: it is read-only and ends with the machine.
        if let Ok(Some(())) = tokio::time::timeout(UNPLUG, gone).await {
            self.drop_node().await;
        }
        drop(payload);
        drop(self.slot);
    }

    async fn drop_node(&self) {
        let _ = self.qmp.raw("blockdev-del", json!({ "node-name": self.name })).await; // ends with the machine
    }
}

#[async_trait]
impl Communicator for Courier {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn run(&self, cx: &Cx, command: &Command, output: &mut OutputFn<'_>) -> Result<Exit, CommError> {
        self.alive(self.inner.run(cx, command, output)).await
    }

    async fn upload_bytes(&self, cx: &Cx, bytes: &[u8], to: &str, mode: Option<u32>) -> Result<(), CommError> {
        self.alive(self.inner.upload_bytes(cx, bytes, to, mode)).await
    }

    async fn upload_file(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        self.alive(async {
            let bulky = from.metadata().is_ok_and(|meta| meta.is_file() && meta.len() >= WORTH_IT);
            if bulky && payload::plain(to) && self.deliver(cx, |_| Payload::file(from, to)).await {
                return Ok(());
            }
            self.inner.upload_file(cx, from, to).await
        })
        .await
    }

    async fn upload_dir(&self, cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        self.alive(async {
            let bulky = payload::weight(from, WORTH_IT) >= WORTH_IT;
            if bulky && payload::plain(to) && self.deliver(cx, |image| Payload::directory(from, to, image)).await {
                return Ok(());
            }
            self.inner.upload_dir(cx, from, to).await
        })
        .await
    }

    async fn download_file(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        self.alive(self.inner.download_file(cx, from, to)).await
    }

    async fn download_dir(&self, cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        self.alive(self.inner.download_dir(cx, from, to)).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
