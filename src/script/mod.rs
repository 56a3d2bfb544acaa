//! What the shell family shares: where scripts come from, their environment, their exit codes, and
//! running them on this machine ([`local`], a provisioner and a post-processor alike).

pub mod env;
pub mod lines;
pub mod local;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bakehouse_api::decode::scalar_text;
use bakehouse_api::{Body, Diagnostic, Diagnostics, Error, Exit, Facts, Input, Kind, Result, Span, options};
use sha2::{Digest, Sha256};

use env::VarFormat;
use lines::Tail;

options! {
    /// What to run and with which environment.
    pub struct ScriptOptions {
        /// Commands, joined by line ends into one script. One of `inline`, `script`, `scripts` is required.
        inline: Vec<String>,
        /// A script file, relative to the working directory.
        script: Option<PathBuf>,
        /// Script files, run in this order.
        scripts: Vec<PathBuf>,
        /// Variables for the scripts, each `NAME=value`.
        environment_vars: Vec<String>,
        /// Variables for the scripts as a map; they win over `environment_vars`.
        env: BTreeMap<String, String>,
        /// How a variable is written: `%s` stands for its name, then for its value.
        env_var_format: Option<String>,
        /// Exit codes of the scripts that are no failure.
        valid_exit_codes: Vec<i32> = vec![0],
        /// The interpreter line of an `inline` script, without `#!`.
        inline_shebang: String = "/bin/sh -e".into(),
    }
}

/// One thing to run.
#[derive(Clone, Debug)]
pub enum Script {
    Inline(String),
    File(PathBuf),
}

impl Script {
    /// As messages name it.
    pub fn label(&self) -> String {
        match self {
            Script::Inline(_) => "the inline script".into(),
            Script::File(path) => path.display().to_string(),
        }
    }

    /// As the reason of a miss names it.
    fn name(&self) -> String {
        match self {
            Script::Inline(_) => "the inline script".into(),
            Script::File(path) => format!("script {}", path.display()),
        }
    }

    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Script::Inline(text) => Ok(text.clone().into_bytes()),
            Script::File(path) => {
                std::fs::read(path).map_err(|error| Error::io(format!("reading the script {}", path.display()), &error))
            }
        }
    }
}

impl ScriptOptions {
    /// Everything that can be known before anything runs. `also` are further options that give a
    /// script, like shell-local's `command`.
    pub fn check(&self, body: &Body, also: &[&str], diagnostics: &mut Diagnostics) {
        let sources: Vec<&str> = ["inline", "script", "scripts"].into_iter().chain(also.iter().copied()).collect();
        exactly_one(body, &sources, diagnostics);
        if known(body, "inline") && given(body, "inline") && self.inline.is_empty() {
            diagnostics.push(Diagnostic::error("`inline` has no commands").at(self.spans.at("inline")));
        }
        for (name, paths) in [("script", self.script.as_slice()), ("scripts", &self.scripts)] {
            if known(body, name) {
                for path in paths {
                    check_file(path, self.spans.at(name), diagnostics);
                }
            }
        }
        if known(body, "environment_vars") {
            for pair in self.environment_vars.iter().filter(|pair| split(pair).is_none()) {
                let wrong = Diagnostic::error(format!("`{}` is not a variable", shown(pair)))
                    .at(self.spans.at("environment_vars"))
                    .hint("write \"NAME=value\"");
                diagnostics.push(wrong);
            }
        }
    }

    /// What to run, in order.
    pub fn list(&self) -> Vec<Script> {
        if !self.inline.is_empty() {
            return vec![self.inline(&self.inline.join("\n"))];
        }
        self.script.iter().chain(&self.scripts).cloned().map(Script::File).collect()
    }

    /// `commands` below the interpreter line.
    pub fn inline(&self, commands: &str) -> Script {
        Script::Inline(format!("#!{}\n{commands}\n", self.inline_shebang))
    }

