//! The options that name an image.

use std::path::{Path, PathBuf};

use bakehouse_api::{Diagnostic, Diagnostics, options};

use super::{Checksum, DownloadError, Location, Request};

options! {
    /// The image that a machine starts from or is installed from.
    pub struct IsoOptions {
        /// URL (`http`, `https`, `file`) or path of the image.
        iso_url: Option<String>,
        /// URLs or paths of the same image, tried in order.
        iso_urls: Vec<String>,
        /// `sha256:...` (or `md5`, `sha1`, `sha512`), the hexadecimal digits alone, `file:` with the
        /// URL or path of a file of checksums, or `none`.
        iso_checksum: Option<String>,
        /// Where to keep the image instead of the cache.
        iso_target_path: Option<PathBuf>,
        /// Extension of the image in the cache.
        iso_target_extension: String = "iso".into(),
    }
}

impl IsoOptions {
    pub fn urls(&self) -> Vec<String> {
        self.iso_url.iter().chain(&self.iso_urls).cloned().collect()
    }

    /// Finds everything that is wrong with them and can be known without a network. Relative paths
    /// begin at `base`.
    pub fn check(&self, base: &Path, diagnostics: &mut Diagnostics) {
        let urls = self.urls();
        let option = if self.iso_url.is_some() { "iso_url" } else { "iso_urls" };
        let mut report = |option: &str, finding: Diagnostic| diagnostics.push(finding.at(self.spans.at(option)));
        if urls.is_empty() {
            report("iso_url", Diagnostic::error("one of `iso_url` and `iso_urls` is needed"));
        }
        if self.iso_url.is_some() && !self.iso_urls.is_empty() {
            let finding = Diagnostic::error("`iso_url` and `iso_urls` exclude each other");
            report("iso_urls", finding.related(self.spans.at("iso_url"), "`iso_url` is set here"));
        }
        let locations: Vec<Result<Location, DownloadError>> =
            urls.iter().map(|url| Location::parse(url, base)).collect();
        for error in locations.iter().filter_map(|location| location.as_ref().err()) {
            report(option, Diagnostic::error(error.to_string()));
        }
        let missing = |location: &Result<Location, _>| matches!(location, Ok(Location::Local(path)) if !path.is_file());
        if !locations.is_empty() && locations.iter().all(missing) {
            let finding = Diagnostic::error(format!("there is no file `{}`", urls.join("`, `")));
            let finding = finding.hint(format!("relative paths begin at {}", base.display()));
            report(option, finding.only_to_build());
        }
        let remote = locations.iter().any(|location| matches!(location, Ok(Location::Remote(_))));
        if let Some(finding) = self.check_checksum(base, remote) {
            report("iso_checksum", finding);
        }
    }

    fn check_checksum(&self, base: &Path, remote: bool) -> Option<Diagnostic> {
        let Some(text) = &self.iso_checksum else {
            let finding = Diagnostic::error("`iso_checksum` is needed");
            return Some(finding.hint("write the checksum that the publisher of the image names, or \"none\""));
        };
        match text.parse() {
            Err(error) => Some(Diagnostic::error(error.to_string())),
            Ok(Checksum::None) if remote => Some(
                Diagnostic::warning("a download without a checksum")
                    .hint("with a checksum, a damaged or exchanged image is noticed"),
            ),
            Ok(Checksum::File(file)) => match Location::parse(&file, base) {
                Err(error) => Some(Diagnostic::error(error.to_string())),
                Ok(Location::Local(path)) if !path.is_file() => {
                    let missing = Diagnostic::error(format!("there is no checksum file {}", path.display()));
                    Some(missing.only_to_build())
                }
                Ok(_) => None,
            },
            Ok(_) => None,
        }
    }

    /// None when `check` found errors.
    pub fn request(&self) -> Option<Request> {
        Some(Request {
            urls: self.urls(),
            checksum: self.iso_checksum.as_deref()?.parse().ok()?,
            target: self.iso_target_path.clone(),
            extension: self.iso_target_extension.clone(),
        })
    }
}
