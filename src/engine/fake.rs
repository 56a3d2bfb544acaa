//! A platform for the engine's tests: every verb says its name, and fails or hangs when told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bakehouse_api::backend::Shutdown;
use bakehouse_api::body::Verbatim;
use bakehouse_api::keyboard::{BootStep, Key, Keyboard};
use bakehouse_api::{
    Artifact, Backend, Body, Builder, Checkpoint, CommError, Command, Communicator, Connector, Cx, Diagnostic,
    Diagnostics, Entry, Error, Exit, Facts, Form, Guest, Input, Kind, Machine, Node, Origin, Result, Schema, Span,
    SpanTree, Typing, Undo, Undoer, Value, async_trait,
};

use super::prepare::{PostStep, Prepared, Step};
use crate::template::plan::{self, Late};
use crate::{post, provision};

/// How the platform behaves.
#[derive(Clone)]
pub struct Fake {
    /// The verb that fails, and how often.
    pub fails: (&'static str, Arc<AtomicUsize>),
    pub hangs: &'static str,
    pub communicator: bool,
    pub has_machine: bool,
    pub types: bool,
    pub shutdown: Shutdown,
    pub shutdown_exit: Option<i32>,
    pub asks_off: bool,
    /// Starts a real process, as a hypervisor would be.
    pub process: bool,
    /// What its boot reads; none: it keeps no checkpoints.
    pub reads: Option<&'static str>,
    pub dir: PathBuf,
}

impl Fake {
    pub fn new(dir: &Path) -> Self {
        Self {
            fails: ("", Arc::default()),
            hangs: "",
            communicator: true,
            has_machine: true,
            types: true,
            shutdown: Shutdown { command: None, timeout: Duration::from_secs(300), by_itself: false },
            shutdown_exit: None,
            asks_off: true,
            process: false,
            reads: None,
            dir: dir.to_owned(),
        }
    }

    pub fn failing(mut self, verb: &'static str, times: usize) -> Self {
        self.fails = (verb, Arc::new(AtomicUsize::new(times)));
        self
    }

    async fn verb(&self, cx: &Cx, verb: &str) -> Result<()> {
        cx.message(verb);
        if self.hangs == verb {
            std::future::pending::<()>().await;
        }
        let left = &self.fails.1;
        let fail = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if self.fails.0 == verb && fail() {
            return Err(Error::new(Kind::Guest, format!("{verb} failed")));
        }
        Ok(())
    }

    pub fn build(&self, name: &str) -> Prepared {
        Prepared {
            name: name.into(),
            kind: "fake".into(),
            span: Span::default(),
            root: self.dir.clone(),
            cache_ttl: None,
            builder: Box::new(self.clone()),
            provisioners: Vec::new(),
            on_error: None,
            post: Vec::new(),
        }
    }
}

pub fn undo(what: &str) -> Undo {
    Undo { kind: "fake".into(), what: what.into(), data: serde_json::Value::Null }
}

pub struct Undoing;

#[async_trait]
impl Undoer for Undoing {
    fn kinds(&self) -> &'static [&'static str] {
        &["fake"]
    }

