//! HCL's JSON syntax: `*.pkr.json` to the same tree, and JSON files of variables.

use std::sync::Arc;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, Node, Span, Value};

use super::parser::{parse_expression_at, parse_template_at};
use super::syntax::{Attribute, Block, Body, Expr, ExprKind, Item as Piece, Name};
use crate::template::json::read::{Item, read};

/// The blocks that stand in a body, and how many labels each has. What is no block is an attribute.
type Blocks = &'static [(&'static str, usize)];

const TOP: Blocks = &[
    ("packer", 0),
    ("variable", 1),
    ("variables", 0),
    ("local", 1),
    ("locals", 0),
    ("data", 2),
    ("source", 2),
    ("build", 0),
    ("communicator", 2),
    ("dynamic", 1),
    ("hcp_packer_registry", 0),
];

/// What stands in a block of that kind.
fn inner_blocks(kind: &str) -> Blocks {
    match kind {
        "packer" => &[("required_plugins", 0)],
        "variable" => &[("validation", 0)],
        "build" => &[
            ("source", 1),
            ("provisioner", 1),
            ("error-cleanup-provisioner", 1),
            ("post-processor", 1),
            ("post-processors", 0),
            ("dynamic", 1),
            ("hcp_packer_registry", 0),
        ],
        "post-processors" => &[("post-processor", 1), ("dynamic", 1)],
        "dynamic" => &[("content", 0)],
        _ => &[("dynamic", 1)],
    }
}

pub fn parse_body(file: FileId, text: &str) -> (Body, Diagnostics) {
    let mut translator = Translator { diagnostics: Diagnostics::default() };
    let root = read(text, file, &mut translator.diagnostics);
    let body = root.map(|root| translator.body(&root, "the template", TOP)).unwrap_or_default();
    (body, translator.diagnostics)
}

/// The members of a JSON object, as they are: strings are no templates.
pub fn parse_values(file: FileId, text: &str) -> (Vec<(Name, Value)>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let Some(root) = read(text, file, &mut diagnostics) else { return (Vec::new(), diagnostics) };
    let Some(entries) = root.entries() else {
        diagnostics.push(Diagnostic::error("a file of variables is a JSON object").at(root.span()));
        return (Vec::new(), diagnostics);
    };
    let value =
        |(name, span, item): &(String, Span, Item)| (Name { text: name.clone(), span: *span }, item.node().value);
    (entries.iter().filter(|(name, ..)| name != "//").map(value).collect(), diagnostics)
}

struct Translator {
    diagnostics: Diagnostics,
}

impl Translator {
    fn body(&mut self, item: &Item, what: &str, blocks: Blocks) -> Body {
        let mut body = Body::default();
        for object in several(item) {
            let Some(entries) = object.entries() else {
                let error = format!("{what} must be an object, and it is {}", object.kind_name());
                self.diagnostics.push(Diagnostic::error(error).at(object.span()));
                continue;
            };
            for (name, span, item) in entries.iter().filter(|(name, ..)| name != "//") {
                let name = Name { text: name.clone(), span: *span };
                match blocks.iter().find(|(kind, _)| *kind == name.text) {
                    Some((_, labels)) => self.blocks(&name, *labels, Vec::new(), item, &mut body),
                    None => body.items.extend(self.attribute(name, item, what)),
                }
            }
        }
        body
    }

    fn attribute(&mut self, name: Name, item: &Item, parent: &str) -> Option<Piece> {
        // A type is an expression in a string.
        let value = match item {
            Item::Scalar(node) if parent == "variable" && name.text == "type" => {
                let text = node.value.as_str().unwrap_or_default();
                let parsed = parse_expression_at(node.span().file, text, node.span().start as usize + 1);
                self.parsed(parsed)?
            }
            _ => self.expression(item)?,
        };
        Some(Piece::Attribute(Arc::new(Attribute { name, value })))
    }

    /// One block, or several: each level of labels is an object or a list of objects.
    fn blocks(&mut self, kind: &Name, missing: usize, labels: Vec<Name>, item: &Item, to: &mut Body) {
        for object in several(item) {
            if missing == 0 {
                let inner = kind_of_body(kind, &labels);
                let body = self.body(object, &kind.text, inner);
                to.items.push(Piece::Block(Arc::new(Block { kind: kind.clone(), labels: labels.clone(), body })));
                continue;
            }
            let Some(entries) = object.entries() else {
                let error = format!("`{}` needs an object here: its keys are labels", kind.text);
                self.diagnostics.push(Diagnostic::error(error).at(object.span()));
                continue;
            };
            for (label, span, item) in entries.iter().filter(|(label, ..)| label != "//") {
                let mut labels = labels.clone();
                labels.push(Name { text: label.clone(), span: *span });
                self.blocks(kind, missing - 1, labels, item, to);
            }
        }
    }

    fn expression(&mut self, item: &Item) -> Option<Expr> {
        let span = item.span();
        let kind = match item {
            Item::Scalar(Node { value, .. }) => match value.as_str() {
                Some(text) => {
                    let parsed = parse_template_at(span.file, text, span.start as usize + 1);
                    ExprKind::Template(self.parsed(parsed)?)
                }
                None => ExprKind::Literal(value.clone()),
            },
            Item::Array(items, _) => {
                let items: Vec<Option<Expr>> = items.iter().map(|item| self.expression(item)).collect();
                ExprKind::Tuple(items.into_iter().collect::<Option<_>>()?)
            }
            Item::Object(entries, _) => {
                let mut items = Vec::with_capacity(entries.len());
                for (name, name_span, item) in entries {
                    let parsed = parse_template_at(span.file, name, name_span.start as usize + 1);
                    let key = Expr { kind: ExprKind::Template(self.parsed(parsed)?), span: *name_span };
                    items.push((key, self.expression(item)?));
                }
                ExprKind::Object(items)
            }
        };
        Some(Expr { kind, span })
    }

    fn parsed<T>(&mut self, parsed: Result<T, Diagnostics>) -> Option<T> {
        parsed.map_err(|diagnostics| self.diagnostics.extend(diagnostics)).ok()
    }
}

/// A list stands for its elements.
fn several(item: &Item) -> &[Item] {
    item.items().unwrap_or(std::slice::from_ref(item))
}

/// The `content` of a `dynamic` block holds what the block holds that it makes.
fn kind_of_body(kind: &Name, labels: &[Name]) -> Blocks {
    match (kind.text.as_str(), labels) {
        ("source", [_, _]) | ("provisioner" | "post-processor" | "error-cleanup-provisioner", _) => &[("dynamic", 1)],
        (kind, _) => inner_blocks(kind),
    }
}

#[cfg(test)]
mod tests;
