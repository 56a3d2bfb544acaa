//! Freezing a running machine and going on from where it was frozen. The machine stands still while its memory is
//! written, some tenths of a second: QEMU's background snapshots write for longer than that, slow the guest down
//! meanwhile, and do not go together with a file that has a place for each page.

use std::path::Path;
use std::time::Duration;

use bakehouse_api::{Checkpoint, Cx, Error, Kind, Result};
use bakehouse_kit::extents;
use bakehouse_kit::shelf::Folder;
use serde_json::{Value, json};

use crate::disk::Img;
use crate::frozen::{self, Frozen, MEMORY, VARIABLES};
use crate::live::{self, Live};
use crate::machine::{Built, QemuMachine};
use crate::options::Format;
use crate::qmp::{Qmp, QmpError};
use crate::vm::State;

/// For writing or reading the memory of a guest.
const TRANSFER: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(5);
/// Room that a checkpoint leaves free: the disks of the machine grow there too.
const RESERVE: u64 = 512 << 20;

/// A disk as QEMU has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drive {
    device: String,
    size: u64,
}

impl QemuMachine {
    pub async fn freeze(&mut self, cx: &Cx) -> Result<Option<Checkpoint>> {
        let memory = u64::from(self.memory_mib) << 20;
        let Some(live) = &mut self.live else { return Ok(None) };
        if !matches!(self.vm.status.state(), State::Running) {
            return Ok(None);
        }
        if let Some(hotplug) = &self.hotplug
            && !hotplug.is_idle().await
        {
            return Err(no("the guest keeps a disk that brought an upload"));
        }
        room(live.dir(), memory)?;
        let drives = drives(&self.vm.qmp, live, &self.harvest.disks).await?;
        let next = Folder::create(cx, Some(live.dir()))?;
        let host_keys = self.connector.as_ref().map(|connector| connector.host_keys()).unwrap_or_default();
        let disks = &mut self.harvest.disks;
        let variables = self.harvest.variables.as_deref();
        let taken = take(cx, &self.vm.qmp, live.dir(), &next, disks, &drives, variables).await;
        // Whatever became of the checkpoint: the machine must go on.
        let on = self.vm.qmp.raw("cont", json!({})).await;
        let frozen = match taken.and_then(|frozen| on.map(|_| frozen).map_err(Error::from)) {
            Ok(disks) => {
                let media = live::noted(live.dir(), &live.media);
                Frozen { disks, host_keys, media, ..live.frozen.clone() }
            }
            Err(error) => {
                let _ = std::fs::remove_file(live.dir().join(MEMORY)); // the folder goes with the build
                next.discard(cx).await?;
                return Err(error);
            }
        };
        for (index, disk) in self.harvest.disks.iter_mut().enumerate() {
            (disk.file, disk.format) = (next.dir.join(name(index)), Format::Qcow2);
            disk.finish.as_it_is = false;
        }
        frozen.write(live.dir())?;
        Ok(Some(live.advance(next)))
    }
}

fn name(index: usize) -> String {
    format!("disk{index}")
}

fn no(reason: impl std::fmt::Display) -> Error {
    Error::new(Kind::Host, reason)
}

/// A checkpoint must never take the room that the build itself needs.
fn room(dir: &Path, memory: u64) -> Result<()> {
    let free =
        extents::free(dir).map_err(|error| Error::io(format!("asking for room in {}", dir.display()), &error))?;
    if free < memory + RESERVE {
        let error = format!("only {} MiB are free in {}", free >> 20, dir.display());
        return Err(no(error).hint("free some space, or `bakehouse cache prune`"));
    }
    Ok(())
}

/// The machine's disks, in order. Any other disk that the guest may write to would be missing from the checkpoint.
async fn drives(qmp: &Qmp, live: &mut Live, disks: &[Built]) -> Result<Vec<Drive>> {
    let all = qmp.raw("query-block", json!({})).await?;
    let all: Vec<&Value> = all.as_array().into_iter().flatten().filter(|entry| entry["inserted"].is_object()).collect();
    let file = |entry: &Value| entry["inserted"]["file"].as_str().unwrap_or_default().to_owned();
    // After the first checkpoint QEMU tells more than a file's name; a device keeps its own.
    if live.drives.is_empty() {
        for disk in disks {
            let entry = all.iter().find(|entry| Path::new(&file(entry)) == disk.file);
            let drive = entry.and_then(|entry| {
                let device = entry["device"].as_str().filter(|device| !device.is_empty())?.to_owned();
                Some(Drive { device, size: entry["inserted"]["image"]["virtual-size"].as_u64()? })
            });
            let unused = || no(format!("the machine does not use the disk {}", disk.file.display()));
            live.drives.push(drive.ok_or_else(unused)?);
        }
    }
    let ours = |entry: &Value| {
        let device = entry["device"].as_str().unwrap_or_default();
        device.starts_with("pflash") || live.drives.iter().any(|drive| drive.device == device)
    };
    match all.iter().find(|entry| entry["inserted"]["ro"] == false && !ours(entry)) {
        Some(foreign) => Err(no(format!("the machine writes to {}, which a checkpoint would not keep", file(foreign)))),
        None => Ok(live.drives.clone()),
    }
}

