//! From a plan to artifacts: the stages of each build in order, builds side by side, undo, evidence
//! and cancel. The engine never prints and knows no backend by name.

mod build;
pub mod cache;
mod chains;
mod checkpoints;
mod errand;
mod evidence;
pub mod gc;
mod known;
pub mod outlook;
mod power;
mod prepare;
mod provisioning;
mod reach;
mod run;
mod scratch;
mod stage;
mod undo;

pub use build::{OnError, Report, StageTime};
pub use chains::Made;
pub use errand::errand;
pub use outlook::outlook;
pub use prepare::{Kinds, PostStep, Prepared, Purpose, Step, prepare};
pub use run::{Run, Summary, run};
pub use stage::Stage;
pub use undo::{Journal, Undoers};

use std::sync::Arc;

/// What undoes everything that this program can acquire.
pub fn undoers(kinds: &Kinds) -> Undoers {
    let mut all = bakehouse_kit::undo::undoers();
    all.extend(kinds.backends.iter().flat_map(|backend| backend.undoers()));
    Arc::from(all)
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
