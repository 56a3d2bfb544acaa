//! Which archive a name asks for.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A single file, only compressed.
    One,
    Tar,
    Zip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Bgzf,
    Lz4,
    Xz,
    Bzip2,
}

impl Codec {
    /// Its usual extension.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "tar",
            Codec::Gzip => "gz",
            Codec::Bgzf => "bgzf",
            Codec::Lz4 => "lz4",
            Codec::Xz => "xz",
            Codec::Bzip2 => "bz2",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub packing: Packing,
    pub codec: Codec,
}

/// What `format` can be.
pub const NAMES: &[&str] = &[
    "tar",
    "zip",
    "gz",
    "bgzf",
    "lz4",
    "xz",
    "bzip2",
    "bz2",
    "tar.gz",
    "tar.bgzf",
    "tar.lz4",
    "tar.xz",
    "tar.bzip2",
    "tar.bz2",
    "tgz",
    "txz",
    "tbz2",
];

/// The format called `name`, with or without a dot before it.
pub fn named(name: &str) -> Option<Format> {
    let name = name.trim_start_matches('.');
    let format = |packing, codec| Some(Format { packing, codec });
    match name {
        "tar" => format(Packing::Tar, Codec::None),
        "zip" => format(Packing::Zip, Codec::None),
        "tgz" => format(Packing::Tar, Codec::Gzip),
        "txz" => format(Packing::Tar, Codec::Xz),
        "tbz2" => format(Packing::Tar, Codec::Bzip2),
        _ => match name.strip_prefix("tar.") {
            Some(rest) => format(Packing::Tar, codec(rest)?),
            None => format(Packing::One, codec(name)?),
        },
    }
}

fn codec(name: &str) -> Option<Codec> {
    match name {
        "gz" | "gzip" => Some(Codec::Gzip),
        "bgzf" => Some(Codec::Bgzf),
        "lz4" => Some(Codec::Lz4),
        "xz" => Some(Codec::Xz),
        "bzip2" | "bz2" => Some(Codec::Bzip2),
        _ => None,
    }
}

/// The format that a file name ends with; a tar with gzip when it ends with none.
pub fn of_name(file: &str) -> Format {
    let mut dots = file.rmatch_indices('.').map(|(at, _)| &file[at + 1..]);
    let (last, last_two) = (dots.next(), dots.next());
    let by_tar = last_two.filter(|ending| ending.starts_with("tar.")).and_then(named);
    by_tar.or_else(|| last.and_then(named)).unwrap_or(Format { packing: Packing::Tar, codec: Codec::Gzip })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format_as_with_packer() {
        for (name, packing, codec) in [
            ("a", Packing::Tar, Codec::Gzip),
            ("a.foo", Packing::Tar, Codec::Gzip),
            ("a.tar", Packing::Tar, Codec::None),
            ("a.tgz", Packing::Tar, Codec::Gzip),
            ("a.tar.gz", Packing::Tar, Codec::Gzip),
            ("a.tar.lz4", Packing::Tar, Codec::Lz4),
            ("a.tar.bgzf", Packing::Tar, Codec::Bgzf),
            ("a.tar.foo.gz", Packing::One, Codec::Gzip),
            ("a.foo.gz", Packing::One, Codec::Gzip),
            ("tar.gz", Packing::One, Codec::Gzip),
            ("a.bz2", Packing::One, Codec::Bzip2),
            ("a.xz", Packing::One, Codec::Xz),
            ("a.zip", Packing::Zip, Codec::None),
        ] {
            assert_eq!(of_name(name), Format { packing, codec }, "{name}");
        }
    }

    #[test]
    fn every_listed_name_is_one() {
        assert!(NAMES.iter().all(|name| named(name).is_some()));
    }
}
