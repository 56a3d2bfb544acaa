//! Where the elements of a written value stand, so that errors underline the element.

use bakehouse_api::SpanTree;

use crate::template::hcl::syntax::{Expr, ExprKind, Part};

/// The places of a list's or an object's elements, as far as they are written out.
pub fn span_tree(expr: &Expr) -> SpanTree {
    let mut tree = SpanTree::leaf(expr.span);
    match &expr.kind {
        ExprKind::Group(inner) => tree = span_tree(inner),
        ExprKind::Tuple(items) => tree.items = items.iter().map(span_tree).collect(),
        ExprKind::Object(items) => {
            for (key, value) in items {
                if let Some(name) = literal_key(key) {
                    tree.fields.insert(name.to_owned(), span_tree(value));
                }
            }
        }
        _ => {}
    }
    tree
}

fn literal_key(key: &Expr) -> Option<&str> {
    match &key.kind {
        ExprKind::Key(word) => Some(word),
        ExprKind::Template(parts) => match parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}
