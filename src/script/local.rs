//! `shell-local`: scripts on this machine, as a provisioner and as a post-processor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bakehouse_api::{
    Body, Cx, Diagnostic, Diagnostics, Error, Facts, Input, Kind, Options, Result, Template, choices, options,
};
use bakehouse_kit::process::Program;

use super::env::VarFormat;
use super::lines::Lines;
use super::{Script, ScriptOptions, known, packer_vars};

choices! {
    /// Operating systems by the names Packer gives them.
    pub enum System {
        Linux = "linux",
        Darwin = "darwin",
        Windows = "windows",
        Freebsd = "freebsd",
        Netbsd = "netbsd",
        Openbsd = "openbsd",
        Dragonfly = "dragonfly",
        Solaris = "solaris",
        Illumos = "illumos",
        Android = "android",
        Aix = "aix",
        Plan9 = "plan9",
    }
}

options! {
    /// Runs scripts on the machine that bakes, not in the guest.
    pub struct LocalOptions {
        /// One command, as a shorter form of `inline`.
        command: Option<String>,
        /// The program and its arguments. Fields: `.Vars`, `.Script` (alias `.Command`). One
        /// string alone is given to `sh -c`. Default: `["/bin/sh", "-c", "{{.Vars}} {{.Script}}"]`.
        execute_command: Vec<Template>,
        /// Operating systems on which it runs; elsewhere it is passed over.
        only_on: Vec<System>,
        /// File name extension of the script that is made of `inline` or `command`.
        tempfile_extension: String = String::new(),
        /// Paths have this form already; of use on Windows only.
        use_linux_pathing: bool = false,
    }
    flatten { common: ScriptOptions }
}

pub struct Local {
    options: LocalOptions,
    format: VarFormat,
    execute: Vec<Template>,
    build_name: String,
    builder_type: String,
}

impl Local {
    pub fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Self> {
        let options = LocalOptions::from_body(body, diagnostics)?;
        let before = diagnostics.errors();
        options.common.check(body, &["command"], diagnostics);
        let format = options.common.format("%s='%s' ", diagnostics);
        let execute = execute(&options, body);
        if known(body, "execute_command") {
            for word in &execute {
                if let Err(error) = word.render(fields("", "script")) {
                    diagnostics.push(Diagnostic::error(error.to_string()).at(options.spans.at("execute_command")));
                }
            }
        }
        let (build_name, builder_type) = (body.build_name.clone(), body.builder_type.clone());
        (diagnostics.errors() == before).then_some(Self { format: format?, options, execute, build_name, builder_type })
    }

    pub fn inputs(&self) -> Vec<Input> {
        let words: Vec<&str> = self.execute.iter().map(|word| word.text.as_str()).collect();
        let mut inputs = self.options.common.inputs();
        if let Some(command) = &self.options.command {
            inputs.push(super::digest("option command", &Ok(command.clone().into_bytes())));
        }
        inputs.push(Input::new("option execute_command", words.join(" ")));
        inputs
    }

    /// `facts` are those of the running machine, where there is one.
    pub async fn run(&self, cx: &Cx, facts: Option<&Facts>) -> Result<()> {
        let only_on = &self.options.only_on;
        if !only_on.is_empty() && !only_on.iter().any(|system| system.as_str() == this_system()) {
            cx.message(format!("passed over: this is {}, and `only_on` does not name it", this_system()));
            return Ok(());
        }
        let vars = self.options.common.vars(packer_vars(&self.build_name, &self.builder_type, facts));
        for script in self.scripts() {
            self.run_script(cx, &script, &vars).await?;
        }
        Ok(())
    }

    fn scripts(&self) -> Vec<Script> {
        match &self.options.command {
            Some(command) => vec![self.options.common.inline(command)],
            None => self.options.common.list(),
        }
    }

