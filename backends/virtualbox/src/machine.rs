//! A VirtualBox machine that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::backend::Typing;
use bakehouse_api::keyboard::BootStep;
use bakehouse_api::{Artifact, Connector, Cx, Error, Facts, Guest, Kind, Machine, Result, UndoId, async_trait};
use bakehouse_kit::http::HttpServer;
use bakehouse_kit::ports::PortLease;
use bakehouse_kit::workspace::Workspace;

use crate::builder::Source;
use crate::claim::Claim;
use crate::scancodes::Scancodes;
use crate::start::Uploads;
use crate::tidy::Tidy;
use crate::vboxmanage::verbs;
use crate::vm::Vm;
use crate::{evidence, export};

const POLL: Duration = Duration::from_millis(500);
/// How long a guest gets that was not said to listen to its power button.
const POWER_BUTTON: Duration = Duration::from_secs(15);

pub struct VirtualBoxMachine {
    pub vm: Vm,
    /// None: the machine is the user's.
    pub claim: Option<Claim>,
    pub tidy: Tidy,
    /// None: nothing is exported.
    pub workspace: Option<Workspace>,
    pub power: Option<UndoId>,
    pub source: Source,
    pub vm_name: String,
    pub facts: Facts,
    pub typing: Option<Steps>,
    pub connector: Option<Arc<dyn Connector>>,
    pub uploads: Uploads,
    pub ports: Vec<PortLease>,
    pub acpi_shutdown: bool,
    /// There is a communicator.
    pub reached: bool,
    pub serial: Option<PathBuf>,
    pub http: Option<HttpServer>,
}

/// What is to be typed, and how fast.
pub struct Steps {
    pub steps: Vec<BootStep>,
    pub wait: Duration,
    pub interval: Duration,
}

#[async_trait]
impl Machine for VirtualBoxMachine {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    async fn typing(&mut self, _cx: &Cx) -> Result<Option<Typing>> {
        let Some(Steps { steps, wait, interval }) = self.typing.take() else { return Ok(None) };
        let keyboard = Box::new(Scancodes { vbox: self.vm.vbox.clone(), machine: self.vm.id.clone() });
        Ok(Some(Typing { keyboard, steps, wait, interval }))
    }

    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(self.connector.clone())
    }

    async fn connected(&mut self, cx: &Cx, guest: &Guest) -> Result<()> {
        let comm = guest.comm(cx).await?;
        let Uploads { additions, version_file, version } = &self.uploads;
        if let Some(name) = version_file {
            let written = comm.upload_bytes(cx, version.as_bytes(), name, None).await;
            written.map_err(|error| Error::from(error).context("writing VirtualBox's version into the guest"))?;
        }
        if let Some((from, to)) = additions {
            cx.say("Uploading the Guest Additions");
            let uploaded = comm.upload_file(cx, from, to).await;
            uploaded.map_err(|error| Error::from(error).context("uploading the Guest Additions"))?;
        }
        Ok(())
    }

    async fn gone(&mut self, cx: &Cx) -> Error {
        loop {
            match self.vm.ended(cx).await {
                Ok(Some(())) => return Error::new(Kind::Guest, "the guest switched itself off"),
                Ok(None) => tokio::time::sleep(POLL).await,
                Err(error) => return error,
            }
        }
    }

    async fn ask_off(&mut self, cx: &Cx) -> Result<bool> {
        if !self.acpi_shutdown && !self.reached {
            return Ok(false);
        }
        if self.vm.ended(cx).await?.is_some() {
            return Ok(true);
        }
        self.vm.call(cx, verbs::controlvm(&self.vm.id, &["acpipowerbutton"])).await?;
        if self.acpi_shutdown {
            return Ok(true);
        }
        match self.vm.wait_off(cx, POWER_BUTTON).await {
            Err(error) if error.kind() == Kind::Timeout => {
                cx.warn("the guest does not go off by its power button: cutting its power; a shutdown_command would be safer");
                Ok(false)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    async fn wait_off(&mut self, cx: &Cx, deadline: Duration) -> Result<()> {
        self.vm.wait_off(cx, deadline).await
    }

    async fn force_off(&mut self, cx: &Cx) -> Result<()> {
        self.vm.force_off(cx).await
    }

    async fn evidence(&mut self, cx: &Cx, into: &Path) -> Vec<PathBuf> {
        evidence::gather(cx, &self.vm, self.serial.as_deref(), into).await
    }

    async fn capture(self: Box<Self>, cx: &Cx) -> Result<Artifact> {
        export::capture(cx, *self).await
    }
}
