//! `shell`: scripts in the guest.

use std::collections::BTreeMap;
use std::time::Duration;

use bakehouse_api::{
    Body, CommError, Command, Communicator, Cx, Diagnostic, Diagnostics, Error, Exit, Guest, Input, Kind, Options,
    Result, Template, async_trait, options,
};
use bakehouse_kit::process::quoted;
use tokio::time::Instant;

use super::reboot::{self, Steady};
use super::{Provisioner, Row};
use crate::script::env::VarFormat;
use crate::script::lines::{Lines, Tail};
use crate::script::{Script, ScriptOptions, known, packer_vars, random_name};

options! {
    /// Runs shell scripts in the guest.
    pub struct ShellOptions {
        /// The scripts are programs, not text: their line ends stay as they are.
        binary: bool = false,
        /// How a script is started. Fields: `.Path`, `.Vars`, `.EnvVarFile`. Default:
        /// `chmod +x {{.Path}}; {{.Vars}} {{.Path}}`, with `use_env_var_file`
        /// `chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}`.
        execute_command: Option<Template>,
        /// The script may end the connection, by a reboot for instance. The guest is awaited again
        /// before the script's files are removed; with `skip_clean`, before the next step.
        expect_disconnect: bool = false,
        /// Wait after the last script.
        pause_after: Duration = Duration::ZERO,
        /// Folder in the guest for the script and the file of variables. It must exist.
        remote_folder: String = "/tmp".into(),
        /// Name of the script in `remote_folder`. Default: `script_N.sh`, another N each time.
        remote_file: Option<String>,
        /// Where the script goes, instead of `remote_folder` and `remote_file`.
        remote_path: Option<String>,
        /// Leaves the script's files in the guest.
        skip_clean: bool = false,
        /// How long a guest may take to come back when it is found rebooting.
        start_retry_timeout: Duration = Duration::from_secs(300),
        /// Writes the variables to a file that is sourced, instead of on the command line.
        use_env_var_file: bool = false,
    }
    flatten { common: ScriptOptions }
}

pub const ROW: Row = Row { kind: "shell", schema: || ShellOptions::schema("shell"), prepare };

struct Shell {
    options: ShellOptions,
    format: VarFormat,
    execute: Template,
    build_name: String,
    builder_type: String,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Provisioner>> {
    let options = ShellOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    options.common.check(body, &[], diagnostics);
    let (start, format) = match options.use_env_var_file {
        true => ("chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}", "export %s='%s'\n"),
        false => ("chmod +x {{.Path}}; {{.Vars}} {{.Path}}", "%s='%s' "),
    };
    let format = options.common.format(format, diagnostics);
    let execute =
        options.execute_command.clone().unwrap_or_else(|| Template::new(start, body.span, body.engine.clone()));
    let trial = execute.render([("Path", "path"), ("Vars", ""), ("EnvVarFile", "path")]);
    if let Err(error) = trial
        && known(body, "execute_command")
    {
        diagnostics.push(Diagnostic::error(error.to_string()).at(options.spans.at("execute_command")));
    }
    if options.remote_path.is_some() && options.remote_file.is_some() {
        let both = Diagnostic::warning("`remote_file` has no effect beside `remote_path`")
            .at(options.spans.at("remote_file"))
            .hint("`remote_path` is the whole path; `remote_file` a name in `remote_folder`");
        diagnostics.push(both);
    }
    let (build_name, builder_type) = (body.build_name.clone(), body.builder_type.clone());
    (diagnostics.errors() == before)
        .then_some(())
        .and(format)
        .map(|format| Box::new(Shell { options, format, execute, build_name, builder_type }) as Box<dyn Provisioner>)
}

/// A script on its way into the guest.
struct Run {
    script: Script,
    content: Vec<u8>,
    path: String,
    /// Path and content of the file of variables.
    vars_file: Option<(String, String)>,
    command: Command,
    deadline: Instant,
}

impl Shell {
    fn plan(&self, script: Script, vars: &str) -> Result<Run> {
        let options = &self.options;
        let folder = options.remote_folder.trim_end_matches('/');
        let name = options.remote_file.clone().unwrap_or_else(|| format!("script_{}.sh", random_name()));
        let path = options.remote_path.clone().unwrap_or_else(|| format!("{folder}/{name}"));
        let vars_file =
            options.use_env_var_file.then(|| (format!("{folder}/varfile_{}", random_name()), vars.to_owned()));
        let vars_path = vars_file.as_ref().map_or("", |(path, _)| path);
        let line = self.execute.render([("Path", path.as_str()), ("Vars", vars), ("EnvVarFile", vars_path)])?;
        let content = if options.binary { script.read()? } else { unix_lines(script.read()?) };
        let deadline = Instant::now() + options.start_retry_timeout;
        Ok(Run { script, content, path, vars_file, command: Command::new(line), deadline })
    }

