//! `validate`: a template of 500 lines, a folder of 2,000, and more and more locals.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::Bench;
use crate::measure::{Measured, median, run};
use crate::row::{Goal, Row};

const RUNS: usize = 15;

pub fn rows(bench: &Bench) -> Result<Vec<Row>, String> {
    let template = bench.work.path().join("long.pkr.hcl");
    std::fs::write(&template, text("")).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(validate(&bench.ours, &template)?);
        theirs.push(validate(&bench.theirs, &template)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let against =
        |id, goal, what: &str| Row { id, what: what.into(), ours, theirs: Some(theirs), unit: "ms", goal, runs: RUNS };
    Ok([
        against("validate-ms", Goal::AtMost(20.0), "validate a template of 500 lines"),
        against("validate-ratio", Goal::Ratio(0.05), "the same, against packer"),
    ]
    .into_iter()
    .chain(folder(bench)?)
    .chain(locals(bench)?)
    .collect())
}

fn validate(binary: &Path, template: &Path) -> Result<f64, String> {
    Ok(measured(binary, template)?.wall.as_secs_f64() * 1000.0)
}

fn measured(binary: &Path, template: &Path) -> Result<Measured, String> {
    run(Command::new(binary).arg("validate").arg(template))
}

fn row(id: &'static str, what: String, ours: f64, unit: &'static str, goal: Goal) -> Row {
    Row { id, what, ours, theirs: None, unit, goal, runs: RUNS }
}

/// A folder of four files with 2,000 lines: time and memory.
fn folder(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.work.path().join("folder");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for n in 0..4 {
        let text = text(&format!("f{n}_"));
        std::fs::write(folder.join(format!("{n}.pkr.hcl")), text).map_err(|error| error.to_string())?;
    }
    let runs = (0..RUNS).map(|_| measured(&bench.ours, &folder)).collect::<Result<Vec<_>, _>>()?;
    let wall = median(runs.iter().map(|run| run.wall.as_secs_f64() * 1000.0).collect());
    let peak = runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    Ok(vec![
        row("validate-folder-ms", "validate a folder of 2,000 lines".into(), wall, "ms", Goal::AtMost(30.0)),
        row("validate-folder-mib", "the same, peak memory".into(), peak, "MiB", Goal::AtMost(30.0)),
    ])
}

/// A chain of locals, each made of the next: the cost of one must not grow with their number.
fn locals(bench: &Bench) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut costs = Vec::new();
    for (id, count) in [("locals-100-ms", 100), ("locals-1000-ms", 1_000), ("locals-10000-ms", 10_000)] {
        let template = bench.work.path().join(format!("locals-{count}.pkr.hcl"));
        let line = |n: usize| match n + 1 {
            next if next < count => format!("  l{n} = upper(local.l{next})\n"),
            _ => format!("  l{n} = \"x\"\n"),
        };
        let text = format!("locals {{\n{}}}\n", (0..count).map(line).collect::<String>());
        std::fs::write(&template, text).map_err(|error| error.to_string())?;
        let runs = (0..RUNS).map(|_| validate(&bench.ours, &template)).collect::<Result<Vec<_>, _>>()?;
        let wall = median(runs);
        costs.push(wall);
        rows.push(row(id, format!("validate {count} locals"), wall, "ms", Goal::AtMost(10.0 + count as f64 / 20.0)));
    }
    let growth = costs[2] / costs[1];
    rows.push(row("locals-growth", "ten times the locals cost".into(), growth, "times", Goal::AtMost(13.0)));
    Ok(rows)
}

/// Variables, locals, a few sources and a build: what long templates are made of. All names begin with `own`.
fn text(own: &str) -> String {
    let mut text = String::new();
    for n in 0..70 {
        let _ = write!(
            text,
            "variable \"{own}v{n}\" {{\n  type        = string\n  description = \"The value number {n}.\"\n  default     = \"value-{n}\"\n}}\n",
        );
    }
    text.push_str("locals {\n");
    for n in 0..70 {
        let _ = writeln!(text, "  {own}l{n} = \"${{upper(var.{own}v{n})}}-${{format(\"%03d\", {n})}}\"");
    }
    text.push_str("}\n");
    for n in 0..3 {
        let _ = writeln!(text, "source \"null\" \"{own}n{n}\" {{\n  communicator = \"none\"\n}}");
    }
    let source = |n| format!("\"source.null.{own}n{n}\"");
    let _ = writeln!(text, "build {{\n  sources = [{}, {}, {}]", source(0), source(1), source(2));
    for n in 0..6 {
        let _ = writeln!(
            text,
            "  provisioner \"shell-local\" {{\n    inline = [\"echo ${{local.{own}l{n}}}\", \"echo ${{var.{own}v{n}}}\"]\n  }}"
        );
    }
    text.push_str("}\n");
    while text.lines().count() < 500 {
        text.push_str("# the quick brown fox\n");
    }
    text
}
