//! `vagrant`: a Vagrant box of the artifact.

mod contents;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, Template, async_trait, choices, options,
};
use bakehouse_boxes::pack::{self, Compression, Contents};
use bakehouse_kit::output::Output;

use self::contents::{PROVIDERS, Provider};
use super::reading::{Meter, blocking};
use super::{Outcome, PostProcessor, Row};
use crate::script::known;

const DEFAULT_OUTPUT: &str = "packer_{{.BuildName}}_{{.Provider}}_{{.Architecture}}.box";
const BUILDER_ID: &str = "mitchellh.post-processor.vagrant";
/// Within two percent of the size of zlib's usual level 6, in two fifths of the time.
const DEFAULT_GZIP: u32 = 4;
const DEFAULT_ZSTD: u32 = 3;

choices! {
    pub enum Packing {
        Gzip = "gzip",
        Zstd = "zstd",
    }
}

options! {
    /// Makes a Vagrant box of the artifact: libvirt, qemu or virtualbox of a disk, virtualbox of an export,
    /// aws of AMIs. No hypervisor is needed.
    pub struct VagrantOptions {
        /// The box. Fields: `.BuildName`, `.Provider`, `.Architecture`, `.ArtifactId`. Default:
        /// `packer_{{.BuildName}}_{{.Provider}}_{{.Architecture}}.box`.
        output: Option<Template>,
        /// From 1, fastest, to 9, smallest; 0 is a plain tar, -1 the usual level.
        compression_level: i32 = -1,
        /// How it is compressed. zstd is faster and smaller; clients need a bsdtar that knows it.
        compression: Packing = Packing::Gzip,
        /// Files that the box holds too.
        include: Vec<PathBuf>,
        /// A Vagrantfile whose text follows the one that the provider needs.
        vagrantfile_template: Option<PathBuf>,
        /// `vagrantfile_template` is made by the build: it need not be there before.
        vagrantfile_template_generated: bool = false,
        /// The provider, where the artifact could be a box for several of them or does not tell.
        provider_override: Option<String>,
        /// The guest's architecture as Vagrant calls it (`amd64`, `arm64`). Unset: the one that was built.
        architecture: Option<String>,
        /// Other values of these options by provider.
        r#override | "overrides": BTreeMap<String, OverrideOptions>,
    }
}

options! {
    /// What a provider has otherwise.
    pub struct OverrideOptions {
        output: Option<Template>,
        compression_level: Option<i32>,
        compression: Option<Packing>,
        include: Vec<PathBuf>,
        vagrantfile_template: Option<PathBuf>,
        vagrantfile_template_generated: Option<bool>,
    }
}

pub const ROW: Row = Row { kind: "vagrant", schema: || VagrantOptions::schema("vagrant"), prepare };

struct Vagrant {
    options: VagrantOptions,
    default_output: Template,
    build_name: String,
}

/// The options that hold for one provider.
struct Chosen {
    output: Template,
    compression: Compression,
    include: Vec<PathBuf>,
    vagrantfile: Option<PathBuf>,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = VagrantOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    check_provider(body, &options, diagnostics);
    check_level(body, "compression_level", options.compression, options.compression_level, &options, diagnostics);
    for (name, other) in &options.r#override {
        if !PROVIDERS.contains(&name.as_str()) {
            let wrong = Diagnostic::error(format!("`{name}` is no provider that boxes are made for"));
            let at = options.spans.at("override");
            diagnostics.push(wrong.at(at).did_you_mean(name, PROVIDERS.iter().copied()));
        }
        let packing = other.compression.unwrap_or(options.compression);
        check_level(body, "override", packing, other.compression_level.unwrap_or(-1), &options, diagnostics);
    }
    check_files(body, &options, diagnostics);
    let default_output = Template::new(DEFAULT_OUTPUT, body.span, body.engine.clone());
    let vagrant = Vagrant { options, default_output, build_name: body.build_name.clone() };
    if known(body, "output")
        && let Err(error) = vagrant.path(&vagrant.chosen("libvirt").output, "libvirt", "amd64", "VM")
    {
        diagnostics.push(Diagnostic::error(error.to_string()).at(vagrant.options.spans.at("output")));
    }
    (diagnostics.errors() == before).then(|| Box::new(vagrant) as Box<dyn PostProcessor>)
}

fn check_provider(body: &Body, options: &VagrantOptions, diagnostics: &mut Diagnostics) {
    if let Some(name) = options.provider_override.as_deref()
        && known(body, "provider_override")
        && Provider::named(name).is_none()
    {
        let wrong = Diagnostic::error(format!("`{name}` is not one of {}", PROVIDERS.join(", ")));
        let at = options.spans.at("provider_override");
        diagnostics.push(wrong.at(at).did_you_mean(name, PROVIDERS.iter().copied()));
    }
}

fn check_level(
    body: &Body,
    option: &str,
    packing: Packing,
    level: i32,
    options: &VagrantOptions,
    diagnostics: &mut Diagnostics,
) {
    let most = if packing == Packing::Zstd { 19 } else { 9 };
    if known(body, option) && !(-1..=most).contains(&level) {
        let wrong = format!("`compression_level` must lie between -1 and {most}, and it is {level}");
        diagnostics.push(Diagnostic::error(wrong).at(options.spans.at(option)));
    }
}

