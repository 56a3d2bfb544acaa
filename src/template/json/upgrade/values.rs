//! Options to attributes and blocks.

use std::fmt::Write;

use bakehouse_api::value::Data;
use bakehouse_api::{Entry, Field, Shape, Value};

use super::calls::{Translator, quote};
use super::names::{identifier, is_identifier};
use super::weak;

/// A list of several elements that is longer gets a line for each element.
const LINE: usize = 80;

/// Blocks of Packer's plugins that hold neither lists nor objects, by which blocks are known otherwise:
/// of amazon, azure, proxmox and vsphere.
const BLOCKS: [&str; 17] = [
    "assume_role",
    "aws_polling",
    "deregistration_protection",
    "metadata_options",
    "placement",
    "vault_aws_engine",
    "plan_info",
    "shared_image_gallery",
    "shared_image_gallery_destination",
    "spot",
    "efi_config",
    "rng0",
    "tpm_config",
    "vga",
    "content_library_destination",
    "customize",
    "export",
];

/// `fields` are those of the component, none where it is not built in.
pub fn options(entries: &[Entry], fields: &[Field], translator: Translator<'_>) -> String {
    entries.iter().map(|entry| option(&entry.name, &entry.node.value, fields, translator)).collect()
}

/// The value as its option takes it.
pub fn settled_option(entry: &Entry, fields: &[Field]) -> Value {
    let value = &entry.node.value;
    shape_of(&entry.name, fields).map_or_else(|| value.clone(), |shape| weak::settled(shape, value))
}

fn shape_of<'f>(name: &str, fields: &'f [Field]) -> Option<&'f Shape> {
    fields.iter().find(|field| field.names().any(|other| other == name)).map(|field| &field.shape)
}

/// Legacy JSON writes blocks as objects and as lists of objects.
fn option(name: &str, value: &Value, fields: &[Field], translator: Translator<'_>) -> String {
    let shape = shape_of(name, fields);
    if shape.is_some_and(|shape| weak::is_split_late(shape, value)) {
        return split_attribute(name, value, translator);
    }
    if let (Some(zero), Some(text)) = (shape.and_then(weak::zero), value.as_str())
        && translator.names.is_maybe_empty(text)
    {
        let mut expressions = Expressions::new(translator);
        let text = expressions.text(text);
        return format!("{}{} = coalesce({text}, {zero})\n", expressions.note(), identifier(name));
    }
    let value = &shape.map_or_else(|| value.clone(), |shape| weak::settled(shape, value));
    let inner = shape.and_then(weak::block_fields);
    let blocks: Vec<&Value> = match value.as_items() {
        Some(items) if is_list_of_objects(items) && (shape.is_none() || inner.is_some()) => items.iter().collect(),
        None if inner.is_some() && value.as_fields().is_some() || shape.is_none() && is_block(name, value) => {
            vec![value]
        }
        _ => return attribute(name, value, translator),
    };
    let block = |block: &Value| {
        let fields = block.as_fields().into_iter().flatten();
        let inner: String =
            fields.map(|(name, field)| option(name, field, inner.unwrap_or_default(), translator)).collect();
        self::block(&identifier(name), &inner)
    };
    blocks.into_iter().map(block).collect()
}

fn split_attribute(name: &str, value: &Value, translator: Translator<'_>) -> String {
    let mut expressions = Expressions::new(translator);
    let text = expressions.value(value);
    format!("{}{} = compact(split(\",\", {text}))\n", expressions.note(), identifier(name))
}

fn is_list_of_objects(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.as_fields().is_some())
}

fn is_block(name: &str, value: &Value) -> bool {
    let nested = |field: &Value| field.as_fields().is_some() || field.as_items().is_some();
    value.as_fields().is_some_and(|fields| BLOCKS.contains(&name) || fields.values().any(nested))
}

fn attribute(name: &str, value: &Value, translator: Translator<'_>) -> String {
    let mut expressions = Expressions::new(translator);
    let text = expressions.value(value);
    format!("{}{} = {text}\n", expressions.note(), identifier(name))
}

pub struct Expressions<'a> {
    translator: Translator<'a>,
    /// Is there a call that stays?
    kept: bool,
}

impl<'a> Expressions<'a> {
    pub fn new(translator: Translator<'a>) -> Self {
        Self { translator, kept: false }
    }

    /// The comment that they need. A call that stays is run when the option is read, in HCL2 too.
    pub fn note(&self) -> &'static str {
        if self.kept { "# Here `{{ }}` calls stay that have no counterpart in HCL2.\n" } else { "" }
    }

    pub fn text(&mut self, text: &str) -> String {
        let translated = self.translator.text(text);
        self.kept |= translated.kept;
        translated.expression
    }

    pub fn value(&mut self, value: &Value) -> String {
        if let Some(text) = value.as_str() {
            return self.text(text);
        }
        if let Some(items) = value.as_items() {
            let items = items.iter().map(|item| self.value(item)).collect();
            return list(items);
        }
        if let Some(fields) = value.as_fields() {
            let fields = fields.iter().map(|(name, field)| (self.key(name), self.value(field)));
            return object(fields.collect());
        }
        match &value.data {
            Data::Bool(flag) => flag.to_string(),
            Data::Number(number) => number.to_string(),
            _ => "null".to_owned(),
        }
    }

    pub fn key(&mut self, name: &str) -> String {
        if is_identifier(name) && name != "for" {
            return name.to_owned();
        }
        if !name.contains("{{") {
            return quote(name);
        }
        format!("({})", self.text(name))
    }
}

pub fn block(header: &str, inner: &str) -> String {
    if inner.is_empty() { format!("{header} {{}}\n") } else { format!("{header} {{\n{inner}}}\n") }
}

pub fn list(items: Vec<String>) -> String {
    let line = format!("[{}]", items.join(", "));
    if items.len() < 2 || line.len() <= LINE && !line.contains('\n') {
        return line;
    }
    let lines: String = items.iter().map(|item| format!("{item},\n")).collect();
    format!("[\n{lines}]")
}

pub fn object(fields: Vec<(String, String)>) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let mut text = String::from("{\n");
    for (name, value) in fields {
        let _ = writeln!(text, "{name} = {value}"); // a string takes everything
    }
    text + "}"
}