/// Leaves the machine standing still. Its disks are in `next` when this worked, and where they were when not.
async fn take(
    cx: &Cx,
    qmp: &Qmp,
    from: &Path,
    next: &Folder,
    disks: &[Built],
    drives: &[Drive],
    variables: Option<&Path>,
) -> Result<Vec<frozen::Disk>> {
    let img = Img { cx, args: None };
    let mut actions = Vec::new();
    let mut kept = Vec::new();
    for (index, (disk, drive)) in disks.iter().zip(drives).enumerate() {
        let (file, size) = (next.dir.join(name(index)), drive.size);
        img.chain(&file, &live::relative(&next.dir, &disk.file), disk.format, size).await?;
        let data = json!({ "device": drive.device, "snapshot-file": file, "format": "qcow2", "mode": "existing" });
        actions.push(json!({ "type": "blockdev-snapshot-sync", "data": data }));
        let name = disk.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        kept.push(frozen::Disk { name, format: disk.format.as_str().into(), size });
    }
    prepare(qmp).await?;
    qmp.raw("stop", json!({})).await?;
    transfer(cx, qmp, "migrate", &from.join(MEMORY)).await?;
    if let Some(store) = variables {
        let to = from.join(VARIABLES);
        std::fs::copy(store, &to).map_err(|error| Error::io(format!("writing {}", to.display()), &error))?;
    }
    qmp.raw("transaction", json!({ "actions": actions })).await?;
    Ok(kept)
}

/// Zero pages become holes, and nothing holds the writing back.
async fn prepare(qmp: &Qmp) -> Result<()> {
    let capability = json!({ "capabilities": [{ "capability": "mapped-ram", "state": true }] });
    qmp.raw("migrate-set-capabilities", capability)
        .await
        .map_err(|error| no(format!("this QEMU cannot write its memory to a file ({error}); 9.0 and later can")))?;
    qmp.raw("migrate-set-parameters", json!({ "max-bandwidth": 1u64 << 40 })).await?;
    Ok(())
}

/// Lets a new process, which waits for it, go on from the checkpoint in `dir`.
pub async fn thaw(cx: &Cx, qmp: &Qmp, dir: &Path) -> Result<()> {
    prepare(qmp).await?;
    transfer(cx, qmp, "migrate-incoming", &dir.join(MEMORY)).await?;
    qmp.raw("cont", json!({})).await?;
    Ok(())
}

/// Writes or reads the memory.
async fn transfer(cx: &Cx, qmp: &Qmp, command: &str, file: &Path) -> Result<()> {
    let uri = format!("file:{}", file.display());
    qmp.raw(command, json!({ "uri": uri })).await?;
    let done = cx.wait_for("QEMU to transfer the guest's memory", TRANSFER, POLL, || async {
        let state = qmp.raw("query-migrate", json!({})).await?;
        match state["status"].as_str() {
            Some("completed") => Ok(Some(())),
            Some("failed" | "cancelled") => {
                let why = state["error-desc"].as_str().unwrap_or("it did not say why");
                Err(no(format!("QEMU could not transfer the guest's memory: {why}")))
            }
            _ => Ok(None),
        }
    });
    let done = done.await;
    if done.is_err() && command == "migrate" {
        cancel(qmp).await;
    }
    done
}

/// Until the transfer has ended the machine cannot go on.
async fn cancel(qmp: &Qmp) {
    let cancelled = async {
        qmp.raw("migrate_cancel", json!({})).await?;
        loop {
            let state = qmp.raw("query-migrate", json!({})).await?;
            if !matches!(
                state["status"].as_str(),
                Some("setup" | "active" | "cancelling" | "device" | "pre-switchover")
            ) {
                return Ok::<(), QmpError>(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    // A machine that cannot go on fails at its next step, which tells.
    let _ = tokio::time::timeout(Duration::from_secs(10), cancelled).await;
}
