//! Type constraints of variables: `string`, `list(number)`, `object({ name = optional(string, "x") })`.

use std::collections::BTreeMap;

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Span, Type, Value};

use super::syntax::{Expr, ExprKind, Part, word};
use crate::template::convert;
use crate::template::eval::{Evaluator, Scope};

#[derive(Clone, Debug)]
pub struct Constraint {
    pub ty: Type,
    defaults: Defaults,
}

/// What `optional(T, default)` fills in, in the shape of the type.
#[derive(Clone, Debug, Default)]
enum Defaults {
    #[default]
    Nothing,
    Each(Box<Defaults>),
    Tuple(Vec<Defaults>),
    Object(BTreeMap<String, (Option<Value>, Defaults)>),
}

const WORDS: [&str; 10] = ["string", "number", "bool", "any", "list", "set", "map", "object", "tuple", "optional"];

impl Constraint {
    pub fn any() -> Self {
        Self::of(Type::Any)
    }

    pub fn of(ty: Type) -> Self {
        Self { ty, defaults: Defaults::Nothing }
    }

    /// Fills in defaults, then converts.
    pub fn apply(&self, value: &Value) -> Result<Value, String> {
        convert::convert(&self.defaults.fill(value), &self.ty)
    }
}

impl Defaults {
    fn is_nothing(&self) -> bool {
        matches!(self, Defaults::Nothing)
    }

    fn each(self) -> Self {
        if self.is_nothing() { self } else { Defaults::Each(Box::new(self)) }
    }

    fn fill(&self, value: &Value) -> Value {
        let data = match (self, &value.data) {
            (Defaults::Each(inner), Data::Tuple(items) | Data::List(_, items) | Data::Set(_, items)) => {
                Data::Tuple(items.iter().map(|item| inner.fill(item)).collect::<Vec<_>>().into())
            }
            (Defaults::Each(inner), Data::Object(fields) | Data::Map(_, fields)) => {
                let fill = |(name, field): (&String, &Value)| (name.clone(), inner.fill(field));
                Data::Object(fields.iter().map(fill).collect::<BTreeMap<_, _>>().into())
            }
            (Defaults::Tuple(inner), Data::Tuple(items)) if inner.len() == items.len() => {
                let pairs = inner.iter().zip(items.iter());
                Data::Tuple(pairs.map(|(inner, item)| inner.fill(item)).collect::<Vec<_>>().into())
            }
            (Defaults::Object(inner), Data::Object(fields) | Data::Map(_, fields)) => {
                let mut filled = (**fields).clone();
                for (name, (default, nested)) in inner {
                    let given = filled.get(name).filter(|given| !given.is_null()).or(default.as_ref());
                    if let Some(given) = given {
                        let given = nested.fill(given);
                        filled.insert(name.clone(), given);
                    }
                }
                Data::Object(filled.into())
            }
            _ => return value.clone(),
        };
        Value::new(data).sensitive(value.sensitive)
    }
}

