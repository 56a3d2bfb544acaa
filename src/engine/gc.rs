//! What runs that were killed have left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Error, Result};

use super::undo::{Journal, Undoers, folder};

/// A journal that never got its name belongs to a run that was killed at that very moment.
const NAMELESS: Duration = Duration::from_secs(60);

/// The journals of the dead, the oldest run's first, and how many belong to the living.
pub fn find(state: &Path, undoers: &Undoers) -> Result<(Vec<Journal>, usize)> {
    let mut dead = Vec::new();
    let mut living = 0;
    for path in journals(&folder(state))? {
        match Journal::adopt(&path, undoers.clone())? {
            Some(journal) => dead.push(journal),
            None => living += 1,
        }
    }
    Ok((dead, living))
}

/// The ids of the runs of this machine that live, each as often as it has builds.
pub fn living_runs(state: &Path) -> Result<Vec<String>> {
    let mut living = Vec::new();
    for path in journals(&folder(state))? {
        if Journal::adopt(&path, Arc::new([]))?.is_none() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            living.extend(name.rsplit_once('-').map(|(run, _)| run.to_owned()));
        }
    }
    Ok(living)
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("reading the undo journals in {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(doing(), &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(doing(), &error))?;
        let modified = entry.metadata().and_then(|meta| meta.modified());
        if entry.path().extension().is_some_and(|extension| extension == "jsonl") {
            found.push((modified.ok(), entry.path()));
        } else if modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > NAMELESS)) {
            let _ = std::fs::remove_file(entry.path()); // the next gc tries again
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
