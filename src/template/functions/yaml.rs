//! YAML to values and back, in the dialect of Packer: `yes` is true, `017` is 17, `<<` merges.

use std::collections::{BTreeMap, HashMap};

use bakehouse_api::Value;
use bakehouse_api::value::Data;
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::{Args, CallCx, Outcome};
use crate::template::printf::quote;

const DEPTH_LIMIT: usize = 128;

/// Aliases of aliases multiply: more values than this are an attack or a slip.
const SIZE_LIMIT: usize = 100_000;

pub(super) fn yamldecode(_: &CallCx, args: &Args<'_>) -> Outcome {
    decode(args.str(0)).map_err(|reason| args.wrong(0, reason))
}

pub(super) fn yamlencode(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut out = String::new();
    node(args.value(0), 0, 2, &mut out);
    // A bare word at the end of a document could go on; the dots end it.
    let bare = matches!(args.value(0).data, Data::Null(_) | Data::Bool(_) | Data::Number(_));
    Ok((out + if bare { "...\n" } else { "" }).into())
}

fn decode(text: &str) -> Result<Value, String> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), size: 0 };
    loop {
        match reader.next()? {
            Event::StreamEnd => return Err("there is no YAML in it".into()),
            Event::DocumentStart(_) => break,
            _ => {}
        }
    }
    let first = reader.next()?;
    let value = reader.value(first, 0)?;
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(value),
            Event::DocumentStart(_) => return Err("there is more than one document in it".into()),
            _ => {}
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// What an anchor names, and how many values that is.
    anchors: HashMap<usize, (Value, usize)>,
    size: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.events.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(format!("this is no YAML: {error}")),
            None => Err("this YAML ends too early".into()),
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), String> {
        self.size += by;
        if self.size > SIZE_LIMIT { Err(format!("there are more than {SIZE_LIMIT} values in it")) } else { Ok(()) }
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("it is nested deeper than {DEPTH_LIMIT} levels"));
        }
        let before = self.size;
        self.grow(1)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref())?),
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref())?;
                (anchor, self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref())?;
                (anchor, self.mapping(depth)?)
            }
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias stands within its own anchor")?;
                self.grow(size)?;
                return Ok(value);
            }
            _ => return Err("this YAML ends too early".into()),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.size - before));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::tuple(items)),
                event => items.push(self.value(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = BTreeMap::new();
        let mut merged = BTreeMap::new();
        loop {
            let (key, plain) = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err("a key must be a simple value".into()),
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            if plain && key == "<<" {
                merge(&value, &mut merged)?;
            } else {
                fields.insert(key, value);
            }
        }
        // What is written here wins over what is merged.
        merged.extend(fields);
        Ok(Value::object(merged))
    }
}

/// Of several merged mappings the first wins.
fn merge(value: &Value, merged: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let single = std::slice::from_ref(value);
    for source in value.as_items().unwrap_or(single) {
        let fields = source.as_fields().ok_or("`<<` merges a mapping or a list of mappings")?;
        for (name, field) in fields {
            merged.entry(name.clone()).or_insert_with(|| field.clone());
        }
    }
    Ok(())
}

/// `!` alone only says that the value is no plain one.
fn check_tag(tag: Option<&Tag>) -> Result<(), String> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() && !tag.suffix.is_empty() => {
            Err(format!("the tag {}{} is not supported", tag.handle, tag.suffix))
        }
        _ => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    check_tag(tag)?;
    let is_text = tag.is_some_and(|tag| matches!(tag.suffix.as_str(), "str" | "binary" | ""));
    if style != ScalarStyle::Plain || is_text {
        return Ok(text.into());
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::null(),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            return Err(format!("`{text}` is not a number that can be used"));
        }
        _ => number(text).or_else(|| date(text)).unwrap_or_else(|| text.into()),
    })
}

fn number(text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    if !digits.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", digits.as_str()),
    };
    let number = match unsigned.strip_prefix("0b") {
        Some(bits) => bakehouse_api::Number::from_radix(&format!("{sign}{bits}"), 2),
        None => digits.parse().ok(),
    };
    number.map(|number| Value::new(Data::Number(number)))
}

fn date(text: &str) -> Option<Value> {
    let moment = crate::template::clock::Moment::parse(&format!("{text}T00:00:00Z"))?;
    Some(moment.rfc3339().into())
}

/// Writes from the current column, which is `indent` for mappings and sequences, and ends the line.
/// Lines of a block of text start at column `block`.
fn node(value: &Value, indent: usize, block: usize, out: &mut String) {
    let start = |out: &mut String, i: usize| {
        if i > 0 {
            out.push_str(&" ".repeat(indent));
        }
    };
    if let Some(items) = value.as_items().filter(|items| !items.is_empty()) {
        for (i, item) in items.iter().enumerate() {
            start(out, i);
            out.push_str("- ");
            node(item, indent + 2, indent + 2, out);
        }
    } else if let Some(fields) = value.as_fields().filter(|fields| !fields.is_empty()) {
        for (i, (name, field)) in fields.iter().enumerate() {
            start(out, i);
            out.push_str(&quote(name));
            out.push(':');
            // A sequence stands below its name, a mapping further in.
            let inner = if field.as_items().is_some() { indent } else { indent + 2 };
            let filled = field.as_items().is_some_and(|items| !items.is_empty())
                || field.as_fields().is_some_and(|fields| !fields.is_empty());
            out.push_str(&if filled { format!("\n{}", " ".repeat(inner)) } else { " ".into() });
            node(field, inner, indent + 2, out);
        }
    } else {
        leaf(value, block, out);
    }
}

fn leaf(value: &Value, block: usize, out: &mut String) {
    match &value.data {
        Data::Bool(value) => out.push_str(&value.to_string()),
        Data::Number(number) => out.push_str(&number.to_string()),
        Data::String(text) if is_block(text) => return lines(text, block, out),
        Data::String(text) => out.push_str(&quote(text)),
        Data::List(..) | Data::Set(..) | Data::Tuple(_) => out.push_str("[]"),
        Data::Map(..) | Data::Object(_) => out.push_str("{}"),
        Data::Null(_) | Data::Unknown(_) => out.push_str("null"),
    }
    out.push('\n');
}

/// Several lines that need no escapes.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with(' ')
        && !text.contains(" \n")
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control() && c != '\u{feff}')
}

fn lines(text: &str, block: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    let keep = match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    };
    out.push_str(keep);
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(block));
            out.push_str(line);
        }
        out.push('\n');
    }
}