impl Evaluator<'_> {
    pub fn constraint(&mut self, expr: &Expr) -> Option<Constraint> {
        super::with_stack(|| self.constraint_here(expr))
    }

    fn constraint_here(&mut self, expr: &Expr) -> Option<Constraint> {
        if let Some(name) = word(expr) {
            let ty = match name {
                "string" => Type::String,
                "number" => Type::Number,
                "bool" => Type::Bool,
                "any" => Type::Any,
                "list" | "set" | "map" | "object" | "tuple" => {
                    let hint = match name {
                        "object" => "write `object({ name = string })`",
                        "tuple" => "write `tuple([string, number])`",
                        _ => "for example `list(string)`, `map(any)`",
                    };
                    let error = Diagnostic::error(format!("`{name}` needs the type of its elements"));
                    self.diagnostics.push(error.at(expr.span).hint(hint));
                    return None;
                }
                _ => return self.no_type(name, expr.span),
            };
            return Some(Constraint::of(ty));
        }
        match &expr.kind {
            ExprKind::Call(call) => match (call.name.text.as_str(), call.args.as_slice()) {
                ("list", [element]) => self.collection(element, Type::List),
                ("set", [element]) => self.collection(element, Type::Set),
                ("map", [element]) => self.collection(element, Type::Map),
                ("object", [Expr { kind: ExprKind::Object(items), .. }]) => self.object_type(items),
                ("tuple", [Expr { kind: ExprKind::Tuple(items), .. }]) => self.tuple_type(items),
                ("optional", _) => self.error(expr.span, "`optional` stands only in the attributes of an object type"),
                (name, _) if WORDS.contains(&name) => {
                    self.error(expr.span, format!("`{name}` takes other arguments than these"))
                }
                (name, _) => self.no_type(name, call.name.span),
            },
            ExprKind::Template(parts) => {
                let error = Diagnostic::error("a type is written without quotes").at(expr.span);
                let hint = match parts.as_slice() {
                    [Part::Text(text)] if WORDS.contains(&text.as_str()) => Some(format!("write `{text}`")),
                    _ => None,
                };
                self.diagnostics.push(Diagnostic { hint, ..error });
                None
            }
            _ => self.error(expr.span, "this is no type"),
        }
    }

    fn no_type(&mut self, name: &str, span: Span) -> Option<Constraint> {
        self.diagnostics
            .push(Diagnostic::error(format!("there is no type `{name}`")).at(span).did_you_mean(name, WORDS));
        None
    }

    fn collection(&mut self, element: &Expr, of: fn(Box<Type>) -> Type) -> Option<Constraint> {
        let Constraint { ty, defaults } = self.constraint(element)?;
        Some(Constraint { ty: of(Box::new(ty)), defaults: defaults.each() })
    }

    fn tuple_type(&mut self, items: &[Expr]) -> Option<Constraint> {
        let items: Vec<Option<Constraint>> = items.iter().map(|item| self.constraint(item)).collect();
        let (types, defaults): (Vec<Type>, Vec<Defaults>) =
            items.into_iter().collect::<Option<Vec<_>>>()?.into_iter().map(|item| (item.ty, item.defaults)).unzip();
        let nothing = defaults.iter().all(Defaults::is_nothing);
        Some(Constraint {
            ty: Type::Tuple(types),
            defaults: if nothing { Defaults::Nothing } else { Defaults::Tuple(defaults) },
        })
    }

    fn object_type(&mut self, items: &[(Expr, Expr)]) -> Option<Constraint> {
        let mut types = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        let mut ok = true;
        for (key, expr) in items {
            let name = match &key.kind {
                ExprKind::Key(name) => Some(name.clone()),
                _ => self.eval(key, &Scope::default()).and_then(|name| Some(name.as_str()?.to_owned())),
            };
            match (name, self.attribute_type(expr)) {
                (Some(name), Some((constraint, optional, default))) => {
                    if default.is_some() || !constraint.defaults.is_nothing() {
                        defaults.insert(name.clone(), (default, constraint.defaults));
                    }
                    types.insert(name, (constraint.ty, optional));
                }
                _ => ok = false,
            }
        }
        let defaults = if defaults.is_empty() { Defaults::Nothing } else { Defaults::Object(defaults) };
        ok.then_some(Constraint { ty: Type::Object(types), defaults })
    }

    /// The type, whether it is optional, and its default.
    fn attribute_type(&mut self, expr: &Expr) -> Option<(Constraint, bool, Option<Value>)> {
        let ExprKind::Call(call) = &expr.kind else { return Some((self.constraint(expr)?, false, None)) };
        match (call.name.text.as_str(), call.args.as_slice()) {
            ("optional", [ty]) => Some((self.constraint(ty)?, true, None)),
            ("optional", [ty, default]) => {
                let constraint = self.constraint(ty)?;
                let value = self.eval(default, &Scope::default())?;
                if let Err(reason) = constraint.apply(&value) {
                    return self.error(default.span, format!("the default does not fit its type: {reason}"));
                }
                Some((constraint, true, Some(value)))
            }
            ("optional", _) => self.error(expr.span, "write `optional(type)` or `optional(type, default)`"),
            _ => Some((self.constraint(expr)?, false, None)),
        }
    }
}
