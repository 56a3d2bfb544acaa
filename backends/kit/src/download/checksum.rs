//! `iso_checksum` and the files that it may name.

use std::str::FromStr;

use super::DownloadError;
use crate::digest::{Algorithm, Digest};

/// What a download is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    None,
    Known(Digest),
    /// A URL or path of a file with checksums in it.
    File(String),
}

impl FromStr for Checksum {
    type Err = DownloadError;

    fn from_str(text: &str) -> Result<Self, DownloadError> {
        let text = text.trim();
        let wrong = |reason: String| DownloadError::Checksum { text: text.into(), reason };
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        let Some((kind, rest)) = text.split_once(':') else {
            let lengths = "its length is not the 32, 40, 64 or 128 hexadecimal digits of md5, sha1, sha256 or sha512";
            return Digest::from_hex(text).map(Self::Known).ok_or_else(|| wrong(lengths.into()));
        };
        if kind.eq_ignore_ascii_case("file") {
            // `file:///dir/SHA256SUMS` is a URL by itself.
            let path = if rest.starts_with("//") { text } else { rest };
            return Ok(Self::File(path.into()));
        }
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(kind));
        let algorithm =
            algorithm.ok_or_else(|| wrong(format!("`{kind}` is not one of md5, sha1, sha256, sha512, file")))?;
        let digits = algorithm.hex_len();
        let digest = Digest::new(algorithm, rest.trim());
        digest.map(Self::Known).ok_or_else(|| wrong(format!("{kind} has {digits} hexadecimal digits")))
    }
}

/// The digest of `name` in the text of a checksum file: lines of GNU coreutils, of BSD's tools, or a
/// digest alone.
pub(super) fn find(text: &str, name: &str) -> Option<Digest> {
    let lines: Vec<(Digest, Option<&str>)> = text.lines().filter_map(parse_line).collect();
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let named = lines.iter().find(|(_, found)| found.is_some_and(|found| base(found) == name));
    let bare = lines.iter().find(|(_, found)| found.is_none());
    named.or(bare).map(|(digest, _)| digest.clone())
}

fn parse_line(line: &str) -> Option<(Digest, Option<&str>)> {
    let line = line.trim();
    if let Some((head, hex)) = line.rsplit_once(" = ") {
        let (algorithm, name) = head.split_once(" (")?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(algorithm))?;
        return Some((Digest::new(algorithm, hex)?, Some(name.strip_suffix(')')?)));
    }
    let Some((hex, name)) = line.split_once(char::is_whitespace) else {
        return Some((Digest::from_hex(line)?, None));
    };
    let name = name.trim_start();
    Some((Digest::from_hex(hex)?, Some(name.strip_prefix('*').unwrap_or(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_in_many_ways() {
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let known = Checksum::Known(Digest::from_hex(sha1).unwrap());
        assert_eq!(sha1.parse::<Checksum>().unwrap(), known);
        assert_eq!(format!("SHA1:{sha1}").parse::<Checksum>().unwrap(), known);
        assert_eq!("none".parse::<Checksum>().unwrap(), Checksum::None);
        assert_eq!("file:./SUMS".parse::<Checksum>().unwrap(), Checksum::File("./SUMS".into()));
        assert_eq!("file:https://x/S".parse::<Checksum>().unwrap(), Checksum::File("https://x/S".into()));
        assert_eq!("file:///S".parse::<Checksum>().unwrap(), Checksum::File("file:///S".into()));
        for bad in ["", "abc", &format!("sha256:{sha1}"), &format!("crc:{sha1}")] {
            assert!(bad.parse::<Checksum>().is_err(), "{bad}");
        }
    }

    #[test]
    fn checksum_files_of_every_style_are_read() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let gnu = format!("# comment\n{one}  other.iso\n{two} *./dir/my disk.iso\n");
        assert_eq!(find(&gnu, "my disk.iso").unwrap().hex, two);
        assert_eq!(find(&gnu, "absent.iso"), None);
        let bsd = format!("SHA256 (a.iso) = {one}\nSHA256 (b (1).iso) = {two}\n");
        assert_eq!(find(&bsd, "b (1).iso").unwrap().hex, two);
        assert_eq!(find(&format!("{one}\n"), "any.iso").unwrap().hex, one);
    }
}
