//! `s3`: the files of an artifact become objects in a bucket.

use std::collections::BTreeMap;
use std::path::Path;

use bakehouse_api::bridge::{AccountOptions, Object, ObjectEncryption, Stored, Upload};
use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, Template, async_trait, options,
};
use bakehouse_kit::digest::{Algorithm, of_file};

use super::reading::{Meter, blocking, total_size, unreadable};
use super::{Outcome, PostProcessor, Row};
use crate::registry;
use crate::script::known;

/// Where the next post-processor finds the address of a file.
pub const URL_FACT: &str = "s3_url";
const MIB: u64 = 1 << 20;

options! {
    /// Puts the artifact's files into a bucket, large ones in parts.
    pub struct S3Options {
        /// The bucket.
        bucket: String,
        /// The object's name. Fields: `{{ .Name }}`, the file's own name, and `{{ .BuildName }}`.
        key: Option<Template>,
        /// Put before the file's own name, where `key` is unset: `images/`.
        prefix: String = String::new(),
        /// What clients are told that it is. Unset: by the ending of the name.
        content_type: Option<String>,
        /// How long clients may keep it: `max-age=3600`.
        cache_control: Option<String>,
        /// What the object says of itself besides.
        metadata: BTreeMap<String, String>,
        /// Tags of the object.
        tags: BTreeMap<String, String>,
        /// Write the file's SHA-256 into the metadata, as `sha256`.
        sha256: bool = true,
        /// How the bucket encrypts the object. Unset: as it does by itself.
        encryption: Option<ObjectEncryption>,
        /// Key for `aws:kms`.
        encryption_key: Option<String>,
        /// Storage class: `STANDARD_IA`, `GLACIER_IR`, ...
        storage_class: Option<String>,
        /// One of S3's ready-made permissions: `public-read`, `bucket-owner-full-control`, ...
        acl: Option<String>,
        /// MiB of a part. Unset: 8, or what the size of the file asks for.
        part_size: Option<u64>,
    }
    flatten { account: AccountOptions }
}

pub const ROW: Row = Row { kind: "s3", schema: || S3Options::schema("s3"), prepare };

struct S3 {
    options: S3Options,
    build_name: String,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = S3Options::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    if let Some(bridge) = registry::bridge() {
        bridge.check_account(body, &options.account, diagnostics);
    }
    let mut wrong = |option: &str, text: String| {
        if known(body, option) {
            diagnostics.push(Diagnostic::error(text).at(options.spans.at(option)));
        }
    };
    if let Err(why) = check_bucket(&options.bucket) {
        wrong("bucket", why);
    }
    if options.part_size.is_some_and(|mib| !(5..=5120).contains(&mib)) {
        wrong("part_size", "`part_size` is a number of MiB from 5 to 5120".into());
    }
    if options.key.is_some() && !options.prefix.is_empty() {
        wrong("prefix", "`key` and `prefix` exclude each other".into());
    }
    let s3 = S3 { options, build_name: body.build_name.clone() };
    (diagnostics.errors() == before).then(|| Box::new(s3) as Box<dyn PostProcessor>)
}

/// What every bucket's name keeps to.
fn check_bucket(name: &str) -> Result<(), String> {
    let fits = (3..=63).contains(&name.len());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    if fits && name.chars().all(plain) && name.starts_with(|c: char| c != '.' && c != '-') {
        return Ok(());
    }
    Err(format!("`{name}` is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens"))
}

