//! An AMI of the tiny guest on the endpoint on loopback: what our client adds to the endpoint's own work and the
//! guest's; and what becomes of builds under faults.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Bench;
use crate::cloud::Cloud;
use crate::faults::{cases, run};
use crate::measure::{self, median};
use crate::row::{Goal, Row};

pub fn added(bench: &Bench) -> Result<Vec<Row>, String> {
    let cloud = Cloud::start();
    let template = bench.work.path().join("ami.pkr.hcl");
    let text = cloud.template("ssh_timeout = \"10m\"", "provisioner \"shell\" { inline = [\"echo baked\"] }");
    std::fs::write(&template, text).map_err(|error| error.to_string())?;
    let (mut least, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        cloud.reset();
        least.push(least_time(&cloud)?);
        cloud.reset();
        let mut build = Command::new(&bench.ours);
        build.args(["build", "-color=false"]).arg(&template).envs(cloud.env());
        build.env("XDG_STATE_HOME", bench.work.path()).env("XDG_CACHE_HOME", bench.work.path());
        ours.push(measure::run(&mut build)?.wall.as_secs_f64());
    }
    let row = |id, what: &str, ours, goal| Row {
        id,
        what: what.into(),
        ours,
        theirs: None,
        unit: "s",
        goal,
        runs: bench.runs,
    };
    let (least, ours) = (median(least), median(ours));
    Ok(vec![
        row("ami-added", "time added to an AMI build", ours - least, Goal::AtMost(5.0)),
        row("ami-build", "the whole build of a tiny AMI", ours, Goal::AtMost(least + 5.0)),
    ])
}

fn least_time(cloud: &Cloud) -> Result<f64, String> {
    let output = Command::new(python()?)
        .arg(here("tests/cloud/least.py"))
        .arg(&cloud.image)
        .envs(cloud.env())
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().map_err(|_| format!("least.py: {}", String::from_utf8_lossy(&output.stderr)))
}

fn python() -> Result<PathBuf, String> {
    let venv = Command::new(here("tests/cloud/venv")).output().map_err(|error| error.to_string())?;
    Ok(Path::new(String::from_utf8_lossy(&venv.stdout).trim()).join("bin/python"))
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn faults(_bench: &Bench) -> Result<Vec<Row>, String> {
    let rows = run::run_all([cases::once(), cases::lasting(), cases::passing()].into_iter().flatten().collect());
    print!("{}", run::table(&rows));
    let row = |id, what: String, ours: usize| Row {
        id,
        what,
        ours: ours as f64,
        theirs: None,
        unit: "",
        goal: Goal::AtMost(0.0),
        runs: rows.len(),
    };
    let wrong: Vec<&String> = rows.iter().filter_map(|row| row.wrong.as_ref()).collect();
    wrong.iter().for_each(|wrong| eprintln!("bench: {wrong}"));
    let leaks = rows.iter().map(|row| row.leaks).sum();
    Ok(vec![
        row("ami-leaks", format!("resources left after {} injected faults", rows.len()), leaks),
        row("ami-faults", "builds that ended otherwise than they should".into(), wrong.len()),
    ])
}