/// A Vagrantfile must be there unless the build makes it; what is included may be made by the build.
fn check_files(body: &Body, options: &VagrantOptions, diagnostics: &mut Diagnostics) {
    let generated = options.vagrantfile_template_generated;
    let mut wanted: Vec<(&str, &PathBuf)> = Vec::new();
    if known(body, "vagrantfile_template") && !generated {
        wanted.extend(options.vagrantfile_template.iter().map(|path| ("vagrantfile_template", path)));
    }
    if known(body, "override") {
        let others = options.r#override.values();
        let given = others.filter(|other| !other.vagrantfile_template_generated.unwrap_or(generated));
        wanted.extend(given.flat_map(|other| &other.vagrantfile_template).map(|path| ("override", path)));
    }
    for (option, path) in wanted {
        if !path.is_file() {
            let missing =
                Diagnostic::error(format!("there is no file `{}`", path.display())).at(options.spans.at(option)).hint(
                    "paths are relative to the working directory; `vagrantfile_template_generated`: the build makes it",
                );
            diagnostics.push(missing);
        }
    }
}

impl Vagrant {
    fn chosen(&self, provider: &str) -> Chosen {
        let options = &self.options;
        let other = options.r#override.get(provider);
        let output = other.and_then(|other| other.output.clone()).or_else(|| options.output.clone());
        let level = other.and_then(|other| other.compression_level).unwrap_or(options.compression_level);
        let packing = other.and_then(|other| other.compression).unwrap_or(options.compression);
        let include = other.map(|other| other.include.clone()).filter(|include| !include.is_empty());
        let vagrantfile = other.and_then(|other| other.vagrantfile_template.clone());
        Chosen {
            output: output.unwrap_or_else(|| self.default_output.clone()),
            compression: compression(packing, level),
            include: include.unwrap_or_else(|| options.include.clone()),
            vagrantfile: vagrantfile.or_else(|| options.vagrantfile_template.clone()),
        }
    }

    fn path(&self, output: &Template, provider: &str, architecture: &str, id: &str) -> Result<PathBuf> {
        let fields = [
            ("BuildName", self.build_name.as_str()),
            ("Provider", provider),
            ("Architecture", architecture),
            ("ArtifactId", id),
        ];
        let path = PathBuf::from(output.render(fields)?);
        match path.file_name() {
            Some(_) => Ok(path),
            None => Err(Error::new(Kind::Config, "`output` must name a file").at(output.span)),
        }
    }
}

fn compression(packing: Packing, level: i32) -> Compression {
    match (packing, u32::try_from(level)) {
        (_, Ok(0)) => Compression::None,
        (Packing::Gzip, level) => Compression::Gzip(level.unwrap_or(DEFAULT_GZIP)),
        (Packing::Zstd, level) => Compression::Zstd(level.unwrap_or(DEFAULT_ZSTD)),
    }
}

/// `SOURCE_DATE_EPOCH`, which makes builds reproducible, or now.
fn mtime(cx: &Cx) -> Result<u64> {
    let Some(text) = cx.settings().env.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    };
    text.parse().map_err(|_| {
        Error::new(Kind::Config, format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds since 1970"))
    })
}

fn write(cx: &Cx, path: &Path, contents: &Contents, options: &pack::Options) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut meter = Meter::new(cx, format!("pack {name}"), contents.total()?);
    let output = Output::create(cx, path)?;
    let packed = output.file().and_then(|file| {
        pack::write(file, contents, options, &mut |bytes| meter.count(bytes)).map(|_| ()).map_err(|error| {
            if cx.cancel().is_cancelled() { Error::interrupted() } else { Error::from(error).context(path.display()) }
        })
    });
    output.settle(packed)?;
    meter.finish();
    Ok(())
}

#[async_trait]
impl PostProcessor for Vagrant {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let provider = Provider::of(artifact, self.options.provider_override.as_deref())
            .map_err(|error| error.at(self.options.spans.at("provider_override")))?;
        let guest = contents::guest(artifact, self.options.architecture.as_deref());
        let architecture = if guest.architecture.is_empty() { "unknown" } else { &guest.architecture };
        let chosen = self.chosen(provider.name());
        let path = self.path(&chosen.output, provider.name(), architecture, &artifact.id)?;
        cx.say(format!("Packing a Vagrant box for {}", provider.name()));
        if matches!(chosen.compression, Compression::Zstd(_)) {
            cx.warn("a box packed with zstd needs a bsdtar with zstd on every machine that adds it");
        }
        let mut contents = provider.contents(artifact, &guest)?;
        contents::add(&mut contents, &chosen.include, chosen.vagrantfile.as_deref())?;
        let options = pack::Options { compression: chosen.compression, mtime: mtime(cx)? };
        let (work, target) = (cx.clone(), path.clone());
        blocking(move || write(&work, &target, &contents, &options)).await?;
        cx.message(format!("vagrant box add --name {} {}", self.build_name, path.display()));
        let facts = [("provider", provider.name()), ("architecture", &guest.architecture)];
        let made = Artifact {
            builder_id: BUILDER_ID.into(),
            id: provider.name().into(),
            text: format!("'{}' provider box: {}", provider.name(), path.display()),
            files: vec![path],
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            destroy: Vec::new(),
        };
        Ok(Outcome { artifact: Some(made), keep_by_default: provider.is_remote(), must_keep: false })
    }
}

#[cfg(test)]
#[path = "vagrant_tests.rs"]
mod tests;
