//! Where in a template something stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was read, as an index into its [`SourceMap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A byte range of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub fn contains(self, inner: Span) -> bool {
        self.file == inner.file && self.start <= inner.start && inner.end <= self.end
    }
}

/// The spans of a value and of the elements it was written with. Elements that come from somewhere
/// else (a variable, a function) have no span of their own and are blamed on the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanTree {
    pub span: Span,
    pub items: Vec<SpanTree>,
    pub fields: BTreeMap<String, SpanTree>,
}

impl SpanTree {
    pub fn leaf(span: Span) -> Self {
        Self { span, ..Self::default() }
    }

    pub fn item(&self, index: usize) -> SpanTree {
        self.items.get(index).cloned().unwrap_or_else(|| Self::leaf(self.span))
    }

    pub fn field(&self, name: &str) -> SpanTree {
        self.fields.get(name).cloned().unwrap_or_else(|| Self::leaf(self.span))
    }
}

/// The texts that spans point into. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Arc<SourceFile>>,
}

#[derive(Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

impl SourceMap {
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> FileId {
        self.files.push(Arc::new(SourceFile { path: path.into(), text: text.into() }));
        FileId(self.files.len() as u32 - 1)
    }

    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize).map(|file| file.as_ref())
    }

    pub fn path(&self, id: FileId) -> Option<&Path> {
        self.get(id).map(|file| file.path.as_path())
    }

    /// `file:line:column`, both counted from 1, the column in characters.
    pub fn place(&self, span: Span) -> Option<String> {
        let file = self.get(span.file)?;
        let before = file.text.get(..span.start as usize)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        Some(format!("{}:{line}:{column}", file.path.display()))
    }
}
