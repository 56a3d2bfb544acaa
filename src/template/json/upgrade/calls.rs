//! Texts with `{{ }}` calls to expressions of HCL2.

use std::sync::LazyLock;

use regex::Regex;

use super::names::{Names, is_identifier};
use crate::template::interpolate::{Command, Operand, Part, Pipe, Term, parts};

/// Where an expression stands decides what it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The default of a variable.
    Default,
    Local,
    Source,
    Step,
}

pub struct Translated {
    pub expression: String,
    /// Calls without a counterpart stay as they are.
    pub kept: bool,
}

#[derive(Clone, Copy)]
pub struct Translator<'a> {
    pub names: &'a Names,
    pub place: Place,
}

/// A piece of a string.
enum Piece {
    Text(String),
    Expression(String),
}

struct Argument {
    expression: String,
    /// Its text, if it is one.
    literal: Option<String>,
}

impl Translator<'_> {
    pub fn text(&self, text: &str) -> Translated {
        let Ok(Some(parts)) = parts(text) else {
            return Translated { expression: join(self.keep(text)), kept: true };
        };
        let mut kept = false;
        let mut pieces = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => pieces.push(Piece::Text(text)),
                Part::Action { source, pipe } => match self.pipe(&pipe) {
                    Some(argument) => pieces.push(argument.into()),
                    None => {
                        kept |= !is_usual(&pipe);
                        pieces.extend(self.keep(source));
                    }
                },
            }
        }
        Translated { expression: join(pieces), kept }
    }

    fn pipe(&self, pipe: &Pipe) -> Option<Argument> {
        if !pipe.variables.is_empty() {
            return None;
        }
        let mut piped = None;
        for command in &pipe.commands {
            piped = Some(self.command(command, piped)?);
        }
        piped
    }

    /// What comes through the pipe is the last argument.
    fn command(&self, command: &Command, piped: Option<Argument>) -> Option<Argument> {
        let (first, rest) = command.operands.split_first()?;
        let Term::Function(name) = &first.term else {
            return if rest.is_empty() && piped.is_none() { self.operand(first) } else { None };
        };
        let mut arguments = rest.iter().map(|operand| self.operand(operand)).collect::<Option<Vec<_>>>()?;
        arguments.extend(piped);
        Some(Argument { expression: self.call(name, &arguments)?, literal: None })
    }

    fn operand(&self, operand: &Operand) -> Option<Argument> {
        if !operand.fields.is_empty() {
            return None;
        }
        match &operand.term {
            // As plain text it would be taken for a call.
            Term::String(text) if text.contains("{{") => None,
            Term::String(text) => Some(Argument { expression: quote(text), literal: Some(text.clone()) }),
            Term::Int(number) => Some(Argument { expression: number.to_string(), literal: None }),
            Term::Pipe(inner) => self.pipe(inner),
            Term::Function(name) => Some(Argument { expression: self.call(name, &[])?, literal: None }),
            Term::Dot | Term::Nil | Term::Variable(_) | Term::Float(_) | Term::Bool(_) => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Argument]) -> Option<String> {
        let expressions: Vec<&str> = arguments.iter().map(|argument| argument.expression.as_str()).collect();
        let literal = arguments.first().and_then(|argument| argument.literal.as_deref());
        Some(match (name, expressions.as_slice()) {
            ("user", [_]) => self.names.reference(literal?)?,
            ("env", [_]) => self.environment(literal?)?,
            ("build", [_]) if self.place == Place::Step && is_identifier(literal?) => format!("build.{}", literal?),
            ("build_name", []) if self.place == Place::Step => "source.name".into(),
            ("build_type", []) if self.place == Place::Step => "source.type".into(),
            ("timestamp", []) => format!("local.{}", self.names.timestamp()),
            ("isotime", []) => "timestamp()".into(),
            ("isotime", [layout]) => format!("legacy_isotime({layout})"),
            ("strftime", [layout]) => format!("legacy_strftime({layout})"),
            ("uuid", []) => "uuidv4()".into(),
            ("pwd", []) => "path.cwd".into(),
            // `path.root` is as the command line names it.
            ("template_dir", []) => "abspath(path.root)".into(),
            ("packer_version", []) => "packer.version".into(),
            ("upper" | "lower", [text]) => format!("{name}({text})"),
            // `replace` takes what begins with a slash for a pattern.
            ("replace_all", [old, new, text]) if !literal?.starts_with('/') => format!("replace({text}, {old}, {new})"),
            ("split", [text, separator, index]) if index.parse::<u32>().is_ok() => {
                format!("split({separator}, {text})[{index}]")
            }
            ("vault", [path, key]) if self.place == Place::Local => format!("vault({path}, {key})"),
            ("consul_key", [key]) if self.place == Place::Local => format!("consul_key({key})"),
            ("aws_secretsmanager", [id]) if self.place == Place::Local => format!("aws_secretsmanager({id}, null)"),
            ("aws_secretsmanager", [id, key]) if self.place == Place::Local => {
                format!("aws_secretsmanager({id}, {key})")
            }
            _ => return None,
        })
    }

    /// Only the default of a variable may call `env`.
    fn environment(&self, name: &str) -> Option<String> {
        match self.place {
            Place::Default => Some(format!("env({})", quote(name))),
            Place::Local => self.names.environment.get(name).map(|identifier| format!("var.{identifier}")),
            Place::Source | Place::Step => None,
        }
    }

    /// Calls that stay, with the values of variables in them: HCL2 knows no `user`.
    fn keep(&self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut end = 0;
        for action in ACTION.find_iter(text) {
            for call in CALL.captures_iter(action.as_str()) {
                let (Some(all), Some(function), Some(name)) = (call.get(0), call.name("function"), call.name("name"))
                else {
                    continue;
                };
                let argument = Argument { expression: String::new(), literal: Some(name.as_str().to_owned()) };
                let Some(value) = self.call(function.as_str(), &[argument]) else { continue };
                pieces.push(Piece::Text(format!("{}`", &text[end..action.start() + all.start()])));
                pieces.push(Piece::Expression(value));
                pieces.push(Piece::Text("`".into()));
                end = action.start() + all.end();
            }
        }
        pieces.push(Piece::Text(text[end..].to_owned()));
        pieces
    }
}

static ACTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\{\{.*?\}\}").expect("a fixed pattern, which the tests compile"));

static CALL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?<function>user|env)\s+[`"](?<name>[^`"\\]*)[`"]"#)
        .expect("a fixed pattern, which the tests compile")
});

impl From<Argument> for Piece {
    fn from(argument: Argument) -> Self {
        match argument.literal {
            Some(text) => Self::Text(text),
            None => Self::Expression(argument.expression),
        }
    }
}

/// Is it usual in HCL2 as well: fields that an option knows, and what has no other spelling in a source?
fn is_usual(pipe: &Pipe) -> bool {
    let usual = |operand: &Operand| match &operand.term {
        Term::Dot | Term::String(_) => true,
        Term::Function(name) => matches!(name.as_str(), "build_name" | "build_type" | "clean_resource_name"),
        _ => false,
    };
    pipe.commands.iter().flat_map(|command| &command.operands).all(usual)
}

/// An expression alone needs no quotes.
fn join(pieces: Vec<Piece>) -> String {
    if let [Piece::Expression(expression)] = pieces.as_slice() {
        return expression.clone();
    }
    let mut inner = String::new();
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(more) => text.push_str(&more),
            Piece::Expression(expression) => {
                inner.push_str(&before_brace(&text));
                inner.push_str(&format!("${{{expression}}}"));
                text.clear();
            }
        }
    }
    inner.push_str(&escape(&text));
    format!("\"{inner}\"")
}

/// Text in front of a `${`. A dollar sign at its end would make the brace plain text.
fn before_brace(text: &str) -> String {
    let (before, dollars) = text.split_at(text.trim_end_matches('$').len());
    if dollars.is_empty() { escape(before) } else { format!("{}${{\"{dollars}\"}}", escape(before)) }
}

pub fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '$' | '%' if rest.peek() == Some(&'{') => escaped.extend([c, c]),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
