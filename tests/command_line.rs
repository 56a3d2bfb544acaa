//! The program as people start it: arguments, output, exit codes, and signals at every moment.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder of its own, with everything that the program writes inside.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new(template: &str) -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(desk.path("tmp")).unwrap();
        std::fs::write(desk.path("t.pkr.hcl"), template).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bakehouse"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Scratch directories and journals.
    fn leavings(&self) -> (usize, usize) {
        let count = |dir: PathBuf| std::fs::read_dir(dir).map_or(0, Iterator::count);
        (count(self.path("tmp")), count(self.path(".local/state/bakehouse/undo")))
    }

    /// Waits for a file that a provisioner writes.
    fn wait_for(&self, name: &str) -> String {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            match std::fs::read_to_string(self.path(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(Instant::now() < patience, "{name} does not appear"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn failed(&self) -> &Self {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        self
    }
}

const FILE: &str = r#"
variable "text" {
  default = "hello"
}
source "file" "note" {
  content = var.text
  target  = "out/note.txt"
}
build {
  sources = ["source.file.note"]
  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "out/{{.ChecksumType}}"
  }
}
"#;

/// Writes its process id and then sleeps.
const SLEEPER: &str = r#"
source "null" "n" {
  communicator = "none"
}
build {
  sources = ["source.null.n"]
  provisioner "shell-local" {
    inline = ["sleep 600 & echo $! > pid", "wait"]
  }
}
"#;

#[test]
fn a_build_leaves_its_artifact_and_nothing_else() {
    let desk = Desk::new(FILE);
    let ran = desk.run(&["build", "-var", "text=a=b", "t.pkr.hcl"]);
    ran.succeeded();
    assert_eq!(std::fs::read_to_string(desk.path("out/note.txt")).unwrap(), "a=b");
    assert!(desk.path("out/sha256").exists());
    assert!(!ran.out.contains('\x1b'), "no control characters on a pipe: {}", ran.out);
    assert_eq!(desk.leavings(), (0, 0));
}

#[test]
fn validate_says_so_and_starts_nothing() {
    let desk = Desk::new(FILE);
    assert_eq!(desk.run(&["validate", "t.pkr.hcl"]).succeeded().out, "The configuration is valid.\n");
    assert!(!desk.path("out").exists());
}

#[test]
fn errors_come_with_their_place_and_exit_1() {
    let desk = Desk::new(&FILE.replace("target ", "tagret "));
    for command in ["validate", "build"] {
        let ran = desk.run(&[command, "t.pkr.hcl"]);
        ran.failed();
        assert!(ran.err.contains("t.pkr.hcl:7:"), "{}", ran.err);
        assert!(ran.err.contains("did you mean `target`?"), "{}", ran.err);
    }
}

#[test]
fn a_wrong_command_line_exits_1() {
    let desk = Desk::new(FILE);
    for (args, says) in [
        (&["build", "-frce", "t.pkr.hcl"][..], "--force"),
        (&["build", "-var", "text", "t.pkr.hcl"], "equals sign"),
        (&["build", "absent.pkr.hcl"], "absent.pkr.hcl"),
        (&["build", "-only=nothing.*", "t.pkr.hcl"], "No builds to run"),
        (&["bake", "t.pkr.hcl"], "bake"),
    ] {
        let ran = desk.run(args);
        assert!(ran.failed().err.contains(says), "{args:?}: {}", ran.err);
    }
}

#[test]
fn events_are_one_json_object_a_line() {
    let desk = Desk::new(FILE);
    let ran = desk.run(&["build", "--events", "json", "t.pkr.hcl"]);
    let events: Vec<serde_json::Value> =
        ran.succeeded().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "run_started");
    assert_eq!(events.last().unwrap()["event"], "run_finished");
    assert!(events.iter().any(|event| event["event"] == "artifact" && event["build"] == "file.note"));
}

#[test]
fn machine_readable_goes_anywhere() {
    let desk = Desk::new(FILE);
    for args in [["-machine-readable", "build", "t.pkr.hcl"], ["build", "t.pkr.hcl", "-machine-readable"]] {
        let out = desk.run(&args).succeeded().out.clone();
        assert!(out.contains(",file.note,artifact-count,"), "{out}");
    }
    assert!(desk.run(&["version"]).succeeded().out.starts_with("Bakehouse v"));
}

#[test]
fn inspect_lists_what_is_declared() {
    let desk = Desk::new(FILE);
    let out = desk.run(&["inspect", "t.pkr.hcl"]).succeeded().out.clone();
    for part in ["var.text: \"hello\"", "file.note", "checksum"] {
        assert!(out.contains(part), "{out}");
    }
}

#[test]
fn a_failing_provisioner_fails_the_build() {
    let desk = Desk::new(&SLEEPER.replace("\"wait\"", "\"exit 3\"").replace("sleep 600 & ", ""));
    let ran = desk.run(&["build", "t.pkr.hcl"]);
    ran.failed();
    assert!(ran.err.contains("code 3") && ran.err.contains("t.pkr.hcl:8:"), "{}", ran.err);
    assert_eq!(desk.leavings(), (0, 0));
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success());
}

