//! `console`: expressions over a template's values, one line each.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::{Diagnostics, Error, Kind, Result, Secrets, SourceMap, Value};
use rustyline::error::ReadlineError;

use super::environment::Environment;
use super::http::Http;
use super::printable::printable;
use super::template::{self, TemplateArgs};
use super::{End, inspect, say};
use crate::report::redact::Redactor;
use crate::template::eval::Evaluator;
use crate::template::hcl::config::Config;
use crate::template::hcl::load::without_template;
use crate::template::hcl::parser::parse_expression;
use crate::template::load::{ConfigType, LoadRequest, load};

const HELP: &str = "\
Type an expression to see its value, as in: upper(var.name)

  variables  the values of all variables and locals
  help       this text
  exit       leave; so does Ctrl-D

`bakehouse functions` lists the functions.";

#[derive(clap::Args)]
pub struct Args {
    /// The template whose values expressions may use: a `.pkr.hcl` or `.pkr.json` file or a folder of them.
    #[arg(value_name = "TEMPLATE")]
    path: Option<PathBuf>,
    /// Only these builds; `*` matches any part of a name.
    #[arg(long, value_name = "BUILD,...", value_delimiter = ',')]
    only: Vec<String>,
    /// All but these builds and post-processors.
    #[arg(long, value_name = "BUILD,...", value_delimiter = ',')]
    except: Vec<String>,
    /// Set a variable.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = template::variable)]
    vars: Vec<(String, String)>,
    /// Set variables from a file.
    #[arg(long = "var-file", value_name = "FILE")]
    var_files: Vec<PathBuf>,
    /// Read the template as this, whatever its name.
    #[arg(long, value_name = "hcl2|json", value_parser = template::config_type)]
    config_type: Option<ConfigType>,
}

pub fn run(args: Args) -> Result<End> {
    let environment = Environment::read()?;
    let secrets = Secrets::default();
    let Some(console) = Console::open(args, environment, secrets)? else { return Ok(End::Failure) };
    if std::io::stdin().is_terminal() { console.converse() } else { console.answer_last() }
}

struct Console {
    config: Config,
    sources: SourceMap,
    environment: Environment,
    redactor: Redactor,
}

/// What a line comes to.
enum Answer {
    Text(String),
    Nothing,
    Exit,
}

impl Console {
    /// None when the template is wrong, which is reported.
    fn open(args: Args, environment: Environment, secrets: Secrets) -> Result<Option<Self>> {
        let (path, named) = match args.path {
            Some(path) if path == Path::new("-") => {
                return Err(Error::new(Kind::Config, "the console reads expressions from standard input")
                    .hint("name the template's file or folder"));
            }
            Some(path) => (path, true),
            None => (PathBuf::from("."), false),
        };
        let template = TemplateArgs {
            path,
            only: args.only,
            except: args.except,
            vars: args.vars,
            var_files: args.var_files,
            config_type: args.config_type,
        };
        let request = template.request(&environment, &secrets)?;
        let redactor = Redactor::new(secrets);
        if !named {
            if !request.vars.is_empty() || !request.var_files.is_empty() {
                return Err(Error::new(Kind::Config, "variables belong to a template, and none is named")
                    .hint("name the template's file or folder behind the flags"));
            }
            let config = without_template(&request);
            return Ok(Some(Self { config, sources: SourceMap::default(), environment, redactor }));
        }
        let loaded = load(&LoadRequest { fetch: Some(Arc::new(Http::default())), ..request });
        template::print(&loaded.diagnostics, &loaded.sources, &environment);
        if loaded.diagnostics.has_errors() {
            return Ok(None);
        }
        let Some(config) = loaded.config else {
            return Err(Error::new(Kind::Config, "the console is for HCL2 templates, and this is a JSON one"));
        };
        Ok(Some(Self { config, sources: loaded.sources, environment, redactor }))
    }

    fn converse(mut self) -> Result<End> {
        let failed = |error: ReadlineError| Error::new(Kind::Host, format!("reading from the terminal: {error}"));
        let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
        loop {
            let line = match editor.readline("> ") {
                Ok(line) => line,
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(End::Success),
                Err(error) => return Err(failed(error)),
            };
            // Without this line in the history nothing else is lost.
            let _ = editor.add_history_entry(line.as_str());
            match self.answer(&line) {
                Ok(Answer::Text(text)) => say(text),
                Ok(Answer::Nothing) => {}
                Ok(Answer::Exit) => return Ok(End::Success),
                Err((found, sources)) => template::print(&found, &sources, &self.environment),
            }
        }
    }

    /// Of a pipe only the last line's value is shown, and every error.
    fn answer_last(mut self) -> Result<End> {
        let mut last = String::new();
        let mut end = End::Success;
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Error::io("reading expressions from standard input", &error))?;
            last.clear();
            match self.answer(&line) {
                Ok(Answer::Text(text)) => last = text,
                Ok(Answer::Nothing | Answer::Exit) => {}
                Err((found, sources)) => {
                    template::print(&found, &sources, &self.environment);
                    end = End::Failure;
                }
            }
        }
        say(last);
        Ok(end)
    }

    fn answer(&mut self, line: &str) -> Result<Answer, (Diagnostics, SourceMap)> {
        Ok(match line.trim() {
            "" => Answer::Nothing,
            "exit" => Answer::Exit,
            "help" => Answer::Text(HELP.to_owned()),
            "variables" => Answer::Text(inspect::values(&self.config)),
            _ => {
                let value = self.evaluate(line)?;
                Answer::Text(self.shown(&value))
            }
        })
    }

    fn evaluate(&self, line: &str) -> Result<Value, (Diagnostics, SourceMap)> {
        let mut sources = self.sources.clone();
        let file = sources.add("<console-input>", line);
        let expr = match parse_expression(file, line) {
            Ok(expr) => expr,
            Err(found) => return Err((found, sources)),
        };
        let mut evaluator = Evaluator::new(&self.config.host);
        let value = evaluator.eval(&expr, &self.config.scope);
        value.ok_or((evaluator.diagnostics, sources))
    }

    /// A text around a secret shows what is around it.
    fn shown(&mut self, value: &Value) -> String {
        if let (true, Some(text)) = (value.sensitive, value.as_str())
            && let Some(hidden) = self.redactor.text(text)
        {
            return hidden;
        }
        let text = printable(value);
        self.redactor.text(&text).unwrap_or(text)
    }
}
