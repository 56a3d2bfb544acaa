//! An AMI of the tiny guest on the endpoint of tests/cloud: what our client adds to the endpoint's own work and the
//! guest's. And the faults of tests/ec2, with what became of each build.

use std::process::Command;

use crate::Bench;
use crate::endpoint::{Endpoint, here, printed, python};
use crate::measure::{median, run};
use crate::row::{Goal, Row};

/// Fewer faults prove nothing.
const FAULTS: usize = 60;

const TEMPLATE: &str = r#"
source "amazon-ebs" "tiny" {
  source_ami    = "IMAGE"
  instance_type = "t3.micro"
  ssh_username  = "tiny"
  ssh_timeout   = "10m"
  ami_name      = "tiny"
}
build {
  sources = ["source.amazon-ebs.tiny"]
  provisioner "shell" { inline = ["echo baked"] }
}
"#;

/// In turn: one endpoint each, so that every build finds an account with nothing in it.
pub fn added(bench: &Bench) -> Result<Vec<Row>, String> {
    let (mut least, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        least.push(least_time(&endpoint()?)?);
        ours.push(build(bench, &endpoint()?)?);
    }
    Ok(vec![Row {
        id: "ami-added",
        what: "time added to an AMI build".into(),
        ours: median(ours) - median(least),
        theirs: None,
        unit: "s",
        goal: Goal::AtMost(5.0),
        runs: bench.runs,
    }])
}

/// Of a client that asks twenty times a second and does nothing else.
fn least_time(endpoint: &Endpoint) -> Result<f64, String> {
    let mut least = Command::new(python("python")?);
    least.arg(here("tests/cloud/least.py")).arg(endpoint.image("tiny")).envs(endpoint.env());
    let seconds = printed(&mut least)?;
    seconds.parse().map_err(|_| format!("least.py says `{seconds}`"))
}

fn build(bench: &Bench, endpoint: &Endpoint) -> Result<f64, String> {
    let template = bench.work.path().join("ami.pkr.hcl");
    std::fs::write(&template, TEMPLATE.replace("IMAGE", endpoint.image("tiny"))).map_err(|error| error.to_string())?;
    let mut build = Command::new(&bench.ours);
    build.args(["build", "-color=false"]).arg(&template).envs(endpoint.env());
    build.env("XDG_STATE_HOME", bench.work.path()).env("XDG_CACHE_HOME", bench.work.path());
    run(&mut build).map(|measured| measured.wall.as_secs_f64())
}

/// An account with nothing in it but the AMI of the tiny guest.
fn endpoint() -> Result<Endpoint, String> {
    let tiny = printed(&mut Command::new(here("tests/guest/tiny.sh")))?;
    Endpoint::start(&["--memory", "256", "--image", &format!("tiny={tiny}")])
}

/// The tests inject them, print a line for each, and fail when one leaves something.
pub fn faults(_bench: &Bench) -> Result<Vec<Row>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut tests = Command::new(cargo);
    tests.args(["test", "--quiet", "--package", "bakehouse", "--features", "vm-tests", "--test", "ec2"]);
    tests.args(["--", "faults", "--nocapture", "--test-threads=1"]).current_dir(here(""));
    let lines = run(&mut tests)?.lines;
    lines.iter().for_each(|(_, line)| println!("{line}"));
    let sums = lines.iter().filter_map(|(_, line)| line.strip_suffix(" leaks")?.split_once(" faults, "));
    let sums: Vec<(usize, usize)> =
        sums.filter_map(|(faults, leaks)| Some((faults.parse().ok()?, leaks.parse().ok()?))).collect();
    let (faults, leaks) = sums.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    if faults < FAULTS {
        return Err(format!("only {faults} faults were injected"));
    }
    Ok(vec![Row {
        id: "ami-leaks",
        what: format!("resources left after {faults} injected faults"),
        ours: leaks as f64,
        theirs: None,
        unit: "",
        goal: Goal::AtMost(0.0),
        runs: 1,
    }])
}
