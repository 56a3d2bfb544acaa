//! `checksum`: digests of the artifact's files, in files that `sha256sum` and friends know.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bakehouse_api::{
    Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Options, Result, Template, async_trait, choices, options,
};
use bakehouse_kit::output::folder;
use sha2::digest::DynDigest;

use super::reading::{Meter, Metered, blocking, total_size, unreadable};
use super::{Outcome, PostProcessor, Row};
use crate::script::known;

const DEFAULT_OUTPUT: &str = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum";

choices! {
    pub enum Algorithm {
        Md5 = "md5",
        Sha1 = "sha1",
        Sha224 = "sha224",
        Sha256 = "sha256",
        Sha384 = "sha384",
        Sha512 = "sha512",
    }
}

options! {
    /// Writes checksums of the artifact's files.
    pub struct ChecksumOptions {
        /// Which kinds of checksums to write.
        checksum_types: Vec<Algorithm> = vec![Algorithm::Md5],
        /// The file that lines are appended to. Fields: `.BuildName`, `.BuilderType`,
        /// `.ChecksumType`. Default: `packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum`.
        output: Option<Template>,
    }
}

pub const ROW: Row = Row { kind: "checksum", schema: || ChecksumOptions::schema("checksum"), prepare };

struct Checksum {
    algorithms: Vec<Algorithm>,
    output: Template,
    build_name: String,
    builder_type: String,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = ChecksumOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    if options.checksum_types.is_empty() && known(body, "checksum_types") {
        let none = Diagnostic::error("`checksum_types` names no type").at(options.spans.at("checksum_types"));
        diagnostics.push(none);
    }
    let output = options.output.clone();
    let output = output.unwrap_or_else(|| Template::new(DEFAULT_OUTPUT, body.span, body.engine.clone()));
    let (build_name, builder_type) = (body.build_name.clone(), body.builder_type.clone());
    let checksum = Checksum { algorithms: options.checksum_types, output, build_name, builder_type };
    if known(body, "output")
        && let Err(error) = checksum.path(Algorithm::Md5)
    {
        diagnostics.push(Diagnostic::error(error.to_string()).at(options.spans.at("output")));
    }
    (diagnostics.errors() == before).then(|| Box::new(checksum) as Box<dyn PostProcessor>)
}

impl Algorithm {
    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Algorithm::Md5 => Box::<md5::Md5>::default(),
            Algorithm::Sha1 => Box::<sha1::Sha1>::default(),
            Algorithm::Sha224 => Box::<sha2::Sha224>::default(),
            Algorithm::Sha256 => Box::<sha2::Sha256>::default(),
            Algorithm::Sha384 => Box::<sha2::Sha384>::default(),
            Algorithm::Sha512 => Box::<sha2::Sha512>::default(),
        }
    }
}

impl Checksum {
    fn path(&self, algorithm: Algorithm) -> Result<PathBuf> {
        let fields = [
            ("BuildName", self.build_name.as_str()),
            ("BuilderType", &self.builder_type),
            ("ChecksumType", algorithm.as_str()),
        ];
        Ok(self.output.render(fields)?.into())
    }
}

/// The digests of one file, all in one pass.
fn digests(path: &Path, algorithms: &[Algorithm], meter: &mut Meter) -> io::Result<Vec<String>> {
    let mut hashers: Vec<_> = algorithms.iter().map(|algorithm| algorithm.hasher()).collect();
    let mut file = Metered::open(path, meter)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hashers.iter_mut().for_each(|hasher| hasher.update(&buffer[..read]));
    }
    Ok(hashers.into_iter().map(|hasher| hex::encode(hasher.finalize())).collect())
}

/// The lines for each of the algorithms.
fn lines(cx: &Cx, files: &[PathBuf], algorithms: &[Algorithm]) -> Result<Vec<String>> {
    let mut texts = vec![String::new(); algorithms.len()];
    let mut meter = Meter::new(cx, "checksum", total_size(files)?);
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let found = digests(path, algorithms, &mut meter).map_err(|error| match cx.cancel().is_cancelled() {
            true => Error::interrupted(),
            false => unreadable(path, &error),
        })?;
        for (text, digest) in texts.iter_mut().zip(found) {
            *text += &format!("{digest}\t{name}\n");
        }
    }
    meter.finish();
    Ok(texts)
}

/// One write, so that lines of parallel builds do not mix.
fn append(path: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder(path))?;
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

