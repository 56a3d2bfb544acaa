//! A VirtualBox of its own for each test: configuration, machines, and the socket of its service.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bakehouse_api::body::Interpolate;
use bakehouse_api::keyboard::BootStep;
use bakehouse_api::testing::{self, Recorder};
use bakehouse_api::{
    Artifact, Backend, Body, Builder, Cx, Diagnostics, Entry, Form, Machine, Node, Origin, Result, Span, SpanTree,
    Undoer, Value,
};
use bakehouse_virtualbox::{VirtualBoxIso, VirtualBoxOvf, VirtualBoxVm};

/// The recipe's own word for "cannot be had".
const UNAVAILABLE: i32 = 75;

/// None, and one line about it, where VirtualBox cannot be had.
fn vboxmanage() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("BAKEHOUSE_VIRTUALBOX") {
        return (!path.is_empty()).then(|| path.into());
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/virtualbox/root.sh");
    let made = Command::new("bash").arg(&recipe).output().expect("runs the recipe of VirtualBox");
    let said = String::from_utf8_lossy(&made.stderr);
    if made.status.code() == Some(UNAVAILABLE) {
        eprintln!("{}", said.lines().last().unwrap_or_default());
        return None;
    }
    assert!(made.status.success(), "{}: {said}", recipe.display());
    Some(PathBuf::from(String::from_utf8(made.stdout).unwrap().lines().last().unwrap()))
}

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub cx: Cx,
    pub recorder: Arc<Recorder>,
    socket: String,
}

