//! The rest.

use bakehouse_api::Value;

use super::{Args, CallCx, CallError, Outcome};

pub(super) fn env(cx: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(Value::from(cx.env.get(args.str(0)).map_or("", String::as_str)))
}

/// Stands where the evaluator has its own: the table never calls it.
pub(super) fn special(_: &CallCx, args: &Args<'_>) -> Outcome {
    Err(CallError::new(format!("`{}` is part of the expression language", args.function.name)))
}
