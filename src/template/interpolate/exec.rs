//! Runs a parsed template.

use std::collections::BTreeMap;

use bakehouse_api::diag::nearest;

use super::parse::{Command, Document, Node, Operand, Pipe, Term};
use super::{EngineCx, EngineError, functions};

/// Nested loops multiply: more steps than this are a slip.
const STEP_LIMIT: usize = 100_000;

/// A named template that includes itself is a slip as well.
const INCLUDE_LIMIT: usize = 64;

/// Variables that hold each other twice double: nobody means that much text.
const TEXT_LIMIT: usize = 64 << 20;

/// Go's words for a field of nothing.
pub const NO_VALUE: &str = "<no value>";

#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    /// The fields of the moment.
    Fields(&'a BTreeMap<String, String>),
}

impl Value<'_> {
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nothing",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Fields(_) => "the set of all fields",
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(n) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::String(text) => !text.is_empty(),
            Value::Fields(fields) => !fields.is_empty(),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Value::Nil => "<nil>".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(n) => n.to_string(),
            Value::Float(n) => functions::float_text(*n),
            Value::String(text) => text.clone(),
            Value::Fields(fields) => {
                let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }
}

pub fn run(document: &Document, cx: &EngineCx, data: &BTreeMap<String, String>) -> Result<String, EngineError> {
    // An option without fields has no value at all: Packer shows `{{.X}}` as `<no value>` there.
    let root = if data.is_empty() { Value::Nil } else { Value::Fields(data) };
    let variables = vec![(String::new(), root.clone())];
    let mut run = Run { cx, data, document, variables, out: String::new(), steps: 0, includes: 0 };
    run.list(&document.nodes, &root)?;
    Ok(run.out)
}

#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    cx: &'a EngineCx,
    data: &'a BTreeMap<String, String>,
    document: &'a Document,
    /// Innermost last; `$` itself is the first, with an empty name.
    variables: Vec<(String, Value<'a>)>,
    out: String,
    steps: usize,
    includes: usize,
}

