//! `make bench`: the same template, base and machine for our binary and for Debian's packer 1.6.6, in
//! turn. Prints a table of ratios and writes target/bench/results.json. Never fails a build: a goal
//! that is missed says so in its row.
//!
//! To add a row: one function that returns [`Row`]s, one line in [`SUITES`].

#![forbid(unsafe_code)]

mod ami;
mod boxes;
mod bridge;
mod cache;
mod endpoint;
mod guest;
mod measure;
mod qemu;
mod row;
mod validate;

use row::Row;

/// What is measured against: where everything lies, how often to repeat.
pub struct Bench {
    /// The release binary of this workspace.
    pub ours: std::path::PathBuf,
    /// Debian's packer 1.6.6.
    pub theirs: std::path::PathBuf,
    /// A Debian base disk that both boot.
    pub base: std::path::PathBuf,
    pub work: tempfile::TempDir,
    pub runs: usize,
}

type Suite = fn(&Bench) -> Result<Vec<Row>, String>;

const SUITES: &[(&str, Suite)] = &[
    ("validate", validate::rows),
    ("build", qemu::whole_build),
    ("uploads", qemu::uploads),
    ("added", qemu::added_time),
    ("boxes", boxes::packing),
    ("cache", cache::rebuilds),
    ("ami", ami::added),
    ("faults", ami::faults),
    ("bridge", bridge::transfers),
];

fn main() {
    if let Err(error) = run() {
        eprintln!("bench: {error}");
    }
}

fn run() -> Result<(), String> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let bench = Bench::find()?;
    let mut all = Vec::new();
    for (name, suite) in SUITES {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        eprintln!("bench: {name}");
        let rows = suite(&bench).map_err(|error| format!("{name}: {error}"))?;
        // At once: an hour of measuring must not be lost to its last minute.
        row::save(&rows).map_err(|error| format!("writing the results: {error}"))?;
        all.extend(rows);
    }
    print!("{}\nwritten to {}\n", row::table(&all), row::path().display());
    Ok(())
}

impl Bench {
    fn find() -> Result<Self, String> {
        let from_env = |name: &str| {
            std::env::var_os(name).map(Into::into).ok_or_else(|| format!("{name} is not set; run this by `make bench`"))
        };
        let runs = std::env::var("BENCH_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
        let work = tempfile::Builder::new().prefix("bench").tempdir().map_err(|error| error.to_string())?;
        Ok(Self {
            ours: from_env("BENCH_OURS")?,
            theirs: from_env("BENCH_PACKER")?,
            base: from_env("BENCH_BASE")?,
            work,
            runs,
        })
    }
}
