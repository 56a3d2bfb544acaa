//! String templates.

use bakehouse_api::value::Data;
use bakehouse_api::{Span, Type, Value};

use super::{Evaluator, Scope};
use crate::template::hcl::syntax::{Expr, Part};
use crate::template::{composed, convert};

/// Text while it grows.
#[derive(Default)]
struct Text {
    text: String,
    unknown: bool,
    sensitive: bool,
}

impl Evaluator<'_> {
    pub(super) fn template(&mut self, parts: &[Part], span: Span, scope: &Scope) -> Option<Value> {
        // `"${x}"` is x itself, whatever its type.
        if let [Part::Interpolation(expr)] = parts {
            return self.eval(expr, scope);
        }
        self.render(parts, span, scope)
    }

    /// Always a string.
    pub(super) fn render(&mut self, parts: &[Part], span: Span, scope: &Scope) -> Option<Value> {
        let mut text = Text::default();
        self.append(parts, span, scope, &mut text)?;
        let value = if text.unknown { Value::unknown(Type::String) } else { Value::from(composed::text(text.text)) };
        Some(value.sensitive(text.sensitive))
    }

    fn append(&mut self, parts: &[Part], span: Span, scope: &Scope, to: &mut Text) -> Option<()> {
        let mut ok = true;
        for part in parts {
            ok &= match part {
                Part::Text(text) => {
                    to.text.push_str(text);
                    Some(())
                }
                Part::Interpolation(expr) => self.append_value(expr, scope, to),
                Part::If(form) => match self.condition(&form.condition, scope) {
                    None => None,
                    Some((holds, sensitive)) => {
                        to.sensitive |= sensitive;
                        match holds {
                            Some(true) => self.append_nested(&form.then, span, scope, to),
                            Some(false) => self.append_nested(&form.otherwise, span, scope, to),
                            None => {
                                to.unknown = true;
                                Some(())
                            }
                        }
                    }
                },
                Part::For(form) => {
                    let pairs = match self.eval(&form.collection, scope) {
                        Some(collection) => {
                            to.sensitive |= collection.sensitive;
                            self.iterate(&collection, form.collection.span)
                        }
                        None => None,
                    };
                    match pairs {
                        None => None,
                        Some(None) => {
                            to.unknown = true;
                            Some(())
                        }
                        Some(Some(pairs)) => pairs.into_iter().try_for_each(|(key, value)| {
                            let inner = scope.iteration(form.key.as_ref(), key, &form.value, value);
                            self.append_nested(&form.body, span, &inner, to)
                        }),
                    }
                }
            }
            .is_some();
        }
        ok.then_some(())
    }

    fn append_nested(&mut self, parts: &[Part], span: Span, scope: &Scope, to: &mut Text) -> Option<()> {
        crate::template::hcl::with_stack(|| self.append(parts, span, scope, to))
    }

    fn append_value(&mut self, expr: &Expr, scope: &Scope, to: &mut Text) -> Option<()> {
        let value = self.eval(expr, scope)?;
        to.sensitive |= value.has_sensitive();
        if let Data::Unknown(ty) = &value.data {
            to.unknown = true;
            if convert::convertible(ty, &Type::String) {
                return Some(());
            }
        }
        match convert::to_text(&value) {
            Ok(text) => to.text.push_str(&text),
            Err(reason) => return self.error(expr.span, reason),
        }
        Some(())
    }
}
