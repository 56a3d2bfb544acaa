//! The functions of the language: one table, one file per family. A call checks the number and the
//! types of its arguments, and carries unknown and sensitive over to the result, here and once.

mod collection;
mod encoding;
mod file;
mod format;
mod hash;
pub(crate) mod json;
mod network;
mod numeric;
mod other;
mod regexes;
mod services;
mod sets;
mod string;
mod table;
mod time;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Type, Value};

use super::composed;
use super::convert::{convert, type_name};
use super::services::Services;

/// What functions may know of the world.
#[derive(Clone, Debug)]
pub struct CallCx {
    /// The folder of the template: relative paths start there.
    pub root: PathBuf,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    /// When the run began: the same for every call.
    pub now: SystemTime,
    /// None: no service may be asked.
    pub services: Option<Arc<dyn Services>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallError {
    /// The argument at fault, counted from 0.
    pub arg: Option<usize>,
    pub text: String,
}

impl CallError {
    fn new(text: impl Into<String>) -> Self {
        Self { arg: None, text: text.into() }
    }

    fn at(arg: usize, text: impl Into<String>) -> Self {
        Self { arg: Some(arg), text: text.into() }
    }
}

type Outcome = Result<Value, CallError>;

/// The type that a parameter asks for, and that a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything but null.
    Any,
    /// Anything, null too.
    Nullable,
    Bool,
    Number,
    String,
    Strings,
    Numbers,
    /// A list, set or tuple.
    Sequence,
    /// A map or object.
    Mapping,
}

impl Kind {
    fn ty(self) -> Type {
        match self {
            Kind::Any | Kind::Nullable | Kind::Sequence | Kind::Mapping => Type::Any,
            Kind::Bool => Type::Bool,
            Kind::Number => Type::Number,
            Kind::String => Type::String,
            Kind::Strings => Type::List(Box::new(Type::String)),
            Kind::Numbers => Type::List(Box::new(Type::Number)),
        }
    }

    /// As the reference shows it.
    pub fn name(self) -> String {
        match self {
            Kind::Any | Kind::Nullable => "any".into(),
            Kind::Sequence => "list".into(),
            Kind::Mapping => "map".into(),
            _ => type_name(&self.ty()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
}

type Call = fn(&CallCx, &Args<'_>) -> Outcome;

/// What a function is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Math,
    Text,
    Collections,
    Encodings,
    Files,
    Times,
    Hashes,
    Networks,
    Values,
    Services,
}

impl Group {
    pub const ALL: [Self; 10] = [
        Self::Math,
        Self::Text,
        Self::Collections,
        Self::Encodings,
        Self::Files,
        Self::Times,
        Self::Hashes,
        Self::Networks,
        Self::Values,
        Self::Services,
    ];
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Math => "Numbers",
            Self::Text => "Strings",
            Self::Collections => "Collections",
            Self::Encodings => "Encodings",
            Self::Files => "Files and paths",
            Self::Times => "Time",
            Self::Hashes => "Hashes and UUIDs",
            Self::Networks => "Networks",
            Self::Values => "Values and errors",
            Self::Services => "Secrets",
        })
    }
}

pub struct Function {
    pub group: Group,
    pub name: &'static str,
    pub params: &'static [Param],
    /// How many of `params` must be given.
    pub required: usize,
    /// May the last parameter be given many times?
    pub variadic: bool,
    pub returns: Kind,
    pub doc: &'static str,
    /// An expression and what it gives, as HCL.
    pub example: Option<(&'static str, &'static str)>,
    /// Elements of the arguments end up in the result as they are, unknown or sensitive.
    elementwise: bool,
    /// None: the evaluator's own, as its arguments are not evaluated beforehand.
    call: Option<Call>,
}

pub fn all() -> &'static [Function] {
    table::TABLE
}

pub fn find(name: &str) -> Option<&'static Function> {
    all().iter().find(|function| function.name == name)
}

impl Function {
    /// `can` and `try`, whose arguments may fail, and `templatefile`, which evaluates a file.
    pub fn is_special(&self) -> bool {
        self.call.is_none()
    }

    /// "split(separator, text)".
    pub fn signature(&self) -> String {
        let param = |(i, param): (usize, &Param)| {
            let dots = if self.variadic && i + 1 == self.params.len() { "..." } else { "" };
            let optional = if i >= self.required && dots.is_empty() { "?" } else { "" };
            format!("{}{dots}{optional}", param.name)
        };
        let params: Vec<String> = self.params.iter().enumerate().map(param).collect();
        format!("{}({})", self.name, params.join(", "))
    }

