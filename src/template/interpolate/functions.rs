//! Packer's functions and Go's.

use std::cmp::Ordering;

use bakehouse_api::diag::nearest;

use super::exec::Value;
use super::{BuildFacts, EngineCx, EngineError};
use crate::template::clock::Moment;
use crate::template::convert::to_text;
use crate::template::printf::{Piece, Spec, pieces, quote};

/// Stands for every fact while no machine runs.
pub const UNKNOWN: &str = "unknown";

/// For "did you mean".
const NAMES: &[&str] = &[
    "and",
    "build",
    "build_name",
    "build_type",
    "clean_resource_name",
    "env",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "isotime",
    "js",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "packer_version",
    "print",
    "printf",
    "println",
    "pwd",
    "replace",
    "replace_all",
    "slice",
    "split",
    "strftime",
    "template_dir",
    "timestamp",
    "upper",
    "urlquery",
    "user",
    "uuid",
];

struct Call<'c, 'a> {
    cx: &'c EngineCx,
    name: &'c str,
    at: usize,
    args: Vec<(usize, Value<'a>)>,
}

type Outcome<'a> = Result<Value<'a>, EngineError>;

pub fn call<'a>(cx: &EngineCx, name: &str, at: usize, args: Vec<(usize, Value<'a>)>) -> Outcome<'a> {
    let call = Call { cx, name, at, args };
    match name {
        "build" | "build_name" | "build_type" | "user" | "env" | "pwd" | "template_dir" | "packer_version" | "uuid" => {
            call.of_the_run()
        }
        "timestamp" | "isotime" | "strftime" => call.of_time(),
        "split" | "replace" | "replace_all" | "upper" | "lower" | "clean_resource_name" => call.of_text(),
        "print" | "println" | "printf" | "html" | "js" | "urlquery" => call.printing(),
        "not" => Ok(Value::Bool(!call.value(0, 1)?.is_true())),
        "len" | "index" | "slice" => call.of_parts(),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => call.comparing(),
        "consul_key" | "vault" | "aws_secretsmanager" if cx.env.is_none() => Err(call.error(format!(
            "`{name}` works only in the `variables` of a template; give a variable this value and use it here"
        ))),
        "consul_key" | "vault" | "aws_secretsmanager" => call.of_services(),
        _ => Err(call.error(match nearest(name, NAMES.iter().copied()) {
            Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
            None => format!("there is no function `{name}`"),
        })),
    }
}