    async fn run_script(&self, cx: &Cx, script: &Script, vars: &BTreeMap<String, String>) -> Result<()> {
        cx.say(format!("Running {} on this machine", script.label()));
        let path = match script {
            Script::File(path) => std::path::absolute(path)
                .map_err(|error| Error::io(format!("finding the script {}", path.display()), &error))?,
            Script::Inline(text) => write_script(cx, text, &self.options.tempfile_extension).await?,
        };
        let path = path.to_string_lossy();
        let vars = self.format.render(vars);
        let words: Vec<String> =
            self.execute.iter().map(|word| word.render(fields(&vars, &path))).collect::<Result<_>>()?;
        let Some((program, args)) = words.split_first() else {
            return Err(Error::new(Kind::Internal, "shell-local has no command to run"));
        };
        let mut lines = Lines::new(cx);
        let program = Program::new(program).args(args).env("PACKER_RUN_UUID", &cx.settings().run_uuid);
        let ended = program
            .lines(cx, &mut |stream, line| {
                lines.feed(stream, line.as_bytes());
                lines.feed(stream, b"\n");
            })
            .await;
        let tail = lines.finish();
        let exit = ended.map_err(|error| Error::from(error).context(format!("running {}", script.label())))?;
        self.options.common.judge(script, &exit, &tail)
    }
}

fn execute(options: &LocalOptions, body: &Body) -> Vec<Template> {
    let fixed = |text: &str| Template::new(text, options.spans.at("execute_command"), body.engine.clone());
    match options.execute_command.as_slice() {
        [] => vec![fixed("/bin/sh"), fixed("-c"), fixed("{{.Vars}} {{.Script}}")],
        [line] => vec![fixed("/bin/sh"), fixed("-c"), line.clone()],
        words => words.to_vec(),
    }
}

fn fields<'a>(vars: &'a str, script: &'a str) -> [(&'static str, &'a str); 3] {
    [("Vars", vars), ("Script", script), ("Command", script)]
}

/// By Packer's name for it.
fn this_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// A shell writes the file, not this process: a descriptor that is open for writing here leaks for
/// an instant into every program that another build starts, and the kernel refuses to execute a
/// file that anyone has open for writing.
async fn write_script(cx: &Cx, text: &str, extension: &str) -> Result<PathBuf> {
    let path = unique(cx.temp(), extension);
    Program::new("/bin/sh")
        .args(["-c", "umask 077 && cat > \"$0\" && chmod 700 \"$0\""])
        .arg(&path)
        .stdin(text)
        .check(cx)
        .await
        .map_err(|error| Error::from(error).context("writing the script to a temporary file"))?;
    Ok(path)
}