impl Bench {
    pub fn new() -> Option<Self> {
        let real = vboxmanage()?;
        let dir = tempfile::Builder::new().prefix("bhvbox").tempdir().unwrap();
        let socket = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let script = format!(
            "#!/bin/sh\nexport VBOX_USER_HOME='{0}/home' VBOX_IPC_SOCKETID={socket}\nexec '{1}' \"$@\"\n",
            dir.path().display(),
            real.display(),
        );
        let wrapper = dir.path().join("VBoxManage");
        std::fs::write(&wrapper, script).unwrap();
        executable(&wrapper);
        let undoers: Vec<Arc<dyn Undoer>> =
            bakehouse_kit::undo::undoers().into_iter().chain(VirtualBoxIso.undoers()).collect();
        let (cx, recorder) = testing::cx(dir.path(), undoers);
        let bench = Self { dir, cx, recorder, socket };
        bench.vbox(&["setproperty", "machinefolder", bench.path("machines").to_str().unwrap()]);
        bench.vbox(&["setextradata", "global", "VBoxInternal/HM/FallbackToIEM", "1"]);
        Some(bench)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn wrapper(&self) -> String {
        self.path("VBoxManage").to_str().unwrap().to_owned()
    }

    pub fn output(&self) -> PathBuf {
        self.path("output")
    }

    /// What VBoxManage wrote to its standard output.
    pub fn vbox(&self, args: &[&str]) -> String {
        let out = Command::new(self.wrapper()).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub fn info(&self, machine: &str, key: &str) -> String {
        let told = self.vbox(&["showvminfo", machine, "--machinereadable"]);
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("no {key} in {told}")).trim_matches('"').to_owned()
    }

    /// A file of this VirtualBox's machines.
    pub fn machines(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.path("machines")).into_iter().flatten().flatten();
        found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// No machine, no medium, no folder, no half-written output.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        for what in ["vms", "hdds", "dvds", "floppies"] {
            assert_eq!(self.vbox(&["list", what]).trim(), "", "{what}");
        }
        assert_eq!(self.machines(), [] as [String; 0]);
        let partial = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        let partial: Vec<_> =
            partial.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("partial")).collect();
        assert_eq!(partial, [""; 0]);
    }

    /// A source with these options; the output goes below the bench's folder.
    pub fn builder(&self, kind: &str, options: &[(&str, Value)]) -> Box<dyn Builder> {
        let usual = [
            ("vboxmanage_binary", Value::from(self.wrapper())),
            ("output_directory", self.output().to_str().unwrap().into()),
            ("headless", true.into()),
            ("guest_additions_mode", "disable".into()),
        ];
        let given = |name: &str| options.iter().any(|(given, _)| *given == name);
        let usual = usual.iter().filter(|(name, _)| !given(name));
        let backends: [&dyn Backend; 3] = [&VirtualBoxIso, &VirtualBoxOvf, &VirtualBoxVm];
        let backend = backends.into_iter().find(|backend| backend.kind() == kind).unwrap();
        let mut found = Diagnostics::default();
        let builder = backend.prepare(&body(kind, self.dir.path(), usual.chain(options)), &mut found);
        builder.unwrap_or_else(|| panic!("{found:?}"))
    }

    pub async fn start(&self, kind: &str, options: &[(&str, Value)]) -> Box<dyn Machine> {
        self.done(self.builder(kind, options).start(&self.cx, Origin::Scratch).await)
    }

    /// Why the source cannot be started; nothing of it is left.
    pub async fn refused(&self, kind: &str, options: &[(&str, Value)]) -> bakehouse_api::Error {
        let error = self.builder(kind, options).start(&self.cx, Origin::Scratch).await.err().expect("is refused");
        self.recorder.drain().await.unwrap();
        error
    }

    /// The result, or a panic that shows what was said until then.
    #[track_caller]
    pub fn done<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", error.hints(), self.recorder.lines().join("\n")))
    }

    pub async fn capture(&self, machine: Box<dyn Machine>) -> Artifact {
        self.done(machine.capture(&self.cx).await)
    }

    /// Presses a key until the boot sector answers: a BIOS takes a moment until it reads any.
    pub async fn echoes(&self, machine: &str) {
        for _ in 0..200 {
            self.vbox(&["controlvm", machine, "keyboardputscancode", "34", "b4"]);
            tokio::time::sleep(Duration::from_millis(300)).await;
            if std::fs::metadata(self.cx.temp().join("serial.log")).is_ok_and(|meta| meta.len() > 0) {
                return;
            }
        }
        panic!("the boot sector does not answer");
    }

    /// The processes of this VirtualBox of that name.
    pub fn processes(&self, name: &str) -> Vec<String> {
        let mark = format!("VBOX_IPC_SOCKETID={}", self.socket);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = entries.filter(|entry| {
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            String::from_utf8_lossy(&read("comm")).trim() == name && environment.split('\0').any(|one| one == mark)
        });
        ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    pub fn kill(&self, name: &str) {
        for pid in self.processes(name) {
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
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
        // The service would stay for some seconds and write into a folder that is gone.
        for name in ["VBoxHeadless", "VBoxSVC", "VBoxXPCOMIPCD"] {
            self.kill(name);
        }
        let _ = std::fs::remove_dir_all(format!("/tmp/.vbox-{}-ipc", self.socket));
        assert!(std::thread::panicking() || matches!(drained, Ok(Ok(()))), "{drained:?}");
    }
}

pub fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Types as the engine does.
pub async fn type_all(bench: &Bench, machine: &mut dyn Machine) {
    let mut typing = bench.done(machine.typing(&bench.cx).await).expect("there is something to type");
    let waits = |step: &BootStep| matches!(step, BootStep::Wait(_));
    for steps in typing.steps.chunk_by(|step, next| !waits(step) && !waits(next)) {
        match steps {
            [BootStep::Wait(time)] => tokio::time::sleep(*time).await,
            keys => bench.done(typing.keyboard.send_all(&bench.cx, keys, typing.interval).await),
        }
    }
}

/// Reads the machine's serial line until it has said so much.
pub async fn serial(bench: &Bench, wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let said = std::fs::read(bench.cx.temp().join("serial.log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        if wanted(&said) || began.elapsed() > Duration::from_secs(90) {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub fn list(items: &[&str]) -> Value {
    Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
}

pub fn lines(items: &[&[&str]]) -> Value {
    Value::tuple(items.iter().map(|item| list(item)).collect())
}

fn body<'a>(kind: &str, root: &Path, options: impl Iterator<Item = &'a (&'a str, Value)>) -> Body {
    let entry = |(name, value): &(&str, Value)| Entry {
        name: (*name).to_owned(),
        name_span: Span::default(),
        form: Form::Attribute,
        node: Node::new(value.clone(), SpanTree::default()),
    };
    Body {
        kind: kind.into(),
        name: "test".into(),
        build: format!("{kind}.test"),
        build_name: "test".into(),
        builder_type: kind.into(),
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
