//! A QEMU process and what is known of it at any moment: it runs, the guest went off, or it failed
//! and why. Everyone who waits for the guest watches this beside what they wait for.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bakehouse_api::{Cx, Error, Exit, Kind, Result};
use bakehouse_kit::process::{Program, Running, describe};
use tokio::sync::{mpsc, watch};

use crate::argv::Control;
use crate::qmp::{Event, Qmp};

/// For QEMU to open its monitor.
const START: Duration = Duration::from_secs(30);
/// Between `quit` and the end of the process.
const QUIT: Duration = Duration::from_secs(5);
/// Between two looks at the serial log.
const SERIAL_POLL: Duration = Duration::from_millis(500);
/// What QEMU says when somebody else took a port between our look and its bind.
const PORT_TAKEN: [&str; 3] = ["Could not set up host forwarding rule", "Address already in use", "Failed to bind"];

#[derive(Clone, Debug)]
pub enum State {
    Running,
    /// The guest switched itself off, or was switched off by us.
    Off,
    Failed(Error),
}

pub struct Vm {
    pub qmp: Qmp,
    pub status: Status,
    kill: mpsc::Sender<()>,
    stderr: Arc<Mutex<String>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Status {
    state: watch::Receiver<State>,
    agent: watch::Receiver<bool>,
}

impl Status {
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Has the guest opened the agent's channel?
    pub fn agent_open(&self) -> bool {
        *self.agent.borrow()
    }

    /// Returns once the machine runs no more.
    pub async fn ended(&self) -> State {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| !matches!(state, State::Running)).await.map(|state| state.clone());
        ended.unwrap_or(State::Off) // the minder is gone, and so is the process it minded
    }

    /// Returns once the machine failed; never when it goes off in peace.
    pub async fn failed(&self) -> Error {
        let mut state = self.state.clone();
        let failed = state.wait_for(|state| matches!(state, State::Failed(_))).await.map(|state| state.clone());
        match failed {
            Ok(State::Failed(error)) => error,
            _ => std::future::pending().await,
        }
    }
}

/// Why a launch failed.
pub enum LaunchError {
    /// Worth another try with other ports.
    PortTaken(Error),
    Other(Error),
}

impl Vm {
    pub async fn launch(cx: &Cx, binary: &str, argv: Vec<String>, control: &Control) -> Result<Self, LaunchError> {
        let program = Program::new(binary).args(argv).dir(&cx.settings().cwd);
        let mut running = program.spawn(cx).await.map_err(|error| LaunchError::Other(missing(binary, error.into())))?;
        let qmp = match connect(cx, &mut running, &control.qmp).await {
            Ok(qmp) => qmp,
            Err(error) => {
                let taken = PORT_TAKEN.iter().any(|words| running.stderr_tail().contains(words));
                if running.ended(cx).is_none() {
                    running.stop(cx).await.map_err(|error| LaunchError::Other(error.into()))?;
                }
                return Err(if taken { LaunchError::PortTaken(error) } else { LaunchError::Other(error) });
            }
        };
        let (state, state_seen) = watch::channel(State::Running);
        let (agent, agent_seen) = watch::channel(false);
        let (kill, killed) = mpsc::channel(1);
        let stderr = Arc::new(Mutex::new(String::new()));
        let minder = Minder {
            cx: cx.clone(),
            events: qmp.events(),
            state,
            agent,
            stderr: stderr.clone(),
            serial: SerialLog { path: control.serial.clone(), read: 0 },
            told: None,
        };
        tokio::spawn(minder.mind(running, killed));
        Ok(Self { qmp, status: Status { state: state_seen, agent: agent_seen }, kill, stderr })
    }

    /// QEMU's last words so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error with what QEMU itself said.
    pub fn last_words(&self, error: Error) -> Error {
        match self.stderr() {
            said if said.is_empty() => error,
            said => error.context(said),
        }
    }

    /// Ends the machine like a pulled plug; what QEMU itself buffers is written out.
    pub async fn force_off(&self) -> Result<()> {
        let quit = async {
            let _ = self.qmp.execute(qapi_qmp::quit {}).await; // closed already, or killed below
            self.status.ended().await
        };
        if tokio::time::timeout(QUIT, quit).await.is_err() {
            let _ = self.kill.send(()).await; // the minder ends only with the process
            self.status.ended().await;
        }
        Ok(())
    }
}

pub fn missing(binary: &str, error: Error) -> Error {
    if error.kind() != Kind::Missing {
        return error.context("starting the machine");
    }
    let package = match binary {
        "qemu-system-aarch64" | "qemu-system-arm" => "qemu-system-arm",
        _ => "qemu-system-x86",
    };
    error.hint(format!("Debian and Ubuntu have it in the package `{package}`; `qemu_binary` names another one"))
}

async fn connect(cx: &Cx, running: &mut Running, socket: &Path) -> Result<Qmp> {
    let opened = cx.wait_for("QEMU to open its monitor", START, Duration::from_millis(10), || {
        let ended = running.ended(cx);
        let listens = socket.exists();
        async move {
            match ended {
                Some(exit) => Err(Error::new(Kind::Host, format!("QEMU {} at once", describe(&exit)))),
                None if listens => Ok(Qmp::connect(socket).await.ok()),
                None => Ok(None),
            }
        }
    });
    let opened = opened.await;
    match opened {
        Ok(qmp) => Ok(qmp),
        Err(error) if error.kind() == Kind::Host => {
            let _ = running.wait(cx).await; // it has ended: this only reads the rest of its stderr
            let tail = running.stderr_tail();
            Err(Error::new(Kind::Host, format!("{}; it said:\n{tail}", error.message()))
                .context("starting the machine"))
        }
        Err(error) => Err(error.context("starting the machine")),
    }
}

