//! `build`: bakes the images.

use std::sync::Arc;

use bakehouse_api::event::{Outcome, VERSION};
use bakehouse_api::{Diagnostic, Diagnostics, Event, EventKind, Kind, Result, Secrets, Severity, Sink, SourceMap};
use clap::ValueEnum;
use tokio_util::sync::CancellationToken;

use super::caching::CacheArgs;
use super::environment::Environment;
use super::http::Http;
use super::runtime::{block_on, on_signals};
use super::template::{self, TemplateArgs};
use super::{End, switch};
use crate::engine::{self, Kinds, OnError, Prepared, Purpose, Run, Summary, prepare};
use crate::report::{self, Format};
use crate::template::json::fix;
use crate::template::load::{LoadRequest, load};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub template: TemplateArgs,
    /// Run builds one by one and pause before each stage.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    pub debug: bool,
    /// Overwrite what an earlier build left.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub force: bool,
    /// What to do when a stage fails.
    #[arg(long, value_enum, default_value = "cleanup", value_name = "WHAT")]
    pub on_error: WhenFailed,
    #[command(flatten)]
    pub caching: CacheArgs,
    /// How many builds run at once; 0: all.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub parallel_builds: usize,
    /// Warn about variables in -var-file that the template does not declare.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub warn_on_undeclared_var: bool,
    /// Colours; by default where standard output is a terminal.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL", help_heading = "Output")]
    pub color: Option<bool>,
    /// Begin every line with the time.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL", help_heading = "Output")]
    pub timestamp_ui: bool,
    /// Print one JSON object per event.
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "machine_readable", help_heading = "Output")]
    pub events: Option<EventFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EventFormat {
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum WhenFailed {
    /// Undo everything in reverse.
    Cleanup,
    /// Leave everything as it is, to look at; `bakehouse gc` removes it.
    Abort,
    /// Ask: clean up, abort or retry.
    Ask,
    /// Run the error-cleanup-provisioner and leave everything as it is.
    RunCleanupProvisioner,
}

impl From<WhenFailed> for OnError {
    fn from(when: WhenFailed) -> Self {
        match when {
            WhenFailed::Cleanup => OnError::Cleanup,
            WhenFailed::Abort => OnError::Abort,
            WhenFailed::Ask => OnError::Ask,
            WhenFailed::RunCleanupProvisioner => OnError::RunCleanupProvisioner,
        }
    }
}

pub fn run(args: Args, machine_readable: bool) -> Result<End> {
    let environment = Environment::read()?;
    let secrets = Secrets::default();
    let format = args.format(&environment, machine_readable);
    let loaded = load(&LoadRequest {
        warn_undeclared: args.warn_on_undeclared_var,
        fetch: Some(Arc::new(Http::default())),
        ..args.template.request(&environment, &secrets)?
    });
    let kinds = Kinds::all();
    let mut findings = loaded.diagnostics;
    let mut builds = Vec::new();
    if let Some(plan) = loaded.plan {
        let (prepared, found) = prepare(plan, &kinds, Purpose::Run);
        findings.extend(found);
        builds = prepared;
    }
    fix::hint(&mut findings, &loaded.sources);
    if builds.is_empty() && !findings.has_errors() {
        findings
            .push(Diagnostic::error("No builds to run").hint("check -only and -except against `bakehouse inspect`"));
    }
    let names = builds.iter().map(|build| build.name.clone()).collect();
    let config = report::Config { format, secrets: secrets.clone(), builds: names, closing: true };
    let reporter = report::start(config);
    tell(&findings, &loaded.sources, format, &environment, &*reporter.sink());
    if findings.has_errors() {
        reporter.finish();
        return Ok(End::Failure);
    }
    let run = Run {
        settings: Arc::new(args.caching.settings(&environment, environment.settings(args.force, args.debug)?)?),
        sink: reporter.sink(),
        prompter: reporter.prompter(),
        secrets,
        sources: loaded.sources.clone(),
        undoers: engine::undoers(&kinds),
        on_error: args.on_error.into(),
        cache: args.caching.policy(&environment)?,
        parallel: args.parallel_builds,
        cancel: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let summary = block_on(bake(builds, run));
    reporter.finish();
    let summary = summary?;
    if matches!(format, Format::Human { .. }) {
        template::print(&places(&summary), &loaded.sources, &environment);
    }
    Ok(if summary.outcome() == Outcome::Done { End::Success } else { End::Failure })
}

impl Args {
    fn format(&self, environment: &Environment, machine_readable: bool) -> Format {
        match self.events {
            Some(EventFormat::Json) => Format::Json,
            None if machine_readable => Format::Machine,
            None => Format::Human {
                color: environment.color(self.color, &std::io::stdout()),
                timestamps: self.timestamp_ui,
                terminal: environment.live(),
            },
        }
    }
}

async fn bake(builds: Vec<Prepared>, run: Run) -> Result<Summary> {
    on_signals(run.cancel.clone(), run.stop.clone())?;
    Ok(engine::run(builds, run).await)
}

/// Findings about the template: with their source lines for people, as events for programs.
fn tell(findings: &Diagnostics, sources: &SourceMap, format: Format, environment: &Environment, sink: &dyn Sink) {
    if matches!(format, Format::Human { .. }) {
        return template::print(findings, sources, environment);
    }
    for finding in &findings.0 {
        let place = finding.span.and_then(|span| sources.place(span));
        let text = [Some(finding.summary.as_str()), finding.detail.as_deref()];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let kind = match finding.severity {
            Severity::Warning => EventKind::Warning { text },
            Severity::Error => EventKind::Error {
                kind: Kind::Config.heading().into(),
                text,
                hints: finding.hint.iter().cloned().collect(),
                evidence: Vec::new(),
                place,
            },
        };
        sink.emit(Event { v: VERSION, time: std::time::SystemTime::now(), build: None, kind });
    }
}

/// The lines of the template that failures belong to; what failed has been said.
fn places(summary: &Summary) -> Diagnostics {
    let mut findings = Diagnostics::default();
    for build in &summary.builds {
        for error in &build.errors {
            findings.extend(error.findings().clone());
            let here = Diagnostic::error(format!("`{}` failed here", build.build));
            findings.0.extend(error.span().map(|span| here.at(span)));
        }
    }
    findings
}
