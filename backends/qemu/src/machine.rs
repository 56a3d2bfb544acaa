//! A QEMU machine that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bakehouse_api::backend::Typing;
use bakehouse_api::guest::Wrap;
use bakehouse_api::keyboard::BootStep;
use bakehouse_api::{
    Artifact, Checkpoint, Command, Communicator, Connector, Cx, Error, Facts, Guest, Kind, Machine, Result, async_trait,
};
use bakehouse_kit::http::HttpServer;
use tokio::sync::Mutex;

use crate::agent::Agent;
use crate::argv::Control;
use crate::courier::{Courier, Hotplug};
use crate::disk::{Finish, Img};
use crate::evidence;
use crate::keyboard::QmpKeyboard;
use crate::live::Live;
use crate::net::PortLease;
use crate::options::{Format, ImgArgs};
use crate::tpm::Swtpm;
use crate::vm::{State, Status, Vm};
use crate::workspace::Workspace;

/// The agent's answer to a guest whose disks are being frozen.
const SYNC: Duration = Duration::from_secs(15);
/// A guest that does not react to its power button by then is asked through its shell.
const POWER_BUTTON: Duration = Duration::from_secs(15);
/// A clock further off than this is set.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// A disk of the artifact.
pub struct Built {
    /// Where it is by now.
    pub file: PathBuf,
    /// What the artifact calls it.
    pub name: String,
    pub format: Format,
    pub finish: Finish,
}

/// What capturing needs to know of the machine once it is off.
pub struct Harvest {
    pub workspace: Workspace,
    pub disks: Vec<Built>,
    /// Files beside the disks that the artifact does not keep.
    pub dropped: Vec<PathBuf>,
    pub img_args: Option<ImgArgs>,
    /// The store of UEFI variables that the machine writes to.
    pub variables: Option<PathBuf>,
    pub facts: std::collections::BTreeMap<String, String>,
}

/// Held for as long as the machine runs.
pub struct Held {
    pub _ports: Vec<PortLease>,
    pub tpm: Option<Swtpm>,
    pub _http: Option<HttpServer>,
}

pub struct QemuMachine {
    pub vm: Vm,
    pub facts: Facts,
    pub typing: Option<Steps>,
    pub connector: Option<Arc<dyn Connector>>,
    pub agent: Option<Arc<Mutex<Agent>>>,
    pub hotplug: Option<Arc<Hotplug>>,
    pub control: Control,
    pub harvest: Harvest,
    pub held: Held,
    /// None without checkpoints.
    pub live: Option<Live>,
    /// It went on from a checkpoint.
    pub resumed: bool,
    pub memory_mib: u32,
    /// Known once the communicator answered.
    pub guest: Option<Guest>,
    pub asked: bool,
}

/// What is to be typed, and how fast.
pub struct Steps {
    pub steps: Vec<BootStep>,
    pub wait: Duration,
    pub interval: Duration,
}