    pub fn call(&self, cx: &CallCx, args: &[Value]) -> Outcome {
        self.check_count(args.len())?;
        let Some(call) = self.call else {
            return Err(CallError::new(format!("`{}` must be called by its name in an expression", self.name)));
        };
        let mut converted = Vec::with_capacity(args.len());
        for (i, arg) in args.iter().enumerate() {
            converted.push(self.convert_arg(i, arg)?);
        }
        let (unknown, sensitive) = if self.elementwise {
            (
                converted.iter().any(|arg| matches!(arg.data, Data::Unknown(_))),
                converted.iter().any(|arg| arg.sensitive),
            )
        } else {
            (converted.iter().any(Value::has_unknown), converted.iter().any(Value::has_sensitive))
        };
        if unknown {
            return Ok(Value::unknown(self.returns.ty()).sensitive(sensitive));
        }
        let result = call(cx, &Args { function: self, values: converted });
        match result {
            Ok(value) => Ok(composed::value(value).sensitive(sensitive)),
            Err(error) if sensitive => {
                Err(CallError { text: format!("`{}` does not accept this sensitive value", self.name), ..error })
            }
            Err(error) => Err(error),
        }
    }

    fn check_count(&self, count: usize) -> Result<(), CallError> {
        let few = count < self.required;
        let many = !self.variadic && count > self.params.len();
        if !few && !many {
            return Ok(());
        }
        let signature = self.signature();
        Err(match few {
            true => CallError::new(format!("{signature} needs the argument `{}`", self.params[count].name)),
            false => CallError::at(
                self.params.len(),
                format!("{signature} takes {} arguments, and there are {count}", self.params.len()),
            ),
        })
    }

    fn param(&self, index: usize) -> Param {
        self.params[index.min(self.params.len() - 1)]
    }

    fn convert_arg(&self, index: usize, arg: &Value) -> Outcome {
        let param = self.param(index);
        let wrong = |reason: String| CallError::at(index, format!("`{}`: {reason}", param.name));
        if arg.is_null() && param.kind != Kind::Nullable {
            return Err(wrong("this must not be null".into()));
        }
        if matches!(arg.data, Data::Unknown(_)) {
            return Ok(arg.clone());
        }
        match param.kind {
            Kind::Sequence if arg.as_items().is_none() => {
                Err(wrong(format!("a list is required, and this is {}", arg.kind_name())))
            }
            Kind::Mapping if arg.as_fields().is_none() => {
                Err(wrong(format!("a map or an object is required, and this is {}", arg.kind_name())))
            }
            kind => convert(arg, &kind.ty()).map_err(wrong),
        }
    }
}

/// Arguments that have the types which the table asks for.
struct Args<'a> {
    function: &'a Function,
    values: Vec<Value>,
}

impl Args<'_> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index)
    }

    fn value(&self, index: usize) -> &Value {
        &self.values[index]
    }

    fn str(&self, index: usize) -> &str {
        self.values[index].as_str().unwrap_or_else(|| unreachable!("the table asks for a string"))
    }

    fn number(&self, index: usize) -> &Number {
        match &self.values[index].data {
            Data::Number(number) => number,
            _ => unreachable!("the table asks for a number"),
        }
    }

    fn int(&self, index: usize) -> Result<i64, CallError> {
        let number = self.number(index);
        number.to_i64().ok_or_else(|| self.wrong(index, format!("a whole number is required, and this is {number}")))
    }

    fn items(&self, index: usize) -> &[Value] {
        self.values[index].as_items().unwrap_or_else(|| unreachable!("the table asks for a list"))
    }

    fn fields(&self, index: usize) -> &BTreeMap<String, Value> {
        self.values[index].as_fields().unwrap_or_else(|| unreachable!("the table asks for a map"))
    }

    fn strings<'a>(&'a self, index: usize) -> Result<Vec<&'a str>, CallError> {
        let text = |(i, item): (usize, &'a Value)| {
            item.as_str().ok_or_else(|| self.wrong(index, format!("element {i} is null")))
        };
        self.items(index).iter().enumerate().map(text).collect()
    }

    /// An error that names the argument.
    fn wrong(&self, index: usize, text: impl std::fmt::Display) -> CallError {
        CallError::at(index, format!("`{}`: {text}", self.function.param(index).name))
    }
}

fn number(n: impl Into<Number>) -> Value {
    Value::new(Data::Number(n.into()))
}

fn strings<S: Into<std::sync::Arc<str>>>(items: impl IntoIterator<Item = S>) -> Value {
    list(Type::String, items.into_iter().map(Value::string).collect())
}

fn list(element: Type, items: Vec<Value>) -> Value {
    Value::new(Data::List(element, std::sync::Arc::new(items)))
}

#[cfg(test)]
mod tests;