impl<'a> Run<'a> {
    /// Variables that are set inside end with the list.
    fn list(&mut self, nodes: &[Node], dot: &Value<'a>) -> Result<Flow, EngineError> {
        let known = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value<'a>) -> Result<Flow, EngineError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                match value {
                    _ if !pipe.variables.is_empty() => {}
                    Value::Nil => self.out.push_str(NO_VALUE),
                    value => self.out.push_str(&value.show()),
                }
                if self.out.len() > TEXT_LIMIT {
                    return Err(EngineError::new(pipe.at, format!("the text is longer than {} MiB", TEXT_LIMIT >> 20)));
                }
            }
            Node::If { test, then, otherwise } | Node::With { test, then, otherwise } => {
                let known = self.variables.len();
                let value = self.pipe(test, dot)?;
                let inner = if matches!(node, Node::With { .. }) { &value } else { dot };
                let flow = if value.is_true() { self.list(then, inner) } else { self.list(otherwise, dot) };
                self.variables.truncate(known);
                return flow;
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Include { name, with, at } => self.include(name, with.as_ref(), *at, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// A named template sees its argument and no variables.
    fn include(&mut self, name: &str, with: Option<&Pipe>, at: usize, dot: &Value<'a>) -> Result<(), EngineError> {
        let document = self.document;
        let Some(nodes) = document.named.get(name) else {
            return Err(EngineError::new(at, format!("there is no template `{name}`")));
        };
        self.includes += 1;
        if self.includes > INCLUDE_LIMIT {
            return Err(EngineError::new(at, format!("templates include each other more than {INCLUDE_LIMIT} times")));
        }
        self.step(at)?;
        let inner = match with {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), inner.clone())]);
        self.list(nodes, &inner)?;
        self.variables = outer;
        self.includes -= 1;
        Ok(())
    }

    fn range(&mut self, over: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value<'a>) -> Result<Flow, EngineError> {
        let known = self.variables.len();
        let value = self.commands(over, dot)?;
        if value == Value::Nil {
            return self.list(otherwise, dot);
        }
        let Value::Fields(fields) = value else {
            return Err(EngineError::new(over.at, format!("`range` cannot go through {}", value.kind())));
        };
        if fields.is_empty() {
            return self.list(otherwise, dot);
        }
        for (name, field) in fields {
            self.step(over.at)?;
            let item = Value::String(field.clone());
            match over.variables.as_slice() {
                [value] => self.variables.push((value.clone(), item.clone())),
                [key, value] => {
                    self.variables.push((key.clone(), Value::String(name.clone())));
                    self.variables.push((value.clone(), item.clone()));
                }
                _ => {}
            }
            let flow = self.list(body, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn step(&mut self, at: usize) -> Result<(), EngineError> {
        self.steps += 1;
        if self.steps > STEP_LIMIT {
            return Err(EngineError::new(at, format!("this goes on for more than {STEP_LIMIT} steps")));
        }
        Ok(())
    }

    /// The value, which also goes to the variable that the pipe names.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value<'a>) -> Result<Value<'a>, EngineError> {
        let value = self.commands(pipe, dot)?;
        match pipe.variables.as_slice() {
            [] => {}
            [name] if pipe.assigns => {
                let place = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                let (_, slot) =
                    place.ok_or_else(|| EngineError::new(pipe.at, format!("there is no variable `${name}`")))?;
                *slot = value.clone();
            }
            [name] => self.variables.push((name.clone(), value.clone())),
            _ => return Err(EngineError::new(pipe.at, "only `range` sets two variables")),
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value<'a>) -> Result<Value<'a>, EngineError> {
        let mut piped = None;
        for command in &pipe.commands {
            self.step(command.at)?;
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        piped: Option<Value<'a>>,
        dot: &Value<'a>,
    ) -> Result<Value<'a>, EngineError> {
        let Some((first, rest)) = command.operands.split_first() else { return Ok(Value::Nil) };
        let Term::Function(name) = &first.term else {
            if piped.is_some() || !rest.is_empty() {
                let at = rest.first().map_or(first.at, |operand| operand.at);
                return Err(EngineError::new(at, "only a function takes arguments"));
            }
            if first.term == Term::Nil {
                return Err(EngineError::new(first.at, "`nil` alone is no value to show"));
            }
            return self.operand(first, dot);
        };
        if matches!(name.as_str(), "and" | "or") {
            return self.shortcut(name == "or", rest, piped, first.at, dot);
        }
        let mut args = Vec::new();
        for operand in rest {
            args.push((operand.at, self.operand(operand, dot)?));
        }
        args.extend(piped.map(|value| (first.at, value)));
        let value = functions::call(self.cx, name, first.at, args)?;
        self.fields(value, &first.fields, first.at)
    }

    /// `and` and `or` evaluate only as far as they must.
    fn shortcut(
        &mut self,
        stop: bool,
        operands: &[Operand],
        piped: Option<Value<'a>>,
        at: usize,
        dot: &Value<'a>,
    ) -> Result<Value<'a>, EngineError> {
        let mut last = None;
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if value.is_true() == stop {
                return Ok(value);
            }
            last = Some(value);
        }
        let name = if stop { "or" } else { "and" };
        piped.or(last).ok_or_else(|| EngineError::new(at, format!("`{name}` needs an argument")))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value<'a>) -> Result<Value<'a>, EngineError> {
        let at = operand.at;
        if let (Term::Dot, Value::Nil, [name]) = (&operand.term, dot, operand.fields.as_slice())
            && let Some(fact) = self.cx.facts.as_field(name)
        {
            return Ok(Value::String(fact));
        }
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => Value::Nil,
            Term::Bool(value) => Value::Bool(*value),
            Term::Int(n) => Value::Int(*n),
            Term::Float(n) => Value::Float(*n),
            Term::String(text) => Value::String(text.clone()),
            Term::Function(name) => functions::call(self.cx, name, at, Vec::new())?,
            Term::Pipe(pipe) => self.pipe(pipe, dot)?,
            Term::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| EngineError::new(at, format!("there is no variable `${name}`")))?
            }
        };
        self.fields(value, &operand.fields, at)
    }

    fn fields(&self, value: Value<'a>, names: &[String], at: usize) -> Result<Value<'a>, EngineError> {
        // A map among the fields is handed in flat: `SourceAMITags.os`.
        if let (Value::Fields(fields), 2..) = (&value, names.len())
            && let Some(field) = fields.get(&names.join("."))
        {
            return Ok(Value::String(field.clone()));
        }
        let mut value = value;
        for name in names {
            if value == Value::Nil {
                return Ok(value);
            }
            let Value::Fields(fields) = value else {
                return Err(EngineError::new(at, format!("{} has no field `{name}`", value.kind())));
            };
            let field = fields.get(name).ok_or_else(|| self.missing(name, at))?;
            value = Value::String(field.clone());
        }
        Ok(value)
    }

    fn missing(&self, name: &str, at: usize) -> EngineError {
        let known: Vec<String> = self.data.keys().map(|name| format!(".{name}")).collect();
        let rest = match nearest(name, self.data.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `.{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        EngineError::new(at, format!("there is no field `.{name}` here; {rest}"))
    }
}