impl QemuMachine {
    /// The agent, where the guest has opened its channel.
    async fn agent(&self) -> Option<tokio::sync::MutexGuard<'_, Agent>> {
        let agent = self.agent.as_ref().filter(|_| self.vm.status.agent_open())?;
        Some(agent.lock().await)
    }

    /// True when the agent told the time.
    async fn set_clock(&self, cx: &Cx) -> bool {
        let Some(mut agent) = self.agent().await else { return false };
        let Ok(there) = agent.execute(qapi_qga::guest_get_time {}).await else { return false };
        let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let there = Duration::from_nanos(u64::try_from(there).unwrap_or(0));
        let off = here.abs_diff(there);
        if off < CLOCK_TOLERANCE {
            return true;
        }
        let time = i64::try_from(here.as_nanos()).ok();
        match agent.execute(qapi_qga::guest_set_time { time }).await {
            Ok(_) => cx.message(format!("The guest's clock was {} s off and is set", off.as_secs())),
            Err(error) => cx.warn(format!("the guest's clock is {} s off: {error}", off.as_secs())),
        }
        true
    }

    /// For a guest without an agent. Only after a checkpoint: others have read the time of their machine.
    async fn set_clock_by_shell(&self, cx: &Cx, guest: &Guest) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let line = format!(
            "off=$(( {now} - $(date -u +%s) )); [ ${{off#-}} -lt {} ] || \
             if [ \"$(id -u)\" = 0 ]; then date -u -s @{now}; else sudo -n date -u -s @{now}; fi",
            CLOCK_TOLERANCE.as_secs()
        );
        let Ok(comm) = guest.comm(cx).await else { return };
        let mut said = Vec::new();
        match comm.run(cx, &Command::new(line), &mut |_, bytes| said.extend_from_slice(bytes)).await {
            Ok(exit) if exit.success() => {}
            Ok(_) => {
                let said = String::from_utf8_lossy(&said);
                cx.warn(format!("the guest's clock is behind, and cannot be set: {}", said.trim()));
            }
            Err(error) => cx.warn(format!("the guest's clock is behind, and cannot be set: {error}")),
        }
    }

    /// Not every guest listens to its power button: a shell can do without one.
    async fn power_off_by_shell(&self, cx: &Cx) {
        let Some(guest) = self.guest.as_ref().filter(|guest| guest.has_communicator()) else { return };
        cx.message("The guest does not react to its power button: asking its shell");
        let line = "sync; if [ \"$(id -u)\" = 0 ]; then poweroff; else sudo -n poweroff; fi";
        if let Ok(comm) = guest.comm(cx).await {
            let _ = comm.run(cx, &Command::new(line), &mut |_, _| ()).await; // seen by the machine going off
        }
    }
}

#[async_trait]
impl Machine for QemuMachine {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    async fn typing(&mut self, _cx: &Cx) -> Result<Option<Typing>> {
        let Some(Steps { steps, wait, interval }) = self.typing.take() else { return Ok(None) };
        let keyboard = Box::new(QmpKeyboard { qmp: self.vm.qmp.clone() });
        Ok(Some(Typing { keyboard, steps, wait, interval }))
    }

    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(self.connector.clone())
    }

    fn wrap(&self) -> Option<Wrap> {
        let (hotplug, status) = (self.hotplug.clone(), self.vm.status.clone());
        Some(Arc::new(move |inner: Arc<dyn Communicator>| {
            Arc::new(Courier { inner, hotplug: hotplug.clone(), status: status.clone() })
        }))
    }

    async fn connected(&mut self, cx: &Cx, guest: &Guest) -> Result<()> {
        self.guest = Some(guest.clone());
        if !self.set_clock(cx).await && self.resumed {
            self.set_clock_by_shell(cx, guest).await;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, cx: &Cx) -> Result<Option<Checkpoint>> {
        self.freeze(cx).await
    }

    async fn gone(&mut self, _cx: &Cx) -> Error {
        match self.vm.status.ended().await {
            State::Failed(error) => error,
            _ => Error::new(Kind::Guest, "the guest switched itself off"),
        }
    }

    async fn ask_off(&mut self, cx: &Cx) -> Result<bool> {
        if !matches!(self.vm.status.state(), State::Running) {
            return Ok(true);
        }
        if let Some(mut agent) = self.agent().await {
            match agent.shutdown().await {
                Ok(()) => return Ok(true),
                Err(error) => cx.message(format!("{error}: pressing the power button instead")),
            }
        }
        self.vm.qmp.execute(qapi_qmp::system_powerdown {}).await?;
        self.asked = true;
        Ok(true)
    }

    async fn wait_off(&mut self, cx: &Cx, deadline: Duration) -> Result<()> {
        let status = self.vm.status.clone();
        let ended = async {
            if self.asked && tokio::time::timeout(POWER_BUTTON.min(deadline), status.ended()).await.is_err() {
                self.power_off_by_shell(cx).await;
            }
            match status.ended().await {
                State::Failed(error) => Err(error),
                _ => Ok(()),
            }
        };
        match tokio::time::timeout(deadline, cx.interruptible(ended)).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(Kind::Timeout, format!("the machine is still running after {deadline:?}"))),
        }
    }

    async fn force_off(&mut self, _cx: &Cx) -> Result<()> {
        if let Some(mut agent) = self.agent().await {
            // Frozen file systems are whole on disk; nobody thaws them, as the power goes next.
            let _ = tokio::time::timeout(SYNC, agent.execute(qapi_qga::guest_fsfreeze_freeze {})).await;
        }
        self.vm.force_off().await
    }

    async fn evidence(&mut self, _cx: &Cx, into: &Path) -> Vec<PathBuf> {
        evidence::gather(&self.vm, &self.control, into).await
    }

    async fn capture(self: Box<Self>, cx: &Cx) -> Result<Artifact> {
        if let State::Failed(error) = self.vm.status.ended().await {
            return Err(error);
        }
        let Self { harvest, held, .. } = *self;
        if let Some(tpm) = held.tpm {
            tpm.end(cx).await?;
        }
        capture(cx, harvest).await
    }
}

