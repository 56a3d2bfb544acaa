//! A place of its own for each test that runs the program: cache, state, temporary files and templates,
//! so that what is left behind is seen.
#![allow(dead_code)] // each test program uses its part

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest any single run may take: two emulated guests share two cores.
const DEADLINE: Duration = Duration::from_secs(600);

pub struct Sandbox {
    dir: tempfile::TempDir,
    /// Of the programs that run in it, besides what is set for all of them.
    pub env: Vec<(String, String)>,
}

pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Both streams, for messages.
    pub fn all(&self) -> String {
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{}", self.all());
        self
    }

    /// Exit code 1 and every one of `words` on stderr.
    #[track_caller]
    pub fn fails_saying(self, words: &[&str]) -> Self {
        assert_eq!(self.status.code(), Some(1), "{}", self.all());
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said\n{}", self.all());
        }
        self
    }
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("bh").tempdir().unwrap();
        for name in ["tmp", "cache", "state"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir, env: Vec::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bakehouse"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("PACKER_CACHE_DIR")
            .env_remove("SSH_AUTH_SOCK")
            .env("NO_COLOR", "1")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts a build with its events on a pipe.
    pub fn start(&self, args: &[&str]) -> Build {
        let mut all = vec!["build", "--events", "json"];
        all.extend(args);
        let mut child = self.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line)
                    && sender.send(event).is_err()
                {
                    return;
                }
            }
        });
        Build { child, events, seen: Vec::new() }
    }

    /// Fails when a process, a temporary file or a journal entry of this sandbox is still there.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let tmp = self.path("tmp");
        let left = self.processes();
        assert!(left.is_empty(), "processes left: {left:#?}");
        assert_eq!(files(&tmp), Vec::<PathBuf>::new(), "temporary files left");
        assert_eq!(files(&self.path("state")), Vec::<PathBuf>::new(), "journal left");
        let partial: Vec<PathBuf> =
            files(self.dir.path()).into_iter().filter(|path| path.to_string_lossy().contains(".partial")).collect();
        assert!(partial.is_empty(), "half-written files left: {partial:#?}");
    }

    /// Command lines of living processes that mention this sandbox; the test itself does not.
    fn processes(&self) -> Vec<String> {
        let mark = self.dir.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let text = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).replace('\0', " ");
            if text.contains(&mark) {
                found.push(text);
            }
        }
        found
    }
}

/// Files under `dir`, empty directories not counted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A build that runs.
pub struct Build {
    child: Child,
    events: std::sync::mpsc::Receiver<Value>,
    pub seen: Vec<Value>,
}

impl Build {
    /// Waits for the first event that `wanted` takes.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            match self.events.recv_timeout(DEADLINE.saturating_sub(began.elapsed())) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(error) => panic!("no {what}: {error}; seen: {:#?}", self.seen),
            }
        }
    }

    #[track_caller]
    pub fn until_stage(&mut self, stage: &str) {
        self.until(stage, |event| {
            event["event"] == "stage_started" && event["stage"].as_str().is_some_and(|name| name.starts_with(stage))
        });
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Its end: status, stderr, and how long it took from now on.
    pub fn end(mut self) -> (ExitStatus, String, Duration) {
        let began = Instant::now();
        let mut stderr = self.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
            text
        });
        while began.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait().unwrap() {
                let took = began.elapsed();
                return (status, reader.join().unwrap(), took);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        panic!("the build did not end within {DEADLINE:?}");
    }
}

pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// A disk of the tests, made by its script where `make test` has not done so.
pub fn disk(variable: &str, script: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The small guest: user `tiny`, password `tiny`.
pub fn tiny() -> PathBuf {
    disk("BAKEHOUSE_TINY", "tests/guest/tiny.sh")
}

/// The source `qemu.tiny` of a template: it boots the small guest into `out/tiny.qcow2`; `more` goes into its block.
pub fn tiny_source(more: &str) -> String {
    format!(
        r#"source "qemu" "tiny" {{
  disk_image       = true
  iso_url          = "{}"
  iso_checksum     = "none"
  skip_resize_disk = true
  memory           = 256
  headless         = true
  output_directory = "out"
  vm_name          = "tiny.qcow2"
  ssh_username     = "tiny"
  shutdown_command = "sudo poweroff"
  {more}
}}
"#,
        tiny().display()
    )
}

/// A CD that installs the small guest: at any Return, and it starts the machine again when it is done.
pub fn installer() -> PathBuf {
    disk("BAKEHOUSE_INSTALLER", "tests/installer/installer.sh")
}

pub fn debian() -> PathBuf {
    disk("BAKEHOUSE_DEBIAN", "templates/debian/base.sh")
}
