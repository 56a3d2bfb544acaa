//! Big files with holes: what they hold, how much room they take, how much there is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Whence, lseek};

const BLOCK: usize = 64 << 10;

/// A digest of the length and of every block that is not all zeroes: the same for a file and for its copy, however
/// many of its zeroes are holes. Blocking.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while let Some(start) = next_data(&file, at, length)? {
        at = start - start % BLOCK as u64;
        file.seek(SeekFrom::Start(at))?;
        let wanted = usize::try_from(length - at).map_or(BLOCK, |rest| rest.min(BLOCK));
        let block = &mut block[..wanted];
        file.read_exact(block)?;
        if block.iter().any(|byte| *byte != 0) {
            hasher.update(&at.to_le_bytes());
            hasher.update(block);
        }
        at += wanted as u64;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Where the next byte lies that is no hole.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    if at >= length {
        return Ok(None);
    }
    let offset = i64::try_from(at).map_err(io::Error::other)?;
    match lseek(file, offset, Whence::SeekData) {
        Ok(found) => Ok(u64::try_from(found).ok().filter(|found| *found < length)),
        Err(nix::Error::ENXIO) => Ok(None),      // only a hole is left
        Err(nix::Error::EINVAL) => Ok(Some(at)), // a file system that tells no holes
        Err(error) => Err(error.into()),
    }
}

/// The room that everything below takes on the disk.
pub fn usage(path: &Path) -> io::Result<u64> {
    let meta = path.symlink_metadata()?;
    let mut total = meta.blocks() * 512;
    if meta.is_dir() {
        for entry in path.read_dir()? {
            total += usage(&entry?.path())?;
        }
    }
    Ok(total)
}

/// The room that this user may still take where `path` lies.
pub fn free(path: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(found.blocks_available() * found.fragment_size())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sparse(path: &Path, written: &[(u64, &[u8])], length: u64) -> String {
        let mut file = File::create(path).unwrap();
        for (at, bytes) in written {
            file.seek(SeekFrom::Start(*at)).unwrap();
            file.write_all(bytes).unwrap();
        }
        file.set_len(length).unwrap();
        digest(path).unwrap()
    }

    #[test]
    fn holes_are_zeroes_and_every_other_byte_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ram");
        let holes = sparse(&path, &[(1 << 20, b"x")], 3 << 20);
        assert!(usage(&path).unwrap() < 1 << 20);
        assert_eq!(sparse(&path, &[(0, &vec![0; 1 << 20]), (1 << 20, b"x")], 3 << 20), holes);
        assert_ne!(sparse(&path, &[(1 << 20, b"y")], 3 << 20), holes, "a byte");
        assert_ne!(sparse(&path, &[((1 << 20) + 1, b"x")], 3 << 20), holes, "a place");
        assert_ne!(sparse(&path, &[(1 << 20, b"x")], (3 << 20) - 1), holes, "a length");
    }

    #[test]
    fn there_is_room_here() {
        assert!(free(Path::new("/")).unwrap() > 0);
    }
}
