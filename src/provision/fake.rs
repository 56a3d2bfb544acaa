//! A guest for tests: a real shell and real files below a temporary directory, and connections that
//! are lost on demand.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bakehouse_api::comm::OutputFn;
use bakehouse_api::{
    CommError, Command, Communicator, Connector, Cx, Exit, Facts, Guest, Result, Stream, Value, async_trait,
};

/// What goes wrong at the next chance.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// An upload finds the connection gone.
    LoseUpload,
    /// The command never starts.
    NotStarted,
    /// The command runs and the connection is lost before its end; the guest has another boot id then.
    LoseRun,
    /// The guest says that it is on its way down, then is gone, then has another boot id.
    Stopping,
}

#[derive(Default)]
pub struct State {
    pub trouble: Mutex<VecDeque<Trouble>>,
    pub connections: AtomicUsize,
    pub boots: AtomicUsize,
    pub commands: Mutex<Vec<String>>,
}

/// The root of the guest's files is `dir`: absolute paths are below it.
#[derive(Clone)]
pub struct Fake {
    pub dir: PathBuf,
    pub state: Arc<State>,
}

impl Fake {
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("tmp")).unwrap();
        Self { dir: dir.to_owned(), state: Arc::default() }
    }

    pub fn guest(&self) -> Guest {
        let facts = [("PackerHTTPAddr", "10.0.2.2:8001"), ("PackerHTTPIP", "10.0.2.2"), ("PackerHTTPPort", "8001")];
        let facts = facts.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Guest::new(Some(Arc::new(self.clone())), None, facts.into())
    }

    pub fn at(&self, path: &str) -> PathBuf {
        match path.strip_prefix(self.dir.to_str().unwrap()) {
            Some(_) => path.into(),
            None => self.dir.join(path.trim_start_matches('/')),
        }
    }

    /// `/tmp` of the guest, as the shell that really runs has to name it.
    pub fn tmp(&self) -> String {
        self.dir.join("tmp").to_str().unwrap().to_owned()
    }

    pub fn trouble(&self, trouble: &[Trouble]) {
        self.state.trouble.lock().unwrap().extend(trouble.iter().cloned());
    }

    pub fn leftovers(&self) -> usize {
        std::fs::read_dir(self.dir.join("tmp")).unwrap().count()
    }

    fn next(&self, wanted: &[Trouble]) -> Option<Trouble> {
        let mut trouble = self.state.trouble.lock().unwrap();
        if trouble.front().is_some_and(|next| wanted.contains(next)) { trouble.pop_front() } else { None }
    }

    fn boot(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.state.boots.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Connector for Fake {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    fn facts(&self) -> Facts {
        Facts::new()
    }

    async fn connect(&self, _cx: &Cx) -> Result<Arc<dyn Communicator>> {
        self.state.connections.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(self.clone()))
    }
}

fn lost() -> CommError {
    CommError::Lost("connection reset".into())
}

fn remote(path: &str, error: std::io::Error) -> CommError {
    CommError::Remote { path: path.into(), reason: error.to_string() }
}

#[async_trait]
impl Communicator for Fake {
    fn kind(&self) -> &'static str {
        "ssh"
    }

    async fn run(&self, _cx: &Cx, command: &Command, output: &mut OutputFn<'_>) -> Result<Exit, CommError> {
        if command.line.contains("boot_id") {
            let stopping = self.next(&[Trouble::Stopping]).is_some();
            output(
                Stream::Stdout,
                format!("{}\n{}\n", self.boot(), if stopping { "stopping" } else { "running" }).as_bytes(),
            );
            if stopping {
                self.state.boots.fetch_add(1, Ordering::SeqCst);
            }
            return Ok(Exit { code: Some(0), signal: None });
        }
        self.state.commands.lock().unwrap().push(command.line.clone());
        if self.next(&[Trouble::NotStarted]).is_some() {
            return Err(CommError::NotStarted("connection reset".into()));
        }
        // Another process of the tests may be between fork and exec with our script open for
        // writing; a real guest has no such neighbours.
        let line = command.line.clone();
        let ran = tokio::process::Command::new("/bin/sh").arg("-c").arg(&line).current_dir(&self.dir).output().await;
        let ran = ran.map_err(|error| CommError::Other(error.to_string()))?;
        output(Stream::Stdout, &ran.stdout);
        output(Stream::Stderr, &ran.stderr);
        if !line.starts_with("rm ") && self.next(&[Trouble::LoseRun]).is_some() {
            self.state.boots.fetch_add(1, Ordering::SeqCst);
            return Err(lost());
        }
        Ok(Exit { code: ran.status.code(), signal: ran.status.code().is_none().then(|| "TERM".into()) })
    }

    async fn upload_bytes(&self, cx: &Cx, bytes: &[u8], to: &str, mode: Option<u32>) -> Result<(), CommError> {
        if self.next(&[Trouble::LoseUpload]).is_some() {
            return Err(lost());
        }
        let path = self.at(to);
        if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
            return Err(CommError::Remote { path: to.into(), reason: "Failure".into() });
        }
        // A shell writes it, so that this process never has a script open for writing.
        let mode = mode.map_or(String::new(), |mode| format!(" && chmod {mode:o} \"$0\""));
        bakehouse_kit::process::Program::new("/bin/sh")
            .args(["-c", &format!("cat > \"$0\"{mode}")])
            .arg(path)
            .stdin(bytes)
            .check(cx)
            .await
            .map_err(|error| CommError::Other(error.to_string()))?;
        Ok(())
    }

    async fn upload_file(&self, _cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        if self.next(&[Trouble::LoseUpload]).is_some() {
            return Err(lost());
        }
        std::fs::copy(from, self.at(to)).map_err(|error| remote(to, error))?;
        Ok(())
    }

    async fn upload_dir(&self, _cx: &Cx, from: &Path, to: &str) -> Result<(), CommError> {
        copy_tree(from, &self.at(to)).map_err(|error| remote(to, error))
    }

    async fn download_file(&self, _cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        std::fs::copy(self.at(from), to).map_err(|error| remote(from, error))?;
        Ok(())
    }

    async fn download_dir(&self, _cx: &Cx, from: &str, to: &Path) -> Result<(), CommError> {
        copy_tree(&self.at(from), to).map_err(|error| remote(from, error))
    }

    async fn close(&self) {}
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
