//! Data sources. `null` gives back what it is given, `http` asks the world, platforms bring their own; all others
//! come with plugins, and their values are unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::{Body, DataSource, Diagnostic, Type, Value};

use super::config::check_options;
use super::load::Session;
use super::syntax::Block;
use crate::template::eval::Scope;
use crate::template::interpolate::{Engine, EngineCx};
use crate::template::load::{HttpRequest, PACKER_VERSION};

/// Is it one that a plugin would bring?
pub fn is_foreign(session: &Session<'_>, kind: &str) -> bool {
    !matches!(kind, "null" | "http") && of_platform(session, kind).is_none()
}

/// Does reading it reach out of this machine?
pub fn is_remote(session: &Session<'_>, kind: &str) -> bool {
    kind == "http" || of_platform(session, kind).is_some()
}

fn of_platform(session: &Session<'_>, kind: &str) -> Option<Arc<dyn DataSource>> {
    session.request.data.iter().find(|source| source.kind() == kind).cloned()
}

/// What a data source gives; with `read` from the world, otherwise what is known without it.
pub fn value(session: &mut Session<'_>, kind: &str, block: &Block, scope: &Scope, read: bool) -> Option<Value> {
    match kind {
        "null" => null(session, block, scope),
        "http" => http(session, block, scope, read),
        _ => match of_platform(session, kind) {
            Some(source) => platform(session, &*source, block, scope, read),
            None => Some(Value::unknown(Type::Any)),
        },
    }
}

/// A data source has options like a builder's source.
fn platform(
    session: &mut Session<'_>,
    source: &dyn DataSource,
    block: &Block,
    scope: &Scope,
    read: bool,
) -> Option<Value> {
    let before = session.diagnostics.errors();
    let entries = session.evaluate(|e| e.entries(&block.body, scope, &|_| false));
    if session.diagnostics.errors() > before {
        return None;
    }
    entries.iter().for_each(|entry| session.remember(&entry.node.value));
    let name = block.labels.get(1).map_or("", |label| label.text.as_str());
    let engine = Engine::new(EngineCx {
        user: None,
        build_name: String::new(),
        build_type: String::new(),
        facts: None.into(),
        root: session.root.clone(),
        cwd: session.host.cwd.clone(),
        version: PACKER_VERSION.to_owned(),
        now: session.host.now,
        env: None,
        services: None,
    });
    let body = Body {
        kind: source.kind().to_owned(),
        name: name.to_owned(),
        build: String::new(),
        build_name: String::new(),
        builder_type: String::new(),
        root: session.root.clone(),
        span: block.header(),
        entries,
        engine: Arc::new(engine),
        secrets: session.request.secrets.clone(),
    };
    let value = source.read(&body, read && session.request.fetch.is_some(), &mut session.diagnostics)?;
    session.remember(&value);
    Some(value)
}

fn null(session: &mut Session<'_>, block: &Block, scope: &Scope) -> Option<Value> {
    check_options(block, &["input"], &[], &mut session.diagnostics);
    let Some(input) = block.body.attribute("input") else {
        session.error(block.header(), "the data source `null` needs its `input`");
        return None;
    };
    let output = session.evaluate(|e| e.eval_as(&input.value, &Type::String, scope))?;
    Some(Value::object([("output".to_owned(), output)].into()))
}

fn http(session: &mut Session<'_>, block: &Block, scope: &Scope, read: bool) -> Option<Value> {
    check_options(block, &["url", "method", "request_headers", "request_body"], &[], &mut session.diagnostics);
    let Some(url) = block.body.attribute("url") else {
        session.error(block.header(), "the data source `http` needs its `url`");
        return None;
    };
    let mut option = |name: &str, ty: &Type| match block.body.attribute(name) {
        Some(attribute) => session.evaluate(|e| e.eval_as(&attribute.value, ty, scope)),
        None => Some(Value::null()),
    };
    let headers_type = Type::Map(Box::new(Type::String));
    let text = Type::String;
    let (address, method) = (option("url", &text), option("method", &text));
    let (headers, body) = (option("request_headers", &headers_type), option("request_body", &text));
    let (address, method, headers, body) = (address?, method?, headers?, body?);
    let known = ![&address, &method, &headers, &body].iter().any(|value| value.has_unknown());
    let Some(fetch) = session.request.fetch.clone().filter(|_| read && known) else {
        return Some(answer(address, Value::unknown(text), Value::unknown(headers_type)));
    };
    let field = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let request = HttpRequest {
        url: address.as_str().unwrap_or_default().to_owned(),
        method: method.as_str().filter(|method| !method.is_empty()).unwrap_or("GET").to_uppercase(),
        headers: headers.as_fields().into_iter().flatten().filter_map(field).collect(),
        body: body.as_str().unwrap_or_default().to_owned(),
    };
    match fetch.fetch(&request) {
        Ok(answered) => {
            let headers: BTreeMap<String, Value> =
                answered.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            let headers = Value::new(bakehouse_api::value::Data::Map(Type::String, headers.into()));
            Some(answer(address, answered.body.into(), headers))
        }
        Err(reason) => {
            let summary = format!("{} {} failed: {reason}", request.method, request.url);
            let error = Diagnostic::error(summary).at(url.value.span);
            session.diagnostics.push(error.hint("`-only` leaves out the builds that need this data source"));
            None
        }
    }
}

/// The headers of the answer are called `request_headers` in Packer, too.
fn answer(url: Value, body: Value, headers: Value) -> Value {
    let fields = [("url", url), ("body", body), ("request_headers", headers)];
    Value::object(fields.map(|(name, value)| (name.to_owned(), value)).into())
}
