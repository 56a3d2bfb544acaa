//! `vagrant-cloud` and `vagrant-registry`: a box goes to Vagrant's public index. They differ in how they
//! log in; HCP's registry answers to the same protocol.

mod api;

use std::path::PathBuf;

use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, Secret, async_trait, options,
};
use bakehouse_boxes::catalog;
use bakehouse_boxes::checksum::Algorithm;
use bakehouse_boxes::listing::Listing;
use bakehouse_boxes::version::Version;
use serde_json::json;

use self::api::{Api, Login};
use super::boxes;
use super::reading::{Meter, blocking, total_size};
use super::{Outcome, PostProcessor, Row};
use crate::script::known;

/// The storage behind the index takes no more in one request.
const DIRECT_LIMIT: u64 = 5 << 30;

options! {
    /// What is uploaded, and as what.
    pub struct UploadOptions {
        /// The box: `org/box`.
        box_tag: String,
        /// Its version: numbers with dots, like `1.2.0`.
        version: String,
        /// What is new in it; Markdown.
        version_description: String = String::new(),
        /// Leave the version unreleased: nobody sees it yet.
        no_release: bool = false,
        /// Where clients fetch the box, which then is not uploaded.
        box_download_url: Option<String>,
        /// Its checksum, as `type:hex`. Unset: the SHA-256 of the box on this machine.
        box_checksum: Option<String>,
        /// The guest's architecture as Vagrant calls it. Unset: what the box says.
        architecture: Option<String>,
        /// The architecture that hosts of other ones take.
        default_architecture: Option<String>,
        /// Upload through the index instead of to the storage behind it.
        no_direct_upload: bool = false,
        /// The index's API.
        vagrant_cloud_url: String = "https://vagrantcloud.com/api/v2".into(),
        /// Do not check the server's certificate.
        insecure_skip_tls_verify: bool = false,
    }
}

options! {
    /// Uploads a Vagrant box to Vagrant Cloud. The box must exist there.
    pub struct CloudOptions {
        /// Unset: the environment's `VAGRANT_CLOUD_TOKEN` or `ATLAS_TOKEN`.
        access_token: Option<Secret>,
    }
    flatten { upload: UploadOptions }
}

options! {
    /// Uploads a Vagrant box to the HCP Vagrant Registry, and makes the box there where it is new.
    pub struct RegistryOptions {
        /// Of a service principal. Unset: the environment's `HCP_CLIENT_ID`.
        client_id: Option<String>,
        /// Unset: the environment's `HCP_CLIENT_SECRET`.
        client_secret: Option<Secret>,
        /// Where a service principal gets its token. Unset: the environment's `HCP_AUTH_URL`, or HashiCorp's.
        auth_url: Option<String>,
        /// For a box that is new.
        box_description: String = String::new(),
        /// A box that is new is seen by its organisation only.
        box_private: bool = false,
    }
    flatten { upload: UploadOptions }
}

pub const CLOUD: Row = Row { kind: "vagrant-cloud", schema: || CloudOptions::schema("vagrant-cloud"), prepare: cloud };
pub const REGISTRY: Row =
    Row { kind: "vagrant-registry", schema: || RegistryOptions::schema("vagrant-registry"), prepare: registry };

#[derive(Clone)]
struct Publish {
    kind: &'static str,
    upload: UploadOptions,
    who: Who,
}

/// As whom, and what to do where the box is new.
#[derive(Clone)]
enum Who {
    Token(Option<Secret>),
    Principal { id: Option<String>, secret: Option<Secret>, auth_url: Option<String>, new: NewBox },
}

#[derive(Clone)]
struct NewBox {
    description: String,
    private: bool,
}

fn cloud(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = CloudOptions::from_body(body, diagnostics)?;
    prepare(body, "vagrant-cloud", options.upload, Who::Token(options.access_token), diagnostics)
}

fn registry(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = RegistryOptions::from_body(body, diagnostics)?;
    let who = Who::Principal {
        id: options.client_id,
        secret: options.client_secret,
        auth_url: options.auth_url,
        new: NewBox { description: options.box_description, private: options.box_private },
    };
    prepare(body, "vagrant-registry", options.upload, who, diagnostics)
}

