//! `file`: no machine at all, an artifact that is one file. Good for trying out post-processors.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{
    Artifact, Backend, Body, Builder, Cx, Diagnostic, Diagnostics, Error, Facts, Input, Kind, Machine, Options, Origin,
    Result, Schema, async_trait, options,
};
use bakehouse_kit::output::Output;
use sha2::{Digest, Sha256};

options! {
    /// Writes a file.
    pub struct FileOptions {
        /// Its content.
        content: Option<String>,
        /// A file to copy, instead of `content`.
        source: Option<PathBuf>,
        /// Where the artifact is written, over what may be there. Missing folders are made.
        target: PathBuf,
    }
}

pub struct FileBackend;

impl Backend for FileBackend {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn schema(&self) -> Schema {
        FileOptions::schema("file")
    }

    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
        let options = FileOptions::from_body(body, diagnostics)?;
        let before = diagnostics.errors();
        check(&options, diagnostics);
        let content = match options.source {
            Some(path) => Content::Copy(path),
            None => Content::Text(options.content.unwrap_or_default()),
        };
        let builder = FileBuilder { content: Arc::new(content), target: options.target };
        (diagnostics.errors() == before).then(|| Box::new(builder) as Box<dyn Builder>)
    }
}

fn check(options: &FileOptions, diagnostics: &mut Diagnostics) {
    match (&options.content, &options.source) {
        (Some(_), Some(_)) => {
            let both = Diagnostic::error("`content` and `source` exclude each other").at(options.spans.at("source"));
            diagnostics.push(both);
        }
        (None, None) => {
            let none = Diagnostic::warning("neither `content` nor `source` is set: the file will be empty");
            diagnostics.push(none.at(options.spans.at("")));
        }
        (None, Some(source)) if !source.is_file() => {
            let missing = Diagnostic::error(format!("`{}` is not a file", source.display()));
            diagnostics.push(missing.at(options.spans.at("source")));
        }
        _ => {}
    }
    if options.target.file_name().is_none() {
        diagnostics.push(Diagnostic::error("`target` must name a file").at(options.spans.at("target")));
    }
}

enum Content {
    Text(String),
    Copy(PathBuf),
}

struct FileBuilder {
    content: Arc<Content>,
    target: PathBuf,
}

#[async_trait]
impl Builder for FileBuilder {
    fn inputs(&self) -> Vec<Input> {
        let content = match &*self.content {
            Content::Text(text) => digest(&mut text.as_bytes()),
            Content::Copy(path) => File::open(path).and_then(|mut file| digest(&mut file)),
        };
        let content = content.unwrap_or_else(|error| format!("unreadable: {error}"));
        vec![Input::new("content", content), Input::new("option target", self.target.display().to_string())]
    }

    fn has_machine(&self) -> bool {
        false
    }

    async fn resolve(&self, _cx: &Cx) -> Result<Vec<Input>> {
        if self.target.is_dir() {
            return Err(Error::new(Kind::Config, format!("the target `{}` is a directory", self.target.display())));
        }
        Ok(Vec::new())
    }

    /// Written before the provisioners run, as in Packer: they may use it.
    async fn start(&self, cx: &Cx, _from: Origin) -> Result<Box<dyn Machine>> {
        let (work, content, target) = (cx.clone(), self.content.clone(), self.target.clone());
        let written = tokio::task::spawn_blocking(move || write(&work, &content, &target)).await;
        written.map_err(|error| Error::new(Kind::Internal, error))??;
        Ok(Box::new(FileMachine { target: self.target.clone() }))
    }
}

