//! `validate` of a template of 500 lines.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::Bench;
use crate::measure::{median, run};
use crate::row::{Goal, Row};

const RUNS: usize = 15;

pub fn rows(bench: &Bench) -> Result<Vec<Row>, String> {
    let template = bench.work.path().join("long.pkr.hcl");
    std::fs::write(&template, text()).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(validate(&bench.ours, &template)?);
        theirs.push(validate(&bench.theirs, &template)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let row =
        |id, goal, what: &str| Row { id, what: what.into(), ours, theirs: Some(theirs), unit: "ms", goal, runs: RUNS };
    Ok(vec![
        row("validate-ms", Goal::AtMost(20.0), "validate a template of 500 lines"),
        row("validate-ratio", Goal::Ratio(0.05), "the same, against packer"),
    ])
}

fn validate(binary: &Path, template: &Path) -> Result<f64, String> {
    Ok(run(Command::new(binary).arg("validate").arg(template))?.wall.as_secs_f64() * 1000.0)
}

/// Variables, locals, a few sources and a build: what long templates are made of.
fn text() -> String {
    let mut text = String::new();
    for n in 0..70 {
        let _ = write!(
            text,
            "variable \"v{n}\" {{\n  type        = string\n  description = \"The value number {n}.\"\n  default     = \"value-{n}\"\n}}\n",
        );
    }
    text.push_str("locals {\n");
    for n in 0..70 {
        let _ = writeln!(text, "  l{n} = \"${{upper(var.v{n})}}-${{format(\"%03d\", {n})}}\"");
    }
    text.push_str("}\n");
    for n in 0..3 {
        let _ = writeln!(text, "source \"null\" \"n{n}\" {{\n  communicator = \"none\"\n}}");
    }
    text.push_str("build {\n  sources = [\"source.null.n0\", \"source.null.n1\", \"source.null.n2\"]\n");
    for n in 0..6 {
        let _ = writeln!(
            text,
            "  provisioner \"shell-local\" {{\n    inline = [\"echo ${{local.l{n}}}\", \"echo ${{var.v{n}}}\"]\n  }}"
        );
    }
    text.push_str("}\n");
    while text.lines().count() < 500 {
        text.push_str("# the quick brown fox\n");
    }
    text
}