fn prepare(
    body: &Body,
    kind: &'static str,
    upload: UploadOptions,
    who: Who,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn PostProcessor>> {
    let before = diagnostics.errors();
    let mut wrong = |option: &str, found: Result<(), String>| {
        if known(body, option)
            && let Err(text) = found
        {
            diagnostics.push(Diagnostic::error(text).at(upload.spans.at(option)));
        }
    };
    wrong("box_tag", tag(&upload.box_tag).map(|_| ()));
    wrong("version", Version::parse(&upload.version).map(|_| ()).map_err(|error| error.to_string()));
    if let Some(text) = &upload.box_checksum {
        wrong("box_checksum", checksum(text).map(|_| ()));
    }
    for (option, url) in
        [("vagrant_cloud_url", Some(&upload.vagrant_cloud_url)), ("box_download_url", upload.box_download_url.as_ref())]
    {
        let sound = url.is_none_or(|url| url.starts_with("https://") || url.starts_with("http://"));
        wrong(option, if sound { Ok(()) } else { Err(format!("`{option}` must begin with https://")) });
    }
    (diagnostics.errors() == before).then(|| Box::new(Publish { kind, upload, who }) as Box<dyn PostProcessor>)
}

/// Organisation and box.
fn tag(text: &str) -> Result<(&str, &str), String> {
    let wrong = || format!("`{text}` is no name of a box: write it like org/box");
    catalog::check_name(text).map_err(|_| wrong())?;
    text.split_once('/').ok_or_else(wrong)
}

/// `sha256:0123...`, in the index's two words.
fn checksum(text: &str) -> Result<(Algorithm, String), String> {
    let wrong = || format!("`{text}` is no checksum: write it like sha256:0123...");
    let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
    let algorithm = Algorithm::named(name).ok_or_else(wrong)?;
    let fits = hex.len() == algorithm.hex_len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok((algorithm, hex.to_ascii_lowercase())) } else { Err(wrong()) }
}

/// The box as the index is told of it.
struct Offer {
    file: PathBuf,
    provider: String,
    architecture: String,
    body: serde_json::Value,
}

impl Publish {
    fn login(&self, cx: &Cx) -> Result<Login> {
        let env = |names: &[&str]| {
            let found = names.iter().filter_map(|name| cx.settings().env.get(*name)).find(|value| !value.is_empty());
            found.cloned()
        };
        let secret = |given: &Option<Secret>, names: &[&str], option: &str| {
            let found = given.clone().or_else(|| env(names).map(Secret::new));
            let found = found.filter(|secret| !secret.reveal().is_empty()).ok_or_else(|| {
                Error::new(Kind::Config, format!("{} has no `{option}` to log in with", self.kind))
                    .hint(format!("set {} in the environment, or the option", names.join(" or ")))
            })?;
            cx.secrets().add(found.reveal());
            Ok::<_, Error>(found)
        };
        match &self.who {
            Who::Token(token) => {
                let token = secret(token, &["VAGRANT_CLOUD_TOKEN", "ATLAS_TOKEN"], "access_token")?;
                Ok(Login::Token(token))
            }
            Who::Principal { id, secret: given, auth_url, .. } => {
                let id = secret(&id.clone().map(Secret::new), &["HCP_CLIENT_ID"], "client_id")?;
                let secret = secret(given, &["HCP_CLIENT_SECRET"], "client_secret")?;
                let url = auth_url.clone().or_else(|| env(&["HCP_AUTH_URL"])).unwrap_or(api::AUTH_URL.into());
                Ok(Login::Principal { url, id, secret })
            }
        }
    }

