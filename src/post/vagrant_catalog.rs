//! `vagrant-catalog`: lists a box in a catalog of this machine, for `vagrant box add` and `box update`.

use std::path::PathBuf;

use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Options, Result, Template, async_trait, choices, options,
};
use bakehouse_boxes::catalog::{self, Entry};
use bakehouse_boxes::checksum::Algorithm;
use bakehouse_boxes::listing::{self, Listing};
use bakehouse_boxes::version::Version;

use super::boxes;
use super::reading::{Meter, blocking, total_size, unreadable};
use super::{Outcome, PostProcessor, Row};
use crate::script::known;

choices! {
    pub enum ChecksumType {
        Md5 = "md5",
        Sha1 = "sha1",
        Sha256 = "sha256",
        Sha384 = "sha384",
        Sha512 = "sha512",
    }
}

options! {
    /// Lists the box in a catalog, whose address `vagrant box add` and `config.vm.box_url` take.
    pub struct CatalogOptions {
        /// The catalog, a JSON file. It is made where there is none.
        output: PathBuf = "metadata.json".into(),
        /// The name of the box: `org/box`.
        box_tag | "name": String,
        /// Its version: numbers with dots, like `1.2.0`.
        version: String,
        /// A few words about the box.
        description: Option<String>,
        /// Where clients fetch it. Fields: `{{name}}`, `{{version}}`, `{{provider}}`, `{{architecture}}`,
        /// `{{file}}`. Unset: the file on this machine.
        url_template | "url": Option<Template>,
        /// How Vagrant checks what it fetched.
        checksum_type: ChecksumType = ChecksumType::Sha256,
        /// The guest's architecture as Vagrant calls it. Unset: what the box says.
        architecture: Option<String>,
        /// The architecture that hosts of other ones take. Unset: the first one listed for a version.
        default_architecture: Option<String>,
        /// So many versions stay listed, the newest ones. Unset: all. Boxes themselves are never removed.
        keep_versions: Option<u32>,
        /// Replace a box that is listed already, as `-force` does.
        replace: bool = false,
    }
}

pub const ROW: Row = Row { kind: "vagrant-catalog", schema: || CatalogOptions::schema("vagrant-catalog"), prepare };

struct CatalogWriter(CatalogOptions);

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = CatalogOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    let mut wrong = |option: &str, found: Result<(), String>| {
        if known(body, option)
            && let Err(text) = found
        {
            diagnostics.push(Diagnostic::error(text).at(options.spans.at(option)));
        }
    };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    wrong("box_tag", catalog::check_name(&options.box_tag).map_err(|error| text(&error)));
    wrong("version", Version::parse(&options.version).map(|_| ()).map_err(|error| text(&error)));
    wrong("url_template", sample_url(&options));
    let named = options.output.file_name().is_some();
    wrong("output", if named { Ok(()) } else { Err("`output` must name a file".into()) });
    (diagnostics.errors() == before).then(|| Box::new(CatalogWriter(options)) as Box<dyn PostProcessor>)
}

/// Is the address absolute, with fields that exist?
fn sample_url(options: &CatalogOptions) -> Result<(), String> {
    let Some(template) = &options.url_template else { return Ok(()) };
    let fields = ["name", "version", "provider", "architecture", "file"].map(|name| (name, "x"));
    let url = catalog::url_of(&template.text, &fields).map_err(|error| error.to_string())?;
    match url.contains("://") {
        true => Ok(()),
        false => Err(format!("`{}` is no absolute URL", template.text)),
    }
}

impl CatalogWriter {
    fn listing(&self, file: PathBuf) -> Listing {
        let options = &self.0;
        Listing {
            file,
            name: options.box_tag.clone(),
            version: options.version.clone(),
            description: options.description.clone(),
            url_template: options.url_template.as_ref().map(|template| template.text.clone()),
            // Every choice is one.
            algorithm: Algorithm::named(options.checksum_type.as_str()).unwrap_or(Algorithm::Sha256),
            architecture: options.architecture.clone(),
            default_architecture: options.default_architecture.clone(),
        }
    }
}

fn entry(cx: &Cx, listing: &Listing) -> Result<Entry> {
    let mut meter = Meter::new(cx, "checksum", total_size(std::slice::from_ref(&listing.file))?);
    let entry = listing
        .entry(&mut |bytes| meter.count(bytes))
        .map_err(|error| if cx.cancel().is_cancelled() { Error::interrupted() } else { Error::from(error) })?;
    meter.finish();
    Ok(entry)
}

#[async_trait]
impl PostProcessor for CatalogWriter {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let options = &self.0;
        let listing = self.listing(boxes::one(artifact)?);
        let work = cx.clone();
        let entry = blocking(move || entry(&work, &listing)).await?;
        let provider = entry.provider.name.clone();
        let (output, force) = (options.output.clone(), options.replace || cx.settings().force);
        let keep = options.keep_versions.map(|count| count as usize);
        let gone = blocking(move || listing::list(&output, entry, force, keep).map_err(Error::from)).await;
        let gone = gone.map_err(|error| error.at(options.spans.at("output")))?;
        for version in gone {
            cx.message(format!("version {version} is no longer listed"));
        }
        let path = std::path::absolute(&options.output).map_err(|error| unreadable(&options.output, &error))?;
        cx.message(format!("{} {} for {} is listed", options.box_tag, options.version, provider));
        cx.say(format!("vagrant box add {}", path.display()));
        let mut files = artifact.files.clone();
        if !files.contains(&options.output) {
            files.push(options.output.clone());
        }
        let made = Artifact {
            builder_id: "bakehouse.post-processor.vagrant-catalog".into(),
            id: format!("{}:{}", options.box_tag, options.version),
            text: format!("Catalog of {}: {}", options.box_tag, path.display()),
            files,
            facts: artifact.facts.clone(),
            destroy: Vec::new(),
        };
        Ok(Outcome { artifact: Some(made), keep_by_default: true, must_keep: true })
    }
}

#[cfg(test)]
#[path = "vagrant_catalog_tests.rs"]
mod tests;