    async fn undo(&self, _undo: &Undo) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Builder for Fake {
    fn inputs(&self) -> Vec<Input> {
        self.reads.iter().map(|reads| Input::shown("base", *reads)).collect()
    }

    fn no_checkpoints(&self) -> Option<String> {
        self.reads.is_none().then(|| "it keeps none".into())
    }

    async fn keep(&self, _cx: &Cx, artifact: &Artifact, into: &Path) -> Result<bool> {
        for file in &artifact.files {
            std::fs::copy(file, into.join(file.file_name().unwrap())).unwrap();
        }
        Ok(true)
    }

    async fn recall(&self, cx: &Cx, from: &Path) -> Result<Artifact> {
        self.verb(cx, "recall").await?;
        std::fs::copy(from.join("disk"), self.dir.join("disk")).unwrap();
        Ok(Artifact { files: vec![self.dir.join("disk")], id: "disk".into(), ..Artifact::default() })
    }

    fn shutdown(&self) -> Option<Shutdown> {
        Some(self.shutdown.clone())
    }

    fn has_machine(&self) -> bool {
        self.has_machine
    }

    async fn resolve(&self, cx: &Cx) -> Result<Vec<Input>> {
        self.verb(cx, "resolve").await?;
        Ok(Vec::new())
    }

    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>> {
        cx.hold(undo("disk"))?;
        cx.hold(undo("machine"))?;
        if self.process {
            let running = bakehouse_kit::process::Program::new("sleep").arg("600").spawn(cx).await?;
            std::fs::write(self.dir.join("pid"), running.pid.to_string()).unwrap();
        }
        match from {
            Origin::Scratch => self.verb(cx, "start").await?,
            Origin::Checkpoint(dir) => {
                assert!(dir.join("memory").exists());
                self.verb(cx, "resume").await?;
            }
        }
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Machine for Fake {
    fn facts(&self) -> Facts {
        [("ID".to_owned(), Value::from("fake-1"))].into()
    }

    async fn typing(&mut self, cx: &Cx) -> Result<Option<Typing>> {
        self.verb(cx, "typing").await?;
        let steps = vec![BootStep::Wait(Duration::from_secs(3)), BootStep::Press(vec![Key("ret")])];
        let typing = Typing {
            keyboard: Box::new(self.clone()),
            steps,
            wait: Duration::from_secs(10),
            interval: Duration::from_millis(100),
        };
        Ok(self.types.then_some(typing))
    }

    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(if self.communicator { Some(Arc::new(self.clone())) } else { None })
    }

    async fn gone(&mut self, cx: &Cx) -> Error {
        if self.fails.0 == "gone" {
            cx.message("gone");
            return Error::new(Kind::Guest, "the machine ended");
        }
        std::future::pending().await
    }

    async fn checkpoint(&mut self, cx: &Cx) -> Result<Option<Checkpoint>> {
        self.verb(cx, "freeze").await?;
        let folder = bakehouse_kit::shelf::Folder::create(cx, None)?;
        std::fs::write(folder.dir.join("memory"), "frozen").unwrap();
        Ok(Some(folder.freeze().0))
    }

    async fn ask_off(&mut self, cx: &Cx) -> Result<bool> {
        self.verb(cx, "ask_off").await?;
        Ok(self.asks_off)
    }

    async fn wait_off(&mut self, cx: &Cx, deadline: Duration) -> Result<()> {
        cx.message("wait_off");
        match self.hangs {
            "wait_off" => {
                tokio::time::sleep(deadline).await;
                Err(Error::new(Kind::Timeout, "still on"))
            }
            _ => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(())
            }
        }
    }

    async fn force_off(&mut self, cx: &Cx) -> Result<()> {
        self.verb(cx, "force_off").await
    }

    async fn evidence(&mut self, cx: &Cx, into: &Path) -> Vec<PathBuf> {
        cx.message("evidence");
        let file = into.join("serial.log");
        std::fs::write(&file, "panic").unwrap();
        vec![file]
    }

    async fn capture(self: Box<Self>, cx: &Cx) -> Result<Artifact> {
        self.verb(cx, "capture").await?;
        Ok(artifact(&self.dir, "disk"))
    }
}

/// An artifact of one new file.
pub fn artifact(dir: &Path, name: &str) -> Artifact {
    let file = dir.join(name);
    std::fs::write(&file, name).unwrap();
    Artifact { builder_id: "fake".into(), id: name.into(), text: name.into(), files: vec![file], ..Artifact::default() }
}

#[async_trait]
impl Keyboard for Fake {
    async fn send(&mut self, cx: &Cx, _step: &BootStep, _interval: Duration) -> Result<()> {
        self.verb(cx, "key").await
    }
}

#[async_trait]
impl Connector for Fake {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    fn facts(&self) -> Facts {
        [("Host".to_owned(), Value::from("127.0.0.1"))].into()
    }

