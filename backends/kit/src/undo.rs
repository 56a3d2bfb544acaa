//! Undos that every backend needs: end a process, remove a path.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Error, Kind, Result, Undo, Undoer, async_trait};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// For the kernel to take a killed process away.
const REAP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

pub fn undoers() -> Vec<Arc<dyn Undoer>> {
    vec![Arc::new(EndProcess), Arc::new(RemovePath), Arc::new(RemoveEmpty)]
}

#[derive(Serialize, Deserialize)]
struct ProcessData {
    pid: u32,
    /// Kernel ticks since boot at its start: another process with the same id has another one.
    started: Option<u64>,
    boot: Option<String>,
}

/// Ends the process group that `pid` leads.
pub fn process(pid: u32, program: &str) -> Undo {
    let data = ProcessData { pid, started: started(pid), boot: boot_id() };
    Undo { kind: "process".into(), what: format!("{program} process {pid}"), data: serde_json::json!(data) }
}

/// Removes a file or a directory with everything in it.
pub fn path(path: &Path) -> Undo {
    Undo { kind: "path".into(), what: path.display().to_string(), data: serde_json::json!({ "path": path }) }
}

/// Removes a directory that has nothing in it: what was put there since is worth keeping.
pub fn empty(path: &Path) -> Undo {
    Undo { kind: "empty".into(), what: format!("{} if it is empty", path.display()), ..self::path(path) }
}

fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// The 22nd field of `/proc/PID/stat`; none when there is no such process or it is a zombie.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Is that very process still running? A zombie is not.
pub fn alive(pid: u32, since: Option<u64>) -> bool {
    started(pid).is_some_and(|now| since.is_none_or(|since| since == now))
}

struct EndProcess;

#[async_trait]
impl Undoer for EndProcess {
    fn kinds(&self) -> &'static [&'static str] {
        &["process"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let data: ProcessData = decode(undo)?;
        let rebooted = data.boot.is_some() && data.boot != boot_id();
        if rebooted || data.started.is_none() {
            return Ok(());
        }
        for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, REAP)] {
            if !alive(data.pid, data.started) {
                break;
            }
            let _ = killpg(Pid::from_raw(data.pid as i32), signal); // gone meanwhile: the next look tells
            wait_gone(&data, patience).await;
        }
        if alive(data.pid, data.started) {
            return Err(Error::new(Kind::Host, format!("process {} does not end", data.pid)));
        }
        // Children it left in its group. An id in use again, by another process, is none of ours.
        if started(data.pid).is_none() {
            let _ = killpg(Pid::from_raw(data.pid as i32), Signal::SIGKILL);
        }
        Ok(())
    }
}

async fn wait_gone(data: &ProcessData, patience: Duration) {
    let polls = patience.as_millis() / POLL.as_millis();
    for _ in 0..polls {
        if !alive(data.pid, data.started) {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

#[derive(Deserialize)]
struct PathData {
    path: std::path::PathBuf,
}

struct RemoveEmpty;

#[async_trait]
impl Undoer for RemoveEmpty {
    fn kinds(&self) -> &'static [&'static str] {
        &["empty"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
        let PathData { path } = decode(undo)?;
        match tokio::fs::remove_dir(&path).await {
            Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
                Err(Error::io(format!("removing {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }
}

struct RemovePath;

#[async_trait]
impl Undoer for RemovePath {
    fn kinds(&self) -> &'static [&'static str] {
        &["path"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let PathData { path } = decode(undo)?;
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => tokio::fs::remove_dir_all(&path).await,
            Ok(_) => tokio::fs::remove_file(&path).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }
}

fn decode<T: for<'de> Deserialize<'de>>(undo: &Undo) -> Result<T> {
    serde_json::from_value(undo.data.clone())
        .map_err(|error| Error::new(Kind::Internal, error).context(format!("reading the undo of {}", undo.what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn paths_go_and_absent_ones_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("deep")).unwrap();
        std::fs::write(tree.join("deep/file"), "x").unwrap();
        for _ in 0..2 {
            RemovePath.undo(&path(&tree)).await.unwrap();
        }
        assert!(!tree.exists());
    }

    #[tokio::test]
    async fn a_process_with_a_reused_id_is_left_alone() {
        let mut undo = process(std::process::id(), "self");
        undo.data["started"] = 1.into();
        EndProcess.undo(&undo).await.unwrap();
    }
}
