//! What an expression refers to, for ordering and for telling what needs what.

use crate::template::hcl::syntax::{Body, Expr, ExprKind, ForResult, Item, Part, Step};
use crate::template::hcl::with_stack;

/// Calls `seen` with the first name of every reference and with what follows it.
pub fn references<'e>(expr: &'e Expr, seen: &mut dyn FnMut(&'e str, &'e [Step], &'e Expr)) {
    with_stack(|| visit(expr, seen));
}

/// The references of everything within a block.
pub fn body_references<'e>(body: &'e Body, seen: &mut dyn FnMut(&'e str, &'e [Step], &'e Expr)) {
    for item in &body.items {
        match item {
            Item::Attribute(attribute) => references(&attribute.value, seen),
            Item::Block(block) => with_stack(|| body_references(&block.body, seen)),
        }
    }
}

fn visit<'e>(expr: &'e Expr, seen: &mut dyn FnMut(&'e str, &'e [Step], &'e Expr)) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Key(_) => {}
        ExprKind::Variable(name) => seen(name, &[], expr),
        ExprKind::Template(parts) => visit_parts(parts, seen),
        ExprKind::Tuple(items) => items.iter().for_each(|item| references(item, seen)),
        ExprKind::Object(items) => {
            for (key, value) in items {
                references(key, seen);
                references(value, seen);
            }
        }
        ExprKind::Group(inner) | ExprKind::Unary(_, inner) => references(inner, seen),
        ExprKind::Binary(first, rest) => {
            references(first, seen);
            rest.iter().for_each(|(_, operand)| references(operand, seen));
        }
        ExprKind::Conditional(form) => {
            [&form.condition, &form.then, &form.otherwise].into_iter().for_each(|part| references(part, seen));
        }
        ExprKind::For(form) => {
            references(&form.collection, seen);
            match &form.result {
                ForResult::Tuple(item) => references(item, seen),
                ForResult::Object { key, value, .. } => {
                    references(key, seen);
                    references(value, seen);
                }
            }
            form.condition.iter().for_each(|condition| references(condition, seen));
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| references(arg, seen)),
        ExprKind::Traverse(base, steps) => {
            match &base.kind {
                ExprKind::Variable(name) => seen(name, steps, expr),
                _ => references(base, seen),
            }
            for step in steps {
                if let Step::Index(key, _) = step {
                    references(key, seen);
                }
            }
        }
    }
}

fn visit_parts<'e>(parts: &'e [Part], seen: &mut dyn FnMut(&'e str, &'e [Step], &'e Expr)) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Interpolation(expr) => references(expr, seen),
            Part::If(form) => {
                references(&form.condition, seen);
                with_stack(|| visit_parts(&form.then, seen));
                with_stack(|| visit_parts(&form.otherwise, seen));
            }
            Part::For(form) => {
                references(&form.collection, seen);
                with_stack(|| visit_parts(&form.body, seen));
            }
        }
    }
}
