//! The one way to run a program of this machine: a process group of its own, an undo from the first
//! moment, a deadline, and the last lines of stderr in every error.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bakehouse_api::{Cx, Error, Exit, Kind, Stream, UndoId};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::undo;

/// How many lines of stderr an error shows.
const TAIL_LINES: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("`{program}` is not installed or not in PATH")]
    Missing { program: String },
    #[error("cannot start `{program}`: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("talking to `{program}`: {source}")]
    Io { program: String, source: std::io::Error },
    #[error("`{command}` {exit}{}", tail_text(tail))]
    Failed { command: String, exit: String, tail: String },
    #[error("`{program}` did not end within {limit:?}{}", tail_text(tail))]
    Deadline { program: String, limit: Duration, tail: String },
    #[error("{0}")]
    Undo(Error),
    #[error("interrupted")]
    Interrupted,
}

fn tail_text(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!("; it said:\n{tail}") }
}

impl From<ProcessError> for Error {
    fn from(error: ProcessError) -> Self {
        match &error {
            ProcessError::Missing { .. } => {
                Error::new(Kind::Missing, &error).hint("install it, or set PATH so that it is found")
            }
            ProcessError::Interrupted => Error::interrupted(),
            ProcessError::Deadline { .. } => Error::new(Kind::Timeout, &error),
            ProcessError::Undo(inner) => inner.clone(),
            _ => Error::new(Kind::Host, &error),
        }
    }
}

/// A program about to be run. Standard input is empty unless [`Program::stdin`] gives some.
#[derive(Clone, Debug)]
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    limit: Option<Duration>,
}

/// What a program left when it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    pub exit: Exit,
    pub stdout: Vec<u8>,
    /// The last lines of it.
    pub stderr: String,
}

