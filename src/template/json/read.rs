//! JSON text to values with places.

use std::collections::{BTreeMap, HashMap};

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Diagnostics, FileId, Node, Span, SpanTree, Value};
use jsonc_parser::ast;
use jsonc_parser::common::{Range, Ranged};

use crate::template::functions::json::strict;

/// An object's names keep their order and places, which a plain value does not.
#[derive(Clone, Debug)]
pub enum Item {
    Scalar(Node),
    Array(Vec<Item>, Span),
    Object(Vec<(String, Span, Item)>, Span),
}

impl Item {
    pub fn span(&self) -> Span {
        match self {
            Item::Scalar(node) => node.span(),
            Item::Array(_, span) | Item::Object(_, span) => *span,
        }
    }

    pub fn entries(&self) -> Option<&[(String, Span, Item)]> {
        match self {
            Item::Object(entries, _) => Some(entries),
            _ => None,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Item> {
        self.entries()?.iter().find(|(known, ..)| known == name).map(|(_, _, item)| item)
    }

    pub fn items(&self) -> Option<&[Item]> {
        match self {
            Item::Array(items, _) => Some(items),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Item::Scalar(node) => node.value.as_str(),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Item::Scalar(node) if node.value.is_null())
    }

    /// "a string", "a list", ...
    pub fn kind_name(&self) -> &'static str {
        match self {
            Item::Scalar(node) => node.value.kind_name(),
            Item::Array(..) => "a list",
            Item::Object(..) => "an object",
        }
    }

    pub fn node(&self) -> Node {
        match self {
            Item::Scalar(node) => node.clone(),
            Item::Array(items, span) => {
                let nodes: Vec<Node> = items.iter().map(Item::node).collect();
                let (values, items) = nodes.into_iter().map(|node| (node.value, node.spans)).unzip();
                Node::new(Value::tuple(values), SpanTree { span: *span, items, fields: BTreeMap::new() })
            }
            Item::Object(entries, span) => {
                let mut values = BTreeMap::new();
                let mut fields = BTreeMap::new();
                for (name, _, item) in entries {
                    let node = item.node();
                    values.insert(name.clone(), node.value);
                    fields.insert(name.clone(), node.spans);
                }
                Node::new(Value::object(values), SpanTree { span: *span, items: Vec::new(), fields })
            }
        }
    }
}

/// None after an error was pushed.
pub fn read(text: &str, file: FileId, diagnostics: &mut Diagnostics) -> Option<Item> {
    // Editors of Windows put a byte order mark in front.
    let (bom, json) = match text.strip_prefix('\u{feff}') {
        Some(json) => ('\u{feff}'.len_utf8(), json),
        None => (0, text),
    };
    let mut reader = Reader { file, json, bom, diagnostics };
    match jsonc_parser::parse_to_ast(json, &Default::default(), &strict()) {
        Ok(parsed) => match &parsed.value {
            Some(value) => Some(reader.item(value)),
            None => {
                reader.diagnostics.push(Diagnostic::error("the file is empty").at(Span::new(file, 0, 0)));
                None
            }
        },
        Err(error) => {
            let span = reader.span(&error.range());
            reader.diagnostics.push(Diagnostic::error(format!("this is not valid JSON: {}", error.kind())).at(span));
            None
        }
    }
}

struct Reader<'a> {
    file: FileId,
    json: &'a str,
    bom: usize,
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn span(&self, range: &Range) -> Span {
        Span::new(self.file, range.start + self.bom, range.end + self.bom)
    }

    fn item(&mut self, value: &ast::Value<'_>) -> Item {
        let span = self.span(&value.range());
        let scalar = |value| Item::Scalar(Node::new(value, SpanTree::leaf(span)));
        match value {
            ast::Value::NullKeyword(_) => scalar(Value::null()),
            ast::Value::BooleanLit(literal) => scalar(literal.value.into()),
            ast::Value::StringLit(literal) => {
                self.control(&literal.range);
                scalar(Value::from(&*literal.value))
            }
            ast::Value::NumberLit(literal) => match literal.value.parse() {
                Ok(number) => scalar(Value::new(Data::Number(number))),
                Err(reason) => {
                    self.diagnostics.push(Diagnostic::error(reason).at(span));
                    scalar(Value::null())
                }
            },
            ast::Value::Array(array) => Item::Array(array.elements.iter().map(|item| self.item(item)).collect(), span),
            ast::Value::Object(object) => self.object(object, span),
        }
    }

    /// A line break or a tab in a string has to be written as an escape.
    fn control(&mut self, range: &Range) {
        if let Some(at) = self.json[range.start..range.end].find(|c: char| c < ' ') {
            let at = range.start + at;
            let raw = Diagnostic::error("a string must not hold a control character as it is");
            let span = self.span(&Range { start: at, end: at + 1 });
            self.diagnostics.push(raw.at(span).hint("write \\n for a line break and \\t for a tab"));
        }
    }

    fn object(&mut self, object: &ast::Object<'_>, span: Span) -> Item {
        let mut entries: Vec<(String, Span, Item)> = Vec::with_capacity(object.properties.len());
        let mut first: HashMap<&str, Span> = HashMap::new();
        for property in &object.properties {
            let name = property.name.as_str();
            let name_span = self.span(&property.name.range());
            self.control(&property.name.range());
            if let Some(first) = first.get(name) {
                let twice = Diagnostic::error(format!("`{name}` is set more than once")).at(name_span);
                self.diagnostics.push(twice.related(*first, "first set here"));
                continue;
            }
            first.insert(name, name_span);
            let item = self.item(&property.value);
            entries.push((name.to_owned(), name_span, item));
        }
        Item::Object(entries, span)
    }
}
