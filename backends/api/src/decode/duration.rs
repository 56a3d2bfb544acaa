//! Durations as Go writes them.

use std::time::Duration;

use super::{Ctx, Decode};
use crate::value::Data;
use crate::{Diagnostic, Node, Shape};

pub(super) const NAME: &str = "duration, like \"1m30s\"";
const HINT: &str = "write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\"";

impl Decode for Duration {
    fn shape() -> Shape {
        let unit = r"^\s*[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)\s*$";
        Shape::Form { name: NAME, pattern: unit }
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        // Go counts nanoseconds, which nobody means who writes `10`.
        if let (true, Data::Number(number)) = (cx.weak, &node.value.data) {
            let finding = Diagnostic::warning(format!("`{number}` is a duration of {number} nanoseconds"));
            cx.diagnostics.push(finding.at(node.span()).hint(HINT));
            return Some(Duration::from_nanos(number.to_u64().unwrap_or_default()));
        }
        let text = super::scalar::text::<Self>(node, cx)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            let finding = Diagnostic::error(format!("`{text}` is not a duration"));
            cx.diagnostics.push(finding.at(node.span()).hint(HINT));
        }
        duration
    }

    fn placeholder() -> Self {
        Duration::ZERO
    }

    fn to_json(&self) -> serde_json::Value {
        duration_text(*self).into()
    }
}

/// Go's durations: `1h2m3.5s`, units h m s ms us µs ns; a bare `0`. Negative ones become zero, as
/// nothing can wait that long.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| {
            rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphabetic()))
        })?;
        rest = &rest[unit.len()..];
        seconds += number * scale;
    }
    if negative { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// The shortest way to write it: `1h30m`, `10s`, `100ms`.
pub fn duration_text(duration: Duration) -> String {
    let mut text = String::new();
    let mut rest = duration.as_nanos();
    for (unit, nanos) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)] {
        if rest >= nanos {
            text.push_str(&format!("{}{unit}", rest / nanos));
            rest %= nanos;
        }
    }
    match (rest, text.is_empty()) {
        (0, true) => "0s".into(),
        (0, false) => text,
        (nanos, _) => format!("{text}{nanos}ns"),
    }
}
