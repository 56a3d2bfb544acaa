//! The syntax tree to values. Unknown and sensitive travel along; every error says where.

mod body;
mod operators;
mod references;
mod scope;
mod spans;
mod special;
mod template;
mod traversal;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Diagnostics, Span, Type, Value};

pub use body::{Expanded, Piece};
pub use references::{body_references, references};
pub use scope::Scope;
pub use spans::span_tree;

use super::convert;
use super::functions::{self, CallCx};
use super::hcl::syntax::{Call, Conditional, Expr, ExprKind, For, ForResult, Name};
use super::hcl::with_stack;

/// Which functions an expression may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All but `env`.
    Usual,
    /// Only `env`: a variable's default is known before everything else.
    Default,
    /// None: a value from outside of the template is written out.
    Constant,
    /// All but `env` and `templatefile`: a template file reads no other.
    TemplateFile,
}

/// Evaluates expressions and collects what is wrong with them. `None` means that an error was
/// reported.
pub struct Evaluator<'a> {
    pub host: &'a CallCx,
    pub calls: Calls,
    pub diagnostics: Diagnostics,
}

impl<'a> Evaluator<'a> {
    pub fn new(host: &'a CallCx) -> Self {
        Self { host, calls: Calls::Usual, diagnostics: Diagnostics::default() }
    }

    pub fn error<T>(&mut self, span: Span, summary: impl Into<String>) -> Option<T> {
        self.diagnostics.push(Diagnostic::error(summary).at(span));
        None
    }

    pub fn eval(&mut self, expr: &Expr, scope: &Scope) -> Option<Value> {
        let first = self.diagnostics.0.len();
        let value = with_stack(|| self.eval_here(expr, scope));
        if value.is_none() {
            self.explain(expr, scope, first);
        }
        value
    }

    fn eval_here(&mut self, expr: &Expr, scope: &Scope) -> Option<Value> {
        match &expr.kind {
            ExprKind::Literal(value) => Some(value.clone()),
            ExprKind::Key(word) => Some(Value::from(word.as_str())),
            ExprKind::Group(inner) => self.eval(inner, scope),
            ExprKind::Variable(name) => self.variable(name, expr.span, scope),
            ExprKind::Template(parts) => self.template(parts, expr.span, scope),
            ExprKind::Tuple(items) => {
                let values: Vec<Option<Value>> = items.iter().map(|item| self.eval(item, scope)).collect();
                Some(Value::tuple(values.into_iter().collect::<Option<_>>()?))
            }
            ExprKind::Object(items) => self.object(items, scope),
            ExprKind::Unary(ops, operand) => self.unary(ops, operand, scope),
            ExprKind::Binary(first, rest) => self.binary(first, rest, scope),
            ExprKind::Conditional(conditional) => self.conditional(conditional, expr.span, scope),
            ExprKind::For(form) => self.for_expression(form, expr.span, scope),
            ExprKind::Call(call) => self.call(call, expr.span, scope),
            ExprKind::Traverse(base, steps) => self.traverse(base, steps, scope),
        }
    }

    /// Evaluates to a value of that type.
    pub fn eval_as(&mut self, expr: &Expr, ty: &Type, scope: &Scope) -> Option<Value> {
        let value = self.eval(expr, scope)?;
        let first = self.diagnostics.0.len();
        let converted = self.convert(&value, ty, expr.span);
        if converted.is_none() {
            self.explain(expr, scope, first);
        }
        converted
    }

    pub fn convert(&mut self, value: &Value, ty: &Type, span: Span) -> Option<Value> {
        match convert::convert(value, ty) {
            Ok(value) => Some(value),
            // The reason may quote the value.
            Err(_) if value.has_sensitive() => {
                self.error(span, format!("this sensitive value is no {}", convert::type_name(ty)))
            }
            Err(reason) => self.error(span, format!("{reason}, and this is {}", value.kind_name())),
        }
    }

    fn variable(&mut self, name: &str, span: Span, scope: &Scope) -> Option<Value> {
        if let Some(value) = scope.get(name) {
            return Some(value);
        }
        let known = scope.names();
        let error = if self.calls == Calls::Constant {
            Diagnostic::error(format!("a value from outside of the template cannot refer to `{name}`"))
                .hint(format!("a string stands in quotes: \"{name}\""))
        } else if self.calls == Calls::Default {
            Diagnostic::error(format!("a variable's default cannot refer to `{name}`"))
                .hint("a default may only call `env`; use a local for what depends on other values")
        } else {
            Diagnostic::error(format!("there is nothing called `{name}` here"))
                .did_you_mean(name, known.iter().map(String::as_str))
        };
        let error = if error.hint.is_none() && !known.is_empty() {
            error.hint(format!("known here: {}", known.join(", ")))
        } else {
            error
        };
        self.diagnostics.push(error.at(span));
        None
    }

