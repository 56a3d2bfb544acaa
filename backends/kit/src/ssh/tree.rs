//! What lies in a local directory, in the order in which it can be made again.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bakehouse_api::CommError;

use super::session::local_error;

pub enum What {
    Dir { empty: bool },
    File { size: u64 },
    Link { target: PathBuf },
}

pub struct Entry {
    /// Where it is here.
    pub path: PathBuf,
    /// Its name below the root, with slashes.
    pub name: PathBuf,
    pub mode: u32,
    pub what: What,
}

impl Entry {
    pub fn size(&self) -> u64 {
        match self.what {
            What::File { size } => size,
            _ => 0,
        }
    }
}

pub fn mode_of(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o7777
}

/// Everything below `root`, sorted, each directory before what is in it. A link that leads out of
/// the tree would dangle in the guest: what it leads to is taken instead.
pub fn walk(root: &Path) -> Result<Vec<Entry>, CommError> {
    let real = root.canonicalize().map_err(|error| local_error(root.display(), error))?;
    let mut walker = Walker { root: real.clone(), inside: vec![real], entries: Vec::new() };
    walker.dir(root, Path::new(""))?;
    Ok(walker.entries)
}

struct Walker {
    root: PathBuf,
    /// Real paths of the directories above the current place, to notice links that run in a circle.
    inside: Vec<PathBuf>,
    entries: Vec<Entry>,
}

impl Walker {
    /// Returns whether there was nothing in it.
    fn dir(&mut self, path: &Path, name: &Path) -> Result<bool, CommError> {
        let failed = |error| local_error(path.display(), error);
        let listed = std::fs::read_dir(path).map_err(failed)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = listed.collect::<Result<Vec<OsString>, _>>().map_err(failed)?;
        names.sort();
        for child in &names {
            self.entry(path.join(child), name.join(child))?;
        }
        Ok(names.is_empty())
    }

    fn entry(&mut self, path: PathBuf, name: PathBuf) -> Result<(), CommError> {
        let failed = |error| local_error(path.display(), error);
        let mut meta = path.symlink_metadata().map_err(failed)?;
        if meta.is_symlink() {
            match path.canonicalize() {
                Ok(real) if !real.starts_with(&self.root) => meta = path.metadata().map_err(failed)?,
                _ => {
                    let target = path.read_link().map_err(failed)?;
                    self.entries.push(Entry { path, name, mode: 0o777, what: What::Link { target } });
                    return Ok(());
                }
            }
        }
        let mode = mode_of(&meta);
        if meta.is_dir() {
            self.subdir(path, name, mode)
        } else if meta.is_file() {
            self.entries.push(Entry { path, name, mode, what: What::File { size: meta.len() } });
            Ok(())
        } else {
            Err(failed(std::io::Error::other("it is neither a file nor a directory and cannot be copied")))
        }
    }

    fn subdir(&mut self, path: PathBuf, name: PathBuf, mode: u32) -> Result<(), CommError> {
        let real = path.canonicalize().map_err(|error| local_error(path.display(), error))?;
        if self.inside.contains(&real) {
            return Err(local_error(
                path.display(),
                std::io::Error::other("the link leads back to a directory above it"),
            ));
        }
        self.inside.push(real);
        let place = self.entries.len();
        self.entries.push(Entry { path: path.clone(), name: name.clone(), mode, what: What::Dir { empty: false } });
        let empty = self.dir(&path, &name)?;
        self.entries[place].what = What::Dir { empty };
        self.inside.pop();
        Ok(())
    }
}

/// The name for the guest; most ways to copy carry only text.
pub fn text(name: &Path) -> Result<&str, CommError> {
    std::str::from_utf8(name.as_os_str().as_bytes())
        .map_err(|_| local_error(name.display(), std::io::Error::other("the name is not UTF-8")))
}

/// A link that came from the guest; one that was there is replaced.
pub fn make_link(target: impl AsRef<Path>, place: &Path) -> Result<(), CommError> {
    let failed = |error| local_error(place.display(), error);
    match place.symlink_metadata() {
        Ok(meta) if !meta.is_dir() => std::fs::remove_file(place).map_err(failed)?,
        _ => {}
    }
    std::os::unix::fs::symlink(target, place).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn describe(root: &Path) -> Vec<String> {
        let line = |entry: &Entry| match &entry.what {
            What::Dir { empty } => format!("{}/{}", entry.name.display(), if *empty { " empty" } else { "" }),
            What::File { size } => format!("{} {size}", entry.name.display()),
            What::Link { target } => format!("{} -> {}", entry.name.display(), target.display()),
        };
        walk(root).expect("walks").iter().map(line).collect()
    }

    #[test]
    fn links_inside_stay_and_links_outside_are_followed() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("b/empty")).expect("makes");
        fs::create_dir_all(&outside).expect("makes");
        fs::write(root.join("a"), "abc").expect("writes");
        fs::write(outside.join("o"), "o").expect("writes");
        symlink("../a", root.join("b/in")).expect("links");
        symlink("nowhere", root.join("b/lost")).expect("links");
        symlink(outside.join("o"), root.join("c")).expect("links");
        symlink(&outside, root.join("d")).expect("links");
        assert_eq!(
            describe(&root),
            ["a 3", "b/", "b/empty/ empty", "b/in -> ../a", "b/lost -> nowhere", "c 1", "d/", "d/o 1"]
        );
    }

    #[test]
    fn a_circle_is_an_error() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let root = dir.path().join("root");
        fs::create_dir(&root).expect("makes");
        symlink("..", root.join("up")).expect("links");
        let error = walk(&root).err().expect("refuses").to_string();
        assert!(error.contains("leads back"), "{error}");
    }
}