    async fn connect(&self, cx: &Cx) -> Result<Arc<dyn Communicator>> {
        if self.fails.0 == "gone" {
            std::future::pending::<()>().await;
        }
        self.verb(cx, "connect").await?;
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Communicator for Fake {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    async fn run(
        &self,
        cx: &Cx,
        command: &Command,
        _output: &mut bakehouse_api::comm::OutputFn<'_>,
    ) -> Result<Exit, CommError> {
        cx.message(format!("run {}", command.line));
        match self.shutdown_exit {
            None => Err(CommError::Lost("reset".into())),
            code => Ok(Exit { code, signal: None }),
        }
    }

    async fn upload_bytes(&self, _: &Cx, _: &[u8], _: &str, _: Option<u32>) -> Result<(), CommError> {
        Ok(())
    }

    async fn upload_file(&self, _: &Cx, _: &Path, _: &str) -> Result<(), CommError> {
        Ok(())
    }

    async fn upload_dir(&self, _: &Cx, _: &Path, _: &str) -> Result<(), CommError> {
        Ok(())
    }

    async fn download_file(&self, _: &Cx, _: &str, _: &Path) -> Result<(), CommError> {
        Ok(())
    }

    async fn download_dir(&self, _: &Cx, _: &str, _: &Path) -> Result<(), CommError> {
        Ok(())
    }

    async fn close(&self) {}
}

/// A body of `kind` with string options.
pub fn body(kind: &str, options: &[(&str, Value)]) -> Body {
    let entry = |(at, (name, value)): (usize, &(&str, Value))| {
        let span = Span { start: 100 * at as u32, end: 100 * at as u32 + 50, ..Span::default() };
        Entry {
            name: (*name).to_owned(),
            name_span: span,
            form: Form::Attribute,
            node: Node::new(value.clone(), SpanTree::leaf(span)),
        }
    };
    Body {
        kind: kind.into(),
        name: kind.into(),
        build: "fake.x".into(),
        build_name: "x".into(),
        builder_type: "fake".into(),
        root: ".".into(),
        span: Span::default(),
        entries: options.iter().enumerate().map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    }
}

fn option<'a>(body: &'a Body, name: &str) -> Option<&'a str> {
    body.entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.node.value.as_str())
}

/// Says `say`, fails `fails` times, hangs when `hang` is set.
struct Does {
    say: String,
    fails: AtomicUsize,
    hang: bool,
    /// A file that it reads.
    reads: Option<PathBuf>,
    /// It fails as long as that file says "wrong", and someone mends the file then.
    picky: bool,
    /// It writes that file itself.
    makes: bool,
}

#[async_trait]
impl provision::Provisioner for Does {
    fn inputs(&self) -> Vec<Input> {
        let file = self.reads.as_ref().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        [Some(Input::new("words", self.say.clone())), file.map(|text| Input::new("file", text))]
            .into_iter()
            .flatten()
            .collect()
    }

    async fn run(&self, cx: &Cx, _guest: &Guest) -> Result<()> {
        cx.message(&self.say);
        if self.hang {
            std::future::pending::<()>().await;
        }
        let fail = self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let wrong = match &self.reads {
            Some(path) if self.picky => std::fs::read_to_string(path).unwrap() == "wrong",
            Some(path) if self.makes => {
                std::fs::write(path, "new").unwrap();
                false
            }
            _ => false,
        };
        if let Some(path) = self.reads.as_ref().filter(|_| wrong) {
            std::fs::write(path, "right").unwrap();
        }
        if fail || wrong { Err(Error::new(Kind::Script, format!("{} failed", self.say))) } else { Ok(()) }
    }
}

fn schema() -> Schema {
    Schema { kind: "does".into(), doc: String::new(), fields: Vec::new() }
}

