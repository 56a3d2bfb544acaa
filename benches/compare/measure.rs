//! Runs a command and says how long it took, how much memory it had, and when each line came.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub struct Measured {
    pub wall: Duration,
    /// Peak resident memory of the process itself, its children not counted, in MiB.
    pub peak_mib: f64,
    /// Lines of stdout, each with the time since the start.
    pub lines: Vec<(Duration, String)>,
}

/// An unsuccessful command is an error with its output.
pub fn run(command: &mut Command) -> Result<Measured, String> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("starting {command:?}: {error}"))?;
    let done = Arc::new(AtomicBool::new(false));
    let watch = std::thread::spawn({
        let (pid, done) = (child.id(), done.clone());
        move || watch_memory(pid, &done)
    });
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let mut lines = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| format!("reading its output: {error}"))?;
        lines.push((began.elapsed(), line));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let wall = began.elapsed();
    done.store(true, Ordering::Relaxed);
    let peak_mib = watch.join().unwrap_or(0.0);
    if !status.success() {
        let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        return Err(format!("{command:?} failed ({status}):\n{}", text.join("\n")));
    }
    Ok(Measured { wall, peak_mib, lines })
}

/// The kernel's high-water mark, read while the process lives.
fn watch_memory(pid: u32, done: &AtomicBool) -> f64 {
    let mut peak = 0.0f64;
    let mut pause = Duration::from_millis(1);
    while !done.load(Ordering::Relaxed) {
        if let Some(mib) = high_water(pid) {
            peak = peak.max(mib);
        }
        // Often at first, for a `validate` is over after some milliseconds; later looking would cost a core's time.
        std::thread::sleep(pause);
        pause = (pause * 21 / 20).min(Duration::from_millis(20));
    }
    peak
}

fn high_water(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
