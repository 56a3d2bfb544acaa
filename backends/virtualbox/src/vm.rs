//! A machine that VirtualBox knows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::{Cx, Error, Kind, Result};

use crate::vboxmanage::{Args, Info, State, VBoxManage, verbs};

const POLL: Duration = Duration::from_millis(250);
/// For a machine to end once its power is cut.
const CUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Vm {
    pub vbox: VBoxManage,
    /// Its UUID: names can be changed, also by the lines of a template.
    pub id: String,
    pub name: String,
    pub folder: PathBuf,
}

impl Vm {
    /// What VirtualBox has registered by that name or UUID.
    pub async fn known(cx: &Cx, vbox: VBoxManage, name: &str) -> Result<Self> {
        let info = vbox.info(cx, name).await?;
        let missing =
            |what: &str| Error::new(Kind::Host, format!("VBoxManage tells no {what} of the machine `{name}`"));
        let id = info.get("UUID").ok_or_else(|| missing("UUID"))?.to_owned();
        let settings = Path::new(info.get("CfgFile").ok_or_else(|| missing("settings file"))?);
        let folder = settings.parent().ok_or_else(|| missing("folder"))?.to_owned();
        let name = info.get("name").unwrap_or(name).to_owned();
        Ok(Self { vbox, id, name, folder })
    }

    pub async fn info(&self, cx: &Cx) -> Result<Info> {
        Ok(self.vbox.info(cx, &self.id).await?)
    }

    pub async fn call(&self, cx: &Cx, args: Args) -> Result<()> {
        self.vbox.call(cx, args).await?;
        Ok(())
    }

    pub async fn start(&self, cx: &Cx, window: bool) -> Result<()> {
        self.call(cx, verbs::startvm(&self.id, window)).await.map_err(|error| error.context("starting the machine"))
    }

    /// Waits until it is off. A process that broke down is an error.
    pub async fn wait_off(&self, cx: &Cx, deadline: Duration) -> Result<()> {
        cx.wait_for("the machine to go off", deadline, POLL, || self.ended(cx)).await
    }

    /// None while it runs.
    pub async fn ended(&self, cx: &Cx) -> Result<Option<()>> {
        match self.info(cx).await?.state() {
            State::Off | State::Saved => Ok(Some(())),
            State::Aborted => Err(self.broke("the process that ran the machine ended by itself")),
            State::Stuck => Err(self.broke("the machine is stuck: VirtualBox calls it a guru meditation")),
            State::Running | State::Paused | State::Changing => Ok(None),
        }
    }

    fn broke(&self, what: &str) -> Error {
        let log = last_lines(&self.log(), 5);
        let told = if log.is_empty() { what.to_owned() } else { format!("{what}; its log ends with:\n{log}") };
        Error::new(Kind::Host, told)
    }

    /// Cuts its power and waits until its session ended.
    pub async fn force_off(&self, cx: &Cx) -> Result<()> {
        if self.info(cx).await?.state() == State::Off {
            return Ok(());
        }
        match self.vbox.call(cx, verbs::controlvm(&self.id, &["poweroff"])).await {
            Ok(_) => {}
            // It went off in between.
            Err(_) if matches!(self.info(cx).await?.state(), State::Off | State::Aborted) => return Ok(()),
            Err(error) => return Err(Error::from(error).context("cutting the machine's power")),
        }
        cx.wait_for("the machine to end", CUT, POLL, || async {
            Ok(matches!(self.info(cx).await?.state(), State::Off | State::Aborted).then_some(()))
        })
        .await
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("Logs/VBox.log")
    }
}

fn last_lines(file: &Path, count: usize) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