    fn object(&mut self, items: &[(Expr, Expr)], scope: &Scope) -> Option<Value> {
        let mut fields = BTreeMap::new();
        let (mut ok, mut unknown, mut sensitive) = (true, false, false);
        for (key, value) in items {
            let key = self.key(key, scope);
            let value = self.eval(value, scope);
            match (key, value) {
                (Some(key), Some(value)) => {
                    sensitive |= key.sensitive;
                    match key.as_str() {
                        Some(name) => {
                            fields.insert(name.to_owned(), value);
                        }
                        None => unknown = true,
                    }
                }
                _ => ok = false,
            }
        }
        let value = if unknown { Value::unknown(Type::Any) } else { Value::object(fields) };
        ok.then(|| value.sensitive(sensitive))
    }

    /// A known string, or unknown.
    fn key(&mut self, expr: &Expr, scope: &Scope) -> Option<Value> {
        let key = self.eval_as(expr, &Type::String, scope)?;
        if key.is_null() {
            return self.error(expr.span, "a key must not be null");
        }
        Some(key)
    }

    /// A condition that is known, or `None` inside for an unknown one; and whether it is sensitive.
    fn condition(&mut self, expr: &Expr, scope: &Scope) -> Option<(Option<bool>, bool)> {
        let value = self.eval_as(expr, &Type::Bool, scope)?;
        match value.data {
            Data::Bool(flag) => Some((Some(flag), value.sensitive)),
            Data::Unknown(_) => Some((None, value.sensitive)),
            _ => self.error(expr.span, "a condition must be true or false, not null"),
        }
    }

    /// What is wrong with the result that is not chosen is nobody's business: `x == null ? 0 : x.size`.
    fn conditional(&mut self, form: &Conditional, span: Span, scope: &Scope) -> Option<Value> {
        let (condition, sensitive) = self.condition(&form.condition, scope)?;
        let then = self.attempt(&form.then, scope);
        let otherwise = self.attempt(&form.otherwise, scope);
        let ty = match (&then, &otherwise) {
            (Ok(then), Ok(otherwise)) => self.common_type(then, otherwise, span)?,
            _ => Type::Any,
        };
        let (chosen, at) = match condition {
            None => {
                let parts = [then, otherwise].into_iter().flatten();
                let sensitive = sensitive || parts.into_iter().any(|value| value.sensitive);
                return Some(Value::unknown(ty).sensitive(sensitive));
            }
            Some(true) => (then, form.then.span),
            Some(false) => (otherwise, form.otherwise.span),
        };
        match chosen {
            Ok(value) => Some(self.convert(&value, &ty, at)?.sensitive(sensitive)),
            Err(errors) => {
                self.diagnostics.extend(errors);
                None
            }
        }
    }

    fn common_type(&mut self, then: &Value, otherwise: &Value, span: Span) -> Option<Type> {
        let ty = convert::unify(&[convert::type_of(then), convert::type_of(otherwise)]);
        if ty.is_some() {
            return ty;
        }
        let (then, otherwise) = (then.kind_name(), otherwise.kind_name());
        let reason = format!("both results of a condition must have the same type: here {then} and {otherwise}");
        self.error(span, reason)
    }

    fn for_expression(&mut self, form: &For, span: Span, scope: &Scope) -> Option<Value> {
        let collection = self.eval(&form.collection, scope)?;
        let Some(pairs) = self.iterate(&collection, form.collection.span)? else {
            return Some(Value::unknown(Type::Any).sensitive(collection.sensitive));
        };
        let mut result = ForValue::new(&form.result);
        for (key, value) in pairs {
            let inner = scope.iteration(form.key.as_ref(), key, &form.value, value);
            if let Some(condition) = &form.condition {
                let (holds, sensitive) = self.condition(condition, &inner)?;
                result.sensitive |= sensitive;
                match holds {
                    Some(true) => {}
                    Some(false) => continue,
                    None => {
                        result.unknown = true;
                        continue;
                    }
                }
            }
            match &form.result {
                ForResult::Tuple(item) => result.items.push(self.eval(item, &inner)?),
                ForResult::Object { key, value, group } => {
                    let name = self.key(key, &inner)?;
                    let value = self.eval(value, &inner)?;
                    result.sensitive |= name.sensitive;
                    let Some(name) = name.as_str() else {
                        result.unknown = true;
                        continue;
                    };
                    let values = result.groups.entry(name.to_owned()).or_default();
                    values.push(value);
                    if !group && values.len() > 1 {
                        let error = Diagnostic::error(format!("the key \"{name}\" comes more than once")).at(key.span);
                        self.diagnostics.push(
                            error.related(span, "in this `for`").hint("`...` after the value makes a list of them"),
                        );
                        return None;
                    }
                }
            }
        }
        Some(result.finish().sensitive(collection.sensitive))
    }