    /// The parsed `env_var_format`, or `default`, which is one.
    pub fn format(&self, default: &str, diagnostics: &mut Diagnostics) -> Option<VarFormat> {
        match VarFormat::parse(self.env_var_format.as_deref().unwrap_or(default)) {
            Ok(format) => Some(format),
            Err(error) => {
                diagnostics.push(Diagnostic::error(error.to_string()).at(self.spans.at("env_var_format")));
                None
            }
        }
    }

    /// The variables of a run: ours, then `environment_vars`, then `env`; later ones win.
    pub fn vars(&self, ours: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut vars = ours;
        vars.extend(self.environment_vars.iter().filter_map(|pair| split(pair)));
        vars.extend(self.env.clone());
        vars
    }

    /// What a key hashes: contents, variables, exit codes. A script that cannot be read now is
    /// reported when it runs.
    pub fn inputs(&self) -> Vec<Input> {
        let mut inputs: Vec<Input> = self.list().iter().map(|script| digest(&script.name(), &script.read())).collect();
        let vars = self.vars(BTreeMap::new());
        inputs.extend(
            vars.iter().map(|(name, value)| digest(&format!("variable {name}"), &Ok(value.clone().into_bytes()))),
        );
        inputs.push(Input::new("option env_var_format", self.env_var_format.clone().unwrap_or_default()));
        inputs.push(Input::new("option valid_exit_codes", format!("{:?}", self.valid_exit_codes)));
        inputs
    }

    /// The verdict on a script that ended.
    pub fn judge(&self, script: &Script, exit: &Exit, tail: &Tail) -> Result<()> {
        if exit.code.is_some_and(|code| self.valid_exit_codes.contains(&code)) {
            return Ok(());
        }
        let name = script.label();
        let error = Error::new(Kind::Script, format!("{name} {}{}", ended(exit), tail.paragraph()));
        let error = match exit.code {
            Some(126) => error.hint("126 means that it was found but may not be executed: is its folder mounted `noexec`, or its interpreter missing?"),
            Some(127) => error.hint("127 means that a command was not found: check the interpreter line and PATH"),
            _ => error,
        };
        let option = ["script", "scripts", "inline", "command"].into_iter().find(|name| self.spans.has(name));
        Err(error.at(self.spans.at(option.unwrap_or_default())))
    }
}

/// "exited with code 3", "was ended by SIGKILL".
fn ended(exit: &Exit) -> String {
    match (exit.code, &exit.signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by SIG{signal}"),
        (None, None) => "ended without an exit code".into(),
    }
}

/// `PACKER_BUILD_NAME` and its friends. `facts` are those of the machine, where there is one.
pub fn packer_vars(body_build: &str, builder_type: &str, facts: Option<&Facts>) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::from([
        ("PACKER_BUILD_NAME".to_owned(), body_build.to_owned()),
        ("PACKER_BUILDER_TYPE".to_owned(), builder_type.to_owned()),
    ]);
    let http = [
        ("PACKER_HTTP_ADDR", "PackerHTTPAddr"),
        ("PACKER_HTTP_IP", "PackerHTTPIP"),
        ("PACKER_HTTP_PORT", "PackerHTTPPort"),
    ];
    for (variable, fact) in http {
        let value = facts.and_then(|facts| facts.get(fact)).and_then(scalar_text);
        vars.extend(value.filter(|value| !value.is_empty()).map(|value| (variable.to_owned(), value)));
    }
    vars
}

/// Set, and not to null.
pub fn given(body: &Body, name: &str) -> bool {
    body.entries.iter().any(|entry| entry.name == name && !entry.node.value.is_null())
}

/// False when its value, or a part of it, only the running machine will tell.
pub fn known(body: &Body, name: &str) -> bool {
    !body.entries.iter().any(|entry| entry.name == name && entry.node.value.has_unknown())
}

