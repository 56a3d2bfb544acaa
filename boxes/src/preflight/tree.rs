//! The files of a file system, whichever it is.

use ext4_view::Ext4;

use super::fat::Fat;

/// Configuration is small.
pub const TEXT: u64 = 4 << 20;
const MAX_NAMES: usize = 10_000;

pub enum Tree {
    Ext(Ext4),
    Fat(Fat),
}

impl Tree {
    /// A whole file; none where it is not there, too long or cannot be read.
    pub fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        match self {
            Tree::Ext(ext) => {
                let file = ext.open(path).ok()?;
                let length = file.metadata().len();
                if length > limit {
                    return None;
                }
                drain(file, length)
            }
            Tree::Fat(fat) => fat.read(path, limit).ok()?,
        }
    }

    /// The first `length` bytes of a file, or all of a shorter one.
    pub fn head(&self, path: &str, length: u64) -> Option<Vec<u8>> {
        match self {
            Tree::Ext(ext) => drain(ext.open(path).ok()?, length),
            Tree::Fat(fat) => fat.head(path, length).ok()?,
        }
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.read(path, TEXT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The names in a folder, sorted; none where there is no such folder.
    pub fn list(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Tree::Ext(ext) => {
                let Ok(entries) = ext.read_dir(path) else { return Vec::new() };
                // A damaged folder may go on for ever with errors.
                let entries = entries.take(MAX_NAMES).map_while(Result::ok);
                entries.map(|entry| entry.file_name().display().to_string()).collect()
            }
            Tree::Fat(fat) => fat.list(path).unwrap_or_default(),
        };
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }

    pub fn exists(&self, path: &str) -> bool {
        match self {
            Tree::Ext(ext) => ext.exists(path).unwrap_or(false),
            Tree::Fat(fat) => fat.exists(path),
        }
    }

    /// A link leads somewhere or nowhere: there is something by that name. Services are enabled by such links.
    pub fn named(&self, path: &str) -> bool {
        match self {
            Tree::Ext(ext) => ext.symlink_metadata(path).is_ok(),
            Tree::Fat(fat) => fat.exists(path),
        }
    }

    /// Where the links of a path lead.
    pub fn resolved(&self, path: &str) -> String {
        let resolved = match self {
            Tree::Ext(ext) => ext.canonicalize(path).ok().map(|path| path.display().to_string()),
            Tree::Fat(_) => None,
        };
        resolved.unwrap_or_else(|| path.to_owned())
    }
}

fn drain(mut file: ext4_view::File, length: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while (bytes.len() as u64) < length {
        let wanted = (length - bytes.len() as u64).min(piece.len() as u64) as usize;
        match file.read_bytes(&mut piece[..wanted]).ok()? {
            0 => break,
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
    Some(bytes)
}
