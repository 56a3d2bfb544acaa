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

pub(super) fn aws_secretsmanager(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let key = args.get(1).and_then(Value::as_str).filter(|key| !key.is_empty());
    secret(services(cx, args)?.aws_secret(args.str(0), key))
}

pub(super) fn aws_secretsmanager_raw(cx: &CallCx, args: &Args<'_>) -> Outcome {
    secret(services(cx, args)?.aws_secret_raw(args.str(0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;
    use crate::template::functions::find;

    struct Fake;

    impl Services for Fake {
        fn vault(&self, path: &str, key: &str) -> Result<String, String> {
            Ok(format!("{key} of {path}"))
        }

        fn consul_key(&self, key: &str) -> Result<String, String> {
            Err(format!("Consul has no key `{key}`"))
        }

        fn aws_secret(&self, name: &str, key: Option<&str>) -> Result<String, String> {
            Ok(format!("{} of {name}", key.unwrap_or("the only key")))
        }

        fn aws_secret_raw(&self, name: &str) -> Result<String, String> {
            Ok(format!("all of {name}"))
        }
    }

    fn call(services: Option<Arc<dyn Services>>, name: &str, args: &[&str]) -> Outcome {
        let (env, now) = (BTreeMap::new(), SystemTime::UNIX_EPOCH);
        let cx = CallCx { root: "/".into(), cwd: "/".into(), env, now, services };
        find(name).unwrap().call(&cx, &args.iter().map(|arg| Value::from(*arg)).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_sensitive_and_refusals_are_told() {
        let fake = || Some(Arc::new(Fake) as Arc<dyn Services>);
        let secret = call(fake(), "vault", &["secret/data/app", "password"]).unwrap();
        assert_eq!(secret, Value::from("password of secret/data/app").sensitive(true));
        assert_eq!(call(fake(), "consul_key", &["a/b"]).unwrap_err().text, "Consul has no key `a/b`");
        let none = call(None, "vault", &["a", "b"]).unwrap_err();
        assert_eq!(none.text, "`vault` asks a service, and here none may be asked");
        for (name, args, expected) in [
            ("aws_secretsmanager", &["x"] as &[&str], "the only key of x"),
            ("aws_secretsmanager", &["x", "k"], "k of x"),
            ("aws_secretsmanager_raw", &["x"], "all of x"),
        ] {
            assert_eq!(call(fake(), name, args).unwrap(), Value::from(expected).sensitive(true));
        }
    }
}