fn unique(dir: &Path, extension: &str) -> PathBuf {
    let dot = if extension.is_empty() || extension.starts_with('.') { "" } else { "." };
    dir.join(format!("packer-shell{}{dot}{extension}", super::random_name()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bakehouse_api::{Value, testing};
    use bakehouse_kit::undo;

    use super::super::testing::{body, findings, list, map};
    use super::*;

    async fn run(entries: &[(&str, Value)]) -> (Result<()>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let mut diagnostics = Diagnostics::default();
        let local = Local::prepare(&body("shell-local", entries), &mut diagnostics);
        let local = local.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
        let ended = local.run(&cx, None).await;
        (ended, recorder.lines())
    }

    #[tokio::test]
    async fn variables_reach_the_script_whole() {
        let value = "it's \"quoted\" $HOME `id` \\ end\nsecond line";
        let (ended, lines) = run(&[
            ("environment_vars", list(&["A=lost", "B=2=3"])),
            ("env", map(&[("A", value)])),
            ("inline", list(&["printf '%s|' \"$A\" $B $PACKER_BUILD_NAME $PACKER_BUILDER_TYPE"])),
        ])
        .await;
        ended.unwrap();
        assert_eq!(lines[1..].join("\n"), format!("{value}|2=3|debian|qemu|"));
    }

    #[tokio::test]
    async fn a_failure_shows_code_and_last_lines() {
        let (ended, _) = run(&[("inline", list(&["echo looking >&2", "false", "echo never"]))]).await;
        insta::assert_snapshot!(ended.unwrap_err(), @r"
        the inline script exited with code 1; its last lines were:
          looking
        ");
        let (ended, _) = run(&[("command", "exit 7".into()), ("valid_exit_codes", list(&["0", "7"]))]).await;
        ended.unwrap();
        let (ended, _) =
            run(&[("command", "true".into()), ("execute_command", list(&["sh", "-c", "kill -KILL $$"]))]).await;
        insta::assert_snapshot!(ended.unwrap_err(), @"the inline script was ended by SIGKILL; it wrote nothing");
    }

    #[tokio::test]
    async fn a_script_file_must_be_executable_as_with_packer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello.sh");
        std::fs::write(&path, "echo hello from $0\n").unwrap();
        let text = path.to_str().unwrap();
        let (ended, _) = run(&[("script", text.into())]).await;
        assert!(ended.unwrap_err().to_string().contains("exited with code 126"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (ended, lines) = run(&[("scripts", list(&[text, text]))]).await;
        ended.unwrap();
        assert_eq!(lines[1], format!("hello from {text}"));
        assert_eq!(lines.len(), 4);
    }

    #[tokio::test]
    async fn the_command_line_can_be_given() {
        let words = list(&["/bin/sh", "-c", "{{.Vars}} exec cat {{.Script}}"]);
        let (ended, lines) = run(&[
            ("command", "anything".into()),
            ("execute_command", words),
            ("inline_shebang", "/bin/anything".into()),
            ("tempfile_extension", "txt".into()),
        ])
        .await;
        ended.unwrap();
        assert_eq!(lines[1..], ["#!/bin/anything", "anything"]);
        let single = ("execute_command", list(&["echo {{.Vars}} | cut -c1-6; basename {{.Script}} | wc -l"]));
        let (ended, lines) = run(&[("command", "x".into()), single]).await;
        ended.unwrap();
        assert_eq!(lines[1..], ["PACKER", "1"]);
    }

    #[tokio::test]
    async fn other_systems_are_passed_over() {
        let (ended, lines) = run(&[("only_on", list(&["darwin", "windows"])), ("command", "exit 1".into())]).await;
        ended.unwrap();
        assert_eq!(lines, ["passed over: this is linux, and `only_on` does not name it"]);
    }

    #[tokio::test]
    async fn an_interrupt_ends_the_script() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), undo::undoers());
        let mut diagnostics = Diagnostics::default();
        let local = Local::prepare(&body("shell-local", &[("command", "sleep 60".into())]), &mut diagnostics).unwrap();
        let cancel = cx.cancel().clone();
        let began = std::time::Instant::now();
        let (ended, ()) = tokio::join!(local.run(&cx, None), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            cancel.cancel();
        });
        assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted);
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
        assert!(recorder.held().is_empty());
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let mut diagnostics = Diagnostics::default();
        let entries = [
            ("inline", list(&["true"])),
            ("script", "/no/such.sh".into()),
            ("environment_vars", list(&["ok=1", "oops"])),
            ("env_var_format", "%s ".into()),
            ("execute_command", list(&["sh", "{{.Vras}}"])),
        ];
        assert!(Local::prepare(&body("shell-local", &entries), &mut diagnostics).is_none());
        insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r#"
        `inline` and `script` exclude each other (keep one of `inline`, `script`, `scripts`, `command`)
        cannot read the script `/no/such.sh`: No such file or directory (os error 2) (paths are relative to the working directory; "${path.root}/..." is relative to the template)
        `oops` is not a variable (write "NAME=value")
        `env_var_format` must name the variable and its value, as in `%s='%s' `
        rendering `{{.Vras}}`: there is no field `.Vras`
        "#);
    }
}
