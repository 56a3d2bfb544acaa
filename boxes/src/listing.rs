//! From a box file to its line in a catalog.

use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::{self, Catalog, CatalogError, Entry, Provider};
use crate::checksum::{self, Algorithm, Step};
use crate::provider;
use crate::read::{self, ReadError};

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("reading {}: {source}", path.display())]
    Checksum { path: PathBuf, source: io::Error },
}

impl From<ListError> for bakehouse_api::Error {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Catalog(error) => error.into(),
            ListError::Read(error) => error.into(),
            ListError::Checksum { path, source } => {
                bakehouse_api::Error::io(format!("reading {}", path.display()), &source)
            }
        }
    }
}

/// How a box is to be listed.
#[derive(Clone, Debug)]
pub struct Listing {
    pub file: PathBuf,
    /// `org/box`.
    pub name: String,
    pub version: String,
    pub description: Option<String>,
    /// None: the file on this machine. See [`catalog::url_of`].
    pub url_template: Option<String>,
    pub algorithm: Algorithm,
    /// As Vagrant calls it; none: what the box says.
    pub architecture: Option<String>,
    /// The architecture that hosts of others take; none: the first one that is listed.
    pub default_architecture: Option<String>,
}

impl Listing {
    /// Reads the box's metadata and, `step` by step, all of it for its checksum.
    pub fn entry(&self, step: Step<'_>) -> Result<Entry, ListError> {
        let metadata = read::metadata(&self.file)?;
        let text = |name: &str| metadata.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let architecture = self.architecture.clone().or_else(|| text("architecture")).filter(|word| !word.is_empty());
        let architecture = architecture.map(|word| provider::architecture(&word).to_owned());
        let mut provider = Provider {
            name: text("provider").unwrap_or_default(),
            checksum_type: Some(self.algorithm.name().to_owned()),
            default_architecture: self.default_architecture.as_ref().map(|word| architecture.as_ref() == Some(word)),
            architecture,
            ..Provider::default()
        };
        provider.url = self.url(&provider)?;
        let failed = |source| ListError::Checksum { path: self.file.clone(), source };
        provider.checksum = Some(checksum::of_file(&self.file, self.algorithm, step).map_err(failed)?);
        let (name, version) = (self.name.clone(), self.version.clone());
        Ok(Entry { name, description: self.description.clone(), version, provider })
    }

    fn url(&self, provider: &Provider) -> Result<String, ListError> {
        let failed = |source| ListError::Checksum { path: self.file.clone(), source };
        let Some(template) = &self.url_template else {
            return Ok(catalog::file_url(&std::path::absolute(&self.file).map_err(failed)?));
        };
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        let fields = [
            ("name", self.name.as_str()),
            ("version", &self.version),
            ("provider", &provider.name),
            ("architecture", provider.architecture.as_deref().unwrap_or("unknown")),
            ("file", &file),
        ];
        Ok(catalog::url_of(template, &fields)?)
    }
}

/// Lists `entry` in the catalog at `path`; gives the versions that went because only `keep` stay.
pub fn list(path: &Path, entry: Entry, force: bool, keep: Option<usize>) -> Result<Vec<String>, CatalogError> {
    let name = entry.name.clone();
    catalog::update(path, &name, |catalog: &mut Catalog| {
        catalog.add(entry, force)?;
        let gone = keep.map(|count| catalog.keep(count)).unwrap_or_default();
        Ok(gone.into_iter().map(|release| release.version).collect())
    })
}