    /// Keys and values of a collection; `None` inside when it is unknown.
    pub fn iterate(&mut self, collection: &Value, span: Span) -> Option<Option<Vec<(Value, Value)>>> {
        let sensitive = collection.sensitive;
        match &collection.data {
            Data::Unknown(_) => Some(None),
            Data::List(_, items) | Data::Tuple(items) => {
                let pair = |(i, item): (usize, &Value)| (Value::from(i as i64), item.clone().sensitive(sensitive));
                Some(Some(items.iter().enumerate().map(pair).collect()))
            }
            Data::Set(_, items) => {
                let item = |item: &Value| item.clone().sensitive(sensitive);
                Some(Some(items.iter().map(|value| (item(value), item(value))).collect()))
            }
            Data::Map(_, fields) | Data::Object(fields) => {
                let pair = |(name, field): (&String, &Value)| {
                    (Value::from(name.as_str()).sensitive(sensitive), field.clone().sensitive(sensitive))
                };
                Some(Some(fields.iter().map(pair).collect()))
            }
            _ => self.error(
                span,
                format!(
                    "only a list, a set, a map or an object can be gone through, and this is {}",
                    collection.kind_name()
                ),
            ),
        }
    }

    fn call(&mut self, call: &Call, span: Span, scope: &Scope) -> Option<Value> {
        self.check_call(&call.name)?;
        match call.name.text.as_str() {
            "try" => return self.call_try(call, span, scope),
            "can" => return self.call_can(call, span, scope),
            "convert" => return self.call_convert(call, span, scope),
            _ => {}
        }
        let args = self.args(call, scope);
        if call.name.text == "templatefile" {
            return self.call_templatefile(call, &args?, span);
        }
        let args = args?;
        if args.iter().any(|arg| matches!(arg.data, Data::Unknown(Type::Any))) && call.expand {
            return Some(Value::unknown(Type::Any));
        }
        let function = functions::find(&call.name.text)?;
        match function.call(self.host, &args) {
            Ok(value) => Some(value),
            Err(error) => {
                let arg = error.arg.and_then(|index| call.args.get(index).or(call.args.last()));
                self.error(arg.map_or(span, |arg| arg.span), error.text)
            }
        }
    }

    fn check_call(&mut self, name: &Name) -> Option<()> {
        let text = name.text.as_str();
        if functions::find(text).is_none() {
            let names = functions::all().iter().map(|function| function.name);
            let error = Diagnostic::error(format!("there is no function `{text}`")).at(name.span);
            self.diagnostics.push(error.did_you_mean(text, names));
            return None;
        }
        let allowed = match self.calls {
            Calls::Default => text == "env",
            Calls::Constant => false,
            Calls::Usual => text != "env",
            Calls::TemplateFile => text != "env" && text != "templatefile",
        };
        if allowed {
            return Some(());
        }
        let (reason, hint) = match (self.calls, text) {
            (Calls::Default, _) => ("a variable's default may only call `env`", "use a local for what is computed"),
            (Calls::Constant, _) => {
                ("a value from outside of the template cannot call functions", "write the value out")
            }
            (_, "env") => {
                ("`env` can be called only in a variable's default", "declare a variable with `default = env(...)`")
            }
            _ => ("a template file cannot read another one", "pass its text as a variable"),
        };
        self.diagnostics.push(Diagnostic::error(reason).at(name.span).hint(hint));
        None
    }

    fn args(&mut self, call: &Call, scope: &Scope) -> Option<Vec<Value>> {
        let args: Vec<Option<Value>> = call.args.iter().map(|arg| self.eval(arg, scope)).collect();
        let mut args: Vec<Value> = args.into_iter().collect::<Option<_>>()?;
        if call.expand
            && let (Some(last), Some(expr)) = (args.pop(), call.args.last())
        {
            match &last.data {
                Data::Unknown(_) => args.push(Value::unknown(Type::Any).sensitive(last.sensitive)),
                Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
                    args.extend(items.iter().map(|item| item.clone().sensitive(last.sensitive)));
                }
                _ => return self.error(expr.span, format!("`...` needs a list, and this is {}", last.kind_name())),
            }
        }
        Some(args)
    }
}

/// A `for`'s result while it grows.
struct ForValue<'a> {
    shape: &'a ForResult,
    items: Vec<Value>,
    groups: BTreeMap<String, Vec<Value>>,
    unknown: bool,
    sensitive: bool,
}

impl<'a> ForValue<'a> {
    fn new(shape: &'a ForResult) -> Self {
        Self { shape, items: Vec::new(), groups: BTreeMap::new(), unknown: false, sensitive: false }
    }

    fn finish(self) -> Value {
        let value = match self.shape {
            _ if self.unknown => Value::unknown(Type::Any),
            ForResult::Tuple(_) => Value::tuple(self.items),
            ForResult::Object { group: true, .. } => {
                Value::object(self.groups.into_iter().map(|(key, values)| (key, Value::tuple(values))).collect())
            }
            ForResult::Object { .. } => {
                let first = |(key, values): (String, Vec<Value>)| Some((key, values.into_iter().next()?));
                Value::object(self.groups.into_iter().filter_map(first).collect())
            }
        };
        value.sensitive(self.sensitive)
    }
}

/// Shares a namespace like `var` or `local` that grows while it is used.
pub fn insert(namespace: &mut Value, name: &str, value: Value) {
    if let Data::Object(fields) = &mut namespace.data {
        Arc::make_mut(fields).insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
