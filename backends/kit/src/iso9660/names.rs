//! Unique names for systems that read neither tree's long names: identifiers of at most 30
//! characters for plain ISO 9660, of at most 103 UTF-16 units for Joliet.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Stem and extension, which is what sorts a directory: the separator between them does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ident<T> {
    pub stem: Vec<T>,
    pub ext: Option<Vec<T>>,
}

impl<T: Copy + From<u8>> Ident<T> {
    /// As a directory record holds it; files carry the version 1.
    pub fn units(&self, dir: bool) -> Vec<T> {
        let mut units = self.stem.clone();
        if let Some(ext) = &self.ext {
            units.push(b'.'.into());
            units.extend(ext);
        }
        if !dir {
            units.extend(b";1".iter().map(|unit| T::from(*unit)));
        }
        units
    }
}

/// One identifier per name, in the order of the names. `(name, is it a directory)`.
pub(super) type Identify<T> = fn(&[(&str, bool)]) -> Vec<Ident<T>>;

struct Limits {
    whole: usize,
    ext: usize,
}

/// What is longest in the wild that Linux, Windows and the usual tools all read.
const ISO: Limits = Limits { whole: 30, ext: 8 };
const JOLIET: Limits = Limits { whole: 103, ext: 20 };

pub(super) fn iso(names: &[(&str, bool)]) -> Vec<Ident<u8>> {
    let mut unique = Unique::default();
    let plain = |text: &str| text.chars().map(iso_char).collect::<Vec<u8>>();
    names
        .iter()
        .map(|&(name, dir)| {
            let (stem, ext) = split(name, dir);
            // The standard wants the dot even where there is no extension.
            let ext = if dir { None } else { Some(plain(ext.unwrap_or(""))) };
            unique.take(plain(stem), ext, &ISO)
        })
        .collect()
}

pub(super) fn joliet(names: &[(&str, bool)]) -> Vec<Ident<u16>> {
    let mut unique = Unique::default();
    let wide = |text: &str| text.chars().map(joliet_char).collect::<String>().encode_utf16().collect::<Vec<u16>>();
    names
        .iter()
        .map(|&(name, dir)| {
            let (stem, ext) = split(name, dir);
            unique.take(wide(stem), ext.map(wide), &JOLIET)
        })
        .collect()
}

fn split(name: &str, dir: bool) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, ext)) if !dir && !stem.is_empty() => (stem, Some(ext)),
        _ => (name, None),
    }
}

fn iso_char(c: char) -> u8 {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => c.to_ascii_uppercase() as u8,
        _ => b'_',
    }
}

fn joliet_char(c: char) -> char {
    if c.is_control() || "*/:;?\\".contains(c) { '_' } else { c }
}

struct Unique<T> {
    used: HashSet<Ident<T>>,
    /// The next number to try for a name that was taken, so that many alike stay cheap.
    next: HashMap<Ident<T>, u32>,
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self { used: HashSet::new(), next: HashMap::new() }
    }
}

impl<T: Copy + Eq + Hash + From<u8> + Into<u32>> Unique<T> {
    fn take(&mut self, stem: Vec<T>, ext: Option<Vec<T>>, limits: &Limits) -> Ident<T> {
        let ext = ext.map(|ext| cut(&ext, limits.ext));
        let room = limits.whole - ext.as_ref().map_or(0, |ext| ext.len() + 1);
        let wanted = Ident { stem: cut(&stem, room), ext: ext.clone() };
        if self.used.insert(wanted.clone()) {
            return wanted;
        }
        loop {
            let number = self.next.entry(wanted.clone()).or_insert(0);
            *number += 1;
            let suffix = format!("_{number}");
            let mut numbered = cut(&stem, room - suffix.len());
            numbered.extend(suffix.bytes().map(T::from));
            let candidate = Ident { stem: numbered, ext: ext.clone() };
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// At most `len` units, never half of a surrogate pair.
fn cut<T: Copy + Into<u32>>(units: &[T], len: usize) -> Vec<T> {
    let mut units = units[..len.min(units.len())].to_vec();
    if units.last().is_some_and(|unit| (0xD800..0xDC00).contains(&(*unit).into())) {
        units.pop();
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso_texts(names: &[&str]) -> Vec<String> {
        let text = |id: Ident<u8>| String::from_utf8(id.units(false)).unwrap();
        iso(&names.iter().map(|name| (*name, false)).collect::<Vec<_>>()).into_iter().map(text).collect()
    }

    #[test]
    fn iso_names_are_upper_case_short_and_unique() {
        assert_eq!(
            iso_texts(&["meta-data", "meta_data", "a.tar.gz", ".hidden", "README"]),
            ["META_DATA.;1", "META_DATA_1.;1", "A_TAR.GZ;1", "_HIDDEN.;1", "README.;1"]
        );
        let long = "x".repeat(250);
        let names: Vec<String> = (0..300).map(|i| format!("{long}{i}.conf")).collect();
        let ids = iso_texts(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(ids.iter().all(|id| id.len() <= 32));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 300);
    }

    #[test]
    fn joliet_names_keep_what_they_can() {
        let ids = joliet(&[("Grüße:1.txt", false), (&"😀".repeat(60), true)]);
        assert_eq!(String::from_utf16(&ids[0].units(false)).unwrap(), "Grüße_1.txt;1");
        assert_eq!(String::from_utf16(&ids[1].units(true)).unwrap(), "😀".repeat(51));
    }
}
