//! How commands that are no builds do their work and tell of it.

use std::sync::Arc;

use bakehouse_api::{Cx, Error, Kind, Result, Secrets, SourceMap};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::build::EventFormat;
use super::environment::Environment;
use super::runtime::{block_on, on_signals};
use super::{End, say};
use crate::engine::cache::Policy;
use crate::engine::{self, Kinds, OnError, Run};
use crate::report::{self, Format};

#[derive(clap::Args)]
pub struct Telling {
    /// Print what came out as JSON, and nothing else but errors.
    #[arg(long, help_heading = "Output", conflicts_with_all = ["events", "machine_readable"])]
    pub json: bool,
    /// Print one JSON object per event.
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "machine_readable", help_heading = "Output")]
    pub events: Option<EventFormat>,
}

/// What holds for an errand besides its own options.
pub struct Errand<'a> {
    /// As it is called in every line.
    pub name: &'a str,
    pub telling: &'a Telling,
    pub machine_readable: bool,
    pub force: bool,
    /// A failure or an interrupt undoes nothing.
    pub leave: bool,
    /// Progress is redrawn on a terminal; not while somebody else writes there.
    pub live: bool,
    pub secrets: Secrets,
}

/// Runs `work` with a journal, scratch space and reports like a build's. What it gives is printed with `--json`.
pub fn carry_out<T: Serialize>(errand: &Errand<'_>, work: impl AsyncFnOnce(&Cx) -> Result<T>) -> Result<End> {
    let environment = Environment::read()?;
    let format = match (errand.telling.json, errand.telling.events) {
        (true, _) => Format::Quiet,
        (_, Some(EventFormat::Json)) => Format::Json,
        _ if errand.machine_readable => Format::Machine,
        _ => Format::Human {
            color: environment.color(None, &std::io::stdout()),
            timestamps: false,
            terminal: errand.live && environment.live(),
        },
    };
    let Some(done) = run(errand, format, &environment, work)? else { return Ok(End::Failure) };
    if errand.telling.json {
        say(serde_json::to_string_pretty(&done).map_err(|error| Error::new(Kind::Internal, error))?);
    }
    Ok(End::Success)
}

/// The same for work of which only what goes wrong is told. None: it was.
pub fn quietly<T>(name: &str, work: impl AsyncFnOnce(&Cx) -> Result<T>) -> Result<Option<T>> {
    let telling = Telling { json: true, events: None };
    let errand = Errand {
        name,
        telling: &telling,
        machine_readable: false,
        force: false,
        leave: false,
        live: false,
        secrets: Secrets::default(),
    };
    run(&errand, Format::Quiet, &Environment::read()?, work)
}

fn run<T>(
    errand: &Errand<'_>,
    format: Format,
    environment: &Environment,
    work: impl AsyncFnOnce(&Cx) -> Result<T>,
) -> Result<Option<T>> {
    let secrets = errand.secrets.clone();
    let config =
        report::Config { format, secrets: secrets.clone(), builds: vec![errand.name.to_owned()], closing: false };
    let reporter = report::start(config);
    let run = Run {
        settings: Arc::new(environment.settings(errand.force, false)?),
        sink: reporter.sink(),
        prompter: reporter.prompter(),
        secrets,
        sources: SourceMap::default(),
        undoers: engine::undoers(&Kinds::all()),
        on_error: OnError::Cleanup,
        cache: Policy { ttl: None, limit: environment.cache_limit()? },
        parallel: 1,
        cancel: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let done = block_on(async {
        on_signals(run.cancel.clone(), run.stop.clone())?;
        Ok(engine::errand(&run, errand.name, errand.leave, work).await)
    });
    reporter.finish();
    done
}
