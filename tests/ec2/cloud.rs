//! The endpoint of one test: started by it, ended with it.
#![allow(dead_code)] // each test program uses its part

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Sandbox, tiny};

pub struct Cloud {
    child: Child,
    pub url: String,
    pub image: String,
}

impl Cloud {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(arguments: &[&str]) -> Self {
        Self::of("tiny", &tiny(), 256, arguments)
    }

    /// With an image of this name; `memory` is in MiB.
    pub fn of(name: &str, disk: &Path, memory: u32, arguments: &[&str]) -> Self {
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/start");
        let image = format!("{name}={}", disk.display());
        let mut child = Command::new(start)
            .args(["--stdin", "--memory", &memory.to_string(), "--image", &image])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no endpoint: {error}: {line}"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { child, url: text(&ready["url"]), image: text(&ready["images"][name]) }
    }

    /// By which programs find the endpoint.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    pub fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new();
        sandbox.env.extend(self.env());
        sandbox
    }

    /// A template of the small guest: `source` and `build` go into their blocks.
    pub fn template(&self, source: &str, build: &str) -> String {
        format!(
            r#"
source "amazon-ebs" "tiny" {{
  source_ami    = "{}"
  instance_type = "t3.micro"
  ssh_username  = "tiny"
  ami_name      = "web"
  {source}
}}
build {{
  sources = ["source.amazon-ebs.tiny"]
  {build}
}}
"#,
            self.image
        )
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().new_agent();
        let url = format!("{}/_cloud/{path}", self.url);
        let request = ureq::http::Request::builder().method(method).uri(url).body(body.to_string()).unwrap();
        let text = agent.run(request).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Runs Python against the endpoint, with boto3's clients `ec2` and `client(service, region)`; what it prints.
    pub fn python(&self, script: &str) -> Value {
        const PRELUDE: &str = "import boto3, json, os, time, urllib.request\n\
            def client(service, region='us-east-1'): return boto3.client(service, region_name=region)\n\
            def settings(**given):\n    \
                url = os.environ['AWS_ENDPOINT_URL'] + '/_cloud/settings'\n    \
                urllib.request.urlopen(url, json.dumps(given).encode()).read()\n\
            ec2 = client('ec2')\n";
        let venv = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/venv")).output().unwrap();
        let venv = String::from_utf8(venv.stdout).unwrap();
        let made = Command::new(Path::new(venv.trim()).join("bin/python"))
            .args(["-c", &format!("{PRELUDE}{script}")])
            .envs(self.env())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let printed = String::from_utf8(made.stdout).unwrap();
        if printed.trim().is_empty() { Value::Null } else { serde_json::from_str(&printed).unwrap() }
    }

    /// What somebody made and nobody removed, by kind.
    pub fn state(&self) -> Value {
        self.ask("GET", "state", &json!({}))
    }

    #[track_caller]
    pub fn assert_empty(&self, when: &str) {
        assert_eq!(self.state(), json!({}), "{when}: resources are left");
    }

    pub fn settings(&self, settings: Value) {
        self.ask("POST", "settings", &settings);
    }

    pub fn fault(&self, fault: Value) {
        self.ask("POST", "faults", &fault);
    }

    /// How often the faults that are set were met.
    pub fn faults(&self) -> Value {
        self.ask("GET", "faults", &json!({}))
    }

    pub fn clear_faults(&self) {
        self.ask("DELETE", "faults", &json!({}));
    }

    pub fn reset(&self) {
        self.ask("POST", "reset", &json!({}));
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // its sign to end
        let _ = self.child.wait();
    }
}