impl Program {
    pub fn new(name: impl Into<OsString>) -> Self {
        Self { name: name.into(), args: Vec::new(), env: Vec::new(), dir: None, stdin: None, limit: None }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The program is killed and the call fails when it runs longer.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// As one would type it, for messages.
    pub fn shown(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.args);
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    fn label(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Runs it to its end; any exit status is a result.
    pub async fn run(self, cx: &Cx) -> Result<Finished, ProcessError> {
        let mut stdout = Vec::new();
        let mut running = self.spawn(cx).await?;
        let pipe = running.stdout.take();
        let read = async {
            if let Some(mut pipe) = pipe {
                tokio::io::copy(&mut pipe, &mut stdout).await?;
            }
            Ok(())
        };
        let exit = running.finish(cx, read).await?;
        let stderr = running.stderr_tail();
        Ok(Finished { exit, stdout, stderr })
    }

    /// Runs it to its end; a failure is an error with the last lines of its stderr.
    pub async fn check(self, cx: &Cx) -> Result<Finished, ProcessError> {
        let command = self.shown();
        let finished = self.run(cx).await?;
        if finished.exit.success() {
            return Ok(finished);
        }
        Err(ProcessError::Failed { command, exit: describe(&finished.exit), tail: finished.stderr })
    }

    /// Runs it to its end and hands over each line as it comes, without its line end.
    pub async fn lines(self, cx: &Cx, on_line: &mut (dyn FnMut(Stream, &str) + Send)) -> Result<Exit, ProcessError> {
        let mut running = self.start(cx, false).await?;
        let (stdout, stderr) = (running.stdout.take(), running.raw_stderr.take());
        let read = async {
            let mut out = stdout.map(LineReader::new);
            let mut err = stderr.map(LineReader::new);
            while out.is_some() || err.is_some() {
                tokio::select! {
                    line = next_line(&mut out), if out.is_some() => match line? {
                        Some(line) => on_line(Stream::Stdout, &line),
                        None => out = None,
                    },
                    line = next_line(&mut err), if err.is_some() => match line? {
                        Some(line) => on_line(Stream::Stderr, &line),
                        None => err = None,
                    },
                }
            }
            Ok(())
        };
        running.finish(cx, read).await
    }

    /// Runs it to its end outside of any build, as undos do: only `limit` ends it early.
    pub async fn run_alone(self, limit: Duration) -> Result<Finished, ProcessError> {
        let program = self.label();
        let mut command = Command::new(&self.name);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        let output = match tokio::time::timeout(limit, command.output()).await {
            Ok(output) => output.map_err(|source| start_error(&program, &self.name, source))?,
            Err(_) => return Err(ProcessError::Deadline { program, limit, tail: String::new() }),
        };
        let mut tail = Tail::default();
        String::from_utf8_lossy(&output.stderr).lines().for_each(|line| tail.push(line.to_owned()));
        Ok(Finished { exit: exit_of(output.status), stdout: output.stdout, stderr: tail.text() })
    }

    /// Starts it and leaves it running: a hypervisor, a TPM emulator. Its stderr is kept.
    pub async fn spawn(self, cx: &Cx) -> Result<Running, ProcessError> {
        self.start(cx, true).await
    }

    async fn start(self, cx: &Cx, keep_stderr: bool) -> Result<Running, ProcessError> {
        let program = self.label();
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0); // Ctrl-C at the terminal is ours to hand on
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command.spawn().map_err(|source| start_error(&program, &self.name, source))?;
        let pid = child.id().ok_or_else(|| ProcessError::Start {
            program: program.clone(),
            source: std::io::Error::other("it ended before its process id could be read"),
        })?;
        let held = cx.hold(undo::process(pid, &program));
        let undo = match held {
            Ok(id) => id,
            Err(error) => {
                let _ = child.kill().await; // the journal is gone; the process must not outlive it
                return Err(ProcessError::Undo(error));
            }
        };
        let tail = Arc::new(Mutex::new(Tail::default()));
        let stdin = child.stdin.take();
        let feed = match (stdin, self.stdin) {
            (Some(pipe), Some(bytes)) => Some(tokio::spawn(feed(pipe, bytes))),
            _ => None,
        };
        let stdout = child.stdout.take();
        let mut raw_stderr = child.stderr.take();
        let collect = raw_stderr.take_if(|_| keep_stderr).map(|pipe| tokio::spawn(collect(pipe, tail.clone())));
        Ok(Running { pid, program, child, stdout, raw_stderr, tail, collect, feed, undo, limit: self.limit })
    }
}

fn start_error(program: &str, name: &OsStr, source: std::io::Error) -> ProcessError {
    let program = program.to_owned();
    let absent = source.kind() == std::io::ErrorKind::NotFound && !Path::new(name).is_file();
    if absent { ProcessError::Missing { program } } else { ProcessError::Start { program, source } }
}

async fn feed(mut pipe: ChildStdin, bytes: Vec<u8>) {
    // A program that ends without reading all of its input is judged by its exit status.
    let _ = pipe.write_all(&bytes).await;
}

async fn collect(pipe: impl AsyncRead + Unpin, tail: Arc<Mutex<Tail>>) {
    let mut reader = LineReader::new(pipe);
    while let Ok(Some(line)) = reader.next().await {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// A program that runs.
pub struct Running {
    pub pid: u32,
    program: String,
    child: Child,
    pub stdout: Option<ChildStdout>,
    raw_stderr: Option<tokio::process::ChildStderr>,
    tail: Arc<Mutex<Tail>>,
    collect: Option<JoinHandle<()>>,
    feed: Option<JoinHandle<()>>,
    undo: UndoId,
    limit: Option<Duration>,
}

impl Running {
    /// The last lines of its stderr so far.
    pub fn stderr_tail(&self) -> String {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Its exit, when it has ended.
    pub fn ended(&mut self, cx: &Cx) -> Option<Exit> {
        let status = self.child.try_wait().ok().flatten()?;
        cx.forget(self.undo);
        Some(exit_of(status))
    }

    /// Waits for its end, however long it takes: give it a deadline from outside. Cancel-safe.
    pub async fn wait(&mut self, cx: &Cx) -> Result<Exit, ProcessError> {
        let status = self.child.wait().await.map_err(|source| self.io(source))?;
        cx.forget(self.undo);
        if let Some(collect) = self.collect.take() {
            // Grandchildren may hold the pipe open; what they write later is not ours.
            let _ = tokio::time::timeout(Duration::from_millis(500), collect).await;
        }
        Ok(exit_of(status))
    }

    /// Ends it now: SIGTERM to its group, SIGKILL when that does not help.
    pub async fn stop(&mut self, cx: &Cx) -> Result<(), ProcessError> {
        let reap = async { self.child.wait().await.map(|_| ()) };
        let (stopped, _) = tokio::join!(cx.release(self.undo), reap);
        stopped.map_err(ProcessError::Undo)
    }

    fn io(&self, source: std::io::Error) -> ProcessError {
        ProcessError::Io { program: self.program.clone(), source }
    }

    async fn finish(&mut self, cx: &Cx, read: impl Future<Output = std::io::Result<()>>) -> Result<Exit, ProcessError> {
        let limit = self.limit.unwrap_or(Duration::MAX);
        let cancel = cx.cancel().clone();
        let work = async {
            read.await.map_err(|source| ProcessError::Io { program: self.program.clone(), source })?;
            self.wait(cx).await
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ProcessError::Interrupted),
            done = tokio::time::timeout(limit, work) => done.unwrap_or(Err(ProcessError::Deadline {
                program: String::new(), limit, tail: String::new(),
            })),
        };
        match ended {
            Err(ProcessError::Deadline { limit, .. }) => {
                self.stop(cx).await?;
                Err(ProcessError::Deadline { program: self.program.clone(), limit, tail: self.stderr_tail() })
            }
            Err(error) => {
                self.stop(cx).await?;
                Err(error)
            }
            done => done,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process itself is ended by its undo; only our readers of its pipes go here.
        for task in [self.collect.take(), self.feed.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().and_then(|number| nix::sys::signal::Signal::try_from(number).ok());
    Exit { code: status.code(), signal: signal.map(|signal| signal.as_str().trim_start_matches("SIG").to_owned()) }
}

/// "exited with status 3", "was ended by SIGKILL".
pub fn describe(exit: &Exit) -> String {
    match (exit.code, &exit.signal) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by SIG{signal}"),
        (None, None) => "ended without a status".into(),
    }
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[derive(Debug, Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: String) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Lines of any encoding; `next` is cancel-safe because what was read stays in `partial`.
struct LineReader<R> {
    pipe: BufReader<R>,
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    fn new(pipe: R) -> Self {
        Self { pipe: BufReader::new(pipe), partial: Vec::new() }
    }

    async fn next(&mut self) -> std::io::Result<Option<String>> {
        let read = self.pipe.read_until(b'\n', &mut self.partial).await?;
        if read == 0 && self.partial.is_empty() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.partial);
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()))
    }
}

async fn next_line<R: AsyncRead + Unpin>(reader: &mut Option<LineReader<R>>) -> std::io::Result<Option<String>> {
    match reader {
        Some(reader) => reader.next().await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bakehouse_api::testing;

    use super::*;

    fn sh(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    #[tokio::test]
    async fn output_and_status_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let finished = sh("cat; echo oops >&2; exit 3").stdin(*b"hello").run(&cx).await.unwrap();
        assert_eq!((finished.exit.code, finished.stdout.as_slice()), (Some(3), b"hello".as_slice()));
        assert_eq!(finished.stderr, "oops");
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn a_failure_shows_the_command_and_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), undo::undoers());
        let error = sh("echo no such disk >&2; exit 2").check(&cx).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo no such disk >&2; exit 2'` exited with status 2; it said:\nno such disk"
        );
    }

    #[tokio::test]
    async fn a_missing_program_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), undo::undoers());
        let error = Error::from(Program::new("no-such-program").run(&cx).await.unwrap_err());
        assert_eq!(error.kind(), Kind::Missing);
    }

    #[tokio::test]
    async fn a_program_runs_without_a_build_too() {
        let limit = Duration::from_millis(300);
        let finished = sh("echo said; echo oops >&2; exit 3").run_alone(Duration::from_secs(30)).await.unwrap();
        assert_eq!((finished.exit.code, finished.stdout.as_slice()), (Some(3), b"said\n".as_slice()));
        assert_eq!(finished.stderr, "oops");
        let error = sh("sleep 60").run_alone(limit).await.unwrap_err();
        assert!(matches!(error, ProcessError::Deadline { .. }), "{error}");
    }

    #[tokio::test]
    async fn lines_arrive_from_both_streams() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), undo::undoers());
        let mut seen = Vec::new();
        let exit = sh("echo one; echo two >&2; printf three")
            .lines(&cx, &mut |stream, line| seen.push((stream == Stream::Stderr, line.to_owned())))
            .await
            .unwrap();
        seen.sort();
        assert!(exit.success());
        assert_eq!(seen, [(false, "one".into()), (false, "three".into()), (true, "two".into())]);
    }

    #[tokio::test]
    async fn the_deadline_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let began = Instant::now();
        let error = sh("sleep 60 & sleep 60").deadline(Duration::from_millis(200)).run(&cx).await.unwrap_err();
        assert!(matches!(error, ProcessError::Deadline { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn an_interrupt_ends_it_and_a_dropped_one_stays_in_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let dropped = sh("sleep 60").spawn(&cx).await.unwrap();
        let pid = dropped.pid;
        drop(dropped);
        assert_eq!(recorder.held().len(), 1);
        cx.cancel().cancel();
        let error = sh("sleep 60").run(&cx).await.unwrap_err();
        assert!(matches!(error, ProcessError::Interrupted), "{error}");
        recorder.drain().await.unwrap();
        assert!(!undo::alive(pid, None));
    }
}
