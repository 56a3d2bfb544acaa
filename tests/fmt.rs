//! `bakehouse fmt` beside `packer fmt`: the same bytes for every input, written by hand and generated.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

#[path = "fmt/generate.rs"]
mod generate;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use generate::{Dice, document};

const BAKEHOUSE: &str = env!("CARGO_BIN_EXE_bakehouse");
const UGLY: &str = "a=1\nbcd   =2 # x\n";
const PRETTY: &str = "a   = 1\nbcd = 2 # x\n";

fn fmt(program: &str, folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.arg("fmt").args(args).current_dir(folder).env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("cannot run {program}: {error}; scripts/need test installs it"))
}

fn folder_of(files: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number:04}.pkr.hcl")), text).unwrap();
    }
    folder
}

/// What went to standard output, and the exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// Both programs lay out the files; what they say and what they leave must be equal.
fn compare(files: &[String]) {
    let (ours, theirs) = (folder_of(files), folder_of(files));
    let (ours_said, packers_said) = (fmt(BAKEHOUSE, ours.path(), &["."]), fmt("packer", theirs.path(), &["."]));
    let mut different = Vec::new();
    for (number, text) in files.iter().enumerate() {
        let read = |folder: &Path| std::fs::read_to_string(folder.join(format!("{number:04}.pkr.hcl"))).unwrap();
        let (mine, packers) = (read(ours.path()), read(theirs.path()));
        if mine != packers {
            different.push(format!("{text:?}\nbakehouse {mine:?}\npacker    {packers:?}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ\n{}",
        different.len(),
        files.len(),
        different[..different.len().min(5)].join("\n\n")
    );
    assert_eq!(said(&ours_said), said(&packers_said), "names of changed files");
}

#[test]
fn written_by_hand() {
    let cases = include_str!("fmt/cases.txt").split("\n=====\n").map(String::from);
    let mut cases: Vec<String> = cases.collect();
    let with_crlf: Vec<String> = cases.iter().map(|case| case.replace('\n', "\r\n")).collect();
    cases.extend(with_crlf);
    cases.extend(
        [
            "",
            "\n",
            "   ",
            "\t",
            "a = 1",
            "a = 1   ",
            "a = 1\n   ",
            "a = 1\n\t",
            "\u{feff}a =  1\n",
            "# only a comment",
            "  # a comment and spaces  \n",
            "\n\n\na = 1\n\n\n\n",
        ]
        .map(String::from),
    );
    compare(&cases);
}

#[test]
fn generated() {
    let files: Vec<String> = (0..1500).map(|seed| document(&mut Dice::new(seed))).collect();
    compare(&files);
}

#[test]
fn templates_that_ship_are_laid_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = fmt(BAKEHOUSE, root, &["-check", "-recursive", "templates"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Two files that are not laid out, one below the other.
fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    std::fs::create_dir(desk.path().join("below")).unwrap();
    for name in ["a.pkr.hcl", "b.auto.pkrvars.hcl", "c.hcl", "d.pkr.json", "below/e.pkr.hcl"] {
        std::fs::write(desk.path().join(name), UGLY).unwrap();
    }
    desk
}

#[test]
fn check_names_files_and_writes_none() {
    let desk = desk();
    let output = fmt(BAKEHOUSE, desk.path(), &["-check", "."]);
    assert_eq!(said(&output), ("a.pkr.hcl\nb.auto.pkrvars.hcl\n".into(), Some(3)));
    assert_eq!(std::fs::read_to_string(desk.path().join("a.pkr.hcl")).unwrap(), UGLY);
    let output = fmt(BAKEHOUSE, desk.path(), &["-write=false", "-recursive", "."]);
    assert_eq!(said(&output), ("a.pkr.hcl\nb.auto.pkrvars.hcl\nbelow/e.pkr.hcl\n".into(), Some(0)));
    assert_eq!(std::fs::read_to_string(desk.path().join("a.pkr.hcl")).unwrap(), UGLY);
}

#[test]
fn files_keep_their_permissions_and_links_stay_links() {
    let desk = desk();
    let file = desk.path().join("a.pkr.hcl");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = desk.path().join("link.pkr.hcl");
    std::os::unix::fs::symlink("below/e.pkr.hcl", &link).unwrap();
    let output = fmt(BAKEHOUSE, desk.path(), &[]);
    assert_eq!(said(&output), ("a.pkr.hcl\nb.auto.pkrvars.hcl\nlink.pkr.hcl\n".into(), Some(0)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), PRETTY);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(desk.path().join("below/e.pkr.hcl")).unwrap(), PRETTY);
    assert_eq!(std::fs::read_to_string(desk.path().join("c.hcl")).unwrap(), UGLY);
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 6, "nothing else is left");
}

#[test]
fn a_difference_reads_as_packers() {
    let (ours, theirs) = (desk(), desk());
    let args = ["-diff", "-check", "a.pkr.hcl"];
    let (output, expected) = (fmt(BAKEHOUSE, ours.path(), &args), fmt("packer", theirs.path(), &args));
    assert_eq!(said(&output), said(&expected));
}

#[test]
fn standard_input_goes_to_standard_output() {
    let piped = |args: &[&str]| {
        let desk = desk();
        let input = std::fs::File::open(desk.path().join("a.pkr.hcl")).unwrap();
        said(&Command::new(BAKEHOUSE).arg("fmt").args(args).arg("-").stdin(input).output().unwrap())
    };
    assert_eq!(piped(&[]), (PRETTY.into(), Some(0)));
    assert_eq!(piped(&["-check"]), (String::new(), Some(3)));
    let difference = "--- old/-\n+++ new/-\n@@ -1,2 +1,2 @@\n-a=1\n-bcd   =2 # x\n+a   = 1\n+bcd = 2 # x\n";
    assert_eq!(piped(&["-diff"]), (difference.into(), Some(0)));
}

#[test]
fn what_is_no_hcl_is_refused_and_left_alone() {
    let desk = tempfile::tempdir().unwrap();
    let texts = [&b"a = \n"[..], b"a = \"open\n", b"a = 1\tb\n", b"x {\n", b"a = <<EOT\nx\n", b"a = \"\xff\"\n"];
    for text in texts {
        let file = desk.path().join("broken.pkr.hcl");
        std::fs::write(&file, text).unwrap();
        for program in [BAKEHOUSE, "packer"] {
            let output = fmt(program, desk.path(), &["."]);
            assert_eq!(output.status.code(), Some(1), "{program} {}: {output:?}", text.escape_ascii());
            assert_eq!(std::fs::read(&file).unwrap(), text);
        }
    }
    std::fs::write(desk.path().join("t.json"), "{}").unwrap();
    let output = fmt(BAKEHOUSE, desk.path(), &["t.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it lays out *.pkr.hcl"), "{output:?}");
    assert_eq!(fmt(BAKEHOUSE, desk.path(), &["missing"]).status.code(), Some(1));
}
