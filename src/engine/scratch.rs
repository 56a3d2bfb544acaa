//! The scratch directory of a build.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result, Settings, UndoLog};

/// A Unix socket's path has 108 bytes at most, and backends put theirs below the scratch directory.
const LONGEST_ROOT: usize = 40;
const TRIES: usize = 16;

/// Makes a new directory that only this user can enter. Its removal is in the journal before the
/// directory is there, so that a killed run never leaves one behind.
pub fn make(settings: &Settings, undo: &dyn UndoLog) -> Result<PathBuf> {
    let root = root(settings);
    for _ in 0..TRIES {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = root.join(format!("bakehouse-{}", &name[..8]));
        if path.exists() {
            continue; // another's; it must not get into our journal
        }
        let held = undo.push(bakehouse_kit::undo::path(&path))?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) => {
                undo.forget(held);
                if error.kind() != std::io::ErrorKind::AlreadyExists {
                    return Err(Error::io(format!("making the scratch directory {}", path.display()), &error)
                        .hint("set TMPDIR to a directory that can be written"));
                }
            }
        }
    }
    Err(Error::new(Kind::Host, format!("found no free name for a scratch directory in {}", root.display())))
}

fn root(settings: &Settings) -> PathBuf {
    let wanted = settings.env.get("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    wanted.filter(|path| path.as_os_str().len() <= LONGEST_ROOT).unwrap_or_else(|| Path::new("/tmp").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_stays_short_enough_for_sockets() {
        let with = |dir: &str| root(&Settings { env: [("TMPDIR".into(), dir.into())].into(), ..Settings::default() });
        assert_eq!(with("/var/tmp"), Path::new("/var/tmp"));
        assert_eq!(with(&format!("/{}", "x".repeat(80))), Path::new("/tmp"));
        assert_eq!(with("relative"), Path::new("/tmp"));
    }
}
