//! Functions that ask a service for a secret. What they give is sensitive.

use std::sync::Arc;

use bakehouse_api::Value;

use super::{Args, CallCx, CallError, Outcome};
use crate::template::services::Services;

fn services<'a>(cx: &'a CallCx, args: &Args<'_>) -> Result<&'a Arc<dyn Services>, CallError> {
    let unreachable = || CallError::new(format!("`{}` asks a service, and here none may be asked", args.function.name));
    cx.services.as_ref().ok_or_else(unreachable)
}

fn secret(answer: Result<String, String>) -> Outcome {
    answer.map(|text| Value::from(text).sensitive(true)).map_err(CallError::new)
}

pub(super) fn vault(cx: &CallCx, args: &Args<'_>) -> Outcome {
    secret(services(cx, args)?.vault(args.str(0), args.str(1)))
}

pub(super) fn consul_key(cx: &CallCx, args: &Args<'_>) -> Outcome {
    secret(services(cx, args)?.consul_key(args.str(0)))
}

pub(super) fn aws_secretsmanager(_: &CallCx, args: &Args<'_>) -> Outcome {
    Err(CallError::new(format!(
        "`{}` asks AWS Secrets Manager, which needs the EC2 backend, and this build has none; pass the value as a variable",
        args.function.name
    )))
}
