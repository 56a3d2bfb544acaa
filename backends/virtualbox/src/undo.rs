//! What is undone when a build ends early, as data: `bakehouse gc` does it for a run that was killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bakehouse_api::{Error, Kind, Result, Undo, Undoer, async_trait};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::vboxmanage::{Args, Info, Install, State, VBoxError, info, verbs};

const POLL: Duration = Duration::from_millis(200);
/// VBoxSVC ends an import or export that nobody waits for any more on its own time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files that did not change for so long are not being written.
const STILL: Duration = Duration::from_secs(2);

pub fn undoers() -> Vec<Arc<dyn Undoer>> {
    vec![Arc::new(RemoveMachine), Arc::new(SayAgain), Arc::new(PowerOff)]
}

/// A machine of ours: everything in its folder goes with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub install: Install,
    pub name: String,
    /// The folder was made for this machine: whatever is registered from inside of it is it.
    pub folder: PathBuf,
    /// Media that VirtualBox knew before.
    pub known_media: Vec<String>,
    /// VBoxSVC may still be writing files into the folder.
    pub importing: bool,
    /// Of the process that made it. When that was killed, what it had asked VBoxSVC for may still go on.
    pub made_by: u32,
}

pub fn machine(machine: &Machine) -> Undo {
    Undo {
        kind: "virtualbox.machine".into(),
        what: format!("VirtualBox machine `{}` in {}", machine.name, machine.folder.display()),
        data: serde_json::json!(machine),
    }
}

#[derive(Serialize, Deserialize)]
struct Lines {
    install: Install,
    machine: String,
    lines: Vec<Args>,
}

/// Lines that set a machine of the user's back to what it was.
pub fn restore(install: &Install, machine: &str, what: &str, lines: Vec<Args>) -> Undo {
    Undo {
        kind: "virtualbox.restore".into(),
        what: format!("{what} of the VirtualBox machine `{machine}`"),
        data: serde_json::json!(Lines { install: install.clone(), machine: machine.to_owned(), lines }),
    }
}

/// The power of a machine of the user's that a build switched on.
pub fn power(install: &Install, machine: &str) -> Undo {
    Undo {
        kind: "virtualbox.power".into(),
        what: format!("power of the VirtualBox machine `{machine}`"),
        data: serde_json::json!(Lines { install: install.clone(), machine: machine.to_owned(), lines: vec![] }),
    }
}

fn decode<T: DeserializeOwned>(undo: &Undo) -> Result<T> {
    serde_json::from_value(undo.data.clone())
        .map_err(|error| Error::new(Kind::Internal, error).context(format!("reading the undo of {}", undo.what)))
}

/// What is gone needs no undoing.
fn unless_gone(result: Result<String, VBoxError>) -> Result<(), VBoxError> {
    match result {
        Err(error) if !error.is_gone() => Err(error),
        _ => Ok(()),
    }
}

struct SayAgain;

#[async_trait]
impl Undoer for SayAgain {
    fn kinds(&self) -> &'static [&'static str] {
        &["virtualbox.restore"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let Lines { install, machine, lines } = decode(undo)?;
        off(&install, &machine).await?;
        for line in &lines {
            let said = unless_gone(install.alone(line).await);
            if !is_optional(line) {
                said?;
            }
        }
        Ok(())
    }
}

/// A medium that another machine uses stays on VirtualBox's list; a property may never have been set.
pub fn is_optional(line: &Args) -> bool {
    line.iter().any(|word| word == "closemedium" || word == "--vrdeproperty")
}

struct PowerOff;

#[async_trait]
impl Undoer for PowerOff {
    fn kinds(&self) -> &'static [&'static str] {
        &["virtualbox.power"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let Lines { install, machine, .. } = decode(undo)?;
        off(&install, &machine).await
    }
}

/// Waits until the machine neither runs nor is about to.
async fn off(install: &Install, machine: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let info = match install.alone(&verbs::showvminfo(machine)).await {
            Ok(text) => Info::parse(&text),
            Err(error) if error.is_gone() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let said = match info.state() {
            State::Off | State::Aborted => return Ok(()),
            State::Saved => install.alone(&verbs::discard_state(machine)).await,
            _ => install.alone(&verbs::controlvm(machine, &["poweroff"])).await,
        };
        if began.elapsed() > PATIENCE {
            said?;
            return Err(Error::new(Kind::Timeout, format!("the machine `{machine}` does not go off")));
        }
        tokio::time::sleep(POLL).await;
    }
}

struct RemoveMachine;

#[async_trait]
impl Undoer for RemoveMachine {
    fn kinds(&self) -> &'static [&'static str] {
        &["virtualbox.machine"]
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        let ours: Machine = decode(undo)?;
        remove(&ours).await
    }
}

/// Removes the machine, its disks, its folder, and what was put into its drives from VirtualBox's list.
pub async fn remove(ours: &Machine) -> Result<()> {
    let may_go_on = ours.importing || ours.made_by != std::process::id();
    let began = Instant::now();
    loop {
        for (uuid, info) in registered(ours).await? {
            remove_registered(ours, &uuid, &info).await?;
        }
        // A disk that was made and never attached.
        let listed = ours.install.alone(&verbs::list("hdds")).await?;
        for disk in info::locations(&listed).iter().filter(|disk| Path::new(disk).starts_with(&ours.folder)) {
            unless_gone(ours.install.alone(&verbs::closemedium("disk", disk)).await)?;
        }
        if !may_go_on || !still_written(&ours.folder) || began.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    match std::fs::remove_dir_all(&ours.folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", ours.folder.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Every machine whose settings lie in the folder.
async fn registered(ours: &Machine) -> Result<Vec<(String, Info)>> {
    let mut found = Vec::new();
    for (_, uuid) in info::machines(&ours.install.alone(&verbs::list("vms")).await?) {
        let info = match ours.install.alone(&verbs::showvminfo(&uuid)).await {
            Ok(text) => Info::parse(&text),
            // Somebody else's, gone meanwhile or broken: one whose settings cannot be read is none of ours.
            Err(VBoxError::Refused { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if info.get("CfgFile").is_some_and(|settings| Path::new(settings).starts_with(&ours.folder)) {
            found.push((uuid, info));
        }
    }
    Ok(found)
}

async fn remove_registered(ours: &Machine, uuid: &str, info: &Info) -> Result<()> {
    let install = &ours.install;
    off(install, uuid).await?;
    // `--delete` would also delete disks of others that lines of the template have attached.
    let foreign = info
        .attachments()
        .into_iter()
        .filter(|there| there.path().is_some_and(|path| !Path::new(path).starts_with(&ours.folder)));
    let mut inserted = Vec::new();
    for there in foreign {
        let place = verbs::Place { controller: there.controller.clone(), port: there.port, device: there.device };
        unless_gone(install.alone(&verbs::detach(uuid, &place)).await)?;
        inserted.extend(there.path().map(str::to_owned));
    }
    unless_gone(install.alone(&verbs::unregister(uuid, true)).await)?;
    for path in inserted.iter().filter(|path| !ours.known_media.contains(path)) {
        forget_medium(install, path).await;
    }
    Ok(())
}

/// Takes a CD or floppy off VirtualBox's list; one that another machine uses stays there.
pub async fn forget_medium(install: &Install, path: &str) {
    for kind in ["dvd", "floppy"] {
        if install.alone(&verbs::closemedium(kind, path)).await.is_ok() {
            return;
        }
    }
}

fn still_written(folder: &Path) -> bool {
    let newest = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    newest.is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < STILL))
}
