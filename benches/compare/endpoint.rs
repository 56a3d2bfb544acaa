//! The EC2 endpoint of tests/cloud. One for each measurement: what the one before left would slow the next down.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub struct Endpoint {
    child: Child,
    pub url: String,
    ready: Value,
}

impl Endpoint {
    /// `more`: further arguments of tests/cloud/start.
    pub fn start(more: &[&str]) -> Result<Self, String> {
        let mut start = Command::new(here("tests/cloud/start"));
        let mut child = start
            .arg("--stdin")
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("starting the endpoint: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let ready: Value = serde_json::from_str(&line).map_err(|error| format!("no endpoint: {error}: {line}"))?;
        let url = ready["url"].as_str().ok_or("no URL")?.to_owned();
        Ok(Self { child, url, ready })
    }

    /// The AMI of an `--image NAME=DISK`.
    pub fn image(&self, name: &str) -> &str {
        self.ready["images"][name].as_str().unwrap_or_default()
    }

    pub fn env(&self) -> [(&str, &str); 8] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
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

/// A program of the endpoint's Python: `python`, `aws`.
pub fn python(program: &str) -> Result<PathBuf, String> {
    Ok(Path::new(&printed(&mut Command::new(here("tests/cloud/venv")))?).join("bin").join(program))
}

pub fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("starting {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// In the folder of the workspace.
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).join(path)
}
