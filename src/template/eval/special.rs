//! Functions whose arguments are not simply values: `try`, `can`, `convert`, `templatefile`.

use std::path::Path;

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Diagnostics, FileId, Severity, SourceMap, Span, Type, Value};

use super::{Calls, Evaluator, Scope};
use crate::template::hcl::lexer::is_ident;
use crate::template::hcl::parser::parse_template;
use crate::template::hcl::syntax::{Call, Expr};

impl Evaluator<'_> {
    /// Evaluates without reporting.
    pub(super) fn attempt(&mut self, expr: &Expr, scope: &Scope) -> Result<Value, Diagnostics> {
        let reported = std::mem::take(&mut self.diagnostics);
        let value = self.eval(expr, scope);
        let mine = std::mem::replace(&mut self.diagnostics, reported);
        value.ok_or(mine)
    }

    pub(super) fn call_try(&mut self, call: &Call, span: Span, scope: &Scope) -> Option<Value> {
        let mut reasons = Vec::new();
        for arg in &call.args {
            match self.attempt(arg, scope) {
                Ok(value) => return Some(value),
                Err(errors) => reasons.extend(errors.0),
            }
        }
        if call.args.is_empty() {
            return self.error(span, "`try` needs at least one expression");
        }
        let list = reasons.iter().map(|reason| format!("- {}", reason.summary)).collect::<Vec<_>>().join("\n");
        let error = Diagnostic::error("every expression of this `try` failed").at(span);
        self.diagnostics.push(error.detail(list).hint("add a last one that cannot fail, like `null`"));
        None
    }

    pub(super) fn call_can(&mut self, call: &Call, span: Span, scope: &Scope) -> Option<Value> {
        match call.args.as_slice() {
            [expr] => Some(match self.attempt(expr, scope) {
                Ok(value) if value.has_unknown() => Value::unknown(Type::Bool),
                result => result.is_ok().into(),
            }),
            args => self.error(span, format!("`can` takes one expression, and there are {}", args.len())),
        }
    }

    /// The second argument is a type, not a value.
    pub(super) fn call_convert(&mut self, call: &Call, span: Span, scope: &Scope) -> Option<Value> {
        let [value, ty] = call.args.as_slice() else {
            let count = call.args.len();
            return self.error(span, format!("convert(value, type) takes 2 arguments, and there are {count}"));
        };
        let (from, constraint) = (self.eval(value, scope), self.constraint(ty));
        let (from, constraint) = (from?, constraint?);
        match constraint.apply(&from) {
            Ok(converted) => Some(converted),
            Err(reason) => self.error(value.span, format!("{reason}, and this is {}", from.kind_name())),
        }
    }

    pub(super) fn call_templatefile(&mut self, call: &Call, args: &[Value], span: Span) -> Option<Value> {
        let [path, vars] = args else {
            return self
                .error(span, format!("templatefile(path, vars) takes 2 arguments, and there are {}", args.len()));
        };
        let at = |index: usize| call.args.get(index).map_or(span, |arg| arg.span);
        let path_value = self.convert(path, &Type::String, at(0))?;
        let sensitive = path.sensitive || vars.sensitive;
        let unknown = Some(Value::unknown(Type::String).sensitive(sensitive));
        if matches!(path_value.data, Data::Unknown(_)) || matches!(vars.data, Data::Unknown(_)) {
            return unknown;
        }
        let Some(path) = path_value.as_str() else { return self.error(at(0), "the path must not be null") };
        let Some(fields) = vars.as_fields() else {
            return self.error(at(1), format!("the variables must be an object, and this is {}", vars.kind_name()));
        };
        if let Some(name) = fields.keys().find(|name| !is_ident(name)) {
            return self.error(at(1), format!("\"{name}\" cannot be the name of a variable in a template"));
        }
        let full = self.host.root.join(path);
        let text = match std::fs::read_to_string(&full) {
            Ok(text) => text,
            Err(error) => return self.error(at(0), format!("cannot read the template {}: {error}", full.display())),
        };
        let scope = Scope::new(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        match self.render_file(&text, &scope) {
            Ok(value) => Some(value.sensitive(sensitive)),
            Err(errors) => {
                self.report_inside(&full, text, errors, at(0));
                None
            }
        }
    }

    fn render_file(&mut self, text: &str, scope: &Scope) -> Result<Value, Diagnostics> {
        let file = FileId::default();
        let parts = parse_template(file, text)?;
        let mut inner = Evaluator { host: self.host, calls: Calls::TemplateFile, diagnostics: Diagnostics::default() };
        let span = Span::new(file, 0, text.len());
        inner.template(&parts, span, scope).ok_or(inner.diagnostics)
    }

    /// The file is none of the sources that spans point into: its places become words.
    fn report_inside(&mut self, path: &Path, text: String, errors: Diagnostics, span: Span) {
        let mut sources = SourceMap::default();
        sources.add(path, text);
        for error in errors.0.into_iter().filter(|error| error.severity == Severity::Error) {
            let place = error.span.and_then(|span| sources.place(span));
            let place = place.unwrap_or_else(|| path.display().to_string());
            let mut outer =
                Diagnostic::error(error.summary).at(span).detail(format!("in the template file, at {place}"));
            outer.hint = error.hint;
            self.diagnostics.push(outer);
        }
    }
}
