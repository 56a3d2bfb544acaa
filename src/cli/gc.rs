//! `gc`: removes what builds that were killed have left, by their journals or, in an account at AWS, by their marks.

use std::time::Duration;

use bakehouse_api::account::Remains;
use bakehouse_api::{Account, Error, EventKind, Kind, Result, UndoId};
use tokio_util::sync::CancellationToken;

use super::caching::duration;
use super::environment::Environment;
use super::login::LoginArgs;
use super::runtime::{block_on, on_signals};
use super::table::count;
use super::{End, complain, say};
use crate::engine::cache::age;
use crate::engine::{self, Journal, Kinds};

/// Longer than builds take: a run of another machine leaves no other sign of life.
const OLD: &str = "24h";

#[derive(clap::Args)]
pub struct Args {
    /// Only list what would be removed.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Look into the account for what carries the mark of a build whose journal is lost, with its machine or its
    /// folder. Only lists it, unless there is `--yes`.
    #[arg(long)]
    aws: bool,
    /// With `--aws`: remove it.
    #[arg(long, requires = "aws")]
    yes: bool,
    /// With `--aws`: what is younger belongs to a build that may still run.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = OLD, requires = "aws")]
    older_than: Duration,
    #[command(flatten)]
    login: LoginArgs,
}

pub fn run(args: &Args) -> Result<End> {
    if args.aws {
        return block_on(in_account(args));
    }
    if args.login.is_set() {
        let error = "`--region`, `--profile` and `--endpoint-url` say where `--aws` looks";
        return Err(Error::new(Kind::Config, error).hint("add `--aws`"));
    }
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

async fn in_account(args: &Args) -> Result<End> {
    let stop = CancellationToken::new();
    on_signals(stop.clone(), stop.clone())?;
    let account = args.login.account()?;
    let (found, blind) = account.remains().await?;
    blind.iter().for_each(|blind| eprintln!("Warning: not looked at: {blind}"));
    let living = engine::gc::living_runs(&Environment::read()?.state()?)?;
    let (dead, spared): (Vec<Remains>, Vec<Remains>) =
        found.into_iter().partition(|it| is_dead(it, &living, args.older_than));
    let end = if args.yes { remove_marked(&*account, &dead, &stop).await? } else { list_marked(&dead) };
    if dead.is_empty() {
        say("Nothing is left there of builds that were killed.");
    } else if !args.yes {
        say("Nothing was removed: `--yes` removes them.");
    }
    if !spared.is_empty() {
        let what = count(spared.len(), "thing");
        say(format_args!("{what} left alone: of a running build, or younger than {}.", age(args.older_than)));
    }
    Ok(end)
}

fn is_dead(remains: &Remains, living: &[String], older_than: Duration) -> bool {
    let old = remains.made.elapsed().is_ok_and(|age| age >= older_than);
    old && !living.iter().any(|run| run.starts_with(&remains.run))
}

fn list_marked(dead: &[Remains]) -> End {
    for remains in dead {
        let old = age(remains.made.elapsed().unwrap_or_default());
        say(format_args!("run {}, {old} ago: would remove {}", remains.run, remains.undo.what));
    }
    End::Success
}

async fn remove_marked(account: &dyn Account, dead: &[Remains], stop: &CancellationToken) -> Result<End> {
    let mut end = End::Success;
    for Remains { run, undo, .. } in dead {
        say(format_args!("run {run}: removing {}", undo.what));
        let undone = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::interrupted()),
            undone = account.undo(undo) => undone,
        };
        if let Err(error) = undone {
            complain(&error.context(format!("removing {}", undo.what)));
            end = End::Failure;
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bakehouse_api::Undo;

    use super::*;

    #[test]
    fn what_may_belong_to_a_build_that_runs_is_left_alone() {
        let hour = Duration::from_secs(3600);
        let remains = |hours| Remains {
            run: "1a2b3c4d".into(),
            made: SystemTime::now() - hour * hours,
            undo: Undo { kind: "aws".into(), what: "x".into(), data: serde_json::Value::Null },
        };
        let ours = ["1a2b3c4d-0000-4000-8000-000000000000".to_owned()];
        assert!(is_dead(&remains(7), &[], hour * 6));
        assert!(!is_dead(&remains(5), &[], hour * 6), "young");
        assert!(!is_dead(&remains(7), &ours, hour * 6), "it runs here");
    }
}