    async fn run_script(&self, cx: &Cx, guest: &Guest, run: &Run) -> Result<()> {
        cx.say(format!("Running {}", run.script.label()));
        let started = self.start(cx, guest, run).await?;
        let Started { steady, ended, tail } = started;
        let broken = match &ended {
            Ok(exit) => exit.code.is_none(),
            Err(error) => reboot::lost(error),
        };
        if broken && self.options.expect_disconnect {
            return self.after_disconnect(cx, guest, run, steady).await;
        }
        match ended {
            Ok(exit) => {
                let verdict = self.options.common.judge(&run.script, &exit, &tail);
                if verdict.is_err() {
                    // The failure is what matters; the guest is about to go or to be looked at.
                    let _ = self.clean(cx, &*steady.comm, run).await;
                    return verdict;
                }
                self.clean_up(cx, guest, run, steady).await
            }
            Err(error) if reboot::lost(&error) => {
                guest.close().await;
                let span = run_span(&self.options);
                Err(Error::new(Kind::Guest, format!("{error}{}", tail.paragraph()))
                    .context(format!("running {}", run.script.label()))
                    .hint("if the script reboots the guest or restarts its network, set `expect_disconnect = true`")
                    .at(span))
            }
            Err(error) => Err(Error::from(error).context(format!("running {}", run.script.label()))),
        }
    }

    /// Brings the script into the guest and runs it. What is lost before it started is done again.
    async fn start(&self, cx: &Cx, guest: &Guest, run: &Run) -> Result<Started> {
        loop {
            let steady = reboot::steady(cx, guest, run.deadline).await?;
            match self.upload(cx, &*steady.comm, run).await {
                Ok(()) => {}
                Err(error) if reboot::lost(&error) && Instant::now() < run.deadline => {
                    guest.close().await;
                    continue;
                }
                Err(error) => return Err(self.upload_failed(error, run)),
            }
            let mut lines = Lines::new(cx);
            let ended = steady.comm.run(cx, &run.command, &mut |stream, bytes| lines.feed(stream, bytes)).await;
            let tail = lines.finish();
            if matches!(ended, Err(CommError::NotStarted(_))) && Instant::now() < run.deadline {
                guest.close().await;
                continue;
            }
            return Ok(Started { steady, ended, tail });
        }
    }

    fn upload_failed(&self, error: CommError, run: &Run) -> Error {
        let error = Error::from(error).context(format!("uploading {} to {}", run.script.label(), run.path));
        error.hint("the folder must exist and the user must be allowed to write there; `remote_folder` chooses another")
    }

    async fn upload(&self, cx: &Cx, comm: &dyn Communicator, run: &Run) -> Result<(), CommError> {
        comm.upload_bytes(cx, &run.content, &run.path, Some(0o755)).await?;
        if let Some((path, vars)) = &run.vars_file {
            comm.upload_bytes(cx, vars.as_bytes(), path, Some(0o600)).await?;
        }
        Ok(())
    }

    /// The script ended the connection, as it was expected to.
    async fn after_disconnect(&self, cx: &Cx, guest: &Guest, run: &Run, steady: Steady) -> Result<()> {
        if self.options.skip_clean {
            guest.close().await;
            return Ok(());
        }
        cx.message("the script ended the connection, as expected; waiting for the guest");
        // Its own time, not what the script has left of it.
        let deadline = Instant::now() + self.options.start_retry_timeout;
        let back = reboot::come_back(cx, guest, steady.boot.as_deref(), deadline).await?;
        self.clean_up(cx, guest, run, back).await
    }

