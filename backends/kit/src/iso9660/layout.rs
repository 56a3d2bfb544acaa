//! Where everything lies: directories of both trees, path tables, contents. Sizes are known before
//! any sector is given away, so one pass writes the image.

use std::collections::HashMap;

use super::record::{DIRECTORY, Date, MORE_EXTENTS, Record};
use super::rock::{Continuation, Posix, SystemUse};
use super::{IsoError, SECTOR, names};
use crate::tree::{Content, File, Node, Tree};

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const DIR_MODE: u32 = 0o755;
/// Path tables number directories with 16 bits.
const MAX_DIRS: usize = u16::MAX as usize;

/// The contents of a file, somewhere on the image.
pub(super) struct Placed<'t> {
    pub file: &'t File,
    pub size: u64,
    pub sector: u32,
}

impl<'t> Placed<'t> {
    fn new(file: &'t File) -> Result<Self, IsoError> {
        let size = match &file.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => {
                let meta = std::fs::metadata(path);
                meta.map_err(|source| IsoError::Read { path: path.clone(), source })?.len()
            }
        };
        Ok(Self { file, size, sector: 0 })
    }
}

enum Target {
    Dir(usize),
    File(usize),
}

struct Entry {
    id: Vec<u8>,
    target: Target,
    system_use: SystemUse,
}

struct Directory {
    parent: usize,
    id: Vec<u8>,
    entries: Vec<Entry>,
    dot: SystemUse,
    dot_dot: SystemUse,
    sector: u32,
    len: usize,
}

/// One of the two trees, its directories by level, then by parent, then by name, as path tables
/// want them.
pub(super) struct Hierarchy {
    dirs: Vec<Directory>,
}

/// What directory records need to know besides their directory.
pub(super) struct Placement<'a> {
    pub files: &'a [Placed<'a>],
    pub continuation: u32,
    /// The most bytes that one extent holds; a multiple of the sector.
    pub max_extent: u64,
    pub date: Date,
}

/// Every file of the tree, and where to find it by its node.
pub(super) fn files(tree: &Tree) -> Result<(Vec<Placed<'_>>, HashMap<usize, usize>), IsoError> {
    let (mut files, mut index) = (Vec::new(), HashMap::new());
    let mut pending = vec![Tree::ROOT];
    while let Some(node) = pending.pop() {
        match tree.node(node) {
            Node::Dir(children) => pending.extend(children.values().rev()),
            Node::File(file) => {
                index.insert(node, files.len());
                files.push(Placed::new(file)?);
            }
        }
    }
    Ok((files, index))
}

impl Hierarchy {
    pub fn primary(
        tree: &Tree,
        files: &HashMap<usize, usize>,
        date: Date,
        continuation: &mut Continuation,
    ) -> Result<Self, IsoError> {
        let posix = |node| posix(tree, node, date);
        let mut hierarchy = Self::build(
            tree,
            files,
            names::iso,
            |id| id,
            |name, id, node| SystemUse::named(name, id.len(), posix(node), continuation),
        )?;
        let nodes = hierarchy.nodes;
        for (i, dir) in hierarchy.dirs.iter_mut().enumerate() {
            let own = posix(nodes[i]);
            dir.dot = if i == 0 { SystemUse::root(own, continuation) } else { SystemUse::dot(own) };
            dir.dot_dot = SystemUse::dot(posix(nodes[dir.parent]));
        }
        Ok(Self { dirs: hierarchy.dirs })
    }

    pub fn joliet(tree: &Tree, files: &HashMap<usize, usize>) -> Result<Self, IsoError> {
        let wide = |id: Vec<u16>| id.into_iter().flat_map(u16::to_be_bytes).collect();
        let built = Self::build(tree, files, names::joliet, wide, |_, _, _| SystemUse::default())?;
        Ok(Self { dirs: built.dirs })
    }

    fn build<T: Copy + Ord + From<u8>>(
        tree: &Tree,
        files: &HashMap<usize, usize>,
        identify: names::Identify<T>,
        encode: impl Fn(Vec<T>) -> Vec<u8>,
        mut system_use: impl FnMut(&str, &[u8], usize) -> SystemUse,
    ) -> Result<Built, IsoError> {
        let mut dirs = vec![Directory::new(0, vec![0])];
        let mut nodes = vec![Tree::ROOT];
        let mut current = 0;
        while current < dirs.len() {
            let Node::Dir(children) = tree.node(nodes[current]) else { unreachable!("only directories are queued") };
            let is_dir = |node: usize| matches!(tree.node(node), Node::Dir(_));
            let names: Vec<_> = children.iter().map(|(name, node)| (name.as_str(), is_dir(*node))).collect();
            let mut sorted: Vec<_> = identify(&names).into_iter().zip(children).collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (id, (name, &node)) in sorted {
                let id = encode(id.units(is_dir(node)));
                let system_use = system_use(name, &id, node);
                let target = match files.get(&node) {
                    Some(file) => Target::File(*file),
                    None => {
                        dirs.push(Directory::new(current, id.clone()));
                        nodes.push(node);
                        Target::Dir(dirs.len() - 1)
                    }
                };
                dirs[current].entries.push(Entry { id, target, system_use });
            }
            current += 1;
        }
        if dirs.len() > MAX_DIRS {
            return Err(IsoError::TooManyDirs { count: dirs.len() });
        }
        Ok(Built { dirs, nodes })
    }