impl S3 {
    async fn put(&self, cx: &Cx, file: &Path) -> Result<Stored> {
        let options = &self.options;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let key = match &options.key {
            Some(key) => key.render([("Name", &*name), ("BuildName", &self.build_name)])?,
            None => format!("{}{name}", options.prefix),
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut metadata = options.metadata.clone();
        if options.sha256 {
            metadata.insert("sha256".into(), digest(cx, file).await?);
        }
        let upload = Upload {
            content_type: given(&options.content_type).or_else(|| Some(content_type(&key).to_owned())),
            cache_control: given(&options.cache_control),
            storage_class: given(&options.storage_class),
            acl: given(&options.acl),
            metadata,
            tags: options.tags.clone(),
            encryption: options.encryption,
            encryption_key: given(&options.encryption_key),
            part_size: options.part_size.map(|mib| mib * MIB),
            ..Upload::new(file.to_owned(), Object { bucket: options.bucket.clone(), key })
        };
        cx.message(format!("Putting {} to {}", file.display(), upload.object));
        registry::need_bridge()?.put(cx, &options.account, &upload).await
    }
}

async fn digest(cx: &Cx, file: &Path) -> Result<String> {
    let (work, path) = (cx.clone(), file.to_owned());
    blocking(move || {
        let mut meter = Meter::new(&work, "checksum", total_size(std::slice::from_ref(&path))?);
        let mut seen = 0;
        let mut step = |total| meter.count(total - std::mem::replace(&mut seen, total));
        let digest = of_file(&work.settings().cache, &path, Algorithm::Sha256, &mut step);
        let digest = digest.map_err(|error| match work.cancel().is_cancelled() {
            true => Error::interrupted(),
            false => unreadable(&path, &error),
        })?;
        Ok(digest.hex)
    })
    .await
}

fn content_type(key: &str) -> &'static str {
    match key.rsplit('.').next().unwrap_or_default() {
        "json" => "application/json",
        "txt" | "log" | "checksum" => "text/plain",
        "html" => "text/html",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        "xz" => "application/x-xz",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "ova" => "application/ovf",
        "iso" => "application/vnd.efi.iso",
        _ => "application/octet-stream",
    }
}

#[async_trait]
impl PostProcessor for S3 {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        if artifact.files.is_empty() {
            return Err(Error::new(Kind::Config, "the artifact has no files that could be put into a bucket"));
        }
        cx.say(format!("Putting {} into s3://{}", plural(artifact.files.len()), self.options.bucket));
        let mut stored: Vec<Stored> = Vec::new();
        for file in &artifact.files {
            let put = self.put(cx, file).await?;
            if stored.iter().any(|other| other.object == put.object) {
                let error = format!("two files of the artifact would both be {}", put.object);
                return Err(Error::new(Kind::Config, error).hint("use `{{ .Name }}` in `key`"));
            }
            stored.push(put);
        }
        let lines: Vec<String> = stored.iter().map(|one| one.object.to_string()).collect();
        let mut facts = artifact.facts.clone();
        facts.extend(artifact.files.iter().zip(&stored).map(|(file, one)| {
            (format!("{URL_FACT}:{}", file.file_name().unwrap_or_default().to_string_lossy()), one.url.clone())
        }));
        let made = Artifact {
            builder_id: "bakehouse.post-processor.s3".into(),
            id: lines.join(","),
            text: format!("In the bucket: {}", lines.join(", ")),
            files: artifact.files.clone(),
            facts,
            destroy: Vec::new(),
        };
        Ok(Outcome { artifact: Some(made), keep_by_default: true, must_keep: true })
    }
}

fn plural(count: usize) -> String {
    if count == 1 { "a file".into() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::testing::{body, findings};

    #[test]
    fn mistakes_are_found_without_a_bucket() {
        let mut found = Diagnostics::default();
        let wrong =
            [("bucket", "My_Bucket".into()), ("part_size", 4.into()), ("key", "a".into()), ("prefix", "b/".into())];
        assert!(prepare(&body("s3", &wrong), &mut found).is_none());
        let expected = [
            "`My_Bucket` is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens",
            "`part_size` is a number of MiB from 5 to 5120",
            "`key` and `prefix` exclude each other",
        ];
        assert_eq!(findings(&found), expected);
    }

    #[test]
    fn a_name_tells_what_it_is() {
        assert_eq!(content_type("org/metadata.json"), "application/json");
        assert_eq!(content_type("web.box"), "application/octet-stream");
    }
}
