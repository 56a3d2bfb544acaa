//! `vagrant-catalog`: lists a box in a catalog of this machine or of a bucket, for `vagrant box add` and `box update`.

mod bucket;

use std::path::{Path, PathBuf};

use bakehouse_api::bridge::{AccountOptions, Object};
use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, Template, async_trait, choices, options,
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
        /// The catalog, a JSON file or `s3://bucket/key`. It is made where there is none.
        output: PathBuf = "metadata.json".into(),
        /// The name of the box: `org/box`.
        box_tag | "name": String,
        /// Its version: numbers with dots, like `1.2.0`.
        version: String,
        /// A few words about the box.
        description: Option<String>,
        /// Where clients fetch it. Fields: `{{name}}`, `{{version}}`, `{{provider}}`, `{{architecture}}`,
        /// `{{file}}`. Unset: where the post-processor `s3` has put it, or the file on this machine.
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
        /// How the bucket is reached that `output` names.
        aws: Option<AccountOptions>,
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
    wrong("output", check_output(&options.output));
    if let (Some(bridge), Some(account)) = (crate::registry::bridge(), &options.aws) {
        bridge.check_account(body, account, diagnostics);
    }
    (diagnostics.errors() == before).then(|| Box::new(CatalogWriter(options)) as Box<dyn PostProcessor>)
}

fn check_output(output: &Path) -> Result<(), String> {
    let text = output.to_string_lossy();
    match (text.starts_with("s3://"), in_bucket(output)) {
        (true, None) => Err(format!("`{text}` is no object: write it like s3://bucket/key")),
        (false, _) if output.file_name().is_none() => Err("`output` must name a file".into()),
        _ => Ok(()),
    }
}

fn in_bucket(output: &Path) -> Option<Object> {
    Object::parse(&output.to_string_lossy())
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
    fn listing(&self, file: PathBuf, artifact: &Artifact) -> Listing {
        let options = &self.0;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let put = artifact.facts.get(&format!("{}:{name}", super::s3::URL_FACT)).cloned();
        let given = options.url_template.as_ref().map(|template| template.text.clone());
        Listing {
            file,
            name: options.box_tag.clone(),
            version: options.version.clone(),
            description: options.description.clone(),
            url_template: given.or(put),
            // Every choice is one.
            algorithm: Algorithm::named(options.checksum_type.as_str()).unwrap_or(Algorithm::Sha256),
            architecture: options.architecture.clone(),
            default_architecture: options.default_architecture.clone(),
        }
    }
}

impl CatalogWriter {
    /// The versions that are listed no more.
    async fn list(&self, cx: &Cx, entry: Entry, object: Option<&Object>) -> Result<Vec<String>> {
        let options = &self.0;
        let (output, force) = (options.output.clone(), options.replace || cx.settings().force);
        let keep = options.keep_versions.map(|count| count as usize);
        match object {
            Some(object) => {
                let account = options.aws.clone().unwrap_or_else(AccountOptions::plain);
                bucket::list(cx, &account, object, entry, force, keep).await
            }
            None => blocking(move || listing::list(&output, entry, force, keep).map_err(Error::from)).await,
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
        let object = in_bucket(&options.output);
        let listing = self.listing(boxes::one(artifact)?, artifact);
        if object.is_some() && listing.url_template.is_none() {
            return Err(Error::new(Kind::Config, "a catalog in a bucket cannot list a file of this machine")
                .hint("put the post-processor `s3` before it in the same chain, or set `url_template`")
                .at(options.spans.at("output")));
        }
        let work = cx.clone();
        let entry = blocking(move || entry(&work, &listing)).await?;
        let provider = entry.provider.name.clone();
        let gone = self.list(cx, entry, object.as_ref()).await.map_err(|error| error.at(options.spans.at("output")))?;
        for version in gone {
            cx.message(format!("version {version} is no longer listed"));
        }
        cx.message(format!("{} {} for {} is listed", options.box_tag, options.version, provider));
        let mut files = artifact.files.clone();
        let place = match &object {
            Some(object) => object.to_string(),
            None => {
                let path = std::path::absolute(&options.output).map_err(|error| unreadable(&options.output, &error))?;
                cx.say(format!("vagrant box add {}", path.display()));
                if !files.contains(&options.output) {
                    files.push(options.output.clone());
                }
                path.display().to_string()
            }
        };
        let made = Artifact {
            builder_id: "bakehouse.post-processor.vagrant-catalog".into(),
            id: format!("{}:{}", options.box_tag, options.version),
            text: format!("Catalog of {}: {place}", options.box_tag),
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