#[async_trait]
impl PostProcessor for Checksum {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let (algorithms, files) = (self.algorithms.clone(), artifact.files.clone());
        let work = cx.clone();
        let texts = blocking(move || lines(&work, &files, &algorithms)).await?;
        let mut files = artifact.files.clone();
        for (algorithm, text) in self.algorithms.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            let path = self.path(*algorithm)?;
            append(&path, &text).map_err(|error| Error::io(format!("writing {}", path.display()), &error))?;
            cx.message(format!("{} checksums in {}", algorithm.as_str(), path.display()));
            if !files.contains(&path) {
                files.push(path);
            }
        }
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let artifact = Artifact {
            builder_id: "packer.post-processor.checksum".into(),
            id: String::new(),
            text: format!("Created artifact from files: {}", names.join(", ")),
            files,
            facts: artifact.facts.clone(),
            destroy: Vec::new(),
        };
        Ok(Outcome { artifact: Some(artifact), keep_by_default: true, must_keep: true })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bakehouse_api::{Kind, Value, testing};

    use super::*;
    use crate::script::testing::{body, findings, list};

    #[tokio::test]
    async fn the_sums_are_those_of_coreutils() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let files = ["one.img", "two.img"].map(|name| dir.path().join(name));
        std::fs::write(&files[0], vec![7; 700_000]).unwrap();
        std::fs::write(&files[1], "").unwrap();
        let output = format!("{}/sums/{{{{.BuildName}}}}.{{{{.ChecksumType}}}}", dir.path().display());
        let entries = [("checksum_types", list(Algorithm::WORDS)), ("output", output.into())];
        let checksum = prepare(&body("checksum", &entries), &mut Diagnostics::default()).unwrap();
        let artifact = Artifact { files: files.to_vec(), ..Artifact::default() };
        let outcome = checksum.run(&cx, &artifact).await.unwrap();
        assert!(outcome.keep_by_default && outcome.must_keep);
        for word in Algorithm::WORDS {
            let text = std::fs::read_to_string(dir.path().join(format!("sums/debian.{word}"))).unwrap();
            let theirs = Command::new(format!("{word}sum")).args(&files).output().unwrap();
            let theirs =
                String::from_utf8(theirs.stdout).unwrap().replace(&format!("  {}/", dir.path().display()), "\t");
            assert_eq!(text, theirs, "{word}");
        }
        assert_eq!(outcome.artifact.unwrap().files.len(), 8);
    }

    #[tokio::test]
    async fn lines_are_appended_to_one_file_when_the_name_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let file = dir.path().join("a");
        std::fs::write(&file, "a").unwrap();
        let output = dir.path().join("sums");
        let entries = [("checksum_types", list(&["md5", "sha1"])), ("output", output.to_str().unwrap().into())];
        let checksum = prepare(&body("checksum", &entries), &mut Diagnostics::default()).unwrap();
        let artifact = Artifact { files: vec![file], ..Artifact::default() };
        for _ in 0..2 {
            assert_eq!(checksum.run(&cx, &artifact).await.unwrap().artifact.unwrap().files.len(), 2);
        }
        let text = std::fs::read_to_string(&output).unwrap();
        let both = "0cc175b9c0f1b6a831c399e269772661\ta\n86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\ta\n";
        assert_eq!(text, both.repeat(2));
    }

    #[tokio::test]
    async fn an_interrupt_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let file = dir.path().join("a");
        std::fs::write(&file, "a").unwrap();
        let entries = [("output", Value::from(dir.path().join("sums").to_str().unwrap()))];
        let checksum = prepare(&body("checksum", &entries), &mut Diagnostics::default()).unwrap();
        cx.cancel().cancel();
        let error = checksum.run(&cx, &Artifact { files: vec![file], ..Artifact::default() }).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
        assert!(!dir.path().join("sums").exists());
    }

    #[test]
    fn mistakes_are_found_without_an_artifact() {
        let mut diagnostics = Diagnostics::default();
        for entries in [("checksum_types", list(&["sha265"])), ("output", "{{.BuildNmae}}".into())] {
            assert!(prepare(&body("checksum", &[entries]), &mut diagnostics).is_none());
        }
        insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
        `sha265` is not one of md5, sha1, sha224, sha256, sha384, sha512 (did you mean `sha256`?)
        rendering `{{.BuildNmae}}`: there is no field `.BuildNmae`
        ");
    }
}