    /// Gives every directory its sectors, beginning at `next`, and returns the sector after them.
    pub fn place(&mut self, mut next: u64, placement: &Placement<'_>) -> Result<u64, IsoError> {
        for i in 0..self.dirs.len() {
            let len = self.dir_bytes(i, placement).len();
            self.dirs[i].len = len;
            self.dirs[i].sector = sector(next)?;
            next += (len / SECTOR) as u64;
        }
        Ok(next)
    }

    /// All directories in the order of their sectors.
    pub fn bytes<'a>(&'a self, placement: &'a Placement<'_>) -> impl Iterator<Item = Vec<u8>> + 'a {
        (0..self.dirs.len()).map(move |i| self.dir_bytes(i, placement))
    }

    fn dir_bytes(&self, index: usize, placement: &Placement<'_>) -> Vec<u8> {
        let dir = &self.dirs[index];
        let mut out = Vec::new();
        let mut record = Vec::new();
        for (id, target, system_use) in [(0, dir, &dir.dot), (1, &self.dirs[dir.parent], &dir.dot_dot)] {
            let system_use = system_use.bytes(placement.continuation);
            target.record(&[id], &system_use, placement.date).write(&mut out);
        }
        for entry in &dir.entries {
            let system_use = entry.system_use.bytes(placement.continuation);
            match entry.target {
                Target::Dir(child) => {
                    self.dirs[child].record(&entry.id, &system_use, placement.date).write(&mut record);
                    append(&mut out, &mut record);
                }
                Target::File(file) => {
                    for (extent, length, more) in placement.extents(&placement.files[file]) {
                        let flags = if more { MORE_EXTENTS } else { 0 };
                        let date = placement.date;
                        let system_use = &system_use;
                        Record { id: &entry.id, extent, length, flags, date, system_use }.write(&mut record);
                        append(&mut out, &mut record);
                    }
                }
            }
        }
        out.resize(out.len().next_multiple_of(SECTOR), 0);
        out
    }

    /// The record of the root as volume descriptors hold it.
    pub fn root_record(&self, date: Date) -> Vec<u8> {
        let mut out = Vec::new();
        self.dirs[0].record(&[0], &[], date).write(&mut out);
        out
    }

    /// `wide` and `narrow` turn numbers into bytes of the table's byte order.
    pub fn path_table(&self, wide: fn(u32) -> [u8; 4], narrow: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mut out = Vec::new();
        for dir in &self.dirs {
            out.extend([dir.id.len() as u8, 0]);
            out.extend(wide(dir.sector));
            out.extend(narrow(dir.parent as u16 + 1));
            out.extend(&dir.id);
            out.resize(out.len().next_multiple_of(2), 0);
        }
        out
    }
}

struct Built {
    dirs: Vec<Directory>,
    /// The node of each directory.
    nodes: Vec<usize>,
}

impl Directory {
    fn new(parent: usize, id: Vec<u8>) -> Self {
        let (dot, dot_dot) = Default::default();
        Self { parent, id, entries: Vec::new(), dot, dot_dot, sector: 0, len: 0 }
    }

    fn record<'a>(&self, id: &'a [u8], system_use: &'a [u8], date: Date) -> Record<'a> {
        Record { id, extent: self.sector, length: self.len as u32, flags: DIRECTORY, date, system_use }
    }
}

impl Placement<'_> {
    /// (sector, bytes, does another one follow).
    fn extents(&self, file: &Placed<'_>) -> Vec<(u32, u32, bool)> {
        let count = file.size.div_ceil(self.max_extent).max(1);
        (0..count)
            .map(|i| {
                let start = i * self.max_extent;
                let length = (file.size - start).min(self.max_extent);
                (file.sector + (start / SECTOR as u64) as u32, length as u32, i + 1 < count)
            })
            .collect()
    }
}

/// Records never cross the end of a sector.
fn append(out: &mut Vec<u8>, record: &mut Vec<u8>) {
    if out.len() % SECTOR + record.len() > SECTOR {
        out.resize(out.len().next_multiple_of(SECTOR), 0);
    }
    out.append(record);
}

fn posix(tree: &Tree, node: usize, date: Date) -> Posix {
    match tree.node(node) {
        Node::File(file) => Posix { mode: S_IFREG | file.mode, links: 1, date },
        Node::Dir(children) => {
            let dirs = children.values().filter(|child| matches!(tree.node(**child), Node::Dir(_))).count();
            Posix { mode: S_IFDIR | DIR_MODE, links: 2 + dirs as u32, date }
        }
    }
}

pub(super) fn sector(number: u64) -> Result<u32, IsoError> {
    u32::try_from(number).map_err(|_| IsoError::TooBig)
}
