//! Provisioners and post-processors: what they have in common is read here, the rest waits in a
//! [`Late`] body.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::decode::parse_duration;
use bakehouse_api::value::Data;
use bakehouse_api::{Body, Diagnostic, Diagnostics, Entry, Facts, Form, Interpolate, Node, Secrets, Span, Type, Value};

use super::builds::source_value;
use super::load::Session;
use super::syntax::Attribute;
use crate::template::eval::{Evaluator, Expanded, Scope, span_tree};
use crate::template::functions::CallCx;
use crate::template::interpolate::{Engine, EngineCx};
use crate::template::load::PACKER_VERSION;
use crate::template::plan::{FACTS, Late, PostStep, Step};

const PROVISIONER: [&str; 10] = [
    "name",
    "only",
    "except",
    "override",
    "pause_before",
    "max_retries",
    "timeout",
    "continue_on_error",
    "cache",
    "cache_ttl",
];
const POST_PROCESSOR: [&str; 4] = ["name", "only", "except", "keep_input_artifact"];

/// The build that a step belongs to.
#[derive(Clone)]
pub struct Target {
    /// "qemu.debian", as `only` and `except` of steps name it.
    pub id: String,
    /// The same with the build's own name, as `-only` names it.
    pub name: String,
    pub alias: String,
    pub kind: String,
    pub root: PathBuf,
    pub host: Arc<CallCx>,
    pub secrets: Secrets,
}

impl Target {
    pub fn source_scope(&self, scope: &Scope) -> Scope {
        scope.beneath("source", source_value(&self.alias, &self.kind))
    }

    fn step_scope(&self, scope: &Scope, facts: Option<&Facts>) -> Scope {
        let build = match facts {
            None => Value::unknown(Type::Any),
            Some(facts) => {
                let mut fields: BTreeMap<String, Value> = FACTS.map(|name| (name.to_owned(), "".into())).into();
                fields.insert("name".into(), self.alias.as_str().into());
                fields.extend(facts.iter().map(|(name, value)| (name.clone(), value.clone())));
                Value::object(fields)
            }
        };
        self.source_scope(scope).beneath("build", build)
    }

    pub fn body(&self, kind: &str, name: &str, span: Span, entries: Vec<Entry>, facts: Option<&Facts>) -> Body {
        Body {
            kind: kind.to_owned(),
            name: name.to_owned(),
            build: self.name.clone(),
            build_name: self.alias.clone(),
            builder_type: self.kind.clone(),
            root: self.root.clone(),
            span,
            entries,
            engine: self.engine(facts),
            secrets: self.secrets.clone(),
        }
    }

    fn engine(&self, facts: Option<&Facts>) -> Arc<dyn Interpolate> {
        Arc::new(Engine::new(EngineCx {
            user: None,
            build_name: self.alias.clone(),
            build_type: self.kind.clone(),
            facts: facts.into(),
            root: self.root.clone(),
            cwd: self.host.cwd.clone(),
            version: PACKER_VERSION.to_owned(),
            now: self.host.now,
            env: None,
            services: None,
        }))
    }
}

/// None when it does not apply to this build, or has errors.
pub fn provisioner(session: &mut Session<'_>, block: &Expanded, target: &Target) -> Option<Step> {
    let mut common = Common { session, block, target, scope: target.step_scope(&block.scope, None) };
    let kind = common.kind();
    let applies = common.applies();
    let step = Step {
        name: common.text("name").unwrap_or_else(|| kind.clone()),
        span: block.header(),
        pause_before: common.duration("pause_before").unwrap_or_default(),
        max_retries: common.count("max_retries").unwrap_or_default(),
        timeout: common.duration("timeout").filter(|timeout| !timeout.is_zero()),
        continue_on_error: common.flag("continue_on_error").unwrap_or_default(),
        cache: common.flag("cache"),
        cache_ttl: common.duration("cache_ttl"),
        config: common.late(&PROVISIONER, common.attribute("override")),
        kind,
    };
    applies.then_some(step)
}

/// None when it does not apply to this build, or has errors.
pub fn post_processor(session: &mut Session<'_>, block: &Expanded, target: &Target) -> Option<PostStep> {
    let mut common = Common { session, block, target, scope: target.step_scope(&block.scope, None) };
    let kind = common.kind();
    let applies = common.applies();
    let step = PostStep {
        name: common.text("name").unwrap_or_else(|| kind.clone()),
        span: block.header(),
        keep_input_artifact: common.flag("keep_input_artifact"),
        config: common.late(&POST_PROCESSOR, None),
        kind,
    };
    applies.then_some(step)
}

pub fn duration(session: &mut Session<'_>, text: &str, span: Span) -> Option<Duration> {
    let duration = parse_duration(text);
    if duration.is_none() {
        let error = Diagnostic::error(format!("`{text}` is not a duration")).at(span);
        session.diagnostics.push(error.hint("write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\""));
    }
    duration
}

