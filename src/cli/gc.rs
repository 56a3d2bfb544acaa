//! `gc`: removes what builds that were killed have left.

use bakehouse_api::{EventKind, Result, UndoId};
use tokio_util::sync::CancellationToken;

use super::environment::Environment;
use super::runtime::{block_on, on_signals};
use super::{End, say};
use crate::engine::{self, Journal, Kinds};

#[derive(clap::Args)]
pub struct Args {
    /// Only list what would be removed.
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args) -> Result<End> {
    let state = Environment::read()?.state()?;
    let (dead, living) = engine::gc::find(&state, &engine::undoers(&Kinds::all()))?;
    let left = if args.dry_run { list(&dead) } else { block_on(remove(&dead))? };
    if dead.is_empty() {
        say("Nothing is left of builds that were killed.");
    }
    if living > 0 {
        say(format_args!("{living} running build{} left alone.", if living == 1 { "" } else { "s" }));
    }
    Ok(left)
}

fn list(dead: &[Journal]) -> End {
    for journal in dead {
        for undo in journal.held() {
            say(format_args!("{}: would remove {}", journal.build, undo.what));
        }
    }
    End::Success
}

async fn remove(dead: &[Journal]) -> Result<End> {
    let stop = CancellationToken::new();
    on_signals(stop.clone(), stop.clone())?;
    let mut end = End::Success;
    for journal in dead {
        let tell = |event: EventKind| match event {
            EventKind::Undoing { what } => say(format_args!("{}: removing {what}", journal.build)),
            EventKind::UndoFailed { what, text } => {
                eprintln!("{}: could not remove {what}: {text}", journal.build);
            }
            _ => {}
        };
        if !journal.drain(UndoId(0), &stop, &tell).await.is_empty() {
            end = End::Failure;
        }
        journal.close();
    }
    Ok(end)
}
