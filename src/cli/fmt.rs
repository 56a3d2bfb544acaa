//! `fmt`: files in the canonical layout.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bakehouse_api::{Diagnostic, Diagnostics, Error, Result, SourceMap};
use similar::TextDiff;

use super::environment::Environment;
use super::{End, put, say, switch, template};
use crate::template::hcl::format::format;
use crate::template::hcl::parser::parse_file;

#[derive(clap::Args)]
pub struct Args {
    /// Files called *.pkr.hcl or *.pkrvars.hcl, folders of them, or `-` for standard input.
    #[arg(value_name = "TEMPLATE", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Write nothing, and end with 3 when something is not in its canonical layout.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    check: bool,
    /// Show what changes.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    diff: bool,
    /// Write the files; false only names those that would change.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOL")]
    write: bool,
    /// Also the folders below.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    recursive: bool,
}

pub fn run(args: Args) -> Result<End> {
    let environment = Environment::read()?;
    let mut run = Run { changed: false, sources: SourceMap::default(), findings: Diagnostics::default(), args: &args };
    for path in &args.paths {
        run.path(path)?;
    }
    template::print(&run.findings, &run.sources, &environment);
    Ok(match run {
        run if run.findings.has_errors() => End::Failure,
        run if run.changed && args.check => End::Different,
        _ => End::Success,
    })
}

struct Run<'a> {
    args: &'a Args,
    changed: bool,
    sources: SourceMap,
    findings: Diagnostics,
}

impl Run<'_> {
    fn path(&mut self, path: &Path) -> Result<()> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|error| Error::io("reading the template from standard input", &error))?;
            self.standard_input(bytes);
        } else if path.is_dir() {
            self.folder(path);
        } else if is_hcl(path) {
            self.file(path);
        } else if !path.exists() {
            self.fail(format!("there is no file or folder {}", path.display()));
        } else {
            let error = Diagnostic::error(format!("{} is no file that fmt lays out", path.display()));
            let hint = "it lays out *.pkr.hcl and *.pkrvars.hcl; a legacy JSON template has no canonical layout";
            self.findings.push(error.hint(hint));
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) {
        // "x.pkr.hcl" reads better than "./x.pkr.hcl".
        let shown = if folder == Path::new(".") { Path::new("") } else { folder };
        let mut names = match entries(folder) {
            Ok(names) => names,
            Err(error) => return self.fail(format!("cannot read the folder {}: {error}", folder.display())),
        };
        names.sort();
        for (name, is_folder) in names {
            let path = shown.join(name);
            if is_folder && self.args.recursive {
                self.folder(&path);
            } else if !is_folder && is_hcl(&path) {
                self.file(&path);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.fail(format!("cannot read {}: {error}", path.display())),
        };
        let Some((text, laid_out)) = self.lay_out(path, bytes) else { return };
        if text == laid_out {
            return;
        }
        self.changed = true;
        say(path.display());
        if self.args.write
            && !self.args.check
            && let Err(error) = replace(path, &laid_out)
        {
            self.fail(format!("cannot write {}: {error}", path.display()));
        }
        if self.args.diff {
            put(&difference(&path.display().to_string(), &text, &laid_out));
        }
    }

    /// The text goes to standard output, unless only the difference is asked for.
    fn standard_input(&mut self, bytes: Vec<u8>) {
        let Some((text, laid_out)) = self.lay_out(Path::new("-"), bytes) else { return };
        self.changed |= text != laid_out;
        if self.args.diff {
            put(&difference("-", &text, &laid_out));
        } else if !self.args.check {
            put(&laid_out);
        }
    }

    /// The text and its canonical layout; none when it is not HCL, which is reported.
    fn lay_out(&mut self, path: &Path, bytes: Vec<u8>) -> Option<(String, String)> {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.fail(format!("{} is not UTF-8: see byte {at}", path.display()));
                return None;
            }
        };
        let file = self.sources.add(path, text.clone());
        let (_, found) = parse_file(file, &text);
        let broken = found.has_errors();
        self.findings.extend(found);
        (!broken).then(|| {
            let laid_out = format(&text);
            (text, laid_out)
        })
    }

    fn fail(&mut self, summary: String) {
        self.findings.push(Diagnostic::error(summary));
    }
}

fn is_hcl(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".pkr.hcl") || name.ends_with(".pkrvars.hcl")
}

/// Names, and which of them are folders. A link to a folder is none, so that no circle is walked.
fn entries(folder: &Path) -> std::io::Result<Vec<(std::ffi::OsString, bool)>> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), entry.file_type()?.is_dir()))
    };
    std::fs::read_dir(folder)?.map(entry).collect()
}

/// Whole or not at all: a new file with the old one's permissions takes its place. A link stays one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn difference(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().header(&format!("old/{name}"), &format!("new/{name}")).to_string()
}
