//! An AMI of the tiny guest on the endpoint of tests/cloud: what our client adds to the endpoint's own work and the
//! guest's. And the faults of tests/ec2, with what became of each build.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Bench;
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
        least.push(least_time(&Endpoint::start()?)?);
        ours.push(build(bench, &Endpoint::start()?)?);
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
    let mut least = Command::new(printed(&mut Command::new(here("tests/cloud/venv")))? + "/bin/python");
    least.arg(here("tests/cloud/least.py")).arg(&endpoint.image).envs(endpoint.env());
    let seconds = printed(&mut least)?;
    seconds.parse().map_err(|_| format!("least.py says `{seconds}`"))
}

fn build(bench: &Bench, endpoint: &Endpoint) -> Result<f64, String> {
    let template = bench.work.path().join("ami.pkr.hcl");
    std::fs::write(&template, TEMPLATE.replace("IMAGE", &endpoint.image)).map_err(|error| error.to_string())?;
    let mut build = Command::new(&bench.ours);
    build.args(["build", "-color=false"]).arg(&template).envs(endpoint.env());
    build.env("XDG_STATE_HOME", bench.work.path()).env("XDG_CACHE_HOME", bench.work.path());
    run(&mut build).map(|measured| measured.wall.as_secs_f64())
}

struct Endpoint {
    child: Child,
    url: String,
    /// The AMI of the tiny guest.
    image: String,
}

impl Endpoint {
    fn start() -> Result<Self, String> {
        let tiny = printed(&mut Command::new(here("tests/guest/tiny.sh")))?;
        let mut child = Command::new(here("tests/cloud/start"))
            .args(["--stdin", "--memory", "256", "--image", &format!("tiny={tiny}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting the endpoint: {error}"))?;
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        let ready: Value = serde_json::from_str(&line).map_err(|error| format!("the endpoint: {error}: {line}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self { child, url: text(&ready["url"]), image: text(&ready["images"]["tiny"]) })
    }

    fn env(&self) -> [(&str, &str); 7] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // its sign to end
        let _ = self.child.wait();
    }
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

fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("starting {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// In the folder of the workspace.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).join(path)
}
