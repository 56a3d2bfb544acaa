//! Blocks to the entries that option structs decode from; `dynamic` blocks to the blocks they make.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Entry, Form, Node, Span, SpanTree, Type, Value};

use super::{Evaluator, Scope, span_tree};
use crate::template::hcl::syntax::{Attribute, Block, Body, Item, Name, word};
use crate::template::hcl::with_stack;

/// A block that was written or made by a `dynamic` one, with what names mean in it.
#[derive(Clone, Debug)]
pub struct Expanded {
    pub kind: Name,
    pub labels: Vec<Name>,
    /// Whose body counts: the block itself, or the `content` of a `dynamic` one.
    pub block: Arc<Block>,
    pub scope: Scope,
}

impl Expanded {
    pub fn header(&self) -> Span {
        self.labels.last().map_or(self.kind.span, |label| self.kind.span.to(label.span))
    }
}

/// An attribute, or a block after expansion.
pub enum Piece<'b> {
    Attribute(&'b Arc<Attribute>),
    Block(Expanded),
    /// What a `dynamic` block makes cannot be told yet: `for_each` is unknown. Stands for any number of
    /// such blocks.
    Unknown(Expanded),
}

impl Evaluator<'_> {
    /// What a body holds once its `dynamic` blocks are expanded, in order.
    pub fn expand<'b>(&mut self, body: &'b Body, scope: &Scope) -> Vec<Piece<'b>> {
        let mut pieces = Vec::with_capacity(body.items.len());
        for item in &body.items {
            match item {
                Item::Attribute(attribute) => pieces.push(Piece::Attribute(attribute)),
                Item::Block(block) if block.kind.text == "dynamic" => {
                    pieces.extend(self.expand_dynamic(block, scope).unwrap_or_default());
                }
                Item::Block(block) => pieces.push(Piece::Block(Expanded {
                    kind: block.kind.clone(),
                    labels: block.labels.clone(),
                    block: block.clone(),
                    scope: scope.clone(),
                })),
            }
        }
        pieces
    }

    fn expand_dynamic<'b>(&mut self, block: &Arc<Block>, scope: &Scope) -> Option<Vec<Piece<'b>>> {
        let [kind] = block.labels.as_slice() else {
            return self.error(block.header(), "`dynamic` needs one label: the kind of block it makes");
        };
        let known = ["for_each", "iterator", "labels", "content"];
        for attribute in block.body.attributes() {
            if !known[..3].contains(&attribute.name.text.as_str()) {
                let error = Diagnostic::error(format!("`dynamic` has no option `{}`", attribute.name.text));
                let error = error.at(attribute.name.span).did_you_mean(&attribute.name.text, known);
                self.diagnostics.push(error.hint("the attributes of the new blocks stand in `content`"));
            }
        }
        let contents: Vec<&Arc<Block>> = block.body.blocks().collect();
        let [content] = contents.as_slice() else {
            return self.error(block.header(), "`dynamic` needs exactly one `content` block");
        };
        if content.kind.text != "content" {
            return self.error(content.kind.span, "`dynamic` holds only a `content` block");
        }
        let Some(for_each) = block.body.attribute("for_each") else {
            return self.error(block.header(), "`dynamic` needs `for_each`: what to make blocks of");
        };
        let iterator = match block.body.attribute("iterator") {
            None => kind.text.clone(),
            Some(attribute) => match word(&attribute.value) {
                Some(word) => word.to_owned(),
                None => return self.error(attribute.value.span, "`iterator` must be a plain name"),
            },
        };
        let collection = self.eval(&for_each.value, scope)?;
        let Some(pairs) = self.iterate(&collection, for_each.value.span)? else {
            let each = || Value::unknown(Type::Any);
            let scope =
                scope.with(&iterator, Value::object([("key".to_owned(), each()), ("value".to_owned(), each())].into()));
            let block = Expanded { kind: kind.clone(), labels: Vec::new(), block: Arc::clone(content), scope };
            return Some(vec![Piece::Unknown(block)]);
        };
        let mut made = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let each = Value::object([("key".to_owned(), key), ("value".to_owned(), value)].into());
            let scope = scope.with(&iterator, each);
            let labels = match block.body.attribute("labels") {
                Some(labels) => self.labels(labels, &scope)?,
                None => Vec::new(),
            };
            made.push(Piece::Block(Expanded { kind: kind.clone(), labels, block: Arc::clone(content), scope }));
        }
        Some(made)
    }

    fn labels(&mut self, attribute: &Attribute, scope: &Scope) -> Option<Vec<Name>> {
        let span = attribute.value.span;
        let labels = self.eval_as(&attribute.value, &Type::List(Box::new(Type::String)), scope)?;
        let texts: Option<Vec<&str>> = labels.as_items()?.iter().map(Value::as_str).collect();
        match texts {
            Some(texts) => Some(texts.into_iter().map(|text| Name { text: text.to_owned(), span }).collect()),
            None => self.error(span, "labels must be known strings"),
        }
    }

    /// The entries of a block, less those that `skip` takes for itself.
    pub fn entries(&mut self, body: &Body, scope: &Scope, skip: &dyn Fn(&str) -> bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        for piece in self.expand(body, scope) {
            let entry = match piece {
                Piece::Attribute(attribute) if skip(&attribute.name.text) => continue,
                Piece::Attribute(attribute) => self.eval(&attribute.value, scope).map(|value| Entry {
                    name: attribute.name.text.clone(),
                    name_span: attribute.name.span,
                    form: Form::Attribute,
                    node: Node::new(value, span_tree(&attribute.value)),
                }),
                Piece::Block(block) | Piece::Unknown(block) => self.nested(&block).map(|node| Entry {
                    name: block.kind.text.clone(),
                    name_span: block.kind.span,
                    form: Form::Block,
                    node,
                }),
            };
            entries.extend(entry);
        }
        entries
    }

    /// A nested block as an object.
    fn nested(&mut self, block: &Expanded) -> Option<Node> {
        if let Some(label) = block.labels.first() {
            return self.error(label.span, format!("a `{}` block takes no label", block.kind.text));
        }
        let entries = with_stack(|| self.entries(&block.block.body, &block.scope, &|_| false));
        let mut fields: BTreeMap<String, Vec<Node>> = BTreeMap::new();
        for entry in entries {
            fields.entry(entry.name).or_default().push(entry.node);
        }
        let mut spans = SpanTree::leaf(block.header());
        let mut values = BTreeMap::new();
        for (name, mut nodes) in fields {
            let node = if nodes.len() == 1 { nodes.remove(0) } else { list_of(nodes) };
            spans.fields.insert(name.clone(), node.spans);
            values.insert(name, node.value);
        }
        Some(Node::new(Value::object(values), spans))
    }
}

fn list_of(nodes: Vec<Node>) -> Node {
    let span = nodes.iter().map(Node::span).reduce(Span::to).unwrap_or_default();
    let (values, items) = nodes.into_iter().map(|node| (node.value, node.spans)).unzip();
    Node::new(Value::tuple(values), SpanTree { items, ..SpanTree::leaf(span) })
}
