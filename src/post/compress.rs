//! `compress`: the artifact's files as one archive.

mod codec;
mod format;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Component, Path, PathBuf};

use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, Template, async_trait, options,
};
use bakehouse_kit::output::Output;
use zip::write::SimpleFileOptions;

use self::codec::Encoder;
use self::format::{Codec, Format, Packing};
use super::reading::{Meter, Metered, blocking, total_size};
use super::{Outcome, PostProcessor, Row};
use crate::script::known;

const DEFAULT_OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}";

options! {
    /// Packs the artifact's files into one archive.
    pub struct CompressOptions {
        /// The archive. Its extension tells the format; without one it is a tar with gzip. Fields:
        /// `.BuildName`, `.BuilderType`. Default: `packer_{{.BuildName}}_{{.BuilderType}}`.
        output: Option<Template>,
        /// The format, whatever the name says: `tar`, `zip`, `gz`, `bgzf`, `lz4`, `xz`, `bzip2`, or
        /// one of them behind `tar.`. All but `tar*` and `zip` hold one file.
        format: Option<String>,
        /// From 1, fastest, to 9, smallest. Default: 6, for `lz4` 1.
        compression_level: Option<i32>,
    }
}

pub const ROW: Row = Row { kind: "compress", schema: || CompressOptions::schema("compress"), prepare };

struct Compress {
    options: CompressOptions,
    output: Template,
    build_name: String,
    builder_type: String,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = CompressOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    if let Some(name) = options.format.as_deref()
        && known(body, "format")
        && format::named(name).is_none()
    {
        let wrong = Diagnostic::error(format!("`{name}` is not one of {}", format::NAMES.join(", ")));
        diagnostics.push(wrong.at(options.spans.at("format")).did_you_mean(name, format::NAMES.iter().copied()));
    }
    if let Some(level) = options.compression_level
        && !(-1..=9).contains(&level)
    {
        let wrong = Diagnostic::error(format!("`compression_level` must lie between 1 and 9, and it is {level}"));
        diagnostics.push(wrong.at(options.spans.at("compression_level")));
    }
    let output = options.output.clone();
    let output = output.unwrap_or_else(|| Template::new(DEFAULT_OUTPUT, body.span, body.engine.clone()));
    let (build_name, builder_type) = (body.build_name.clone(), body.builder_type.clone());
    let compress = Compress { options, output, build_name, builder_type };
    if known(body, "output") {
        let wrong = match compress.path() {
            Ok(path) if path.file_name().is_none() => Some("`output` must name a file".to_owned()),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        diagnostics.0.extend(wrong.map(|wrong| Diagnostic::error(wrong).at(compress.options.spans.at("output"))));
    }
    (diagnostics.errors() == before).then(|| Box::new(compress) as Box<dyn PostProcessor>)
}

impl Compress {
    fn path(&self) -> Result<PathBuf> {
        let fields = [("BuildName", self.build_name.as_str()), ("BuilderType", &self.builder_type)];
        Ok(self.output.render(fields)?.into())
    }

    fn format(&self, path: &Path) -> Format {
        let chosen = self.options.format.as_deref().and_then(format::named);
        chosen.unwrap_or_else(|| format::of_name(&path.file_name().unwrap_or_default().to_string_lossy()))
    }

    /// Refuses what cannot become such an archive.
    fn check(&self, path: &Path, format: Format, files: &[PathBuf]) -> Result<()> {
        if format.packing == Packing::One && files.len() != 1 {
            return Err(Error::new(
                Kind::Config,
                format!("{} holds one file, and the artifact has {}", format.codec.name(), files.len()),
            )
            .hint(format!("name the output `something.tar.{}`", format.codec.name()))
            .at(self.options.spans.at("output")));
        }
        let same = |file: &PathBuf| {
            file == path || file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok() == Some(f))
        };
        if files.iter().any(same) {
            return Err(Error::new(Kind::Config, format!("`{}` is itself a file of the artifact", path.display()))
                .at(self.options.spans.at("output")));
        }
        Ok(())
    }
}

