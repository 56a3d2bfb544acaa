//! VBoxManage, typed: what to say (`verbs`), how it is said, what comes back (`info`), what went wrong (`error`).

pub mod error;
pub mod info;
pub mod verbs;
pub mod version;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bakehouse_api::Cx;
use bakehouse_kit::process::{Finished, ProcessError, Program};
use serde::{Deserialize, Serialize};

pub use error::VBoxError;
pub use info::{Info, State};
pub use verbs::Args;
pub use version::{Feature, Version};

/// Every verb but those that copy disks is done in a second; the first one also starts VBoxSVC.
const DEADLINE: Duration = Duration::from_secs(60);
/// A session that just ended holds its machine for a moment.
const LOCKED: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// What chooses the VirtualBox that VBoxManage talks to.
const CHOOSING: [&str; 2] = ["VBOX_USER_HOME", "VBOX_IPC_SOCKETID"];

/// Where VirtualBox is: enough to find it again from another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    pub program: String,
    pub env: BTreeMap<String, String>,
}

impl Install {
    pub fn new(cx: &Cx, program: &str) -> Self {
        let env = &cx.settings().env;
        let chosen = CHOOSING.iter().filter_map(|name| Some(((*name).to_owned(), env.get(*name)?.clone())));
        // An undo may be done from another folder.
        let path = program.contains('/').then(|| cx.settings().cwd.join(program));
        let program = path.map_or_else(|| program.to_owned(), |path| path.to_string_lossy().into_owned());
        Self { program, env: chosen.collect() }
    }

    fn program(&self, args: &Args) -> Program {
        let program =
            self.env.iter().fold(Program::new(&self.program), |program, (name, value)| program.env(name, value));
        // Without a UTF-8 locale VBoxManage refuses names that are not ASCII.
        program.env("LC_ALL", "C.UTF-8").args(args)
    }

    /// Outside of a build, for undos.
    pub async fn alone(&self, args: &Args) -> Result<String, VBoxError> {
        retried(|| async { outcome(args, self.program(args).run_alone(DEADLINE).await) }).await
    }
}

/// A VirtualBox that answered.
#[derive(Clone, Debug)]
pub struct VBoxManage {
    pub install: Install,
    pub version: Version,
}

impl VBoxManage {
    pub async fn find(cx: &Cx, program: &str) -> Result<Self, VBoxError> {
        let install = Install::new(cx, program);
        let said = outcome(&verbs::version(), install.program(&verbs::version()).deadline(DEADLINE).run(cx).await)?;
        let version = Version::parse(&said)
            .ok_or_else(|| VBoxError::NotVBoxManage { program: program.to_owned(), said: said.trim().to_owned() })?;
        if version < version::OLDEST {
            return Err(VBoxError::TooOld { found: version });
        }
        Ok(Self { install, version })
    }

    /// What it wrote to its standard output.
    pub async fn call(&self, cx: &Cx, args: Args) -> Result<String, VBoxError> {
        retried(|| async { outcome(&args, self.install.program(&args).deadline(DEADLINE).run(cx).await) }).await
    }

    /// For verbs that copy disks: however long it takes.
    pub async fn copy(&self, cx: &Cx, args: Args) -> Result<String, VBoxError> {
        retried(|| async { outcome(&args, self.install.program(&args).run(cx).await) }).await
    }

    pub async fn info(&self, cx: &Cx, machine: &str) -> Result<Info, VBoxError> {
        self.call(cx, verbs::showvminfo(machine)).await.map(|text| Info::parse(&text))
    }
}

/// What the program says of a failure is on stderr, progress beside it.
fn outcome(args: &Args, finished: Result<Finished, ProcessError>) -> Result<String, VBoxError> {
    let finished = finished?;
    if finished.exit.success() {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    Err(VBoxError::refused(args, &finished))
}

/// Tries again while another session lets go of the machine.
async fn retried<F, Fut>(mut once: F) -> Result<String, VBoxError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<String, VBoxError>>,
{
    let began = Instant::now();
    loop {
        match once().await {
            Err(error) if error.is_locked() && began.elapsed() < LOCKED => tokio::time::sleep(POLL).await,
            done => return done,
        }
    }
}
