//! The templates of `tests/legacy/`: each file of a folder is one case; its `_args` are the command line's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const PACKER: &str = "/usr/bin/packer";

/// A template and the arguments that it is read with.
pub struct Case {
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Case {
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }
}

pub struct Ran {
    pub success: bool,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { success: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy").join(name)
}

/// The cases of a folder, by name.
pub fn cases(name: &str) -> Vec<Case> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| Case { args: args(&path), path }).collect()
}

fn args(template: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(template).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    json["_args"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

pub fn run_in(dir: &Path, program: &str, command: &[&str], args: &[String], template: &Path) -> Ran {
    assert!(program != PACKER || Path::new(PACKER).exists(), "{PACKER} is missing: scripts/need test installs it");
    let output = Command::new(program)
        .args(command)
        .args(args)
        .arg(template)
        .current_dir(dir)
        .env("CHECKPOINT_DISABLE", "1")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output();
    output.unwrap_or_else(|error| panic!("cannot run {program}: {error}")).into()
}

pub const OURS: &str = env!("CARGO_BIN_EXE_bakehouse");

/// Fails with all that is wrong, not the first of it.
#[track_caller]
pub fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A folder where one build runs, with the variable files in it.
pub fn workshop(template: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(template, dir.path().join(template.file_name().unwrap())).unwrap();
    for file in std::fs::read_dir(folder("files")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

/// Builds in a folder of its own; every file that is there afterwards, with its text.
pub fn built(program: &str, template: &Path, args: &[String]) -> Result<Vec<(String, String)>, String> {
    let dir = workshop(template);
    let ran = run_in(dir.path(), program, &["build"], args, &dir.path().join(template.file_name().unwrap()));
    if !ran.success {
        return Err(ran.out + &ran.err);
    }
    let here = dir.path().to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            let text = std::fs::read_to_string(&path).unwrap().replace(&here, "HERE");
            files.push((path.file_name().unwrap().to_string_lossy().into_owned(), text));
        }
    }
    files.sort();
    Ok(files)
}