impl<'a> Call<'_, 'a> {
    fn error(&self, text: impl Into<String>) -> EngineError {
        EngineError::new(self.at, text)
    }

    /// Argument `index` of exactly `count`.
    fn value(&self, index: usize, count: usize) -> Result<&Value<'a>, EngineError> {
        if self.args.len() != count {
            return Err(self.error(format!(
                "`{}` takes {count} arguments, and there are {}",
                self.name,
                self.args.len()
            )));
        }
        Ok(&self.args[index].1)
    }

    fn wrong(&self, index: usize, wanted: &str) -> EngineError {
        let (at, value) = &self.args[index];
        EngineError::new(*at, format!("`{}` needs {wanted} here, and this is {}", self.name, value.kind()))
    }

    fn text(&self, index: usize, count: usize) -> Result<&str, EngineError> {
        match self.value(index, count)? {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(index, "a string")),
        }
    }

    fn int(&self, index: usize, count: usize) -> Result<i64, EngineError> {
        match self.value(index, count)? {
            Value::Int(n) => Ok(*n),
            _ => Err(self.wrong(index, "a whole number")),
        }
    }

    fn none(&self) -> Result<(), EngineError> {
        match self.args.len() {
            0 => Ok(()),
            count => Err(self.error(format!("`{}` takes no arguments, and there are {count}", self.name))),
        }
    }

    fn of_services(&self) -> Outcome<'a> {
        let name = self.name;
        let asked = self.cx.services.as_ref();
        let services =
            asked.ok_or_else(|| self.error(format!("`{name}` asks a service, and here none may be asked")))?;
        let answer = match name {
            "vault" => services.vault(self.text(0, 2)?, self.text(1, 2)?),
            "aws_secretsmanager" if self.args.len() > 1 => {
                services.aws_secret(self.text(0, 2)?, Some(self.text(1, 2)?))
            }
            "aws_secretsmanager" => services.aws_secret(self.text(0, 1)?, None),
            _ => services.consul_key(self.text(0, 1)?),
        };
        answer.map(Value::String).map_err(|reason| self.error(reason))
    }

    fn of_the_run(&self) -> Outcome<'a> {
        let cx = self.cx;
        let text = match self.name {
            "build" => self.fact()?,
            "user" => self.variable()?,
            "env" => {
                let name = self.text(0, 1)?;
                let env = cx.env.as_ref().ok_or_else(|| {
                    self.error(
                        "`env` works only in the `variables` of a template; give a variable this value and use it here",
                    )
                })?;
                env.get(name).cloned().unwrap_or_default()
            }
            _ => {
                self.none()?;
                match self.name {
                    "build_name" | "build_type" if cx.build_name.is_empty() => {
                        return Err(self.error(format!("`{}` is known within a build only", self.name)));
                    }
                    "build_name" => cx.build_name.clone(),
                    "build_type" => cx.build_type.clone(),
                    "pwd" => cx.cwd.to_string_lossy().into_owned(),
                    "template_dir" => cx.root.to_string_lossy().into_owned(),
                    "packer_version" => cx.version.clone(),
                    _ => uuid::Uuid::new_v4().to_string(),
                }
            }
        };
        Ok(Value::String(text))
    }

    fn fact(&self) -> Result<String, EngineError> {
        let name = self.text(0, 1)?;
        let facts = match &self.cx.facts {
            BuildFacts::Known(facts) => facts,
            BuildFacts::Later => return Ok(UNKNOWN.to_owned()),
            BuildFacts::Never => {
                return Err(self.error(
                    "`build` works only in provisioners and post-processors: this is read before the machine runs",
                ));
            }
        };
        match facts.get(name) {
            Some(fact) => to_text(fact).map_err(|reason| self.error(format!("the build's `{name}`: {reason}"))),
            None => Err(self.error(match nearest(name, facts.keys().map(String::as_str)) {
                Some(near) => format!("the build has no `{name}`; did you mean `{near}`?"),
                None => format!("the build has no `{name}`"),
            })),
        }
    }

    fn variable(&self) -> Result<String, EngineError> {
        let name = self.text(0, 1)?;
        let Some(variables) = &self.cx.user else {
            return Err(self.error(format!("`user` belongs to JSON templates; in HCL2 this is `${{var.{name}}}`")));
        };
        if self.cx.env.is_none() {
            return Ok(variables.get(name).cloned().unwrap_or_default());
        }
        variables.get(name).cloned().ok_or_else(|| {
            self.error(match nearest(name, variables.keys().map(String::as_str)) {
                Some(near) => format!("there is no variable `{name}`; did you mean `{near}`?"),
                None => format!("there is no variable `{name}`"),
            })
        })
    }

    fn of_time(&self) -> Outcome<'a> {
        let now = Moment::utc(self.cx.now);
        Ok(Value::String(match self.name {
            "timestamp" => {
                self.none()?;
                now.unix().to_string()
            }
            "isotime" if self.args.is_empty() => now.rfc3339(),
            "isotime" => now.layout(self.text(0, 1)?),
            _ => now.strftime(self.text(0, 1)?).map_err(|reason| self.error(format!("`strftime`: {reason}")))?,
        }))
    }

    fn of_text(&self) -> Outcome<'a> {
        Ok(Value::String(match self.name {
            "upper" => self.text(0, 1)?.to_uppercase(),
            "lower" => self.text(0, 1)?.to_lowercase(),
            "replace_all" => self.text(2, 3)?.replace(self.text(0, 3)?, self.text(1, 3)?),
            "replace" => {
                let count = usize::try_from(self.int(2, 4)?).unwrap_or(usize::MAX);
                self.text(3, 4)?.replacen(self.text(0, 4)?, self.text(1, 4)?, count)
            }
            "split" => {
                let (text, separator, index) = (self.text(0, 3)?, self.text(1, 3)?, self.int(2, 3)?);
                let parts: Vec<&str> = match separator {
                    "" => text.split("").filter(|part| !part.is_empty()).collect(),
                    separator => text.split(separator).collect(),
                };
                let part = usize::try_from(index).ok().and_then(|index| parts.get(index));
                let missing = || self.error(format!("`{text}` has {} parts, and no part {index}", parts.len()));
                part.ok_or_else(missing)?.to_string()
            }
            _ => self.clean_resource_name()?,
        }))
    }

    /// What a platform does not allow in a name becomes `-`.
    fn clean_resource_name(&self) -> Result<String, EngineError> {
        let name = self.text(0, 1)?;
        if !self.cx.build_type.starts_with("amazon") {
            let kind = &self.cx.build_type;
            return Err(
                self.error(format!("builder `{kind}` has no rule for names that `clean_resource_name` could follow"))
            );
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
        Ok(name.chars().map(|c| if allowed(c) { c } else { '-' }).collect())
    }

    fn printing(&self) -> Outcome<'a> {
        let all = || self.args.iter().map(|(_, value)| value.show()).collect::<Vec<_>>();
        Ok(Value::String(match self.name {
            "println" => all().join(" ") + "\n",
            "printf" => self.printf()?,
            "html" => all().concat().chars().map(html).collect(),
            "js" => all().concat().chars().map(javascript).collect(),
            "urlquery" => all().concat().bytes().map(url).collect(),
            _ => self.print(),
        }))
    }

    /// A space stands between two values of which none is a string.
    fn print(&self) -> String {
        let mut out = String::new();
        let mut after_string = true;
        for (_, value) in &self.args {
            let string = matches!(value, Value::String(_));
            if !after_string && !string {
                out.push(' ');
            }
            out.push_str(&value.show());
            after_string = string;
        }
        out
    }

    fn printf(&self) -> Result<String, EngineError> {
        let Some((at, Value::String(format))) = self.args.first() else {
            return Err(self.error("`printf` needs a format first"));
        };
        let values = &self.args[1..];
        let (mut out, mut next, mut used) = (String::new(), 0, 0);
        for piece in pieces(format).map_err(|reason| EngineError::new(*at, reason))? {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Verb(spec) => {
                    let index = spec.index.unwrap_or(next);
                    next = index + 1;
                    used = used.max(next);
                    let missing = || EngineError::new(*at, format!("`%{}` needs a value number {next}", spec.verb));
                    let (at, value) = values.get(index).ok_or_else(missing)?;
                    out.push_str(&verb(&spec, value).ok_or_else(|| {
                        EngineError::new(*at, format!("`%{}` cannot show {}", spec.verb, value.kind()))
                    })?);
                }
            }
        }
        if used < values.len() {
            return Err(self.error(format!("`printf` has {} values, and the format uses {used}", values.len())));
        }
        Ok(out)
    }

    fn of_parts(&self) -> Outcome<'a> {
        match (self.name, self.args.first().map(|(_, value)| value)) {
            ("len", Some(Value::String(text))) if self.args.len() == 1 => Ok(Value::Int(text.len() as i64)),
            ("len", Some(Value::Fields(fields))) if self.args.len() == 1 => Ok(Value::Int(fields.len() as i64)),
            ("index", Some(Value::Fields(fields))) => {
                let name = self.text(1, 2)?;
                let field = fields.get(name).cloned();
                field.map(Value::String).ok_or_else(|| self.error(format!("there is no field `.{name}` here")))
            }
            ("index", Some(Value::String(text))) => {
                let index = self.int(1, 2)?;
                let byte = usize::try_from(index).ok().and_then(|index| text.as_bytes().get(index));
                let missing = || self.error(format!("{index} lies outside of a string of {} bytes", text.len()));
                Ok(Value::Int(i64::from(*byte.ok_or_else(missing)?)))
            }
            ("slice", Some(Value::String(text))) => {
                let count = self.args.len();
                let place = |index| usize::try_from(self.int(index, count)?).map_err(|_| self.wrong(index, "a place"));
                let start = if count > 1 { place(1)? } else { 0 };
                let end = if count > 2 { place(2)? } else { text.len() };
                let part = text.get(start..end).filter(|_| count <= 3);
                let missing = || self.error(format!("{start} to {end} is no part of a string of {} bytes", text.len()));
                Ok(Value::String(part.ok_or_else(missing)?.to_owned()))
            }
            (_, Some(_)) => Err(self.wrong(0, "one string")),
            (_, None) => Err(self.error(format!("`{}` needs a string", self.name))),
        }
    }

    /// `eq` compares with each of several values.
    fn comparing(&self) -> Outcome<'a> {
        let many = self.name == "eq" && self.args.len() > 2;
        if self.args.len() != 2 && !many {
            return Err(self.error(format!("`{}` compares two values, and there are {}", self.name, self.args.len())));
        }
        let (_, first) = &self.args[0];
        for (at, other) in &self.args[1..] {
            let order = order(first, other).ok_or_else(|| {
                EngineError::new(*at, format!("`{}` cannot compare {} and {}", self.name, first.kind(), other.kind()))
            })?;
            let holds = match self.name {
                "eq" => order.is_eq(),
                "ne" => order.is_ne(),
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            };
            if holds {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }
}

fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// As Go prints it: short, with an exponent where the number is very big or small.
pub fn float_text(n: f64) -> String {
    Spec { verb: 'g', ..Spec::default() }.float(n, &n.to_string())
}

fn verb(spec: &Spec, value: &Value<'_>) -> Option<String> {
    Some(match (spec.verb, value) {
        ('v' | 's', Value::String(text)) => spec.text(text),
        ('q', Value::String(text)) => spec.pad(quote(text)),
        ('x', Value::String(text)) => spec.pad(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ('X', Value::String(text)) => spec.pad(text.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ('v' | 't', Value::Bool(value)) => spec.pad(value.to_string()),
        ('c', Value::Int(n)) => spec.pad(char::from_u32(u32::try_from(*n).ok()?)?.to_string()),
        ('v' | 'd', Value::Int(n)) => spec.integer(*n < 0, &n.unsigned_abs().to_string()),
        ('x', Value::Int(n)) => spec.integer(*n < 0, &format!("{:x}", n.unsigned_abs())),
        ('X', Value::Int(n)) => spec.integer(*n < 0, &format!("{:X}", n.unsigned_abs())),
        ('o', Value::Int(n)) => spec.integer(*n < 0, &format!("{:o}", n.unsigned_abs())),
        ('b', Value::Int(n)) => spec.integer(*n < 0, &format!("{:b}", n.unsigned_abs())),
        ('v', Value::Float(n)) => Spec { verb: 'g', ..spec.clone() }.float(*n, &n.to_string()),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(n)) => spec.float(*n, &n.to_string()),
        ('v', other) => spec.pad(other.show()),
        _ => return None,
    })
}

fn html(c: char) -> String {
    match c {
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '&' => "&amp;".into(),
        '"' => "&#34;".into(),
        '\'' => "&#39;".into(),
        c => c.into(),
    }
}

fn javascript(c: char) -> String {
    match c {
        '\\' | '\'' | '"' => format!("\\{c}"),
        '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => format!("\\u{:04X}", c as u32),
        c => c.into(),
    }
}

fn url(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).into(),
        b' ' => "+".into(),
        _ => format!("%{byte:02X}"),
    }
}