/// Reads the options that all steps share.
struct Common<'a, 's, 'r> {
    session: &'a mut Session<'r>,
    block: &'s Expanded,
    target: &'s Target,
    scope: Scope,
}

impl Common<'_, '_, '_> {
    fn kind(&self) -> String {
        self.block.labels.first().map(|label| label.text.clone()).unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> Option<Arc<Attribute>> {
        self.block.block.body.attribute(name).cloned()
    }

    /// The value of an option, which must be known by now. Null is as good as nothing.
    fn option(&mut self, name: &str, ty: &Type) -> Option<(Value, Arc<Attribute>)> {
        let attribute = self.attribute(name)?;
        let value = self.session.evaluate(|e| e.eval_as(&attribute.value, ty, &self.scope))?;
        if value.is_null() {
            return None;
        }
        if value.has_unknown() {
            if !self.session.partly_unknown {
                self.session.error(attribute.value.span, format!("`{name}` must be known before the machine runs"));
            }
            return None;
        }
        Some((value, attribute))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.option(name, &Type::String)?.0.as_str().map(str::to_owned)
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        Some(self.option(name, &Type::Bool)?.0.data == Data::Bool(true))
    }

    fn count(&mut self, name: &str) -> Option<u32> {
        let (value, attribute) = self.option(name, &Type::Number)?;
        let count = match &value.data {
            Data::Number(number) => number.to_u64().and_then(|count| u32::try_from(count).ok()),
            _ => None,
        };
        if count.is_none() {
            self.session.error(attribute.value.span, format!("`{name}` must be a whole number, 0 or more"));
        }
        count
    }

    fn duration(&mut self, name: &str) -> Option<Duration> {
        let (value, attribute) = self.option(name, &Type::String)?;
        duration(self.session, value.as_str().unwrap_or_default(), attribute.value.span)
    }

    /// Do `only` and `except` let it run in this build?
    fn applies(&mut self) -> bool {
        let strings = Type::List(Box::new(Type::String));
        let (only, except) = (self.option("only", &strings), self.option("except", &strings));
        if let (Some((_, only)), Some((_, except))) = (&only, &except) {
            let error = Diagnostic::error("`only` and `except` cannot be set together").at(except.name.span);
            self.session.diagnostics.push(error.related(only.name.span, "`only` is set here"));
        }
        let names = |list: &(Value, Arc<Attribute>)| {
            list.0.as_items().unwrap_or_default().iter().any(|name| name.as_str() == Some(&self.target.id))
        };
        only.as_ref().is_none_or(names) && !except.as_ref().is_some_and(names)
    }

    fn late(&self, common: &'static [&'static str], overriding: Option<Arc<Attribute>>) -> Late {
        let (block, target) = (self.block.clone(), self.target.clone());
        Late::new(move |facts| body(&block, &target, common, overriding.as_deref(), facts))
    }
}

/// The options of a step, with `override` applied.
fn body(
    block: &Expanded,
    target: &Target,
    common: &[&str],
    overriding: Option<&Attribute>,
    facts: Option<&Facts>,
) -> Result<Body, Diagnostics> {
    let mut evaluator = Evaluator::new(&target.host);
    let scope = target.step_scope(&block.scope, facts);
    let mut entries = evaluator.entries(&block.block.body, &scope, &|name| common.contains(&name));
    if let Some(attribute) = overriding {
        apply_override(&mut evaluator, attribute, &scope, &target.alias, &mut entries);
    }
    if evaluator.diagnostics.has_errors() {
        return Err(evaluator.diagnostics);
    }
    entries.iter().for_each(|entry| target.secrets.add_sensitive(&entry.node.value));
    let label = block.labels.first().map_or("", |label| label.text.as_str());
    let name = match block.block.body.attribute("name") {
        Some(attribute) => evaluator.eval(&attribute.value, &scope).and_then(|name| name.as_str().map(str::to_owned)),
        None => None,
    };
    Ok(target.body(label, name.as_deref().unwrap_or(label), block.header(), entries, facts))
}

fn apply_override(
    evaluator: &mut Evaluator<'_>,
    attribute: &Attribute,
    scope: &Scope,
    alias: &str,
    entries: &mut Vec<Entry>,
) {
    let Some(value) = evaluator.eval(&attribute.value, scope) else { return };
    let Some(builds) = value.as_fields() else {
        evaluator.error::<()>(
            attribute.value.span,
            "`override` must be an object: the names of sources, and for each its options",
        );
        return;
    };
    let Some(options) = builds.get(alias) else { return };
    let spans = span_tree(&attribute.value).field(alias);
    let Some(fields) = options.as_fields() else {
        evaluator.error::<()>(spans.span, "this must be an object of options");
        return;
    };
    for (name, value) in fields {
        entries.retain(|entry| entry.name != *name);
        let spans = spans.field(name);
        let node = Node::new(value.clone().sensitive(options.sensitive), spans.clone());
        entries.push(Entry { name: name.clone(), name_span: spans.span, form: Form::Attribute, node });
    }
}
