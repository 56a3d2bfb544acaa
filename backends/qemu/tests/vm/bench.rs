//! A guest to drive the backend with, without the engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::body::Interpolate;
use bakehouse_api::testing::{self, Recorder};
use bakehouse_api::{
    Artifact, Backend, Body, Builder, Command, Communicator, Cx, Diagnostics, Entry, Form, Guest, Machine, Node,
    Origin, Result, Span, SpanTree, Value,
};
use bakehouse_qemu::Qemu;

/// The small Linux guest of the tests, made once and cached by its recipe.
pub fn tiny() -> PathBuf {
    if let Some(image) = std::env::var_os("BAKEHOUSE_TINY_GUEST") {
        return image.into();
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guest/tiny.sh");
    let made = std::process::Command::new("bash").arg(&recipe).output().expect("runs the recipe of the tiny guest");
    assert!(made.status.success(), "{}: {}", recipe.display(), String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().lines().last().unwrap())
}

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub cx: Cx,
    pub recorder: Arc<Recorder>,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        Self { dir, cx, recorder }
    }

    pub fn output(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    /// QEMU's command line.
    pub fn command(&self) -> String {
        std::fs::read_to_string(self.cx.temp().join("qemu-command.log")).unwrap()
    }

    /// What lies in the bench's folder.
    pub fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// A source with these options; the output goes below the bench's folder.
    pub fn builder(&self, options: &[(&str, Value)]) -> Box<dyn Builder> {
        let mut found = Diagnostics::default();
        let output = self.output();
        let usual = [("output_directory", Value::from(output.to_str().unwrap())), ("headless", true.into())];
        let builder = Qemu.prepare(&body(self.dir.path(), usual.iter().chain(options)), &mut found);
        builder.unwrap_or_else(|| panic!("{found:?}"))
    }

    /// Boots the image, with these options besides.
    pub async fn boot(&self, image: &Path, options: &[(&str, Value)]) -> Booted<'_> {
        let usual = [
            ("disk_image", true.into()),
            ("iso_url", Value::from(image.to_str().unwrap())),
            ("iso_checksum", "none".into()),
            ("ssh_username", "tiny".into()),
            ("ssh_timeout", "3m".into()),
        ];
        let given = |name: &str| options.iter().any(|(given, _)| *given == name);
        let usual = usual.into_iter().filter(|(name, _)| !given(name));
        let all: Vec<_> = usual.chain(options.iter().cloned()).collect();
        let builder = self.builder(&all);
        let machine = self.done(builder.start(&self.cx, Origin::Scratch).await);
        Booted { bench: self, machine }
    }

    /// The result, or a panic that shows what was said until then.
    pub fn done<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let serial = std::fs::read(self.cx.temp().join("serial.log")).unwrap_or_default();
            let serial = String::from_utf8_lossy(&serial);
            let last = serial.floor_char_boundary(serial.len().saturating_sub(3000));
            let (hints, said) = (error.hints(), self.recorder.lines().join("\n"));
            panic!("{error}\n{hints:?}\n{said}\nthe end of the serial log:\n{}", &serial[last..])
        })
    }
}

impl Drop for Bench {
    /// A test that panics must not leave its machine running.
    fn drop(&mut self) {
        let recorder = self.recorder.clone();
        let drain = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(recorder.drain())
        };
        let drained = std::thread::spawn(drain).join();
        assert!(std::thread::panicking() || matches!(drained, Ok(Ok(()))), "{drained:?}");
    }
}

pub struct Booted<'a> {
    bench: &'a Bench,
    pub machine: Box<dyn Machine>,
}

impl Booted<'_> {
    pub async fn guest(&mut self) -> Guest {
        let connector = self.bench.done(self.machine.connector(&self.bench.cx).await);
        let guest = Guest::new(connector, self.machine.wrap(), self.machine.facts());
        self.bench.done(guest.comm(&self.bench.cx).await);
        self.bench.done(self.machine.connected(&self.bench.cx, &guest).await);
        guest
    }

    pub async fn off(&mut self) {
        self.bench.done(self.machine.ask_off(&self.bench.cx).await);
        self.bench.done(self.machine.wait_off(&self.bench.cx, Duration::from_secs(90)).await);
    }

    pub async fn capture(self) -> Artifact {
        let artifact = self.bench.done(self.machine.capture(&self.bench.cx).await);
        let held = self.bench.recorder.held();
        assert!(held.iter().all(|undo| undo.kind != "process"), "{held:?}");
        artifact
    }

    /// For tests that need no artifact.
    pub async fn drop_all(mut self) {
        self.bench.done(self.machine.force_off(&self.bench.cx).await);
        self.bench.done(self.bench.recorder.drain().await);
    }
}

/// What the command wrote; a panic when it failed.
pub async fn run(cx: &Cx, guest: &Guest, line: &str) -> String {
    let comm: Arc<dyn Communicator> = guest.comm(cx).await.unwrap();
    let mut said = Vec::new();
    let exit = comm.run(cx, &Command::new(line), &mut |_, bytes| said.extend_from_slice(bytes)).await.unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(exit.success(), "`{line}`: {exit:?}: {said}");
    said
}

pub fn qemu_img_info(image: &Path) -> serde_json::Value {
    let out = std::process::Command::new("qemu-img").args(["info", "--output=json"]).arg(image).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

pub fn list(items: &[&str]) -> Value {
    Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
}

pub fn body<'a>(root: &Path, options: impl Iterator<Item = &'a (&'a str, Value)>) -> Body {
    let entry = |(name, value): &(&str, Value)| Entry {
        name: (*name).to_owned(),
        name_span: Span::default(),
        form: Form::Attribute,
        node: Node::new(value.clone(), SpanTree::default()),
    };
    Body {
        kind: "qemu".into(),
        name: "test".into(),
        build: "qemu.test".into(),
        build_name: "test".into(),
        builder_type: "qemu".into(),
        root: root.to_owned(),
        span: Span::default(),
        entries: options.map(entry).collect(),
        engine: Arc::new(Fields),
        secrets: Default::default(),
    }
}

/// Renders `{{ .Name }}` and nothing else of the template language.
struct Fields;

impl Interpolate for Fields {
    fn render(
        &self,
        text: &str,
        data: &std::collections::BTreeMap<String, String>,
    ) -> std::result::Result<String, String> {
        Ok(data.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{ .{name} }}}}"), value)))
    }
}
