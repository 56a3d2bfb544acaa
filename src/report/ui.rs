//! Events as the lines that Packer's users know; shared by the formats for people and for scripts.

use std::time::Duration;

use bakehouse_api::event::{Outcome, OutputStream, Progress, Unit};
use bakehouse_api::{Event, EventKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Say,
    Message,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

/// What an event says in lines; none for those that only move the progress display.
pub fn lines(event: &Event) -> Vec<Line> {
    let build = event.build.as_deref();
    match &event.kind {
        EventKind::Say { text } => prefixed(Level::Say, build, text),
        EventKind::Message { text } => prefixed(Level::Message, build, text),
        EventKind::Warning { text } => prefixed(Level::Say, build, &format!("warning: {text}")),
        EventKind::Output { stream: OutputStream::Stdout, text } => prefixed(Level::Message, build, &plain(text)),
        EventKind::Output { stream: OutputStream::Stderr, text } => prefixed(Level::Say, build, &plain(text)),
        EventKind::Error { kind, text, hints, evidence, place } => {
            let mut all = prefixed(Level::Error, build, &format!("{kind}: {text}"));
            let more = place.iter().map(|place| format!("at: {place}"));
            let more = more.chain(hints.iter().map(|hint| format!("try: {hint}")));
            for text in more.chain(evidence.iter().map(|file| format!("see: {file}"))) {
                all.extend(prefixed(Level::Error, build, &text));
            }
            all
        }
        EventKind::BuildFinished { outcome, millis } => {
            let took = duration(Duration::from_millis(*millis));
            let (level, word) = match outcome {
                Outcome::Done | Outcome::Cached | Outcome::Skipped => (Level::Say, "finished"),
                Outcome::Failed => (Level::Error, "errored"),
                Outcome::Interrupted => (Level::Error, "interrupted"),
            };
            vec![Line { level, text: format!("Build '{}' {word} after {took}.", build.unwrap_or("")) }]
        }
        EventKind::Undoing { what } => prefixed(Level::Message, build, &format!("cleaning up: {what}")),
        EventKind::UndoFailed { what, text } => {
            prefixed(Level::Error, build, &format!("could not clean up {what}: {text}"))
        }
        _ => Vec::new(),
    }
}

fn prefixed(level: Level, build: Option<&str>, text: &str) -> Vec<Line> {
    let mark = if level == Level::Message { "   " } else { "==>" };
    let head = build.map_or(format!("{mark} "), |build| format!("{mark} {build}: "));
    let line = |text: &str| Line { level, text: format!("{head}{text}").trim_end().to_owned() };
    if text.is_empty() { vec![line("")] } else { text.lines().map(line).collect() }
}

/// Without control characters: what a guest prints must not drive the reader's terminal.
fn plain(text: &str) -> String {
    let stripped = anstream::adapter::strip_str(text).to_string();
    // A progress bar redraws its line; its last state is what stays.
    let last = stripped.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// "1 minute 5 seconds", "320 milliseconds".
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let words: Vec<String> = units
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { format!("{} milliseconds", time.as_millis()) } else { words.join(" ") }
}

/// "12.3 MiB of 40.0 MiB, 30%".
pub fn amount(progress: &Progress) -> String {
    match (progress.unit, progress.total) {
        (Unit::Percent, _) => format!("{}%", progress.done),
        (Unit::Bytes, None) => bytes(progress.done),
        (Unit::Bytes, Some(total)) => format!("{} of {}, {}%", bytes(progress.done), bytes(total), percent(progress)),
        (Unit::Files, None) => format!("{} files", progress.done),
        (Unit::Files, Some(total)) => format!("{} of {total} files", progress.done),
    }
}

fn percent(progress: &Progress) -> u64 {
    progress.total.filter(|total| *total > 0).map_or(100, |total| progress.done.min(total) * 100 / total)
}

pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_words() {
        let cases = [(320, "320 milliseconds"), (65_000, "1 minute 5 seconds"), (3_601_000, "1 hour 1 second")];
        for (millis, words) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn a_guests_colours_and_redraws_are_left_out() {
        assert_eq!(plain("\x1b[31mred\x1b[0m\x07"), "red");
        assert_eq!(plain("10%\r50%\r100%\r"), "100%");
    }

    #[test]
    fn every_line_of_a_text_carries_its_build() {
        let event = Event {
            v: 1,
            time: std::time::UNIX_EPOCH,
            build: Some("qemu.debian".into()),
            kind: EventKind::Say { text: "one\ntwo".into() },
        };
        let texts: Vec<String> = lines(&event).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["==> qemu.debian: one", "==> qemu.debian: two"]);
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(10 * 1024 * 1024 * 1024), "10.0 GiB");
    }
}
