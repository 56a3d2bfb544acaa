//! Where a build works: a hidden folder beside the output directory, which becomes the output
//! directory by one rename when it is complete.

use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Kind, Result, UndoId};

use crate::undo;

pub struct Workspace {
    /// What the artifact is made in.
    pub partial: PathBuf,
    /// As the template writes it: relative to where the program was started.
    written: PathBuf,
    output: PathBuf,
    undo: UndoId,
}

/// Fails when the output directory is there and may not be replaced.
pub fn refuse_existing(cx: &Cx, written: &Path) -> Result<()> {
    if cx.settings().force || std::fs::symlink_metadata(cx.settings().cwd.join(written)).is_err() {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("the output directory {} exists already", written.display()))
        .hint("move it away, choose another `output_directory`, or replace it with -force"))
}

impl Workspace {
    pub fn new(cx: &Cx, written: &Path) -> Result<Self> {
        let output = cx.settings().cwd.join(written);
        let name = output
            .file_name()
            .ok_or_else(|| Error::new(Kind::Config, format!("`{}` cannot be an output directory", output.display())))?;
        let parent = output.parent().unwrap_or(Path::new("/"));
        let doing = format!("making a folder for the build in {}", parent.display());
        let made = std::fs::create_dir_all(parent).and_then(|()| {
            tempfile::Builder::new().prefix(&format!(".{}.partial-", name.to_string_lossy())).tempdir_in(parent)
        });
        let partial = made.map_err(|error| Error::io(&doing, &error))?.keep();
        let undo = cx.hold(undo::path(&partial))?;
        // A temporary folder is for its owner alone; an output directory is for whom the umask says.
        use std::os::unix::fs::PermissionsExt;
        let mode = parent.metadata().map_or(0o755, |meta| meta.permissions().mode() & 0o777);
        std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(mode | 0o700))
            .map_err(|error| Error::io(&doing, &error))?;
        Ok(Self { partial, written: written.to_owned(), output, undo })
    }

    /// A file of the artifact.
    pub fn file(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Makes the folder the output directory; what stood there, goes. Returns its files.
    pub fn publish(self, cx: &Cx) -> Result<(PathBuf, Vec<PathBuf>)> {
        let doing = |error: std::io::Error| {
            Error::io(format!("moving the finished artifact to {}", self.output.display()), &error)
        };
        refuse_existing(cx, &self.written)?;
        let old = self.partial.with_extension("replaced");
        let replaced = match std::fs::rename(&self.output, &old) {
            Ok(()) => Some(cx.hold(undo::path(&old))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(doing(error)),
        };
        std::fs::rename(&self.partial, &self.output).map_err(doing)?;
        cx.forget(self.undo);
        if let Some(id) = replaced {
            std::fs::remove_dir_all(&old).map_err(doing)?;
            cx.forget(id);
        }
        let found = files(&self.output).map_err(doing)?;
        let shown = |file: PathBuf| match file.strip_prefix(&self.output) {
            Ok(below) => self.written.join(below),
            Err(_) => file,
        };
        let files = found.into_iter().map(shown).collect();
        Ok((self.written, files))
    }
}

/// Every file below, sorted.
fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    #[tokio::test]
    async fn the_output_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let output = dir.path().join("deep/output-x");
        let failed = Workspace::new(&cx, &output).unwrap();
        std::fs::write(failed.file("disk"), "half").unwrap();
        recorder.drain().await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).unwrap().count(), 0);

        let done = Workspace::new(&cx, &output).unwrap();
        std::fs::write(done.file("disk"), "whole").unwrap();
        let (published, files) = done.publish(&cx).unwrap();
        assert_eq!((published, files), (output.clone(), vec![output.join("disk")]));
        assert!(recorder.held().is_empty());

        let again = Workspace::new(&cx, &output).unwrap();
        let error = again.publish(&cx).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(std::fs::read_to_string(output.join("disk")).unwrap(), "whole");
    }
}
