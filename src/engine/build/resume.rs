//! Where a build begins: from a checkpoint, or from scratch; and going back to one.

use std::path::Path;
use std::time::Duration;

use bakehouse_api::event::Outcome;
use bakehouse_api::{Error, Guest, Kind, Origin, Result};

use super::Baking;
use crate::engine::cache::Kind as Kept;
use crate::engine::checkpoints::Chosen;
use crate::engine::stage::Stage;
use crate::engine::{provisioning, reach};

/// For a guest to answer that goes on from a checkpoint: it has been up already.
const COME_BACK: Duration = Duration::from_secs(180);

impl Baking<'_> {
    /// Goes on from the deepest checkpoint that is still of use, or starts from scratch.
    pub(super) async fn start(&mut self) -> Result<Outcome> {
        self.machine_mark = self.journal.mark();
        loop {
            let cx = self.cx.clone();
            let chosen = match &mut self.checkpoints {
                Some(checkpoints) => checkpoints.choose(&cx).await,
                None => None,
            };
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.tell(&cx);
            }
            let Some(chosen) = chosen else {
                self.machine = Some(self.build.builder.start(&cx, Origin::Scratch).await?);
                return Ok(Outcome::Done);
            };
            match self.go_on(&chosen).await {
                Ok(()) => return Ok(Outcome::Cached),
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => {
                    cx.warn(format!(
                        "the checkpoint after `{}` is of no use, trying an earlier one: {error}",
                        chosen.name
                    ));
                    self.abandon().await;
                }
            }
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.pass_by("the guest did not come back from its checkpoint");
            }
        }
    }

    async fn go_on(&mut self, chosen: &Chosen) -> Result<()> {
        let cx = self.cx.clone();
        if chosen.kind == Kept::Artifact {
            cx.say("Nothing has changed: this is the artifact of an earlier build");
            let (artifact, mut facts) = chosen.recall(&cx, &*self.build.builder).await?;
            facts.insert("PackerRunUUID".into(), cx.settings().run_uuid.as_str().into());
            self.guest = Guest::new(None, None, facts);
            self.begin_chains(artifact);
            return Ok(());
        }
        cx.say(format!("Going on from the checkpoint after `{}`", chosen.name));
        self.resume(&chosen.dir).await
    }

    /// A machine that goes on, and answers.
    async fn resume(&mut self, from: &Path) -> Result<()> {
        let cx = self.cx.clone();
        let mut machine = self.build.builder.start(&cx, Origin::Checkpoint(from.to_owned())).await?;
        let reached = tokio::time::timeout(COME_BACK, reach::connect(&cx, machine.as_mut())).await;
        self.machine = Some(machine);
        self.guest = reached.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, format!("the guest did not answer within {COME_BACK:?}")))
        })?;
        Ok(())
    }

    /// Ends the machine and removes everything that belongs to it.
    async fn abandon(&mut self) {
        provisioning::close(&self.guest).await;
        self.machine = None;
        self.drain(self.machine_mark).await;
    }

    /// Before a step is tried again: back to the machine as it was before it, where that was kept.
    pub(super) async fn rewind(&mut self, stage: Stage) -> Result<()> {
        let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| matches!(stage, Stage::Provision(_))) else {
            return Ok(());
        };
        checkpoints.settle().await;
        checkpoints.read_again(self.build, stage);
        let Some(dir) = checkpoints.before(stage) else { return Ok(()) };
        let held = bakehouse_kit::shelf::share(&dir);
        self.cx.say("Going back to the checkpoint before the step");
        self.abandon().await;
        let done = self.resume(&dir).await;
        drop(held);
        done
    }
}
