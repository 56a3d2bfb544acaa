//! Everything acquired registers its undo in the statement after its id is known. An undo is data,
//! so that `bakehouse gc` can do it for a run that was killed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Result, async_trait};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// Which [`Undoer`] does it: "process", "path", "qemu.socket", "ec2.instance", ...
    pub kind: String,
    /// For people: "qemu process 4711", "temporary key pair packer_6543".
    pub what: String,
    /// What the undoer needs to do it, in this run or in another one. No secrets.
    pub data: serde_json::Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UndoId(pub u64);

/// Does the undos of its kinds. Idempotent: what is already gone is success.
#[async_trait]
pub trait Undoer: Send + Sync {
    fn kinds(&self) -> &'static [&'static str];
    /// How long one undo may take: what is far away is slow to go.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn undo(&self, undo: &Undo) -> Result<()>;
}

/// The stack of a build, written through to the journal on disk. The engine owns it and drains it
/// in reverse.
#[async_trait]
pub trait UndoLog: Send + Sync {
    /// On disk when this returns.
    fn push(&self, undo: Undo) -> Result<UndoId>;
    /// The thing is gone or belongs to the user now; nothing to undo any more.
    fn forget(&self, id: UndoId);
    /// Does one undo now, out of order, and forgets it.
    async fn run(&self, id: UndoId) -> Result<()>;
}
