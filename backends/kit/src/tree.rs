//! What goes onto a medium: paths and where their contents come from. Contents are read when the
//! medium is written, never held here.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permission bits of files made from bytes.
const DEFAULT_MODE: u32 = 0o644;

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("`{path}` cannot be a path on a medium: {reason}")]
    Path { path: String, reason: &'static str },
    #[error("`{path}` would be a file and a directory at once")]
    Clash { path: String },
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} has a name that is not UTF-8", path.display())]
    NotUtf8 { path: PathBuf },
    #[error("{} is neither a file nor a directory", path.display())]
    Special { path: PathBuf },
    #[error("{} is a link to a directory that contains it", path.display())]
    Loop { path: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Dir(BTreeMap<String, usize>),
    File(File),
}

/// Directories, and files in them. Nodes refer to each other by index, so no depth overflows a stack.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Seconds since 1970, the date of everything on the medium.
    pub timestamp: i64,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// 1980-01-01: the first date that both ISO 9660 and FAT can write, so that equal trees make
    /// equal media.
    pub const EPOCH: i64 = 315_532_800;
    pub(crate) const ROOT: usize = 0;

    pub fn new() -> Self {
        Self { nodes: vec![Node::Dir(BTreeMap::new())], timestamp: Self::EPOCH }
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// A digest of every path, mode and content. Blocking: it reads the files.
    pub fn digest(&self) -> Result<String, TreeError> {
        let mut hasher = blake3::Hasher::new();
        for (path, file) in self.walk() {
            hasher.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
            let Some(file) = file else { continue };
            hasher.update(&file.mode.to_le_bytes());
            let content = match &file.content {
                Content::Bytes(bytes) => blake3::hash(bytes),
                Content::File(path) => {
                    let read = |source| TreeError::Read { path: path.clone(), source };
                    let mut inner = blake3::Hasher::new();
                    inner.update_reader(std::fs::File::open(path).map_err(read)?).map_err(read)?;
                    inner.finalize()
                }
            };
            hasher.update(content.as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Makes the directory and those above it.
    pub fn add_dir(&mut self, path: &str) -> Result<(), TreeError> {
        self.dir(path, path).map(|_| ())
    }

    pub fn add_bytes(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), TreeError> {
        self.add(path, File { content: Content::Bytes(bytes.into()), mode: DEFAULT_MODE })
    }

    /// Adds a file; a file that is already there is replaced.
    pub fn add(&mut self, path: &str, file: File) -> Result<(), TreeError> {
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        check_name(path, name)?;
        let dir = self.dir(above, path)?;
        match self.child(dir, name) {
            Some(index) if matches!(self.nodes[index], Node::Dir(_)) => Err(TreeError::Clash { path: path.into() }),
            Some(index) => {
                self.nodes[index] = Node::File(file);
                Ok(())
            }
            None => {
                self.attach(dir, name, Node::File(file));
                Ok(())
            }
        }
    }

    /// Adds a local file, or a local directory with everything below it. What links point to is
    /// taken in their place.
    pub fn add_local(&mut self, path: &str, local: &Path) -> Result<(), TreeError> {
        let meta = metadata(local)?;
        if meta.is_dir() { self.add_local_dir(path, local, &meta) } else { self.add_local_file(path, local, &meta) }
    }

    fn add_local_file(&mut self, path: &str, local: &Path, meta: &Metadata) -> Result<(), TreeError> {
        if !meta.is_file() {
            return Err(TreeError::Special { path: local.into() });
        }
        let mode = meta.permissions().mode() & 0o777;
        self.add(path, File { content: Content::File(local.to_owned()), mode })
    }

    fn add_local_dir(&mut self, path: &str, local: &Path, meta: &Metadata) -> Result<(), TreeError> {
        let mut pending = vec![(path.to_owned(), local.to_owned(), vec![identity(meta)])];
        while let Some((path, local, above)) = pending.pop() {
            self.dir(&path, &path)?;
            for (name, child) in children(&local)? {
                let meta = metadata(&child)?;
                let path = join(&path, &name);
                if !meta.is_dir() {
                    self.add_local_file(&path, &child, &meta)?;
                } else if above.contains(&identity(&meta)) {
                    return Err(TreeError::Loop { path: child });
                } else {
                    let above = above.iter().copied().chain([identity(&meta)]).collect();
                    pending.push((path, child, above));
                }
            }
        }
        Ok(())
    }

    /// Every directory (but the root) and file with its path, parents before their children.
    pub fn walk(&self) -> Vec<(String, Option<&File>)> {
        let mut found = Vec::new();
        let mut pending = vec![(String::new(), Self::ROOT)];
        while let Some((path, index)) = pending.pop() {
            match &self.nodes[index] {
                Node::File(file) => found.push((path, Some(file))),
                Node::Dir(children) => {
                    pending.extend(children.iter().rev().map(|(name, child)| (join(&path, name), *child)));
                    if index != Self::ROOT {
                        found.push((path, None));
                    }
                }
            }
        }
        found
    }

    fn child(&self, dir: usize, name: &str) -> Option<usize> {
        match &self.nodes[dir] {
            Node::Dir(children) => children.get(name).copied(),
            Node::File(_) => None,
        }
    }

    fn attach(&mut self, dir: usize, name: &str, node: Node) -> usize {
        self.nodes.push(node);
        let index = self.nodes.len() - 1;
        if let Node::Dir(children) = &mut self.nodes[dir] {
            children.insert(name.to_owned(), index);
        }
        index
    }

    /// The index of a directory, made where it is missing. `whole` is the path to blame.
    fn dir(&mut self, path: &str, whole: &str) -> Result<usize, TreeError> {
        let mut current = Self::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            check_name(whole, name)?;
            current = match self.child(current, name) {
                Some(index) => index,
                None => self.attach(current, name, Node::Dir(BTreeMap::new())),
            };
            if matches!(self.nodes[current], Node::File(_)) {
                return Err(TreeError::Clash { path: whole.into() });
            }
        }
        Ok(current)
    }
}

fn check_name(path: &str, name: &str) -> Result<(), TreeError> {
    let reason = match name {
        "" => "it names no file",
        "." | ".." => "it may not contain `..`",
        _ if name.contains('\0') => "it contains a NUL character",
        _ if name.len() > 255 => "a name in it is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(TreeError::Path { path: path.into(), reason })
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn metadata(path: &Path) -> Result<Metadata, TreeError> {
    std::fs::metadata(path).map_err(|source| TreeError::Read { path: path.into(), source })
}

fn children(dir: &Path) -> Result<BTreeMap<String, PathBuf>, TreeError> {
    let read = |source| TreeError::Read { path: dir.into(), source };
    let mut children = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.map(str::to_owned) else { return Err(TreeError::NotUtf8 { path }) };
        children.insert(name, path);
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(tree: &Tree) -> Vec<String> {
        tree.walk().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn later_files_replace_earlier_ones_and_directories_appear_by_themselves() {
        let mut tree = Tree::new();
        tree.add_bytes("a/b/c", "1").unwrap();
        tree.add_bytes("a/b/c", "2").unwrap();
        tree.add_dir("./z/").unwrap();
        assert_eq!(paths(&tree), ["a", "a/b", "a/b/c", "z"]);
        let file = tree.walk()[2].1.unwrap().clone();
        assert_eq!(file.content, Content::Bytes(b"2".to_vec()));
    }

    #[test]
    fn paths_that_leave_the_medium_or_clash_are_refused() {
        let mut tree = Tree::new();
        tree.add_bytes("a", "").unwrap();
        for bad in ["", "../x", "x/..", "a/b", "x\0", &"n".repeat(256)] {
            assert!(tree.add_bytes(bad, "").is_err(), "{bad:?}");
        }
        tree.add_dir("d").unwrap();
        assert!(matches!(tree.add_bytes("d", ""), Err(TreeError::Clash { .. })));
    }

    #[test]
    fn links_are_followed_but_not_in_circles() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), "x").unwrap();
        std::os::unix::fs::symlink("sub", dir.path().join("link")).unwrap();
        let mut tree = Tree::new();
        tree.add_local("", dir.path()).unwrap();
        assert_eq!(paths(&tree), ["link", "link/file", "sub", "sub/file"]);
        std::os::unix::fs::symlink("..", dir.path().join("sub/up")).unwrap();
        assert!(matches!(Tree::new().add_local("x", dir.path()), Err(TreeError::Loop { .. })));
    }
}
