//! Keeping a finished artifact and giving it out again. The kept files are other names of the artifact's own, so
//! that they take no room and no time; one that was written to meanwhile is known by its time stamp, and is not
//! given out.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bakehouse_api::{Artifact, Cx, Error, Result};

use crate::machine::artifact;
use crate::workspace::Workspace;

/// False where the artifact lies on another file system, or on one without hard links.
pub fn keep(output: &Path, into: &Path) -> Result<bool> {
    let link = |name: &Path| -> io::Result<()> {
        let to = into.join(name);
        std::fs::create_dir_all(to.parent().unwrap_or(into))?;
        std::fs::hard_link(output.join(name), to)
    };
    let failed = |error: io::Error| Error::io(format!("keeping the artifact {}", output.display()), &error);
    for name in files(output).map_err(failed)? {
        match link(&name) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => {
                return Ok(false);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(true)
}

pub fn recall(cx: &Cx, output: &Path, from: &Path, facts: BTreeMap<String, String>) -> Result<Artifact> {
    let workspace = Workspace::new(cx, output)?;
    let old = cx.settings().cwd.join(output);
    let failed = |error: io::Error| Error::io(format!("giving out the artifact kept in {}", from.display()), &error);
    for name in files(from).map_err(failed)? {
        let to = workspace.file(&name.to_string_lossy());
        let place = || std::fs::create_dir_all(to.parent().unwrap_or(&workspace.partial));
        place().and_then(|()| hand_out(&from.join(&name), &old.join(&name), &to)).map_err(failed)?;
    }
    let (output, files) = workspace.publish(cx)?;
    Ok(artifact(&output, files, facts))
}

/// Two outputs must never share a file, or writing to one would change the other: it is only linked where no output
/// has it, or only the one that is replaced.
fn hand_out(kept: &Path, replaced: &Path, to: &Path) -> io::Result<()> {
    let meta = kept.metadata()?;
    let same = replaced.metadata().is_ok_and(|there| (there.dev(), there.ino()) == (meta.dev(), meta.ino()));
    let others = meta.nlink() - 1 - u64::from(same);
    if others == 0 && std::fs::hard_link(kept, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(kept, to).map(|_| ())
}

/// Every file below, each relative to `dir`.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        for entry in dir.join(&below).read_dir()? {
            let entry = entry?;
            let name = below.join(entry.file_name());
            if entry.file_type()?.is_dir() { pending.push(name) } else { found.push(name) }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bakehouse_api::{Settings, testing};

    use super::*;

    #[test]
    fn an_artifact_comes_back_and_no_two_outputs_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let cx = cx.with_settings(Arc::new(Settings { force: true, ..cx.settings().clone() }));
        let (out, kept) = (dir.path().join("out"), dir.path().join("kept"));
        std::fs::create_dir_all(out.join("tpm")).unwrap();
        std::fs::write(out.join("disk"), "disk").unwrap();
        std::fs::write(out.join("tpm/state"), "tpm").unwrap();
        assert!(keep(&out, &kept).unwrap());
        std::fs::write(out.join("notes"), "a post-processor's").unwrap();
        let inode = |path: PathBuf| path.metadata().unwrap().ino();

        let again = recall(&cx, &out, &kept, BTreeMap::new()).unwrap();
        assert_eq!(again.files, [out.join("disk"), out.join("tpm/state")], "what else lay there is replaced");
        assert_eq!(inode(out.join("disk")), inode(kept.join("disk")));

        let second = dir.path().join("second");
        recall(&cx, &second, &kept, BTreeMap::new()).unwrap();
        assert_eq!(std::fs::read(second.join("disk")).unwrap(), b"disk");
        assert_ne!(inode(second.join("disk")), inode(kept.join("disk")));
    }
}
