//! Where a machine's disks and media are while it runs: in the folder that will be its next checkpoint, or, without
//! checkpoints, where the artifact is made.

use std::fs::File;
use std::path::{Path, PathBuf};

use bakehouse_api::{Checkpoint, Cx, Error, Result};
use bakehouse_kit::shelf::{self, Folder};

use crate::checkpoint::Drive;
use crate::frozen::{Frozen, Media};

/// The folder that the disks are written to, and what it goes back to.
pub struct Live {
    pub folder: Folder,
    /// The locks of the folders that its disks build upon.
    below: Vec<File>,
    /// What the next checkpoint will say of the machine; disks, media and host keys are filled in when it is taken.
    pub frozen: Frozen,
    pub media: Media,
    /// Its disks as QEMU has them; known from the first checkpoint on.
    pub drives: Vec<Drive>,
}

impl Live {
    /// None without checkpoints, or where none can be kept: the build goes on without.
    pub fn new(cx: &Cx, from: Option<&Path>, why_not: Option<String>) -> Result<Option<Self>> {
        if cx.settings().checkpoints.is_none() || why_not.is_some() {
            return Ok(None);
        }
        let mut below = Vec::new();
        if let Some(from) = from {
            below.push(shelf::share(from).ok_or_else(|| gone(from))?);
        }
        match Folder::create(cx, from) {
            Ok(folder) => {
                Ok(Some(Self { folder, below, frozen: Frozen::default(), media: Media::default(), drives: Vec::new() }))
            }
            Err(error) if from.is_none() => {
                cx.warn(format!("no checkpoints in this build: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.folder.dir
    }

    /// The disks are written to `next` from now on.
    pub fn advance(&mut self, next: Folder) -> Checkpoint {
        let (checkpoint, lock) = std::mem::replace(&mut self.folder, next).freeze();
        self.below.push(lock);
        checkpoint
    }
}

/// Where `path` lies, told from the folder `dir` of a checkpoint.
pub fn relative(dir: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix(dir), dir.parent().and_then(|root| path.strip_prefix(root).ok())) {
        (Ok(inside), _) => inside.to_owned(),
        (_, Some(beside)) => Path::new("..").join(beside),
        _ => path.to_owned(),
    }
}

/// Media as the note of a checkpoint in `dir` has them.
pub fn noted(dir: &Path, media: &Media) -> Media {
    let from = |path: &Option<PathBuf>| path.as_ref().map(|path| relative(dir, path));
    Media { cd: from(&media.cd), floppy: from(&media.floppy), seed: from(&media.seed) }
}

/// The media of a checkpoint in `dir`, as paths from anywhere.
pub fn absolute(dir: &Path, media: &Media) -> Media {
    let at = |path: &Option<PathBuf>| path.as_ref().map(|path| plain(dir.join(path)));
    Media { cd: at(&media.cd), floppy: at(&media.floppy), seed: at(&media.seed) }
}

/// The path of what lies in another folder of checkpoints is told without a step back and forth.
fn plain(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

fn gone(dir: &Path) -> Error {
    Error::new(bakehouse_api::Kind::Host, format!("the checkpoint {} was removed meanwhile", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_move_of_the_whole_cache() {
        let relative = |path: &str| relative(Path::new("/cache/b"), Path::new(path));
        assert_eq!(relative("/cache/b/disk0"), Path::new("disk0"));
        assert_eq!(relative("/cache/a/seed.iso"), Path::new("../a/seed.iso"));
        assert_eq!(relative("/images/base"), Path::new("/images/base"));
    }
}