fn prepare_does(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn provision::Provisioner>> {
    for entry in body
        .entries
        .iter()
        .filter(|entry| !["say", "fails", "hang", "reads", "picky", "makes"].contains(&entry.name.as_str()))
    {
        diagnostics.push(Diagnostic::error(format!("no option `{}`", entry.name)).at(entry.name_span));
    }
    let count = option(body, "fails").and_then(|text| text.parse().ok()).unwrap_or(0);
    let does = Does {
        say: option(body, "say").unwrap_or("provision").to_owned(),
        fails: AtomicUsize::new(count),
        hang: option(body, "hang").is_some(),
        reads: option(body, "reads").map(PathBuf::from),
        picky: option(body, "picky").is_some(),
        makes: option(body, "makes").is_some(),
    };
    (!diagnostics.has_errors()).then(|| Box::new(does) as Box<dyn provision::Provisioner>)
}

pub static PROVISIONERS: [provision::Row; 1] = [provision::Row { kind: "does", schema, prepare: prepare_does }];

/// Makes an artifact named `makes`, or passes its input on.
struct Turns {
    makes: Option<String>,
    dir: PathBuf,
    fails: bool,
    keeps: bool,
    hang: bool,
}

#[async_trait]
impl post::PostProcessor for Turns {
    async fn run(&self, cx: &Cx, input: &Artifact) -> Result<post::Outcome> {
        cx.message(format!("post {} -> {}", input.id, self.makes.as_deref().unwrap_or("=")));
        if self.hang {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err(Error::new(Kind::Host, "post failed"));
        }
        let artifact = self.makes.as_ref().map(|name| artifact(&self.dir, name));
        Ok(post::Outcome { artifact, keep_by_default: self.keeps, must_keep: false })
    }
}

fn prepare_turns(body: &Body, _: &mut Diagnostics) -> Option<Box<dyn post::PostProcessor>> {
    Some(Box::new(Turns {
        makes: option(body, "makes").map(str::to_owned),
        dir: option(body, "dir").unwrap_or(".").into(),
        fails: option(body, "fails").is_some(),
        keeps: option(body, "keeps").is_some(),
        hang: option(body, "hang").is_some(),
    }))
}

pub static POST_PROCESSORS: [post::Row; 1] = [post::Row { kind: "turns", schema, prepare: prepare_turns }];

fn late(kind: &'static str, options: &[(&'static str, &str)]) -> Late {
    let options: Vec<(&str, Value)> = options.iter().map(|(name, value)| (*name, Value::from(*value))).collect();
    Late::new(move |_| Ok(body(kind, &options)))
}

pub fn step(options: &[(&'static str, &str)]) -> Step {
    let plan = plan::Step {
        kind: "does".into(),
        name: "does".into(),
        span: Span::default(),
        pause_before: Duration::ZERO,
        max_retries: 0,
        timeout: None,
        continue_on_error: false,
        cache: None,
        cache_ttl: None,
        config: late("does", options),
    };
    Step { plan, row: &PROVISIONERS[0] }
}

pub fn post_step(dir: &Path, options: &[(&'static str, &str)], keep: Option<bool>) -> PostStep {
    let dir = dir.to_string_lossy().into_owned();
    let all: Vec<(&'static str, &str)> = options.iter().copied().chain([("dir", dir.as_str())]).collect();
    let plan = plan::PostStep {
        kind: "turns".into(),
        name: "turns".into(),
        span: Span::default(),
        keep_input_artifact: keep,
        config: late("turns", &all),
    };
    PostStep { plan, row: &POST_PROCESSORS[0] }
}

/// Hands out [`Fake`] builders; an option `wrong` is an error.
pub struct Platform;

impl Backend for Platform {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn prepare(&self, body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Builder>> {
        if let Some(entry) = body.entries.iter().find(|entry| entry.name == "wrong") {
            diagnostics.push(Diagnostic::error("this is wrong").at(entry.name_span));
            return None;
        }
        Some(Box::new(Fake::new(Path::new("."))))
    }
}
