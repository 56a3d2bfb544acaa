//! Versions as RubyGems has them, which is how Vagrant compares boxes.

use std::cmp::Ordering;
use std::fmt;

#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    segments: Vec<Segment>,
}

/// Numbers can have any length, so they stay text, without leading zeroes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Number(String),
    Word(String),
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a version: write numbers with dots, like 1.2.0 or 1.2.0.rc1")]
pub struct VersionError(pub String);

impl Version {
    /// `1`, `1.2.0`, `1.2.0.rc1`, `1.2.0-rc1`: the first part is a number, the others letters and digits.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let wrong = || VersionError(text.to_owned());
        let trimmed = text.trim();
        let (release, pre) = match trimmed.split_once('-') {
            Some((release, pre)) => (release, Some(pre)),
            None => (trimmed, None),
        };
        let mut parts = release.split('.');
        let first = parts.next().unwrap_or_default();
        let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let dashed = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let sound = !first.is_empty()
            && first.bytes().all(|byte| byte.is_ascii_digit())
            && parts.all(word)
            && pre.is_none_or(|pre| pre.split('.').all(dashed));
        if !sound {
            return Err(wrong());
        }
        Ok(Self { text: trimmed.to_owned(), segments: canonical(segments(&trimmed.replace('-', ".pre."))) })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Runs of digits and runs of letters.
fn segments(text: &str) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| if digits { !c.is_ascii_digit() } else { !c.is_ascii_alphabetic() });
        let end = end.unwrap_or(rest.len()).max(1);
        let run = &rest[..end];
        match (digits, first.is_ascii_alphabetic()) {
            (true, _) => {
                let number = run.trim_start_matches('0');
                found.push(Segment::Number(if number.is_empty() { "0".into() } else { number.into() }));
            }
            (_, true) => found.push(Segment::Word(run.into())),
            _ => {}
        }
        rest = &rest[end..];
    }
    found
}

/// Zeroes that end the numbers before the first word, and zeroes that end it all, say nothing.
fn canonical(segments: Vec<Segment>) -> Vec<Segment> {
    let words = segments.iter().position(|segment| matches!(segment, Segment::Word(_))).unwrap_or(segments.len());
    let (release, pre) = segments.split_at(words);
    let trimmed = |part: &[Segment]| {
        let zeroes = part.iter().rev().take_while(|segment| **segment == Segment::Number("0".into())).count();
        part[..part.len() - zeroes].to_vec()
    };
    [trimmed(release), trimmed(pre)].concat()
}

impl Segment {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
            (Self::Word(_), Self::Number(_)) => Ordering::Less,
            (Self::Number(_), Self::Word(_)) => Ordering::Greater,
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let zero = Segment::Number("0".into());
        let longest = self.segments.len().max(other.segments.len());
        let at = |version: &Self, index: usize| version.segments.get(index).cloned().unwrap_or(zero.clone());
        (0..longest)
            .map(|index| at(self, index).cmp(&at(other, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    /// Each line as `Gem::Version.new(a) <=> Gem::Version.new(b)` orders it.
    #[test]
    fn the_order_is_that_of_rubygems() {
        use Ordering::{Equal, Greater, Less};
        for (a, order, b) in [
            ("1.0", Equal, "1"),
            ("1.0.0", Equal, "1.0"),
            ("1.2", Less, "1.10"),
            ("2", Greater, "1.99.99"),
            ("1.0.a", Less, "1.0"),
            ("1.0.rc1", Less, "1.0.rc2"),
            ("1.0.rc2", Less, "1.0.rc10"),
            ("1.0-rc1", Less, "1.0"),
            ("1.0-rc1", Equal, "1.0.pre.rc1"),
            ("1.0.a", Less, "1.0.b"),
            ("1.0.a.0", Equal, "1.0.a"),
            ("1.0.0.a", Equal, "1.a"),
            ("01.02", Equal, "1.2"),
            ("20260101.1", Greater, "20251231.9"),
            ("99999999999999999999999", Greater, "9"),
            ("1.0.A", Less, "1.0.a"),
        ] {
            assert_eq!(version(a).cmp(&version(b)), order, "{a} {b}");
            assert_eq!(version(b).cmp(&version(a)), order.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", " ", "v1", "1.", "1..2", ".1", "1.2-", "1_2", "1 2", "a", "1.0+build", "-1"] {
            assert!(Version::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Version::parse("v1").unwrap_err().to_string(),
            "`v1` is not a version: write numbers with dots, like 1.2.0 or 1.2.0.rc1"
        );
        assert_eq!(version(" 1.2 ").as_str(), "1.2");
    }
}
