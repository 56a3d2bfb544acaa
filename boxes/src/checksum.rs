//! Checksums as catalogs name them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::Digest;

/// Hears how many bytes were read since the last call; its error stops the work.
pub type Step<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The one called `name`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    pub fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// In lower-case hex.
pub fn of(from: impl Read, algorithm: Algorithm, step: Step<'_>) -> io::Result<String> {
    match algorithm {
        Algorithm::Md5 => hash::<md5::Md5>(from, step),
        Algorithm::Sha1 => hash::<sha1::Sha1>(from, step),
        Algorithm::Sha256 => hash::<sha2::Sha256>(from, step),
        Algorithm::Sha384 => hash::<sha2::Sha384>(from, step),
        Algorithm::Sha512 => hash::<sha2::Sha512>(from, step),
    }
}

pub fn of_file(path: &Path, algorithm: Algorithm, step: Step<'_>) -> io::Result<String> {
    of(File::open(path)?, algorithm, step)
}

fn hash<D: Digest>(mut from: impl Read, step: Step<'_>) -> io::Result<String> {
    let (mut hasher, mut buffer) = (D::new(), vec![0; 256 * 1024]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => {
                hasher.update(&buffer[..read]);
                step(read as u64)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_gives_as_many_digits_as_it_says() {
        for algorithm in Algorithm::ALL {
            let hex = of(&b"abc"[..], algorithm, &mut |_| Ok(())).unwrap();
            assert_eq!(hex.len(), algorithm.hex_len());
            assert_eq!(Algorithm::named(&algorithm.name().to_uppercase()), Some(algorithm));
        }
        assert_eq!(of(&b"abc"[..], Algorithm::Md5, &mut |_| Ok(())).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
    }
}
