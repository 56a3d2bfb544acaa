//! A real sshd on a free port of loopback, with its own keys and configuration.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bakehouse_api as api;
use bakehouse_api::body::Verbatim;
use bakehouse_api::testing::Recorder;
use bakehouse_api::{
    Body, Communicator, Connector, Cx, Diagnostics, Entry, Exit, Form, Node, Options, Settings, SpanTree, Stream, Value,
};
use bakehouse_kit::communicator::CommOptions;
use bakehouse_kit::ssh::{GeneratedKey, KeyKind, SshConnector, SshOptions, Target};
use tempfile::TempDir;

pub struct Sshd {
    child: Option<Child>,
    pub dir: TempDir,
    pub port: u16,
    /// The key that may log in.
    pub login: GeneratedKey,
    /// The host's public key.
    pub host_key: String,
    settings: String,
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("has an address").port()
}

pub fn new_key() -> GeneratedKey {
    GeneratedKey::new(KeyKind::Ed25519, None, "test").expect("makes a key")
}

pub fn write_key(path: &Path, key: &GeneratedKey) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, key.private_openssh.reveal()).expect("writes");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("changes the mode");
    std::fs::write(path.with_extension("pub"), &key.public_openssh).expect("writes");
}

const SFTP: &str = "Subsystem sftp internal-sftp\n";

impl Sshd {
    pub fn start() -> Self {
        Self::with(SFTP)
    }

    /// `settings` go into its configuration; `{dir}` stands for its directory.
    pub fn with(settings: &str) -> Self {
        let login = new_key();
        let mut sshd = Self {
            child: None,
            dir: tempfile::tempdir().expect("makes a directory"),
            port: free_port(),
            login,
            host_key: String::new(),
            settings: settings.to_owned(),
        };
        std::fs::write(sshd.dir.path().join("authorized_keys"), &sshd.login.public_openssh).expect("writes");
        sshd.new_host_key();
        sshd.run();
        sshd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn new_host_key(&mut self) {
        let key = new_key();
        write_key(&self.path("host_key"), &key);
        self.host_key = key.public_openssh;
    }

    pub fn run(&mut self) {
        // sshd wants its privilege separation directory, which the service's start makes otherwise.
        std::fs::create_dir_all("/run/sshd").expect("makes /run/sshd (sshd needs root)");
        let dir = self.dir.path().display();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 100\nMaxSessions 100\nPrintMotd no\n{}",
            self.port,
            self.settings.replace("{dir}", &dir.to_string())
        );
        std::fs::write(self.path("config"), config).expect("writes");
        let log = std::fs::File::create(self.path("log")).expect("creates");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("/usr/sbin/sshd starts: install openssh-server");
        self.child = Some(child);
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kills");
            child.wait().expect("waits");
        }
    }

    pub fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: self.port,
            generated_key: Some(self.login.clone()),
            known_host_keys: vec![self.host_key.clone()],
        }
    }

    /// A connector with the options written in the test.
    pub fn connector(&self, options: &[(&str, Value)]) -> SshConnector {
        SshConnector::new(ssh_options(options), self.target())
    }

    pub async fn connect(&self, cx: &Cx, options: &[(&str, Value)]) -> Arc<dyn Communicator> {
        match self.connector(options).connect(cx).await {
            Ok(comm) => comm,
            Err(error) => panic!("{error}\n{}", std::fs::read_to_string(self.path("log")).unwrap_or_default()),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn body(options: &[(&str, Value)]) -> Body {
    let entry = |(name, value): &(&str, Value)| Entry {
        name: (*name).to_owned(),
        name_span: Default::default(),
        form: Form::Attribute,
        node: Node::new(value.clone(), SpanTree::default()),
    };
    Body {
        kind: "null".into(),
        name: "test".into(),
        build: "null.test".into(),
        build_name: "test".into(),
        builder_type: "null".into(),
        root: ".".into(),
        span: Default::default(),
        entries: options.iter().map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    }
}

pub fn ssh_options(options: &[(&str, Value)]) -> SshOptions {
    let mut all = vec![("ssh_timeout", Value::from("20s"))];
    all.retain(|(name, _)| options.iter().all(|(given, _)| given != name));
    all.extend(options.iter().cloned());
    if options.iter().all(|(name, _)| *name != "ssh_username") {
        all.push(("ssh_username", Value::from("root")));
    }
    let mut diagnostics = Diagnostics::default();
    let decoded = SshOptions::from_body(&body(&all), &mut diagnostics);
    let decoded = decoded.unwrap_or_else(|| panic!("{diagnostics:?}"));
    decoded.check(&mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    decoded
}

/// What validation says about these options.
pub fn findings(options: &[(&str, Value)]) -> Vec<String> {
    let mut diagnostics = Diagnostics::default();
    if let Some(decoded) = CommOptions::from_body(&body(options), &mut diagnostics) {
        decoded.check(&mut diagnostics);
    }
    diagnostics.0.into_iter().map(|diagnostic| diagnostic.summary).collect()
}

/// A context whose environment holds `env`.
pub fn cx(dir: &Path, env: &[(&str, &str)]) -> (Cx, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings { cwd: dir.to_owned(), env, ..Settings::default() };
    let cx = Cx::new(
        "test",
        dir.to_owned(),
        Arc::new(settings),
        recorder.clone(),
        recorder.clone(),
        recorder.clone(),
        Default::default(),
        Default::default(),
    );
    (cx, recorder)
}

/// Runs a program of this machine to its end.
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An ssh-agent that ends with the test.
pub struct Agent(Child, pub String);

impl Agent {
    pub fn start(sshd: &Sshd) -> Self {
        let socket = sshd.path("agent").display().to_string();
        let child = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn();
        let agent = Self(child.expect("ssh-agent starts"), socket);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !Path::new(&agent.1).exists() {
            assert!(std::time::Instant::now() < deadline, "ssh-agent makes no socket");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        agent
    }

    pub fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.1).status();
        assert!(added.expect("ssh-add runs").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().expect("kills");
        self.0.wait().expect("waits");
    }
}

pub fn texts(items: &[&str]) -> Value {
    Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
}

pub fn path_value(path: &Path) -> Value {
    Value::from(path.to_str().expect("is text"))
}

pub fn code(code: i32) -> Exit {
    Exit { code: Some(code), signal: None }
}

pub async fn run(comm: &Arc<dyn Communicator>, cx: &Cx, command: &api::Command) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = comm
        .run(cx, command, &mut |stream, bytes| match stream {
            Stream::Stdout => out.extend_from_slice(bytes),
            Stream::Stderr => err.extend_from_slice(bytes),
        })
        .await
        .expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("is text");
    (exit, text(out), text(err))
}

pub async fn sh(comm: &Arc<dyn Communicator>, cx: &Cx, line: &str) -> (Exit, String, String) {
    run(comm, cx, &api::Command::new(line)).await
}
