//! The values that took part in an error, as its readers would want to look them up.

use bakehouse_api::Value;
use bakehouse_api::value::Data;

use super::{Evaluator, Scope, references};
use crate::template::hcl::syntax::{Expr, ExprKind, Step};

/// More than that explains nothing.
const SHOWN: usize = 4;
const LONGEST: usize = 72;

impl Evaluator<'_> {
    /// Adds what `expr` refers to, to the errors from `first` on that do not tell yet. As the innermost
    /// expression comes first, these are the values that the error is about.
    pub(super) fn explain(&mut self, expr: &Expr, scope: &Scope, first: usize) {
        let untold = |error: &&mut bakehouse_api::Diagnostic| error.values.is_empty();
        let mut untold = self.diagnostics.0.iter_mut().skip(first).filter(untold).peekable();
        if untold.peek().is_none() || matches!(expr.kind, ExprKind::Literal(_) | ExprKind::Key(_)) {
            return;
        }
        let mut values: Vec<String> = Vec::new();
        references(expr, &mut |root, steps, _| {
            if let Some(line) = told(root, steps, scope).filter(|line| values.len() < SHOWN && !values.contains(line)) {
                values.push(line);
            }
        });
        untold.for_each(|error| error.values.clone_from(&values));
    }
}

/// "var.x is \"a\"": the reference as far as it leads to a value.
fn told(root: &str, steps: &[Step], scope: &Scope) -> Option<String> {
    let namespace = matches!(root, "var" | "local" | "data" | "path" | "packer" | "source" | "build");
    let (mut path, mut value) = (root.to_owned(), scope.get(root)?);
    let mut taken = 0;
    for step in steps {
        let Step::Attribute(name) = step else { break };
        let Some(field) = value.as_fields().and_then(|fields| fields.get(&name.text)) else { break };
        let sensitive = value.sensitive;
        value = field.clone().sensitive(sensitive);
        path = format!("{path}.{}", name.text);
        taken += 1;
    }
    // A namespace as a whole is no value of anyone's.
    let least = if root == "data" { 2 } else { usize::from(namespace) };
    (taken >= least).then(|| format!("{path} is {}", short(&value)))
}

/// On one line, cut where it gets long.
fn short(value: &Value) -> String {
    if value.sensitive {
        return "sensitive, and not shown".into();
    }
    let text = match &value.data {
        Data::Unknown(_) => return "not known yet".into(),
        _ => written(value),
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

fn written(value: &Value) -> String {
    if value.sensitive {
        return "(sensitive)".into();
    }
    match &value.data {
        Data::Unknown(_) => "(unknown)".into(),
        Data::Null(_) => "null".into(),
        Data::Bool(flag) => flag.to_string(),
        Data::Number(number) => number.to_string(),
        Data::String(text) => format!("{text:?}"),
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            format!("[{}]", items.iter().take(LONGEST).map(written).collect::<Vec<_>>().join(", "))
        }
        Data::Map(_, fields) | Data::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} = {}", written(value));
            format!("{{ {} }}", fields.iter().take(LONGEST).map(field).collect::<Vec<_>>().join(", "))
        }
    }
}
