//! Checkpoints: what a stage reads makes its key, a key finds the machine as the stage left it, and a miss says what
//! has changed.
//!
//! A build is cut into legs: the boot (start, type, connect), each provisioner, and the artifact (power off,
//! capture). A leg's key hashes the key before it, so that a change is a change for everything after it. What a
//! build's legs read in its last run is remembered beside the checkpoints, to tell why one is not used.

mod course;
mod decide;
mod key;
mod ledger;
mod note;
mod prune;
mod store;

pub use course::{Course, Leg};
pub use decide::{Decision, Verdict};
pub use key::{Key, Recipe, Salt};
pub use ledger::{Ledger, Remembered, RememberedLeg};
pub use note::{Care, Kind, Note, Ran, now};
pub use prune::Pruned;
pub use store::{Entry, Store, StoreError, since};

use std::time::Duration;

/// Package updates must not go stale unseen.
pub const PROVISIONER_TTL: Duration = Duration::from_secs(24 * 3600);
pub const LIMIT: u64 = 20 << 30;

/// How a run uses checkpoints.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a provisioner's checkpoint counts, whatever the template says.
    pub ttl: Option<Duration>,
    /// The room that all checkpoints together may take.
    pub limit: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ttl: None, limit: LIMIT }
    }
}

#[cfg(test)]
mod tests;

/// "3 min", "26 h", "3 days": how old something is.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
