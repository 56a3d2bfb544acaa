//! What follows a value: attributes, indices, splats.

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Span, Type, Value};

use super::{Evaluator, Scope};
use crate::template::convert;
use crate::template::hcl::syntax::{Expr, ExprKind, Step};

impl Evaluator<'_> {
    pub(super) fn traverse(&mut self, base: &Expr, steps: &[Step], scope: &Scope) -> Option<Value> {
        let value = self.eval(base, scope)?;
        // `var.x` and `local.x` are told apart from an object's attribute in messages.
        let namespace = match &base.kind {
            ExprKind::Variable(name) => Some(name.as_str()),
            _ => None,
        };
        self.steps(value, base.span, namespace, steps, scope)
    }

    fn steps(
        &mut self,
        mut value: Value,
        mut span: Span,
        mut namespace: Option<&str>,
        steps: &[Step],
        scope: &Scope,
    ) -> Option<Value> {
        let mut rest = steps;
        while let [step, after @ ..] = rest {
            rest = after;
            value = match step {
                Step::Attribute(name) => self.attribute(&value, &name.text, name.span, namespace)?,
                Step::Index(key, _) => {
                    let key_value = self.eval(key, scope)?;
                    self.index(&value, &key_value, key.span)?
                }
                Step::Legacy(index, at) => self.legacy_index(&value, index, *at)?,
                Step::Splat(at) => {
                    rest = &[];
                    self.splat(&value, span.to(*at), after, scope)?
                }
                Step::AttributeSplat(at) => {
                    let each =
                        after.iter().take_while(|step| matches!(step, Step::Attribute(_) | Step::Legacy(..))).count();
                    rest = &after[each..];
                    self.splat(&value, span.to(*at), &after[..each], scope)?
                }
            };
            span = span.to(step.span());
            namespace = None;
        }
        Some(value)
    }

    fn attribute(&mut self, value: &Value, name: &str, span: Span, namespace: Option<&str>) -> Option<Value> {
        let fields = match &value.data {
            Data::Unknown(Type::Object(fields)) => match fields.get(name) {
                Some((ty, _)) => return Some(Value::unknown(ty.clone()).sensitive(value.sensitive)),
                None => return self.no_attribute(name, span, namespace, fields.keys().map(String::as_str)),
            },
            Data::Unknown(Type::Map(element)) => {
                return Some(Value::unknown((**element).clone()).sensitive(value.sensitive));
            }
            Data::Unknown(_) => return Some(Value::unknown(Type::Any).sensitive(value.sensitive)),
            Data::Map(_, fields) | Data::Object(fields) => fields,
            Data::Null(_) => return self.error(span, format!("this is null, which has no attribute `{name}`")),
            Data::List(..) | Data::Tuple(_) | Data::Set(..) => {
                let error = Diagnostic::error(format!("a list has no attribute `{name}`")).at(span);
                self.diagnostics
                    .push(error.hint(format!("`[*].{name}` takes it of each element, `[0].{name}` of the first")));
                return None;
            }
            _ => return self.error(span, format!("{} has no attributes, so no `{name}`", value.kind_name())),
        };
        match fields.get(name) {
            Some(field) => Some(field.clone().sensitive(value.sensitive)),
            None => self.no_attribute(name, span, namespace, fields.keys().map(String::as_str)),
        }
    }

    fn no_attribute<'n>(
        &mut self,
        name: &str,
        span: Span,
        namespace: Option<&str>,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<Value> {
        let (summary, hint) = match namespace {
            Some("var") => {
                (format!("there is no variable `{name}`"), Some(format!("declare it with `variable \"{name}\" {{}}`")))
            }
            Some("local") => (format!("there is no local `{name}`"), None),
            Some(outer) => (format!("`{outer}` has no `{name}`"), None),
            None => (format!("this object has no attribute `{name}`"), None),
        };
        let mut error = Diagnostic::error(summary).at(span).did_you_mean(name, known.clone());
        if error.hint.is_none() {
            let names: Vec<&str> = known.take(12).collect();
            error.hint = hint.or_else(|| (!names.is_empty()).then(|| format!("it has: {}", names.join(", "))));
        }
        self.diagnostics.push(error);
        None
    }

    pub(super) fn index(&mut self, value: &Value, key: &Value, span: Span) -> Option<Value> {
        let sensitive = value.sensitive || key.sensitive;
        let found = match &value.data {
            Data::Null(_) => return self.error(span, "this is null, which has no elements"),
            _ if key.is_null() => return self.error(span, "an index must not be null"),
            Data::Unknown(Type::List(element) | Type::Map(element)) => Value::unknown((**element).clone()),
            Data::Unknown(_) => Value::unknown(Type::Any),
            Data::List(_, items) | Data::Tuple(items) => {
                let key = self.convert(key, &Type::Number, span)?;
                let Data::Number(number) = &key.data else {
                    return Some(Value::unknown(Type::Any).sensitive(sensitive));
                };
                let index = number.to_u64().and_then(|index| usize::try_from(index).ok());
                match index.and_then(|index| items.get(index)) {
                    Some(item) => item.clone(),
                    None => {
                        let count = items.len();
                        let range = if count == 0 {
                            "it is empty".to_owned()
                        } else {
                            format!("its elements are 0 to {}", count - 1)
                        };
                        return self.error(span, format!("this list has no element {number}: {range}"));
                    }
                }
            }
            Data::Map(_, fields) | Data::Object(fields) => {
                let key = self.convert(key, &Type::String, span)?;
                let Some(name) = key.as_str() else { return Some(Value::unknown(Type::Any).sensitive(sensitive)) };
                match fields.get(name) {
                    Some(field) => field.clone(),
                    None => {
                        let error = Diagnostic::error(format!("there is no element \"{name}\"")).at(span);
                        self.diagnostics.push(error.did_you_mean(name, fields.keys().map(String::as_str)));
                        return None;
                    }
                }
            }
            Data::Set(..) => {
                return self.error(span, "the elements of a set have no index; `sort` makes a list of them");
            }
            _ => return self.error(span, format!("{} has no elements", value.kind_name())),
        };
        Some(found.sensitive(sensitive))
    }

    /// `.0`: an index, or the attribute of that name.
    fn legacy_index(&mut self, value: &Value, index: &str, span: Span) -> Option<Value> {
        self.index(value, &Value::from(index), span)
    }

    fn splat(&mut self, value: &Value, span: Span, each: &[Step], scope: &Scope) -> Option<Value> {
        let sensitive = value.sensitive;
        let items = match &value.data {
            Data::Unknown(_) => return Some(Value::unknown(Type::Any).sensitive(sensitive)),
            Data::Null(_) => return Some(Value::tuple(vec![]).sensitive(sensitive)),
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => items.to_vec(),
            // A single value is a list of one.
            _ => vec![value.clone()],
        };
        let item = |item: Value| self.steps(item, span, None, each, scope);
        let results: Vec<Value> = items.into_iter().map(item).collect::<Option<_>>()?;
        let list = match &value.data {
            Data::List(..) | Data::Set(..) => {
                convert::convert(&Value::tuple(results.clone()), &Type::List(Box::new(Type::Any)))
                    .unwrap_or_else(|_| Value::tuple(results))
            }
            _ => Value::tuple(results),
        };
        Some(list.sensitive(sensitive))
    }
}