#[async_trait]
impl PostProcessor for Compress {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let path = self.path()?;
        let format = self.format(&path);
        self.check(&path, format, &artifact.files)?;
        if artifact.files.is_empty() {
            cx.warn("the artifact has no files: the archive will be empty");
        }
        cx.say(format!("Packing {} file(s) into {}", artifact.files.len(), path.display()));
        let level =
            self.options.compression_level.and_then(|level| u32::try_from(level).ok()).filter(|level| *level > 0);
        let (work, target, files) = (cx.clone(), path.clone(), artifact.files.clone());
        blocking(move || pack(&work, &target, format, level, &files)).await?;
        let artifact = Artifact {
            builder_id: "packer.post-processor.compress".into(),
            text: format!("compressed artifacts in: {}", path.display()),
            files: vec![path],
            ..Artifact::default()
        };
        Ok(Outcome { artifact: Some(artifact), keep_by_default: false, must_keep: false })
    }
}

fn pack(cx: &Cx, path: &Path, format: Format, level: Option<u32>, files: &[PathBuf]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut meter = Meter::new(cx, format!("compress {name}"), total_size(files)?);
    let output = Output::create(cx, path)?;
    let packed = output.file().and_then(|file| {
        let done = match format.packing {
            Packing::Zip => zip(file, level, files, &mut meter),
            Packing::Tar => tar(file, format.codec, level, files, &mut meter),
            Packing::One => one(file, format.codec, level, &files[0], &mut meter),
        };
        done.map_err(|error| output.failed(&error))
    });
    output.settle(packed)?;
    meter.finish();
    Ok(())
}

fn one(file: File, codec: Codec, level: Option<u32>, from: &Path, meter: &mut Meter) -> io::Result<()> {
    let mut encoder = Encoder::new(codec, level, BufWriter::new(file))?;
    io::copy(&mut Metered::open(from, meter)?, &mut encoder)?;
    encoder.finish()?.flush()
}

fn tar(file: File, codec: Codec, level: Option<u32>, files: &[PathBuf], meter: &mut Meter) -> io::Result<()> {
    let mut archive = tar::Builder::new(Encoder::new(codec, level, BufWriter::new(file))?);
    for (path, name) in files.iter().zip(tar_names(files)) {
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&path.metadata()?);
        archive.append_data(&mut header, name, Metered::open(path, meter)?)?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// Bare names, as Packer has them; where two would be the same, those keep their folders.
fn tar_names(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen: BTreeMap<&OsStr, usize> = BTreeMap::new();
    for path in files {
        *seen.entry(path.file_name().unwrap_or_default()).or_default() += 1;
    }
    let alone = |path: &&PathBuf| seen[path.file_name().unwrap_or_default()] == 1;
    files
        .iter()
        .map(|path| match path.file_name() {
            Some(name) if alone(&path) => name.into(),
            _ => relative(path),
        })
        .collect()
}

fn zip(file: File, level: Option<u32>, files: &[PathBuf], meter: &mut Meter) -> io::Result<()> {
    let mut archive = zip::ZipWriter::new(BufWriter::new(file));
    for path in files {
        let meta = path.metadata()?;
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(i64::from(level.unwrap_or(6))))
            // Deflate can grow what it cannot compress: leave room below the limit of 4 GiB.
            .large_file(meta.len() > u64::from(u32::MAX) / 2)
            .unix_permissions(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()));
        archive.start_file(relative(path).to_string_lossy(), options)?;
        io::copy(&mut Metered::open(path, meter)?, &mut archive)?;
    }
    let mut file = archive.finish()?;
    file.flush()?;
    file.seek(io::SeekFrom::End(0)).map(|_| ())
}

/// The path as it can stand in an archive: without root and without `..`.
fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
