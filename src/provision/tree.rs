//! A digest of a file or of everything in a directory: names, permission bits, contents.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bakehouse_api::Input;
use sha2::{Digest, Sha256};

/// `source` as it was written: a slash at its end is part of its meaning.
pub fn digest(source: &str) -> Input {
    let mut hash = Sha256::new();
    let value = match add(Path::new(source), Path::new(""), &mut hash) {
        Ok(()) => format!("sha256:{}", hex::encode(hash.finalize())),
        // It may be made by an earlier step; a run reports it.
        Err(error) => format!("unreadable: {error}"),
    };
    Input::new(format!("source {source}"), value)
}

/// Links are followed, as the upload does. Each part is preceded by its length, so that no two
/// trees hash the same bytes.
fn add(path: &Path, name: &Path, hash: &mut Sha256) -> io::Result<()> {
    let meta = path.metadata()?;
    let name_bytes = name.as_os_str().as_bytes();
    hash.update((name_bytes.len() as u64).to_be_bytes());
    hash.update(name_bytes);
    hash.update((meta.permissions().mode() & 0o7777).to_be_bytes());
    if !meta.is_dir() {
        hash.update(meta.len().to_be_bytes());
        io::copy(&mut File::open(path)?, &mut Hashing(hash))?;
        return Ok(());
    }
    let mut names =
        path.read_dir()?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    hash.update((names.len() as u64).to_be_bytes());
    for entry in names {
        add(&path.join(&entry), &name.join(&entry), hash)?;
    }
    Ok(())
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_modes_and_contents_count() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let now = || digest(dir.path().to_str().unwrap()).value;
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/a"), "one").unwrap();
        let mut seen = vec![now()];
        assert_eq!(seen[0], now());
        fs::write(at("sub/a"), "two").unwrap();
        seen.push(now());
        fs::rename(at("sub/a"), at("sub/b")).unwrap();
        seen.push(now());
        fs::set_permissions(at("sub/b"), fs::Permissions::from_mode(0o755)).unwrap();
        seen.push(now());
        fs::create_dir(at("empty")).unwrap();
        seen.push(now());
        let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
    }

    #[test]
    fn what_is_not_there_yet_is_no_failure() {
        assert!(digest("/no/such/file").value.starts_with("unreadable: "));
    }
}
