//! Checksums of files, and a memory of them: a big image is read once per state of the file.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A file that was written a moment ago may change again without a new time stamp.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    pub fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Written `sha256:0123...`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub algorithm: Algorithm,
    /// Lower case.
    pub hex: String,
}

impl Digest {
    /// None when `hex` is not what that algorithm gives.
    pub fn new(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let fits = hex.len() == algorithm.hex_len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// The algorithm told by the length.
    pub fn from_hex(hex: &str) -> Option<Self> {
        Algorithm::ALL.into_iter().find_map(|algorithm| Self::new(algorithm, hex))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Takes bytes as they pass.
#[derive(Clone)]
pub enum Hasher {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub fn finish(self) -> Digest {
        let (algorithm, hex) = match self {
            Self::Md5(hasher) => (Algorithm::Md5, hex::encode(hasher.finalize())),
            Self::Sha1(hasher) => (Algorithm::Sha1, hex::encode(hasher.finalize())),
            Self::Sha256(hasher) => (Algorithm::Sha256, hex::encode(hasher.finalize())),
            Self::Sha512(hasher) => (Algorithm::Sha512, hex::encode(hasher.finalize())),
        };
        Digest { algorithm, hex }
    }
}

/// Reads everything from `from` into `hasher`; `step` hears of every piece and may stop the work.
pub fn feed(hasher: &mut Hasher, from: &mut impl Read, step: &mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(total);
        }
        hasher.update(&buffer[..read]);
        total += read as u64;
        step(total)?;
    }
}

/// The state of a file in which a digest holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    path: PathBuf,
    size: u64,
    modified: i64,
    modified_nanos: i64,
    device: u64,
    inode: u64,
}

impl State {
    fn of(path: &Path, meta: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            size: meta.size(),
            modified: meta.mtime(),
            modified_nanos: meta.mtime_nsec(),
            device: meta.dev(),
            inode: meta.ino(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    state: State,
    digest: Digest,
}

/// The digest of a file, from the memory below `cache` while the file stays as it was. `step` as in
/// [`feed`]. Blocking: a big file takes seconds.
pub fn of_file(
    cache: &Path,
    path: &Path,
    algorithm: Algorithm,
    step: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Digest> {
    let path = path.canonicalize()?;
    let note = note(cache, &path, algorithm);
    let mut file = File::open(&path)?;
    let meta = file.metadata()?;
    let state = State::of(&path, &meta);
    let remembered = std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(remembered) = remembered.filter(|remembered| remembered.state == state) {
        return Ok(remembered.digest);
    }
    let mut hasher = Hasher::new(algorithm);
    feed(&mut hasher, &mut file, step)?;
    let digest = hasher.finish();
    if is_settled(&meta) && State::of(&path, &file.metadata()?) == state {
        remember(&note, &Remembered { state, digest: digest.clone() });
    }
    Ok(digest)
}

fn is_settled(meta: &Metadata) -> bool {
    let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_some_and(|age| age > SETTLED)
}

fn note(cache: &Path, path: &Path, algorithm: Algorithm) -> PathBuf {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(path.as_os_str().as_encoded_bytes());
    cache.join("digests").join(format!("{}.{}.json", hasher.finish().hex, algorithm.name()))
}

/// Without a note the file is only read again: a cache that cannot be written is no failure.
fn remember(note: &Path, remembered: &Remembered) {
    let write = || -> io::Result<()> {
        let dir = note.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let mut temp = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut temp, remembered)?;
        temp.persist(note)?;
        Ok(())
    };
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let write = |text: &str, age: u64| {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        let reads = std::cell::Cell::new(0);
        let digest = || {
            let mut step = |_| -> io::Result<()> {
                reads.set(reads.get() + 1);
                Ok(())
            };
            of_file(dir.path(), &path, Algorithm::Sha1, &mut step).unwrap().to_string()
        };
        write("abc", 60);
        assert_eq!(digest(), "sha1:a9993e364706816aba3e25717850c26c9cd0d89d");
        digest();
        assert_eq!(reads.get(), 1);
        write("abd", 0);
        assert_ne!(digest(), "sha1:a9993e364706816aba3e25717850c26c9cd0d89d");
        digest();
        assert_eq!(reads.get(), 3, "a fresh file is not trusted yet");
    }

    #[test]
    fn digests_are_told_by_their_length() {
        assert_eq!(Digest::from_hex(&"A".repeat(32)).unwrap().algorithm, Algorithm::Md5);
        assert_eq!(Digest::from_hex(&"a".repeat(128)).unwrap().algorithm, Algorithm::Sha512);
        assert_eq!(Digest::from_hex(&"a".repeat(33)), None);
        assert_eq!(Digest::from_hex(&"g".repeat(32)), None);
    }
}
