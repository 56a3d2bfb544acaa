//! Operators.

use std::cmp::Ordering;

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Span, Type, Value};

use super::{Evaluator, Scope};
use crate::template::convert;
use crate::template::hcl::syntax::{BinaryOp, Expr, UnaryOp};

impl Evaluator<'_> {
    pub(super) fn unary(&mut self, ops: &[UnaryOp], operand: &Expr, scope: &Scope) -> Option<Value> {
        let mut value = self.eval(operand, scope)?;
        for op in ops.iter().rev() {
            let ty = match op {
                UnaryOp::Not => Type::Bool,
                UnaryOp::Minus => Type::Number,
            };
            let converted = self.operand(&value, &ty, operand.span)?;
            let data = match converted.data {
                Data::Bool(flag) => Data::Bool(!flag),
                Data::Number(number) => Data::Number(number.neg()),
                other => other,
            };
            value = Value::new(data).sensitive(converted.sensitive);
        }
        Some(value)
    }

    pub(super) fn binary(&mut self, first: &Expr, rest: &[(BinaryOp, Expr)], scope: &Scope) -> Option<Value> {
        let mut left = self.eval(first, scope);
        let mut span = first.span;
        for (op, right) in rest {
            let decided = left.as_ref().is_some_and(|left| decides(*op, left));
            if !decided {
                // The right side is looked at even when the left one failed: all errors at once.
                let right_value = self.eval(right, scope);
                left = match (left, right_value) {
                    (Some(left), Some(value)) => self.apply(*op, (&left, span), (&value, right.span)),
                    _ => None,
                };
            }
            span = span.to(right.span);
        }
        left
    }

    fn apply(&mut self, op: BinaryOp, (a, a_span): (&Value, Span), (b, b_span): (&Value, Span)) -> Option<Value> {
        let sensitive = a.sensitive || b.sensitive;
        if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
            let sensitive = a.has_sensitive() || b.has_sensitive();
            return Some(match convert::equals(a, b) {
                Some(equal) => Value::from(equal == (op == BinaryOp::Equal)).sensitive(sensitive),
                None => Value::unknown(Type::Bool).sensitive(sensitive),
            });
        }
        let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
        let operand_type = if logical { Type::Bool } else { Type::Number };
        let (a, b) = (self.operand(a, &operand_type, a_span), self.operand(b, &operand_type, b_span));
        let data = match (a?.data, b?.data) {
            (Data::Bool(a), Data::Bool(b)) => Data::Bool(if op == BinaryOp::And { a && b } else { a || b }),
            (Data::Number(a), Data::Number(b)) => match compute(op, &a, &b) {
                Ok(data) => data,
                Err(reason) => return self.error(b_span, reason),
            },
            _ => Data::Unknown(result_type(op)),
        };
        Some(Value::new(data).sensitive(sensitive))
    }

    fn operand(&mut self, value: &Value, ty: &Type, span: Span) -> Option<Value> {
        if value.is_null() {
            return self.error(span, "this is null, and an operator needs a value");
        }
        self.convert(value, ty, span)
    }
}

/// `false && x` and `true || x` need no `x`.
fn decides(op: BinaryOp, left: &Value) -> bool {
    matches!((op, &left.data), (BinaryOp::And, Data::Bool(false)) | (BinaryOp::Or, Data::Bool(true)))
}

fn result_type(op: BinaryOp) -> Type {
    match op {
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Type::Number,
        _ => Type::Bool,
    }
}

fn compute(op: BinaryOp, a: &Number, b: &Number) -> Result<Data, String> {
    let order = a.cmp(b);
    let number = match op {
        BinaryOp::Less => return Ok(Data::Bool(order == Ordering::Less)),
        BinaryOp::LessEqual => return Ok(Data::Bool(order != Ordering::Greater)),
        BinaryOp::Greater => return Ok(Data::Bool(order == Ordering::Greater)),
        BinaryOp::GreaterEqual => return Ok(Data::Bool(order != Ordering::Less)),
        BinaryOp::Subtract => Ok(a.sub(b)),
        BinaryOp::Multiply => Ok(a.mul(b)),
        BinaryOp::Divide => a.div(b),
        BinaryOp::Modulo => a.rem(b),
        _ => Ok(a.add(b)),
    };
    number.map(Data::Number).map_err(|error| error.to_string())
}
