//! `plan`: what a build would do, and why.

use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{
    Diagnostic, Error, Event, EventKind, Kind, Prompter, Result, Secrets, Settings, Sink, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::caching::CacheArgs;
use super::environment::Environment;
use super::http::Http;
use super::runtime::{block_on, on_signals};
use super::template::{self, TemplateArgs};
use super::{End, put, say};
use crate::engine::cache::age;
use crate::engine::outlook::{Outlook, StageOutlook};
use crate::engine::{self, Kinds, OnError, Prepared, Purpose, Run, outlook, prepare};
use crate::template::load::{LoadRequest, load};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    template: TemplateArgs,
    #[command(flatten)]
    caching: CacheArgs,
    /// Print it as JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub fn run(args: Args) -> Result<End> {
    let environment = Environment::read()?;
    let secrets = Secrets::default();
    let loaded =
        load(&LoadRequest { fetch: Some(Arc::new(Http::default())), ..args.template.request(&environment, &secrets)? });
    let kinds = Kinds::all();
    let (mut findings, mut builds) = (loaded.diagnostics, Vec::new());
    if let Some(plan) = loaded.plan {
        let (prepared, found) = prepare(plan, &kinds, Purpose::Run);
        findings.extend(found);
        builds = prepared;
    }
    if builds.is_empty() && !findings.has_errors() {
        findings
            .push(Diagnostic::error("No builds to plan").hint("check -only and -except against `bakehouse inspect`"));
    }
    template::print(&findings, &loaded.sources, &environment);
    if findings.has_errors() {
        return Ok(End::Failure);
    }
    // An output that exists stops a build, not a look at it.
    let settings = args.caching.settings(&environment, environment.settings(true, false)?)?;
    let run = Run {
        settings: Arc::new(Settings { offline: true, ..settings }),
        sink: Arc::new(Warnings),
        prompter: Arc::new(Nobody),
        secrets,
        sources: loaded.sources,
        undoers: engine::undoers(&kinds),
        on_error: OnError::Cleanup,
        cache: args.caching.policy(&environment)?,
        parallel: 0,
        cancel: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let all = block_on(look(builds, run))?;
    match args.json {
        true => say(serde_json::to_string_pretty(&all).map_err(|error| Error::new(Kind::Internal, error))?),
        false => put(&table(&all)),
    }
    Ok(End::Success)
}

async fn look(builds: Vec<Prepared>, run: Run) -> Result<Vec<Outlook>> {
    on_signals(run.cancel.clone(), run.stop.clone())?;
    outlook(&builds, &run).await
}

fn table(all: &[Outlook]) -> String {
    let stages = all.iter().flat_map(|build| &build.stages);
    let width = stages.map(|stage| stage.stage.chars().count()).max().unwrap_or(0);
    let line = |stage: &StageOutlook| {
        let (what, why) = match (stage.cached, stage.age_seconds) {
            (true, seconds) => ("cached", format!("{} old", age(Duration::from_secs(seconds.unwrap_or_default())))),
            (false, _) => ("will run", stage.why.clone().unwrap_or_default()),
        };
        format!("  {:<width$}  {what:<8}  {why}\n", stage.stage)
    };
    let build = |build: &Outlook| format!("{}\n{}", build.build, build.stages.iter().map(line).collect::<String>());
    all.iter().map(build).collect::<Vec<_>>().join("\n")
}

/// Of what is said while looking, only what is wrong matters.
struct Warnings;

impl Sink for Warnings {
    fn emit(&self, event: Event) {
        if let EventKind::Warning { text } = event.kind {
            eprintln!("Warning: {text}");
        }
    }
}

struct Nobody;

#[async_trait]
impl Prompter for Nobody {
    async fn ask(&self, _question: &str, _choices: &[(char, &str)]) -> Result<usize> {
        Err(Error::new(Kind::Internal, "a plan asks nobody"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_says_why() {
        let stage = |stage: &str, cached, why: Option<&str>, age_seconds| StageOutlook {
            stage: stage.into(),
            cached,
            why: why.map(str::to_owned),
            age_seconds,
        };
        let stages = vec![
            stage("connect", true, None, Some(7300)),
            stage("provision 1: shell", false, Some("script setup.sh changed"), None),
        ];
        assert_eq!(
            table(&[Outlook { build: "qemu.x".into(), stages }]),
            "qemu.x\n  connect             cached    2 h old\n  provision 1: shell  will run  script setup.sh changed\n"
        );
    }
}