fn digest(from: &mut impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// What stands where other platforms have a running guest.
struct FileMachine {
    target: PathBuf,
}

#[async_trait]
impl Machine for FileMachine {
    fn facts(&self) -> Facts {
        Facts::new()
    }

    async fn capture(self: Box<Self>, _cx: &Cx) -> Result<Artifact> {
        let target = self.target;
        Ok(Artifact {
            builder_id: "packer.file".into(),
            id: "File".into(),
            text: format!("Stored file: {}", target.display()),
            files: vec![target],
            ..Artifact::default()
        })
    }
}

fn write(cx: &Cx, content: &Content, target: &Path) -> Result<()> {
    let mut output = Output::create(cx, target)?;
    let filled = match content {
        Content::Text(text) => output.write_all(text.as_bytes()),
        Content::Copy(source) => copy(cx, source, &mut output),
    };
    output.settle(filled)
}

fn copy(cx: &Cx, source: &Path, into: &mut Output) -> Result<()> {
    let failed = |error: io::Error| Error::io(format!("copying {}", source.display()), &error);
    let mut from = File::open(source).map_err(failed)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        if cx.cancel().is_cancelled() {
            return Err(Error::interrupted());
        }
        match from.read(&mut buffer).map_err(failed)? {
            0 => return Ok(()),
            read => into.write_all(&buffer[..read])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::body::Verbatim;
    use bakehouse_api::{Entry, Form, Node, Span, SpanTree, Value, testing};

    use super::*;

    fn body(entries: &[(&str, String)]) -> Body {
        let entry = |(name, value): &(&str, String)| Entry {
            name: name.to_string(),
            name_span: Span::default(),
            form: Form::Attribute,
            node: Node::new(Value::from(value.clone()), SpanTree::default()),
        };
        Body {
            kind: "file".into(),
            name: "a".into(),
            build: "file.a".into(),
            build_name: "a".into(),
            builder_type: "file".into(),
            root: ".".into(),
            span: Span::default(),
            entries: entries.iter().map(entry).collect(),
            engine: Arc::new(Verbatim),
            secrets: Default::default(),
        }
    }

    fn prepare(entries: &[(&str, String)]) -> (Option<Box<dyn Builder>>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let builder = FileBackend.prepare(&body(entries), &mut diagnostics);
        (builder, diagnostics.0.into_iter().map(|found| found.summary).collect())
    }

    async fn build(cx: &Cx, entries: &[(&str, String)]) -> Result<Artifact> {
        let builder = prepare(entries).0.expect("a valid template");
        builder.resolve(cx).await?;
        builder.start(cx, Origin::Scratch).await?.capture(cx).await
    }

    #[tokio::test]
    async fn content_and_source_become_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let artifact = build(&cx, &[("content", "hello\n".into()), ("target", at("out/a"))]).await.unwrap();
        assert_eq!((artifact.builder_id.as_str(), artifact.id.as_str()), ("packer.file", "File"));
        assert_eq!(artifact.text, format!("Stored file: {}", at("out/a")));
        build(&cx, &[("source", at("out/a")), ("target", at("out/b"))]).await.unwrap();
        assert_eq!(std::fs::read_to_string(at("out/b")).unwrap(), "hello\n");
        assert_eq!(std::fs::read_dir(at("out")).unwrap().count(), 2);
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn a_failure_leaves_the_target_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("out")).unwrap();
        std::fs::write(at("out/target"), "old").unwrap();
        std::fs::write(at("source"), "new").unwrap();
        let entries = [("source", at("source")), ("target", at("out/target"))];
        cx.cancel().cancel();
        assert_eq!(build(&cx, &entries).await.unwrap_err().kind(), Kind::Interrupted);
        assert_eq!(std::fs::read_to_string(at("out/target")).unwrap(), "old");
        assert_eq!(std::fs::read_dir(at("out")).unwrap().count(), 1);
        assert!(recorder.held().is_empty());
        let error = build(&cx, &[("content", "x".into()), ("target", at("out"))]).await.unwrap_err();
        assert!(error.to_string().ends_with("is a directory"), "{error}");
    }

    #[test]
    fn mistakes_are_found_offline() {
        let target = ("target", "x".to_owned());
        assert_eq!(prepare(&[("content", "a".into())]).1, ["file `a` needs the option `target`"]);
        let both = [target.clone(), ("content", "a".into()), ("source", "Cargo.toml".into())];
        assert_eq!(prepare(&both).1, ["`content` and `source` exclude each other"]);
        assert_eq!(prepare(&[target.clone(), ("source", "no-such".into())]).1, ["`no-such` is not a file"]);
        let (builder, found) = prepare(std::slice::from_ref(&target));
        assert!(builder.is_some());
        assert_eq!(found, ["neither `content` nor `source` is set: the file will be empty"]);
        assert_eq!(prepare(&[("content", "a".into()), ("target", "a/..".into())]).1, ["`target` must name a file"]);
    }

    #[test]
    fn the_key_follows_the_content() {
        let key = |text: &str| prepare(&[("content", text.into()), ("target", "x".into())]).0.unwrap().inputs();
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }
}
