//! Catalogs: the JSON that lists the versions of a box, which `vagrant box add` and `box update` read.

mod file;

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use file::{read, update};

use crate::checksum::Algorithm;
use crate::version::{Version, VersionError};

/// Vagrant takes a longer file for a box.
pub const MAX_BYTES: u64 = 20 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("{place} is not a catalog: {why}")]
    NotCatalog { place: String, why: String },
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("the catalog is of the box `{found}`, not of `{wanted}`")]
    OtherBox { found: String, wanted: String },
    #[error("version {version} already has a box for {provider}{}", of(architecture))]
    Exists { version: String, provider: String, architecture: String },
    #[error("`{name}` is no name of a box: write it like org/box")]
    Name { name: String },
    #[error("`{url}` is no absolute URL: Vagrant would look for it where it was started")]
    Url { url: String },
    #[error(
        "`{0}` is no field of a URL template: there are {{{{name}}}}, {{{{version}}}}, {{{{provider}}}}, {{{{architecture}}}}, {{{{file}}}}"
    )]
    Field(String),
    #[error("{doing} {place}: {source}")]
    Io { doing: &'static str, place: String, source: std::io::Error },
    #[error("another run has been writing {place} for a minute")]
    Locked { place: String },
}

fn of(architecture: &str) -> String {
    if architecture.is_empty() { String::new() } else { format!(" on {architecture}") }
}

impl From<CatalogError> for bakehouse_api::Error {
    fn from(error: CatalogError) -> Self {
        use bakehouse_api::{Error, Kind};
        match &error {
            CatalogError::NotCatalog { .. } => {
                Error::new(Kind::Input, &error).hint("move it away, or name another catalog; it stays as it is")
            }
            CatalogError::Exists { .. } => {
                Error::new(Kind::Config, &error).hint("choose another version, or replace it with -force")
            }
            CatalogError::OtherBox { .. } => {
                Error::new(Kind::Config, &error).hint("each box has a catalog of its own; this one stays as it is")
            }
            CatalogError::Io { doing, place, source } => Error::io(format!("{doing} {place}"), source),
            CatalogError::Locked { .. } => Error::new(Kind::Timeout, &error),
            _ => Error::new(Kind::Config, &error),
        }
    }
}

/// Fields that are not ours stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub versions: Vec<Release>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub version: String,
    #[serde(default)]
    pub providers: Vec<Provider>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    pub name: String,
    #[serde(default)]
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_architecture: Option<bool>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A box to be listed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `org/box`.
    pub name: String,
    /// None: what the catalog says stays.
    pub description: Option<String>,
    pub version: String,
    pub provider: Provider,
}

impl Catalog {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), description: None, versions: Vec::new(), more: Map::new() }
    }

    /// `place` is for messages.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self, CatalogError> {
        let wrong = |why: String| CatalogError::NotCatalog { place: place.to_owned(), why };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(wrong("it is longer than 20 MiB".into()));
        }
        let catalog: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        for release in &catalog.versions {
            Version::parse(&release.version).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(catalog)
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default(); // strings and maps of them only
        bytes.push(b'\n');
        bytes
    }

    /// Lists a box. One that is there for the same version, provider and architecture is replaced only
    /// with `force`.
    pub fn add(&mut self, mut entry: Entry, force: bool) -> Result<(), CatalogError> {
        check_name(&entry.name)?;
        let version = Version::parse(&entry.version)?;
        if self.name != entry.name {
            return Err(CatalogError::OtherBox { found: self.name.clone(), wanted: entry.name });
        }
        if !is_absolute(&entry.provider.url) {
            return Err(CatalogError::Url { url: entry.provider.url });
        }
        let release = self.release(&version);
        let same =
            |other: &Provider| other.name == entry.provider.name && other.architecture == entry.provider.architecture;
        let at = release.providers.iter().position(same);
        if entry.provider.architecture.is_some() && entry.provider.default_architecture.is_none() {
            let rival = |(index, other): (usize, &Provider)| {
                Some(index) != at && other.name == entry.provider.name && other.default_architecture == Some(true)
            };
            entry.provider.default_architecture = Some(!release.providers.iter().enumerate().any(rival));
        }
        match at {
            Some(_) if !force => {
                return Err(CatalogError::Exists {
                    version: entry.version,
                    provider: entry.provider.name,
                    architecture: entry.provider.architecture.unwrap_or_default(),
                });
            }
            Some(at) => {
                let more = std::mem::take(&mut release.providers[at].more);
                release.providers[at] = Provider { more, ..entry.provider };
            }
            None => release.providers.push(entry.provider),
        }
        self.description = entry.description.or(self.description.take());
        Ok(())
    }

    /// The release of `version`, in its place among the others.
    fn release(&mut self, version: &Version) -> &mut Release {
        let order = |release: &Release| Version::parse(&release.version).map(|other| other.cmp(version));
        let at = match self.versions.iter().position(|release| order(release).is_ok_and(|order| order.is_eq())) {
            Some(at) => at,
            None => {
                let later = |release: &Release| order(release).is_ok_and(|order| order.is_gt());
                let at = self.versions.iter().position(later).unwrap_or(self.versions.len());
                let release = Release { version: version.to_string(), providers: Vec::new(), more: Map::new() };
                self.versions.insert(at, release);
                at
            }
        };
        &mut self.versions[at]
    }

    /// Leaves the newest `count` versions; gives those that went.
    pub fn keep(&mut self, count: usize) -> Vec<Release> {
        let key = |release: &Release| Version::parse(&release.version).ok();
        self.versions.sort_by_key(key);
        let gone = self.versions.len().saturating_sub(count.max(1));
        self.versions.drain(..gone).collect()
    }
}

/// Vagrant's names: two words, or one for a box of this machine.
pub fn check_name(name: &str) -> Result<(), CatalogError> {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let words: Vec<&str> = name.split('/').collect();
    match words.len() <= 2 && words.iter().all(|part| word(part)) {
        true => Ok(()),
        false => Err(CatalogError::Name { name: name.to_owned() }),
    }
}

fn is_absolute(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty() && !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// The URL of a file of this machine.
pub fn file_url(path: &std::path::Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(*byte)),
            other => _ = write!(url, "%{other:02X}"), // a String takes everything
        }
    }
    url
}

/// The file of this machine that a URL names.
pub fn local_file(url: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let path = url.strip_prefix("file://").filter(|path| path.starts_with('/'))?;
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Some(std::ffi::OsString::from_vec(bytes).into())
}

/// Fills `{{name}}`, `{{version}}`, `{{provider}}`, `{{architecture}}` and `{{file}}`, with or without a
/// dot before the word, as templates write it.
pub fn url_of(template: &str, fields: &[(&str, &str)]) -> Result<String, CatalogError> {
    let mut parts = template.split("{{");
    let mut url = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (word, rest) = part.split_once("}}").ok_or_else(|| CatalogError::Field(part.to_owned()))?;
        let word = word.trim().trim_start_matches('.');
        let value = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        url += value.ok_or_else(|| CatalogError::Field(word.to_owned()))?.1;
        url += rest;
    }
    Ok(url)
}

/// The checksum of a provider, where it has one that can be checked.
pub fn checksum(provider: &Provider) -> Option<(Algorithm, &str)> {
    Some((Algorithm::named(provider.checksum_type.as_deref()?)?, provider.checksum.as_deref()?))
}

#[cfg(test)]
mod tests;