    /// Removes the script's files, from a guest that may just be rebooting.
    async fn clean_up(&self, cx: &Cx, guest: &Guest, run: &Run, steady: Steady) -> Result<()> {
        let deadline = Instant::now() + self.options.start_retry_timeout;
        let mut steady = steady;
        loop {
            match self.clean(cx, &*steady.comm, run).await {
                Ok(exit) if exit.success() => return Ok(()),
                Ok(_) => {
                    return Err(Error::new(Kind::Guest, format!("cannot remove {} from the guest", run.path))
                        .hint("it would stay in the image; `skip_clean = true` leaves it there"));
                }
                Err(error) if reboot::lost(&error) => {
                    steady = reboot::come_back(cx, guest, steady.boot.as_deref(), deadline).await?;
                }
                Err(error) => return Err(Error::from(error).context("removing the script from the guest")),
            }
        }
    }

    async fn clean(&self, cx: &Cx, comm: &dyn Communicator, run: &Run) -> Result<Exit, CommError> {
        if self.options.skip_clean {
            return Ok(Exit { code: Some(0), signal: None });
        }
        let files = std::iter::once(&run.path).chain(run.vars_file.as_ref().map(|(path, _)| path));
        let files: Vec<String> = files.map(|path| quoted(path)).collect();
        comm.run(cx, &Command::new(format!("rm -f {}", files.join(" "))), &mut |_, _| {}).await
    }
}

struct Started {
    steady: Steady,
    ended: Result<Exit, CommError>,
    tail: Tail,
}

fn run_span(options: &ShellOptions) -> bakehouse_api::Span {
    let source = ["script", "scripts", "inline"].into_iter().find(|name| options.spans.has(name));
    options.spans.at(source.unwrap_or_default())
}

/// A script that was edited on Windows: its interpreter would be looked for as "/bin/sh\r".
fn unix_lines(mut text: Vec<u8>) -> Vec<u8> {
    let mut last = 0;
    for at in 0..text.len() {
        let drop = text[at] == b'\r' && text.get(at + 1) == Some(&b'\n');
        if !drop {
            text[last] = text[at];
            last += 1;
        }
    }
    text.truncate(last);
    text
}

#[async_trait]
impl Provisioner for Shell {
    fn inputs(&self) -> Vec<Input> {
        let options = &self.options;
        let mut inputs = options.common.inputs();
        inputs.push(Input::new("option execute_command", self.execute.text.clone()));
        inputs.push(Input::new("option binary", options.binary.to_string()));
        inputs.push(Input::new("option use_env_var_file", options.use_env_var_file.to_string()));
        inputs.push(Input::new("option skip_clean", options.skip_clean.to_string()));
        inputs.push(Input::new("option expect_disconnect", options.expect_disconnect.to_string()));
        let path = options.remote_path.clone().or_else(|| options.remote_file.clone()).unwrap_or_default();
        inputs.push(Input::new("option remote_path", format!("{} {path}", options.remote_folder)));
        // Every script finds them among its variables.
        inputs.push(Input::shown("name of the build", self.build_name.clone()));
        inputs.push(Input::shown("type of the builder", self.builder_type.clone()));
        inputs
    }

    async fn run(&self, cx: &Cx, guest: &Guest) -> Result<()> {
        let ours: BTreeMap<_, _> = packer_vars(&self.build_name, &self.builder_type, Some(&guest.facts));
        let vars = self.format.render(&self.options.common.vars(ours));
        cx.interruptible(async {
            for script in self.options.common.list() {
                let run = self.plan(script, &vars)?;
                self.run_script(cx, guest, &run).await?;
            }
            if !self.options.pause_after.is_zero() {
                cx.message(format!("pausing for {:?}, as `pause_after` says", self.options.pause_after));
                tokio::time::sleep(self.options.pause_after).await;
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