/// Watches the process and its events from start to end.
struct Minder {
    cx: Cx,
    events: tokio::sync::broadcast::Receiver<Event>,
    state: watch::Sender<State>,
    agent: watch::Sender<bool>,
    stderr: Arc<Mutex<String>>,
    serial: SerialLog,
    /// What the SHUTDOWN event gave as its reason.
    told: Option<String>,
}

impl Minder {
    async fn mind(mut self, mut running: Running, mut killed: mpsc::Receiver<()>) {
        use tokio::sync::broadcast::error::RecvError;
        let mut listening = true;
        let mut look = tokio::time::interval(SERIAL_POLL);
        let exit = loop {
            tokio::select! {
                exit = running.wait(&self.cx) => break exit,
                event = self.events.recv(), if listening => match event {
                    Ok(event) => self.see(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => listening = false,
                },
                _ = look.tick() => {
                    if let Some(panic) = self.serial.kernel_panic() {
                        self.fail(Error::new(Kind::Guest, format!("the guest's kernel panicked: {panic}")));
                    }
                }
                Some(()) = killed.recv() => {
                    self.told = Some("host-qmp-quit".into());
                    let _ = running.stop(&self.cx).await; // what does not die is told by the undo journal
                }
            }
            self.keep_stderr(&running);
        };
        while let Ok(event) = self.events.try_recv() {
            self.see(&event);
        }
        self.keep_stderr(&running);
        let end = match exit {
            Ok(exit) => self.judge(&exit, &running.stderr_tail()),
            Err(error) => State::Failed(Error::from(error)),
        };
        // A failure already told stays: it is the cause, the exit its consequence.
        self.state.send_if_modified(|state| {
            let first = matches!(state, State::Running);
            if first {
                *state = end;
            }
            first
        });
    }

    fn keep_stderr(&self, running: &Running) {
        *self.stderr.lock().unwrap_or_else(PoisonError::into_inner) = running.stderr_tail();
    }

    fn see(&mut self, event: &Event) {
        match event.name.as_str() {
            "SHUTDOWN" => self.told = event.data["reason"].as_str().map(str::to_owned),
            "VSERPORT_CHANGE" => {
                self.agent.send_replace(event.data["open"].as_bool().unwrap_or(false));
            }
            "BLOCK_IO_ERROR" => self.fail(io_error(event)),
            "GUEST_PANICKED" => {
                let error = Error::new(Kind::Guest, "the guest's kernel panicked");
                self.fail(error.hint("the serial log and the screenshot may show why"));
            }
            _ => {}
        }
    }

    fn fail(&self, error: Error) {
        self.state.send_replace(State::Failed(error));
    }

    fn judge(&self, exit: &Exit, stderr: &str) -> State {
        let reason = self.told.as_deref();
        let by_signal = matches!(reason, Some("host-signal" | "host-ui" | "host-error"));
        if exit.success() && !by_signal || reason == Some("host-qmp-quit") {
            return State::Off;
        }
        let how = if by_signal { "was ended from outside".to_owned() } else { describe(exit) };
        let said = if stderr.is_empty() { "; it said nothing".into() } else { format!("; it said:\n{stderr}") };
        State::Failed(Error::new(Kind::Host, format!("QEMU {how} while the build ran{said}")))
    }
}

/// What the guest's kernel wrote to its first serial line.
struct SerialLog {
    path: PathBuf,
    read: u64,
}

impl SerialLog {
    /// The reason of a panic written since the last look. A panic device would tell it too, where the
    /// guest has a driver for one.
    fn kernel_panic(&mut self) -> Option<String> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = std::fs::File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut fresh = Vec::new();
        file.read_to_end(&mut fresh).ok()?;
        let whole = fresh.iter().rposition(|byte| *byte == b'\n')? + 1; // a line still being written waits
        self.read += whole as u64;
        let fresh = String::from_utf8_lossy(&fresh[..whole]);
        let reason = fresh.lines().find_map(|line| line.split_once("Kernel panic - not syncing: "))?.1;
        Some(reason.trim().to_owned())
    }
}

fn io_error(event: &Event) -> Error {
    let device = event.data["device"].as_str().unwrap_or_default();
    let operation = event.data["operation"].as_str().unwrap_or("access");
    if event.data["nospace"].as_bool() == Some(true) {
        return Error::new(Kind::Host, format!("the disk of this machine is full: QEMU cannot {operation} `{device}`"))
            .hint("free some space, or choose an output_directory on another file system");
    }
    let reason = event.data["reason"].as_str().unwrap_or("no reason given");
    Error::new(Kind::Host, format!("QEMU cannot {operation} the machine's disk `{device}`: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_panic_is_read_from_the_serial_log_once_its_line_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serial.log");
        let mut log = SerialLog { path: path.clone(), read: 0 };
        std::fs::write(&path, "booting\n[    4.0] Kernel panic - not syncing: Atte").unwrap();
        assert_eq!(log.kernel_panic(), None);
        std::fs::write(&path, "booting\n[    4.0] Kernel panic - not syncing: Attempted to kill init!\r\n").unwrap();
        assert_eq!(log.kernel_panic().as_deref(), Some("Attempted to kill init!"));
        assert_eq!(log.kernel_panic(), None);
    }

    #[test]
    fn a_full_disk_is_told_apart_from_other_io_errors() {
        let event = |data| Event { name: "BLOCK_IO_ERROR".into(), data };
        let full = io_error(&event(serde_json::json!({ "device": "virtio0", "operation": "write", "nospace": true })));
        assert!(full.to_string().contains("is full"), "{full}");
        let other = io_error(&event(serde_json::json!({ "operation": "read", "reason": "Input/output error" })));
        assert!(other.to_string().contains("Input/output error"), "{other}");
    }
}
