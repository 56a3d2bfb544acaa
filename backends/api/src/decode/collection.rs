//! Lists, maps and nested blocks.

use std::collections::BTreeMap;

use super::{Ctx, Decode, Reader, decode_node, mismatch, only_entry, scalar};
use crate::{Diagnostic, Entry, Form, Node, Shape, SpanTree, Value};

impl<T: Decode> Decode for Option<T> {
    const LATE: bool = T::LATE;

    fn shape() -> Shape {
        T::shape()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        // What JSON templates write where a variable may leave an option unset.
        if cx.weak && T::shape() == Shape::Bool && node.value.as_str() == Some("") {
            return Some(None);
        }
        T::decode(node, cx).map(Some)
    }

    fn placeholder() -> Self {
        Some(T::placeholder())
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_ref().map_or(serde_json::Value::Null, T::to_json)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        match entries {
            [entry] if entry.node.value.is_null() => Some(None),
            [entry] if entry.form != Form::Block => decode_node(&entry.node, cx),
            _ => T::decode_entries(entries, cx).map(Some),
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    const LATE: bool = T::LATE;

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        match node.items() {
            Some(items) => decode_all(&items, cx),
            None if cx.weak => decode_all(&elements::<T>(node, cx)?, cx),
            None if matches!(T::shape(), Shape::Block { .. }) => decode_all(std::slice::from_ref(node), cx),
            None => {
                cx.diagnostics.push(mismatch::<Self>(node).hint("write it as a list: [ ... ]"));
                None
            }
        }
    }

    fn placeholder() -> Self {
        Vec::new()
    }

    fn to_json(&self) -> serde_json::Value {
        self.iter().map(T::to_json).collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        if !matches!(T::shape(), Shape::Block { .. }) {
            return decode_node(&attribute(entries, cx)?.node, cx);
        }
        if let [entry] = entries {
            return decode_node(&entry.node, cx);
        }
        let blocks: Vec<Node> = entries.iter().map(|entry| entry.node.clone()).collect();
        decode_all(&blocks, cx)
    }
}

fn decode_all<T: Decode>(nodes: &[Node], cx: &mut Ctx<'_>) -> Option<Vec<T>> {
    // All of them before the first `?`: every element's errors are wanted.
    let decoded: Vec<Option<T>> = nodes.iter().map(|node| decode_node(node, cx)).collect();
    decoded.into_iter().collect()
}

/// What a single value of legacy JSON stands for: a text is split at its commas, nothing is no element.
fn elements<T: Decode>(node: &Node, cx: &mut Ctx<'_>) -> Option<Vec<Node>> {
    let empty = |fields: &BTreeMap<_, _>| fields.is_empty() && !matches!(T::shape(), Shape::Map(_));
    if node.value.as_fields().is_some_and(empty) {
        return Some(Vec::new());
    }
    let Some(text) = node.value.as_str() else { return Some(vec![node.clone()]) };
    let text = if T::LATE { text.to_owned() } else { scalar::render(text.to_owned(), node.span(), cx)? };
    if text.is_empty() {
        return Some(Vec::new());
    }
    let element =
        |part: &str| Node::new(Value::from(part).sensitive(node.value.sensitive), SpanTree::leaf(node.span()));
    Some(text.split(',').map(element).collect())
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let Some(fields) = node.fields() else { return super::wrong(node, cx) };
        let decoded: Vec<Option<(String, T)>> =
            fields.iter().map(|(name, field)| Some((name.clone(), decode_node(field, cx)?))).collect();
        decoded.into_iter().collect()
    }

    fn placeholder() -> Self {
        BTreeMap::new()
    }

    fn to_json(&self) -> serde_json::Value {
        let fields = self.iter().map(|(name, value)| (name.clone(), value.to_json()));
        serde_json::Value::Object(fields.collect())
    }

    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }

    fn decode_entries(entries: &[Entry], cx: &mut Ctx<'_>) -> Option<Self> {
        decode_node(&attribute(entries, cx)?.node, cx)
    }
}

/// The one entry, which HCL must not write as a block.
fn attribute<'e>(entries: &'e [Entry], cx: &mut Ctx<'_>) -> Option<&'e Entry> {
    if let Some(block) = entries.iter().find(|entry| entry.form == Form::Block) {
        let name = &block.name;
        let finding = Diagnostic::error(format!("`{name}` is an option, not a block")).at(block.name_span);
        cx.diagnostics.push(finding.hint(format!("write `{name} = ...`")));
        return None;
    }
    only_entry(entries, cx)
}

/// Decodes a nested block or object into an option struct.
pub fn decode_struct<T: crate::Options>(node: &Node, cx: &mut Ctx<'_>) -> Option<T> {
    let Some(fields) = node.fields() else {
        cx.error(node.span(), format!("this must be a block or an object, and it is {}", node.value.kind_name()));
        return None;
    };
    let form = if cx.weak { Form::Member } else { Form::Attribute };
    let entry = |(name, node): (String, Node)| Entry { name, name_span: node.span(), form, node };
    let entries = fields.into_iter().map(entry).collect();
    let inner = Ctx { engine: cx.engine, secrets: cx.secrets, diagnostics: &mut *cx.diagnostics, weak: cx.weak };
    T::read(Reader::over("this block".into(), node.span(), entries, inner))
}