/// A zombie does not count.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn gone(pid: &str) -> bool {
    let patience = Instant::now() + Duration::from_secs(5);
    while alive(pid) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    !alive(pid)
}

fn baking(desk: &Desk, args: &[&str]) -> (Child, String) {
    let child = desk.command(args).spawn().unwrap();
    let sleeper = desk.wait_for("pid");
    assert!(alive(&sleeper));
    (child, sleeper)
}

#[test]
fn an_interrupt_cleans_up_and_exits_1() {
    for name in ["INT", "TERM", "HUP"] {
        let desk = Desk::new(SLEEPER);
        let (child, sleeper) = baking(&desk, &["build", "t.pkr.hcl"]);
        let started = Instant::now();
        signal(name, &child.id().to_string());
        let ran = Ran::of(child.wait_with_output().unwrap());
        ran.failed();
        assert!(started.elapsed() < Duration::from_secs(5), "SIG{name} took {:?}", started.elapsed());
        assert!(gone(&sleeper), "SIG{name}");
        assert_eq!(desk.leavings(), (0, 0), "SIG{name}");
    }
}

#[test]
fn what_a_killed_run_left_is_removed_by_gc() {
    let desk = Desk::new(SLEEPER);
    let (mut child, sleeper) = baking(&desk, &["build", "t.pkr.hcl"]);
    let running = desk.run(&["gc"]);
    assert!(running.succeeded().out.contains("1 running build left alone"), "{}", running.out);
    assert!(alive(&sleeper));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(alive(&sleeper));
    assert_eq!(desk.leavings(), (1, 1));

    let listed = desk.run(&["gc", "--dry-run"]);
    assert!(listed.succeeded().out.contains("null.n: would remove"), "{}", listed.out);
    assert!(alive(&sleeper));
    desk.run(&["gc"]).succeeded();
    assert!(gone(&sleeper));
    assert_eq!(desk.leavings(), (0, 0));
    assert!(desk.run(&["gc"]).succeeded().out.contains("Nothing is left"));
}

#[test]
fn abort_leaves_everything_for_a_look() {
    let desk = Desk::new(&SLEEPER.replace("\"sleep 600 & echo $! > pid\", \"wait\"", "\"exit 1\""));
    let ran = desk.run(&["build", "-on-error=abort", "t.pkr.hcl"]);
    ran.failed();
    assert!(ran.out.contains("bakehouse gc"), "{}", ran.out);
    assert_eq!(desk.leavings(), (1, 1));
    desk.run(&["gc"]).succeeded();
    assert_eq!(desk.leavings(), (0, 0));
}

#[test]
fn undeclared_variables_in_a_file_are_warned_of_when_asked() {
    let desk = Desk::new(FILE);
    std::fs::write(desk.path("v.pkrvars.hcl"), "txet = \"x\"\n").unwrap();
    let warned = |args: &[&str]| desk.run(args).succeeded().err.contains("txet");
    assert!(warned(&["validate", "-var-file", "v.pkrvars.hcl", "t.pkr.hcl"]));
    assert!(!warned(&["validate", "-no-warn-undeclared-var", "-var-file", "v.pkrvars.hcl", "t.pkr.hcl"]));
    assert!(!warned(&["build", "-var-file", "v.pkrvars.hcl", "t.pkr.hcl"]));
    assert!(warned(&["build", "-warn-on-undeclared-var", "-var-file", "v.pkrvars.hcl", "t.pkr.hcl"]));
}
