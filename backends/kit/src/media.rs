//! CDs and floppies that a template describes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bakehouse_api::options::Spans;
use bakehouse_api::{Diagnostic, Diagnostics, Error, Kind, options};

use crate::floppy::{self, FloppyError};
use crate::glob;
use crate::iso9660::{self, IsoError};
use crate::tree::{Tree, TreeError};

options! {
    /// Media that the machine finds when it boots.
    pub struct MediaOptions {
        /// Files and directories to put onto a CD; a directory keeps its structure. `*`, `?` and
        /// `[...]` may be used. A directory that ends with `/` gives what is in it.
        cd_files: Vec<String>,
        /// Files of the CD by their path on it. They win over `cd_files` of the same name.
        cd_content: BTreeMap<String, String>,
        /// Label of the CD.
        cd_label: String = "packer".into(),
        /// Files to put into the root of a floppy disk; of a directory all files below it.
        floppy_files: Vec<String>,
        /// Directories to put onto the floppy disk with their structure.
        floppy_dirs: Vec<String>,
        /// Files of the floppy disk by their path on it.
        floppy_content: BTreeMap<String, String>,
        /// Label of the floppy disk.
        floppy_label: String = "packer".into(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("`{pattern}` matches no file in {}", base.display())]
    NoMatch { pattern: String, base: PathBuf },
    #[error("`{pattern}`: {source}")]
    Pattern { pattern: String, source: io::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Cd(#[from] IsoError),
    #[error(transparent)]
    Floppy(#[from] FloppyError),
}

impl From<MediaError> for Error {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Cd(error) => error.into(),
            MediaError::Floppy(error) => error.into(),
            other => Error::new(Kind::Input, other),
        }
    }
}

impl MediaOptions {
    pub fn has_cd(&self) -> bool {
        !self.cd_files.is_empty() || !self.cd_content.is_empty()
    }

    pub fn has_floppy(&self) -> bool {
        !self.floppy_files.is_empty() || !self.floppy_dirs.is_empty() || !self.floppy_content.is_empty()
    }

    /// Finds missing files and impossible names and labels. Relative paths begin at `base`.
    pub fn check(&self, base: &Path, diagnostics: &mut Diagnostics) {
        let lists =
            [("cd_files", &self.cd_files), ("floppy_files", &self.floppy_files), ("floppy_dirs", &self.floppy_dirs)];
        for (option, patterns) in lists {
            for pattern in patterns {
                check_pattern(base, option, pattern, &self.spans, diagnostics);
            }
        }
        let mut report = |option: &str, finding: Option<String>| {
            if let Some(summary) = finding {
                diagnostics.push(Diagnostic::error(summary).at(self.spans.at(option)));
            }
        };
        report("cd_label", iso9660::check_label(&self.cd_label).err().map(|error| error.to_string()));
        report("floppy_label", floppy::check_label(&self.floppy_label).err().map(|error| error.to_string()));
        for (option, content) in [("cd_content", &self.cd_content), ("floppy_content", &self.floppy_content)] {
            let added = add_content(&mut Tree::new(), content);
            report(option, added.err().map(|error| error.to_string()));
        }
    }

    /// What the CD holds.
    pub fn cd_tree(&self, base: &Path) -> Result<Tree, MediaError> {
        let mut tree = Tree::new();
        for pattern in &self.cd_files {
            for path in expand(base, pattern)? {
                add_kept(&mut tree, pattern, &path)?;
            }
        }
        add_content(&mut tree, &self.cd_content)?;
        Ok(tree)
    }

    pub fn build_cd(&self, base: &Path, to: &Path) -> Result<(), MediaError> {
        Ok(iso9660::write(&self.cd_label, &self.cd_tree(base)?, to)?)
    }

    /// What the floppy disk holds.
    pub fn floppy_tree(&self, base: &Path) -> Result<Tree, MediaError> {
        let mut tree = Tree::new();
        for pattern in &self.floppy_files {
            for path in expand(base, pattern)? {
                add_flat(&mut tree, &path)?;
            }
        }
        for pattern in &self.floppy_dirs {
            for path in expand(base, pattern)? {
                add_kept(&mut tree, pattern, &path)?;
            }
        }
        add_content(&mut tree, &self.floppy_content)?;
        Ok(tree)
    }

    pub fn build_floppy(&self, base: &Path, to: &Path) -> Result<(), MediaError> {
        Ok(floppy::write(&self.floppy_label, &self.floppy_tree(base)?, to)?)
    }
}

fn check_pattern(base: &Path, option: &str, pattern: &str, spans: &Spans, diagnostics: &mut Diagnostics) {
    let summary = match expand(base, pattern) {
        Err(error) => error.to_string(),
        Ok(paths) => match paths.iter().find_map(|path| path.metadata().err().map(|error| (path, error))) {
            Some((path, error)) => format!("{option}: {}: {error}", path.display()),
            None => return,
        },
    };
    let finding = Diagnostic::error(summary).at(spans.at(option));
    diagnostics.push(finding.hint(format!("relative paths begin at {}", base.display())));
}

fn expand(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, MediaError> {
    let paths = glob::expand(base, pattern);
    let paths = paths.map_err(|source| MediaError::Pattern { pattern: pattern.into(), source })?;
    if paths.is_empty() {
        return Err(MediaError::NoMatch { pattern: pattern.into(), base: base.into() });
    }
    Ok(paths)
}

/// A file goes into the root, a directory goes there with its name; with a `/` at its end, or as
/// `.`, only what is in it.
fn add_kept(tree: &mut Tree, pattern: &str, path: &Path) -> Result<(), TreeError> {
    let unnamed = pattern.ends_with(['/', '.']) && path.is_dir() && !glob::is_pattern(pattern);
    if unnamed { tree.add_local("", path) } else { tree.add_local(file_name(path)?, path) }
}

/// Files only, all in the root.
fn add_flat(tree: &mut Tree, path: &Path) -> Result<(), TreeError> {
    if !path.is_dir() {
        return tree.add_local(file_name(path)?, path);
    }
    let mut below = Tree::new();
    below.add_local("", path)?;
    for (path, file) in below.walk() {
        if let Some(file) = file {
            tree.add(path.rsplit('/').next().unwrap_or(&path), file.clone())?;
        }
    }
    Ok(())
}

fn add_content(tree: &mut Tree, content: &BTreeMap<String, String>) -> Result<(), TreeError> {
    content.iter().try_for_each(|(path, text)| tree.add_bytes(path.trim_start_matches('/'), text.as_bytes()))
}

fn file_name(path: &Path) -> Result<&str, TreeError> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| TreeError::NotUtf8 { path: path.into() })
}
