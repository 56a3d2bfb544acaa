//! The seam between the engine and a platform: few verbs, data in, events out. The engine owns the
//! order of the stages; a backend never reads the environment or argv and never prints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::guest::Wrap;
use crate::keyboard::{BootStep, Keyboard};
use crate::{Artifact, Body, Connector, Cx, Diagnostics, Guest, Result, Schema, UndoId, Undoer, Value, async_trait};

/// What `build.*` can say, by Packer's names: `Host`, `Port`, `PackerHTTPAddr`, `SourceAMI`, ...
pub type Facts = BTreeMap<String, Value>;

/// Something a stage reads, for its key and for saying why a key missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// "memory", "script setup.sh", "base image".
    pub name: String,
    /// The value or a digest of it. May be a secret: it is kept as a keyed digest only.
    pub value: String,
    /// People may read the value.
    pub shown: bool,
}

impl Input {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), shown: false }
    }

    /// A short value that is no secret: a miss tells the old one and the new one.
    pub fn shown(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { shown: true, ..Self::new(name, value) }
    }
}

/// A machine frozen after a stage: a folder below [`crate::Settings::checkpoints`] that whoever made it writes no
/// more. It counts once the engine has put its note into it; until then `undo` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub dir: PathBuf,
    pub undo: UndoId,
}

/// Where a machine starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Scratch,
    /// The folder of a checkpoint.
    Checkpoint(PathBuf),
}

/// A platform: what can be configured. One value per builder type, listed in `src/registry.rs`.
pub trait Backend: Send + Sync {
    /// The builder type as templates name it: "qemu", "virtualbox-iso", "amazon-ebs".
    fn kind(&self) -> &'static str;
    fn schema(&self) -> Schema;
    /// Decodes and checks everything that can be known offline. `None` when there were errors.
    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>>;
    /// Undoers for the kinds of things this platform acquires.
    fn undoers(&self) -> Vec<Arc<dyn Undoer>> {
        Vec::new()
    }
}

/// A configured source: what can be started.
#[async_trait]
pub trait Builder: Send + Sync {
    /// What the first key hashes.
    fn inputs(&self) -> Vec<Input>;
    /// How the guest is switched off once the provisioners are done; `None`: it is not ours to switch off.
    fn shutdown(&self) -> Option<Shutdown> {
        None
    }
    /// Does this builder make a machine that is typed to, reached and switched off? `file` does not:
    /// its provisioners work beside what it made.
    fn has_machine(&self) -> bool {
        true
    }
    /// Turns what is named into what is meant: "latest AMI" into an id, an image into its digest.
    /// Also everything that can be refused before anything is started: an existing output
    /// directory without `-force`, a missing program, a wrong checksum.
    async fn resolve(&self, cx: &Cx) -> Result<Vec<Input>>;
    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>>;
    /// Why machines of this source can have no checkpoints; none: they can.
    fn no_checkpoints(&self) -> Option<String> {
        Some("this builder keeps no checkpoints".into())
    }
    /// What `build.*` says alike in every run: the keys of the stages may hash it.
    fn lasting_facts(&self) -> Facts {
        Facts::new()
    }
    /// What switching the machine off and capturing it read beyond what the stages before them did.
    fn capture_inputs(&self) -> Vec<Input> {
        Vec::new()
    }
    /// Keeps the files of the artifact below `into`, for [`Self::recall`]. False: they cannot be kept there.
    async fn keep(&self, _cx: &Cx, _artifact: &Artifact, _into: &std::path::Path) -> Result<bool> {
        Ok(false)
    }
    /// Puts the artifact that was kept below `from` where a capture would put it.
    async fn recall(&self, _cx: &Cx, _from: &std::path::Path) -> Result<Artifact> {
        Err(crate::Error::new(crate::Kind::Internal, "this builder keeps no artifacts"))
    }
}

/// `command` empty: the machine is asked by the agent or ACPI and forced off at the deadline.
#[derive(Clone, Debug)]
pub struct Shutdown {
    pub command: Option<String>,
    pub timeout: Duration,
    /// The template switches the guest off by itself; only wait for it.
    pub by_itself: bool,
}

/// What is to be typed, ready to send.
pub struct Typing {
    pub keyboard: Box<dyn Keyboard>,
    pub steps: Vec<BootStep>,
    /// Wait before the first key (`boot_wait`).
    pub wait: Duration,
    pub interval: Duration,
}

/// A running guest. Everything it acquired is registered with the undo log; dropping it undoes
/// nothing.
#[async_trait]
pub trait Machine: Send {
    /// What `build.*` knows of it beyond the connector's facts: `ID`, `PackerHTTPAddr`, ...
    fn facts(&self) -> Facts;
    /// `None` when nothing is to be typed.
    async fn typing(&mut self, _cx: &Cx) -> Result<Option<Typing>> {
        Ok(None)
    }
    /// Where the communicator connects; `None` for `communicator = "none"`.
    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(None)
    }
    /// A faster way for bulk uploads around the communicator, where the platform has one.
    fn wrap(&self) -> Option<Wrap> {
        None
    }
    /// Called once the communicator answered; a guest agent may set the clock here.
    async fn connected(&mut self, _cx: &Cx, _guest: &Guest) -> Result<()> {
        Ok(())
    }
    /// Returns when the machine has ended by itself, with what it said; never, where that cannot be
    /// seen. Watched while the communicator is awaited, and dropped when that answered.
    async fn gone(&mut self, _cx: &Cx) -> crate::Error {
        std::future::pending().await
    }
    /// Freezes the machine, and lets it go on. An error says why there is none; the machine runs all the same.
    async fn checkpoint(&mut self, _cx: &Cx) -> Result<Option<Checkpoint>> {
        Ok(None)
    }
    /// Asks the guest to switch itself off (agent, ACPI). False: there is no way to ask.
    /// Like the two after it, never called where [`Builder::shutdown`] is `None`.
    async fn ask_off(&mut self, _cx: &Cx) -> Result<bool> {
        Ok(false)
    }
    /// Returns once the machine is off; an error at the deadline.
    async fn wait_off(&mut self, _cx: &Cx, _deadline: Duration) -> Result<()> {
        Ok(())
    }
    async fn force_off(&mut self, _cx: &Cx) -> Result<()> {
        Ok(())
    }
    /// Serial log, screenshot, the hypervisor's stderr: copied to where they outlive the build.
    /// Never fails: what cannot be had is left out.
    async fn evidence(&mut self, _cx: &Cx, _into: &std::path::Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// The machine is off; turn what it wrote into the artifact.
    async fn capture(self: Box<Self>, cx: &Cx) -> Result<Artifact>;
}
