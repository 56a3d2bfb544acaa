//! For people: plain lines on a pipe, live progress below them on a terminal.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use bakehouse_api::{Event, EventKind, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Reporter;
use super::summary::Summary;
use super::ui::{self, Level, Line};

/// Packer's cycle: green, cyan, magenta, yellow, blue.
const COLORS: [u8; 5] = [32, 36, 35, 33, 34];
const RED: u8 = 31;
/// On a pipe, a long transfer says how far it is this often.
const PLAIN_PROGRESS: Duration = Duration::from_secs(10);

pub struct Human {
    builds: Vec<String>,
    color: bool,
    timestamps: bool,
    summary: Summary,
    closing: bool,
    live: Option<Live>,
    /// On a pipe: when each transfer began and last said something.
    transfers: BTreeMap<(String, String), (Instant, Instant)>,
}

impl Human {
    pub fn new(builds: Vec<String>, color: bool, timestamps: bool, terminal: bool) -> Self {
        let live = terminal.then(Live::default);
        Self { builds, color, timestamps, summary: Summary::default(), closing: true, live, transfers: BTreeMap::new() }
    }

    /// At the end the artifacts only.
    pub fn without_closing(self) -> Self {
        Self { closing: false, ..self }
    }

    fn print(&self, time: SystemTime, build: Option<&str>, line: &Line) {
        let stamp = if self.timestamps { format!("{}: ", rfc3339(time)) } else { String::new() };
        let text = format!("{stamp}{}", self.painted(build, line));
        let write = || {
            let _ = match line.level {
                Level::Error => writeln!(std::io::stderr().lock(), "{text}"),
                _ => writeln!(std::io::stdout().lock(), "{text}"),
            };
        };
        match &self.live {
            Some(live) => live.bars.suspend(write),
            None => write(),
        }
    }

    fn painted(&self, build: Option<&str>, line: &Line) -> String {
        if !self.color {
            return line.text.clone();
        }
        let at = build.and_then(|build| self.builds.iter().position(|name| name == build)).unwrap_or(0);
        let color = if line.level == Level::Error { RED } else { COLORS[at % COLORS.len()] };
        let weight = if line.level == Level::Message { "0" } else { "1" };
        format!("\x1b[{weight};{color}m{}\x1b[0m", line.text)
    }

    fn plain(&self, text: String) {
        self.print(SystemTime::now(), None, &Line { level: Level::Message, text });
    }

    fn plain_progress(&mut self, event: &Event, progress: &Progress) {
        let key = (event.build.as_deref().unwrap_or("").to_owned(), progress.what.clone());
        let now = Instant::now();
        let (began, said) = *self.transfers.entry(key.clone()).or_insert((now, now));
        let due = now - said >= PLAIN_PROGRESS;
        let worth_an_end = progress.finished && now - began >= Duration::from_secs(2);
        if progress.finished {
            self.transfers.remove(&key);
        } else if due {
            self.transfers.insert(key, (began, now));
        }
        if due || worth_an_end {
            let text =
                format!("    {}: {}: {}", event.build.as_deref().unwrap_or(""), progress.what, ui::amount(progress));
            let line = Line { level: Level::Message, text };
            self.print(event.time, event.build.as_deref(), &line);
        }
    }
}

impl Reporter for Human {
    fn event(&mut self, event: &Event) {
        self.summary.event(event);
        for line in ui::lines(event) {
            self.print(event.time, event.build.as_deref(), &line);
        }
        match (&mut self.live, &event.kind) {
            (Some(live), _) => live.event(event),
            (None, EventKind::Progress(progress)) => self.plain_progress(event, progress),
            _ => {}
        }
    }

    fn tick(&mut self) {
        if let Some(live) = &self.live {
            live.tick();
        }
    }

    fn pause(&mut self) {
        if let Some(live) = &self.live {
            live.bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
    }

    fn resume(&mut self) {
        if let Some(live) = &self.live {
            live.bars.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
    }

    fn finish(&mut self) {
        if let Some(live) = &self.live {
            let _ = live.bars.clear();
        }
        self.live = None;
        self.timestamps = false;
        if self.summary.builds.is_empty() {
            return;
        }
        if !self.closing {
            return self.summary.artifact_lines().into_iter().for_each(|line| self.plain(line));
        }
        if let Some(took) = self.summary.took {
            self.plain(format!("\n==> Wait completed after {}\n", ui::duration(took)));
        }
        self.plain(self.summary.table());
        let errors = self.summary.error_lines();
        if !errors.is_empty() {
            let head = "==> Some builds didn't complete successfully and had errors:".to_owned();
            for text in std::iter::once(head).chain(errors) {
                self.print(SystemTime::now(), None, &Line { level: Level::Error, text });
            }
        }
        let artifacts = self.summary.artifact_lines();
        if artifacts.is_empty() {
            self.plain("==> Builds finished but no artifacts were created.".into());
        } else {
            self.plain("==> Builds finished. The artifacts of successful builds are:".into());
            artifacts.into_iter().for_each(|line| self.plain(line));
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// One spinner a build: its stage and how long it takes; while something with a size moves, that.
#[derive(Default)]
struct Live {
    bars: MultiProgress,
    builds: BTreeMap<String, Lane>,
}

struct Lane {
    bar: ProgressBar,
    stage: String,
    /// What is moving now, since when.
    transfer: Option<(Progress, Instant)>,
    since: Instant,
}

impl Live {
    fn event(&mut self, event: &Event) {
        let Some(build) = event.build.as_deref() else { return };
        match &event.kind {
            EventKind::BuildStarted { .. } => {
                let style = ProgressStyle::with_template("{spinner} {wide_msg}");
                let bar =
                    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                let lane =
                    Lane { bar: self.bars.add(bar), stage: String::new(), transfer: None, since: Instant::now() };
                self.builds.insert(build.to_owned(), lane);
            }
            EventKind::StageStarted { stage, .. } => self.change(build, |lane| {
                lane.stage.clone_from(stage);
                lane.transfer = None;
                lane.since = Instant::now();
            }),
            EventKind::Progress(progress) => self.change(build, |lane| {
                let began =
                    lane.transfer.as_ref().filter(|(now, _)| now.what == progress.what).map(|(_, began)| *began);
                let began = began.unwrap_or_else(Instant::now);
                lane.transfer = (!progress.finished).then(|| (progress.clone(), began));
            }),
            EventKind::BuildFinished { .. } => {
                if let Some(lane) = self.builds.remove(build) {
                    lane.bar.finish_and_clear();
                }
            }
            _ => {}
        }
        self.tick();
    }

    fn change(&mut self, build: &str, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.builds.get_mut(build) {
            change(lane);
        }
    }

    fn tick(&self) {
        for (build, lane) in &self.builds {
            lane.bar.set_message(lane.text(build));
            lane.bar.tick();
        }
    }
}

impl Lane {
    fn text(&self, build: &str) -> String {
        let elapsed = self.since.elapsed().as_secs();
        let head = format!("{build}: {} ({elapsed}s)", self.stage);
        match &self.transfer {
            None => head,
            Some((progress, began)) => {
                let seconds = began.elapsed().as_secs_f64().max(0.1);
                let rate = match progress.unit {
                    bakehouse_api::event::Unit::Bytes => {
                        format!(", {}/s", ui::bytes((progress.done as f64 / seconds) as u64))
                    }
                    _ => String::new(),
                };
                format!("{head} {}: {}{rate}", progress.what, ui::amount(progress))
            }
        }
    }
}
