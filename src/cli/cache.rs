//! `cache`: the checkpoints that builds have left.

use std::time::Duration;

use bakehouse_api::{Error, Kind, Result};
use bakehouse_kit::{extents, shelf};
use serde_json::json;

use super::caching::duration;
use super::environment::{Environment, size};
use super::table::table;
use super::{End, put, say};
use crate::engine::cache::{
    Care, Entry, Ledger, Pruned, Remembered, RememberedLeg, Store, StoreError, age, now, since,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the checkpoints: whose, after which stage, how large, how old, what they build upon.
    Ls {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say why the stages of a build were cached or run when it last ran, and what is kept of them.
    Why {
        /// As `-only` names it.
        #[arg(value_name = "BUILD")]
        build: String,
    },
    /// Remove what was not used for longest.
    Prune {
        /// Keep so much: bytes, or a number with K, M, G or T. Unset: the limit that builds keep to.
        #[arg(long, value_name = "SIZE", value_parser = size)]
        keep_bytes: Option<u64>,
        /// Remove what was not used for so long.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        older_than: Option<Duration>,
    },
    /// Read every byte of every checkpoint, and remove those that are damaged.
    Verify,
    /// Remove checkpoints by their names.
    Rm {
        /// As `cache ls` names them.
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,
        /// Remove all of them.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

pub fn run(args: &Args) -> Result<End> {
    let environment = Environment::read()?;
    let store = Store::open(&environment.checkpoints()?).map_err(failed)?;
    match &args.command {
        Command::Ls { json } => list(&store, *json),
        Command::Why { build } => why(&store, build),
        Command::Prune { keep_bytes, older_than } => {
            // An age alone removes by age alone.
            let limit = if older_than.is_some() { None } else { Some(environment.cache_limit()?) };
            let pruned = store.prune(keep_bytes.or(limit), *older_than).map_err(failed)?;
            removed(pruned);
            Ok(End::Success)
        }
        Command::Verify => verify(&store),
        Command::Rm { ids, all } => remove(&store, ids, *all),
    }
}

fn failed(error: StoreError) -> Error {
    Error::io(format!("looking at the checkpoints in {}", error.dir.display()), &error.source)
}

fn list(store: &Store, as_json: bool) -> Result<End> {
    let entries = store.entries().map_err(failed)?;
    if as_json {
        let all: Vec<_> = entries.iter().map(as_object).collect();
        say(serde_json::to_string_pretty(&all).map_err(|error| Error::new(Kind::Internal, error))?);
        return Ok(End::Success);
    }
    if entries.is_empty() {
        say(format_args!("There are no checkpoints in {}.", store.dir.display()));
        return Ok(End::Success);
    }
    let header = ["ID", "BUILD", "AFTER", "SIZE", "AGE", "USED", "BUILDS UPON"].map(str::to_owned);
    put(&table(std::iter::once(header).chain(entries.iter().map(row)).collect()));
    say(format_args!("{} in all, in {}", mib(store.usage().map_err(failed)?), store.dir.display()));
    Ok(End::Success)
}

fn row(entry: &Entry) -> [String; 7] {
    [
        entry.id(),
        entry.note.build.clone(),
        entry.note.after.clone(),
        mib(extents::usage(&entry.dir).unwrap_or(0)),
        age(made(entry)),
        age(since(entry.used)),
        upon(entry).unwrap_or_else(|| "-".into()),
    ]
}

fn as_object(entry: &Entry) -> serde_json::Value {
    json!({
        "id": entry.id(),
        "build": entry.note.build,
        "after": entry.note.after,
        "kind": entry.note.kind,
        "bytes": extents::usage(&entry.dir).unwrap_or(0),
        "age_seconds": made(entry).as_secs(),
        "used_seconds": since(entry.used).as_secs(),
        "builds_upon": upon(entry),
    })
}

fn upon(entry: &Entry) -> Option<String> {
    shelf::parent(&entry.dir)?.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn made(entry: &Entry) -> Duration {
    let at = entry.note.ran.last().map_or(0, |ran| ran.at);
    Duration::from_secs(now().saturating_sub(at))
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn why(store: &Store, build: &str) -> Result<End> {
    let pages = Ledger::all(&store.dir).map_err(|error| failed(store.failed(error)))?;
    let entries = store.entries().map_err(failed)?;
    let ours: Vec<&Remembered> = pages.iter().filter(|page| page.build == build).collect();
    if ours.is_empty() {
        let mut known: Vec<&str> = pages.iter().map(|page| page.build.as_str()).collect();
        known.dedup();
        let error = Error::new(Kind::Config, format!("nothing is remembered of a build `{build}`"));
        return Err(error.hint(format!("there are: {}", known.join(", "))));
    }
    for page in ours {
        let ago = age(Duration::from_secs(now().saturating_sub(page.at)));
        say(format_args!("{build} of {}, {ago} ago", page.template.display()));
        put(&table(page.legs.iter().map(|leg| told(leg, &entries)).collect()));
    }
    Ok(End::Success)
}

fn told(leg: &RememberedLeg, entries: &[Entry]) -> [String; 4] {
    let kept = entries.iter().find(|entry| Some(&entry.note.key) == leg.key.as_ref());
    let what = match (leg.cached, leg.done) {
        (true, _) => "cached",
        (false, true) => "ran",
        (false, false) => "not done",
    };
    [format!("  {}", leg.name), what.into(), kept.map_or("no checkpoint".into(), Entry::id), leg.why.clone()]
}

fn verify(store: &Store) -> Result<End> {
    let mut end = End::Success;
    for mut entry in store.entries().map_err(failed)? {
        let Some(lock) = store.hold(&entry) else { continue };
        let damage = entry.damage(Care::Whole);
        drop(lock);
        match damage {
            None => say(format_args!("{}: whole", entry.id())),
            Some(damage) => {
                end = End::Different;
                let gone = store.remove(&entry).map_err(failed)?;
                let what = if gone { "removed" } else { "in use, and left" };
                say(format_args!("{}: damaged, {what}: {damage}", entry.id()));
            }
        }
    }
    Ok(end)
}

fn remove(store: &Store, ids: &[String], all: bool) -> Result<End> {
    let entries = store.entries().map_err(failed)?;
    let known = |id: &String| entries.iter().any(|entry| entry.id() == *id);
    if let Some(unknown) = ids.iter().find(|id| !known(id)) {
        let error = Error::new(Kind::Config, format!("there is no checkpoint `{unknown}`"));
        return Err(error.hint("`bakehouse cache ls` lists them"));
    }
    let (mut end, mut checkpoints, before) = (End::Success, 0, store.usage().map_err(failed)?);
    for entry in entries.iter().filter(|entry| all || ids.contains(&entry.id())) {
        if store.remove(entry).map_err(failed)? {
            checkpoints += 1;
        } else {
            eprintln!("{}: a build uses it", entry.id());
            end = End::Failure;
        }
    }
    removed(Pruned { checkpoints, bytes: before.saturating_sub(store.usage().map_err(failed)?) });
    Ok(end)
}

fn removed(pruned: Pruned) {
    let Pruned { checkpoints, bytes } = pruned;
    let plural = if checkpoints == 1 { "" } else { "s" };
    say(format_args!("Removed {checkpoints} checkpoint{plural}: {}", mib(bytes)));
}
