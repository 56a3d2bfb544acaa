//! The floors of the house (docs/architecture.md): imports look down only, and what touches the outside
//! world stays in its place. The compiler keeps the crates' floors; this keeps the modules'.

#![allow(clippy::unwrap_used)] // a test that cannot read the sources has failed

use std::path::{Path, PathBuf};

/// Every Rust file under `dir`, with its text up to its unit tests.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending = vec![root.join(dir)];
    let mut found = Vec::new();
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(root).unwrap().to_owned(), code));
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {dir}");
    found
}

/// Lines that say one of `words`, outside of `allowed` and of comments.
fn offenders(dir: &str, words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for (path, text) in sources(dir) {
        if allowed.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                all.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    all
}

#[test]
fn nothing_below_uses_the_command_line() {
    assert_eq!(offenders("src", &["crate::cli"], &["src/cli", "src/main.rs"]), [""; 0]);
}

#[test]
fn the_template_language_knows_no_machine() {
    let words =
        ["crate::engine", "crate::provision", "crate::post", "crate::registry", "bakehouse_kit", "std::process"];
    let found: Vec<String> = offenders("src", &words, &[]);
    let found: Vec<&String> = found.iter().filter(|line| line.starts_with("src/template")).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_registry_names_a_backend() {
    let words = ["bakehouse_qemu", "bakehouse_virtualbox", "bakehouse_ec2", "bakehouse_null", "bakehouse_file"];
    assert_eq!(offenders("src", &words, &["src/registry.rs"]), [""; 0]);
}

#[test]
fn only_reporters_and_commands_print() {
    let words =
        ["println!", "print!(", "eprint!(", "std::io::stdout", "std::io::stderr", "io::stdout()", "io::stderr()"];
    assert_eq!(offenders("src", &words, &["src/cli", "src/report", "src/main.rs"]), [""; 0]);
    for below in ["backends", "boxes"] {
        assert_eq!(offenders(below, &words, &[]).iter().filter(|line| line.contains("/src/")).count(), 0);
    }
}

#[test]
fn only_commands_read_the_environment() {
    let words = ["env::var", "env::args", "env::vars", "env::current_dir"];
    assert_eq!(offenders("src", &words, &["src/cli", "src/main.rs"]), [""; 0]);
    for below in ["backends", "boxes"] {
        let found: Vec<String> =
            offenders(below, &words, &[]).into_iter().filter(|line| line.contains("/src/")).collect();
        assert_eq!(found, [""; 0]);
    }
}

#[test]
fn backends_never_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("backends");
    for (name, below) in [
        ("api", &[][..]),
        ("kit", &["api", "boxes"]),
        ("../boxes", &["api"]),
        ("null", &["api", "kit", "boxes"]),
        ("file", &["api", "kit", "boxes"]),
        ("qemu", &["api", "kit", "boxes"]),
        ("virtualbox", &["api", "kit", "boxes"]),
        ("ec2", &["api", "kit", "boxes"]),
    ] {
        let manifest = std::fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        for line in manifest.lines().filter(|line| line.starts_with("bakehouse-")) {
            let used = line.trim_start_matches("bakehouse-").split(['.', ' ', '=']).next().unwrap();
            assert!(below.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn image_formats_know_no_network_and_no_processes() {
    let words = ["std::process", "std::net", "tokio"];
    let found: Vec<String> =
        offenders("boxes", &words, &[]).into_iter().filter(|line| line.contains("/src/")).collect();
    assert_eq!(found, [""; 0]);
}