pub fn exactly_one(body: &Body, names: &[&str], diagnostics: &mut Diagnostics) {
    let entries: Vec<_> = body
        .entries
        .iter()
        .filter(|entry| names.contains(&entry.name.as_str()) && !entry.node.value.is_null())
        .collect();
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match entries.as_slice() {
        [] => diagnostics.push(Diagnostic::error(format!("{} needs one of {list}", body.kind)).at(body.span)),
        [_] => {}
        [first, second, ..] => {
            let both = Diagnostic::error(format!("`{}` and `{}` exclude each other", first.name, second.name))
                .at(second.name_span)
                .related(first.name_span, "first set here")
                .hint(format!("keep one of {list}"));
            diagnostics.push(both);
        }
    }
}

fn check_file(path: &Path, span: Span, diagnostics: &mut Diagnostics) {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => diagnostics.push(Diagnostic::error(format!("`{}` is not a file", path.display())).at(span)),
        Err(error) => {
            let missing = Diagnostic::error(format!("cannot read the script `{}`: {error}", path.display()))
                .at(span)
                .hint("paths are relative to the working directory; \"${path.root}/...\" is relative to the template");
            diagnostics.push(missing);
        }
    }
}

/// The name of a broken variable without what may be a secret behind it.
fn shown(pair: &str) -> &str {
    if pair.starts_with('=') { "=..." } else { pair }
}

fn split(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// An input of any length and secrecy.
pub fn digest(name: &str, content: &Result<Vec<u8>>) -> Input {
    let value = match content {
        Ok(bytes) => format!("sha256:{}", hex::encode(Sha256::digest(bytes))),
        Err(error) => format!("unreadable: {error}"),
    };
    Input::new(name, value)
}

/// Eight hex digits that no other file has.
pub fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Each `RandomState` of a process differs, and the first one is the system's randomness.
    format!("{:08x}", RandomState::new().build_hasher().finish() as u32)
}

#[cfg(test)]
pub mod testing {
    //! Bodies and a small `{{ }}` engine for the tests of every step.

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bakehouse_api::{Body, Diagnostics, Entry, Form, Interpolate, Node, Span, SpanTree, Value};

    /// Knows fields only: `{{ .Vars }}`.
    pub struct Fields;

    impl Interpolate for Fields {
        fn render(&self, text: &str, data: &BTreeMap<String, String>) -> Result<String, String> {
            let mut parts = text.split("{{");
            let mut rendered = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (name, rest) = part.split_once("}}").ok_or("unclosed action")?;
                let name = name.trim().trim_start_matches('.');
                rendered += data.get(name).ok_or_else(|| format!("there is no field `.{name}`"))?;
                rendered += rest;
            }
            Ok(rendered)
        }
    }

    pub fn body(kind: &str, entries: &[(&str, Value)]) -> Body {
        let entry = |(i, (name, value)): (usize, &(&str, Value))| Entry {
            name: name.to_string(),
            name_span: Span { start: i as u32, ..Span::default() },
            form: Form::Attribute,
            node: Node::new(value.clone(), SpanTree::default()),
        };
        Body {
            kind: kind.into(),
            name: kind.into(),
            build: "qemu.debian".into(),
            build_name: "debian".into(),
            builder_type: "qemu".into(),
            root: ".".into(),
            span: Span::default(),
            entries: entries.iter().enumerate().map(entry).collect(),
            engine: Arc::new(Fields),
            secrets: Default::default(),
        }
    }

    pub fn list(items: &[&str]) -> Value {
        Value::tuple(items.iter().map(|item| Value::from(*item)).collect())
    }

    pub fn map(fields: &[(&str, &str)]) -> Value {
        Value::object(fields.iter().map(|(name, value)| (name.to_string(), Value::from(*value))).collect())
    }

    /// Every finding as one line.
    pub fn findings(diagnostics: &Diagnostics) -> Vec<String> {
        let line = |found: &bakehouse_api::Diagnostic| match &found.hint {
            Some(hint) => format!("{} ({hint})", found.summary),
            None => found.summary.clone(),
        };
        diagnostics.0.iter().map(line).collect()
    }
}
