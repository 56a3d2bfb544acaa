//! The evaluated body of a source, provisioner or post-processor: names, values, places. What an
//! option struct decodes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Secrets, Span, SpanTree, Value};

/// How an entry was written: `name = value`, `name { ... }`, or `"name": value` in legacy JSON, whose
/// values are typed more weakly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Attribute,
    Block,
    Member,
}

/// A value with the places it was written at.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub spans: SpanTree,
}

impl Node {
    pub fn new(value: Value, spans: SpanTree) -> Self {
        Self { value, spans }
    }

    pub fn span(&self) -> Span {
        self.spans.span
    }

    /// The elements of a list, each with its own place.
    pub fn items(&self) -> Option<Vec<Node>> {
        let items = self.value.as_items()?;
        let sensitive = self.value.sensitive;
        let node = |(i, item): (usize, &Value)| Node::new(item.clone().sensitive(sensitive), self.spans.item(i));
        Some(items.iter().enumerate().map(node).collect())
    }

    /// The fields of an object or map, each with its own place.
    pub fn fields(&self) -> Option<BTreeMap<String, Node>> {
        let fields = self.value.as_fields()?;
        let sensitive = self.value.sensitive;
        let node = |(name, field): (&String, &Value)| {
            (name.clone(), Node::new(field.clone().sensitive(sensitive), self.spans.field(name)))
        };
        Some(fields.iter().map(node).collect())
    }
}

/// One attribute or nested block. A block's value is an object; nested blocks of one name become a
/// tuple of objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub name_span: Span,
    pub form: Form,
    pub node: Node,
}

/// The `{{ }}` engine, which lives with the template language.
pub trait Interpolate: Send + Sync {
    /// Renders `text`; `data` are the fields of the moment (`.Vars`, `.Path`, `.HTTPIP`, `.Name`).
    /// The error says what was wrong; byte offsets in it are relative to `text`.
    fn render(&self, text: &str, data: &BTreeMap<String, String>) -> Result<String, String>;
}

/// An engine for bodies made by tests and by code: strings stay as they are.
pub struct Verbatim;

impl Interpolate for Verbatim {
    fn render(&self, text: &str, _data: &BTreeMap<String, String>) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

#[derive(Clone)]
pub struct Body {
    /// "qemu", "shell", "manifest", ...
    pub kind: String,
    /// The source's alias, or the step's `name`, or its kind.
    pub name: String,
    /// The build it belongs to, as `-only` names it: "qemu.debian".
    pub build: String,
    /// Packer's `PACKER_BUILD_NAME`, "debian": what default file names are made of.
    pub build_name: String,
    /// The type of that build's source: "qemu".
    pub builder_type: String,
    /// The folder of the template (`path.root`).
    pub root: PathBuf,
    /// The block's header.
    pub span: Span,
    pub entries: Vec<Entry>,
    pub engine: Arc<dyn Interpolate>,
    pub secrets: Secrets,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("kind", &self.kind).field("build", &self.build).finish_non_exhaustive()
    }
}

impl Body {
    /// True when something in it waits for the machine to run (`build.*` while validating).
    pub fn has_unknown(&self) -> bool {
        self.entries.iter().any(|entry| entry.node.value.has_unknown())
    }
}

/// A string whose `{{ }}` parts are rendered when its fields are known: `execute_command`,
/// `boot_command`, `qemuargs`, output names.
#[derive(Clone)]
pub struct Template {
    pub text: String,
    pub span: Span,
    engine: Arc<dyn Interpolate>,
}

impl Template {
    pub fn new(text: impl Into<String>, span: Span, engine: Arc<dyn Interpolate>) -> Self {
        Self { text: text.into(), span, engine }
    }

    /// `fields` are pairs like ("HTTPIP", "10.0.2.2").
    pub fn render<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String, crate::Error> {
        let data = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.engine.render(&self.text, &data).map_err(|reason| {
            crate::Error::new(crate::Kind::Config, reason).context(format!("rendering `{}`", self.text)).at(self.span)
        })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}