async fn capture(cx: &Cx, harvest: Harvest) -> Result<Artifact> {
    let Harvest { workspace, disks, dropped, img_args, facts, .. } = harvest;
    let img = Img { cx, args: img_args.as_ref() };
    for disk in &disks {
        finish(cx, &img, disk, &workspace.file(&disk.name)).await?;
    }
    for file in dropped {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("removing {}", file.display()), &error));
            }
            _ => {}
        }
    }
    let (output, files) = workspace.publish(cx)?;
    Ok(artifact(&output, files, facts))
}

pub fn artifact(output: &Path, files: Vec<PathBuf>, facts: std::collections::BTreeMap<String, String>) -> Artifact {
    Artifact {
        builder_id: "transcend.qemu".into(),
        id: "VM".into(),
        text: format!("VM files in directory: {}", output.display()),
        files,
        facts,
        destroy: vec![bakehouse_kit::undo::path(output)],
    }
}

/// From the disk of the machine to the artifact's, in place or beside it.
async fn finish(cx: &Cx, img: &Img<'_>, disk: &Built, to: &Path) -> Result<()> {
    let in_place = disk.file == to;
    if disk.finish.as_it_is && in_place {
        return Ok(());
    }
    cx.say(match disk.finish.compression {
        Some(compression) => format!("Writing the disk, compressed with {}", compression.as_str()),
        None => "Writing the disk".into(),
    });
    if !in_place {
        return img.convert(&disk.file, disk.format, to, &disk.finish).await;
    }
    let mut whole = disk.file.clone().into_os_string();
    whole.push(".partial");
    let whole = PathBuf::from(whole);
    img.convert(&disk.file, disk.format, &whole, &disk.finish).await?;
    std::fs::rename(&whole, to).map_err(|error| Error::io(format!("replacing {}", to.display()), &error))
}

/// Connects to the guest, or fails at once with what ended its machine.
pub struct Watched {
    pub inner: Arc<dyn Connector>,
    pub status: Status,
}

#[async_trait]
impl Connector for Watched {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn facts(&self) -> Facts {
        self.inner.facts()
    }

    fn host_keys(&self) -> Vec<String> {
        self.inner.host_keys()
    }

    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        tokio::select! {
            biased;
            connected = self.inner.connect(cx) => connected,
            ended = self.status.ended() => Err(match ended {
                State::Failed(error) => error,
                _ => Error::new(Kind::Guest, "the guest switched itself off"),
            }
            .context("waiting for the guest to be reached")),
        }
    }

    async fn finish(&self, cx: &Cx, comm: &dyn Communicator) -> Result<()> {
        self.inner.finish(cx, comm).await
    }
}