    /// Reads the box: all of it, where its checksum is not given.
    fn offer(&self, cx: &Cx, file: PathBuf) -> Result<Offer> {
        let upload = &self.upload;
        let mut meter = Meter::new(cx, "checksum", total_size(std::slice::from_ref(&file))?);
        let listing = Listing {
            file: file.clone(),
            name: upload.box_tag.clone(),
            version: upload.version.clone(),
            description: None,
            url_template: upload.box_download_url.clone(),
            algorithm: Algorithm::Sha256,
            architecture: upload.architecture.clone(),
            default_architecture: upload.default_architecture.clone(),
        };
        let entry = listing
            .entry(&mut |bytes| meter.count(bytes))
            .map_err(|error| if cx.cancel().is_cancelled() { Error::interrupted() } else { Error::from(error) })?;
        meter.finish();
        let provider = entry.provider;
        let architecture = provider.architecture.unwrap_or_else(|| "unknown".into());
        let given = upload.box_checksum.as_deref().and_then(|text| checksum(text).ok());
        let given = given.map(|(algorithm, hex)| (Some(algorithm.name().to_owned()), Some(hex)));
        let (kind, hex) = given.unwrap_or((provider.checksum_type, provider.checksum));
        let mut body =
            json!({"name": provider.name, "checksum_type": kind, "checksum": hex, "architecture": architecture});
        if let Some(default) = provider.default_architecture {
            body["default_architecture"] = json!(default);
        }
        if let Some(url) = &upload.box_download_url {
            body["url"] = json!(url);
        }
        Ok(Offer { file, provider: provider.name, architecture, body })
    }

    fn publish(&self, cx: &Cx, login: Login, offer: &Offer) -> Result<()> {
        let upload = &self.upload;
        let (org, name) = tag(&upload.box_tag).map_err(|text| Error::new(Kind::Config, text))?;
        let mut api = Api::new(&upload.vagrant_cloud_url, login, upload.insecure_skip_tls_verify)?;
        let new = match &self.who {
            Who::Token(_) => None,
            Who::Principal { new, .. } => Some(json!({"username": org, "name": name,
                "short_description": new.description, "is_private": new.private})),
        };
        api.authenticate()?;
        api.need_box(&upload.box_tag, new)?;
        stop_at_interrupt(cx)?;
        let released = api.need_version(&upload.box_tag, &upload.version, &upload.version_description)?;
        let target = api::Target {
            tag: &upload.box_tag,
            version: &upload.version,
            provider: &offer.provider,
            architecture: &offer.architecture,
        };
        api.need_provider(&target, &offer.body, !released || cx.settings().force)?;
        if upload.box_download_url.is_none() {
            let size = total_size(std::slice::from_ref(&offer.file))?;
            let mut meter = Meter::new(cx, format!("upload {}", upload.box_tag), size);
            let direct = !upload.no_direct_upload && size <= DIRECT_LIMIT;
            let sent = api.upload(&target, &offer.file, size, direct, &mut meter);
            sent.map_err(|error| if cx.cancel().is_cancelled() { Error::interrupted() } else { error.into() })?;
            meter.finish();
        }
        stop_at_interrupt(cx)?;
        match (upload.no_release, released) {
            (true, _) => cx.message("The version stays unreleased"),
            (false, true) => {}
            (false, false) => {
                api.release(&upload.box_tag, &upload.version)?;
                cx.message(format!("Released {} {}", upload.box_tag, upload.version));
            }
        }
        Ok(())
    }
}

fn stop_at_interrupt(cx: &Cx) -> Result<()> {
    if cx.cancel().is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
}

#[async_trait]
impl PostProcessor for Publish {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let login = self.login(cx)?;
        let file = boxes::one(artifact)?;
        cx.say(format!("Publishing {} {}", self.upload.box_tag, self.upload.version));
        let (work, this) = (cx.clone(), self.clone());
        let provider = blocking(move || {
            let offer = this.offer(&work, file)?;
            this.publish(&work, login, &offer)?;
            Ok(offer.provider)
        })
        .await?;
        let made = Artifact {
            builder_id: match self.who {
                Who::Token(_) => "pearkes.post-processor.vagrant-cloud".into(),
                Who::Principal { .. } => "hashicorp.post-processor.vagrant-registry".into(),
            },
            id: String::new(),
            text: format!("'{provider}': {}", self.upload.box_tag),
            files: Vec::new(),
            facts: artifact.facts.clone(),
            destroy: Vec::new(),
        };
        Ok(Outcome { artifact: Some(made), keep_by_default: true, must_keep: false })
    }
}

#[cfg(test)]
#[path = "vagrant_cloud_tests.rs"]
mod tests;
