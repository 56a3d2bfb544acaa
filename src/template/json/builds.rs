//! Builders, provisioners and post-processors to builds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::value::Data;
use bakehouse_api::{Body, Diagnostic, Diagnostics, Entry, Facts, Options, Secrets, Span, Value, options};

use super::Request;
use super::template::{Builder, PostProcessor, Provisioner, Scope, Template, Text};
use super::variables::engine_cx;
use crate::template::interpolate::{BuildFacts, Engine, EngineCx};
use crate::template::plan::{Build, Late, PostStep, Step};

options! {
    /// What every provisioner can have.
    struct StepOptions {
        pause_before: Duration = Duration::ZERO,
        max_retries: u32 = 0,
        timeout: Option<Duration>,
        cache: Option<bool>,
        cache_ttl: Option<Duration>,
    }
}

/// A builder with its name rendered. Steps may call it by that name or by the one that is written.
struct Named<'a> {
    name: String,
    builder: &'a Builder,
}

impl Named<'_> {
    fn is_called(&self, name: &str) -> bool {
        self.builder.name.text == name || self.name == name
    }
}

struct Ready<'a> {
    step: &'a Provisioner,
    options: StepOptions,
}

pub fn builds(
    template: &Template,
    user: BTreeMap<String, String>,
    request: &Request,
    diagnostics: &mut Diagnostics,
) -> Vec<Build> {
    let mut planner = Planner { outside: Arc::new(engine_cx(request, user)), request, diagnostics };
    let builders = planner.builders(template);
    let steps: Vec<Ready<'_>> =
        template.provisioners.iter().filter_map(|step| planner.ready(step, &builders)).collect();
    // It runs for every build: Packer does not look at its `only` and `except`.
    let on_error = template.on_error.as_ref().and_then(|step| planner.ready(step, &[]));
    for post in template.chains.iter().flatten() {
        planner.check_scope(&post.scope, &builders);
    }
    let wanted = |build: &&Named<'_>| {
        (request.only.is_empty() || request.only.contains(&build.name)) && !request.except.contains(&build.name)
    };
    let plan = |build: &Named<'_>| {
        let cx = planner.build_cx(build);
        let Builder { kind, span, options, .. } = build.builder;
        Build {
            name: build.name.clone(),
            source: cx.body(kind, &build.name, *span, options.clone(), BuildFacts::Never),
            cache_ttl: None,
            provisioners: steps
                .iter()
                .filter(|ready| applies(&ready.step.scope, build))
                .map(|ready| cx.step(ready, build))
                .collect(),
            on_error: on_error.as_ref().map(|ready| cx.step(ready, build)),
            post: template
                .chains
                .iter()
                .map(|chain| cx.chain(chain, build, &request.except))
                .filter(|chain| !chain.is_empty())
                .collect(),
        }
    };
    builders.iter().filter(wanted).map(plan).collect()
}

fn applies(scope: &Scope, build: &Named<'_>) -> bool {
    let named = |list: &[Text]| list.iter().any(|name| build.is_called(&name.text));
    (scope.only.is_empty() || named(&scope.only)) && !named(&scope.except)
}

/// What the bodies of one build have in common.
#[derive(Clone)]
struct BuildCx {
    engine: Arc<EngineCx>,
    secrets: Secrets,
}

impl BuildCx {
    fn body(&self, kind: &str, name: &str, span: Span, entries: Vec<Entry>, facts: BuildFacts) -> Body {
        let engine = EngineCx { facts, ..EngineCx::clone(&self.engine) };
        Body {
            kind: kind.to_owned(),
            name: name.to_owned(),
            build: self.engine.build_name.clone(),
            build_name: self.engine.build_name.clone(),
            builder_type: self.engine.build_type.clone(),
            root: self.engine.root.clone(),
            span,
            entries,
            engine: Arc::new(Engine::new(engine)),
            secrets: self.secrets.clone(),
        }
    }

    fn late(&self, kind: &str, name: &str, span: Span, entries: Vec<Entry>) -> Late {
        let (cx, kind, name) = (self.clone(), kind.to_owned(), name.to_owned());
        Late::new(move |facts: Option<&Facts>| Ok(cx.body(&kind, &name, span, entries.clone(), facts.into())))
    }

    fn step(&self, ready: &Ready<'_>, build: &Named<'_>) -> Step {
        let Ready { step, options } = ready;
        let mut entries = step.options.clone();
        let ours = step.overrides.iter().filter(|(name, _)| build.is_called(&name.text));
        for entry in ours.flat_map(|(_, entries)| entries) {
            entries.retain(|known| known.name != entry.name);
            entries.push(entry.clone());
        }
        Step {
            kind: step.kind.clone(),
            name: step.kind.clone(),
            span: step.span,
            pause_before: options.pause_before,
            max_retries: options.max_retries,
            timeout: options.timeout.filter(|timeout| !timeout.is_zero()),
            continue_on_error: false,
            cache: options.cache,
            cache_ttl: options.cache_ttl,
            config: self.late(&step.kind, &step.kind, step.span, entries),
        }
    }

    /// A chain ends before the first post-processor that `-except` names.
    fn chain(&self, chain: &[PostProcessor], build: &Named<'_>, except: &[String]) -> Vec<PostStep> {
        let kept = chain.iter().take_while(|post| !except.contains(&post.name));
        let ours = kept.filter(|post| applies(&post.scope, build));
        ours.map(|post| PostStep {
            kind: post.kind.clone(),
            name: post.name.clone(),
            span: post.span,
            keep_input_artifact: post.keep_input_artifact,
            config: self.late(&post.kind, &post.name, post.span, post.options.clone()),
        })
        .collect()
    }
}

struct Planner<'a> {
    /// The engine of what belongs to no build.
    outside: Arc<EngineCx>,
    request: &'a Request,
    diagnostics: &'a mut Diagnostics,
}

impl Planner<'_> {
    fn build_cx(&self, build: &Named<'_>) -> BuildCx {
        let engine = EngineCx {
            build_name: build.name.clone(),
            build_type: build.builder.kind.clone(),
            ..EngineCx::clone(&self.outside)
        };
        BuildCx { engine: Arc::new(engine), secrets: self.request.secrets.clone() }
    }

    fn builders<'t>(&mut self, template: &'t Template) -> Vec<Named<'t>> {
        if !template.has_builders {
            self.diagnostics.push(Diagnostic::error("a template needs at least one builder").at(template.span));
        }
        let mut builders: Vec<Named<'t>> = Vec::new();
        let mut first: BTreeMap<String, Span> = BTreeMap::new();
        for builder in &template.builders {
            let name = self.name(&builder.name);
            if let Some(first) = first.get(&name) {
                let twice = Diagnostic::error(format!("there are two builders named `{name}`")).at(builder.name.span);
                let twice = twice.related(*first, "the first one");
                self.diagnostics.push(twice.hint("give one of them another `name`"));
            }
            first.entry(name.clone()).or_insert(builder.name.span);
            builders.push(Named { name, builder });
        }
        builders
    }

    fn name(&mut self, written: &Text) -> String {
        let engine = Engine::new(EngineCx::clone(&self.outside));
        engine.run(&written.text, &BTreeMap::new()).unwrap_or_else(|error| {
            let text = format!("cannot render the name `{}`: {error}", written.text);
            self.diagnostics.push(Diagnostic::error(text).at(written.span));
            written.text.clone()
        })
    }

    /// None after an error. Without `builders`, the names of builders are not looked at.
    fn ready<'t>(&mut self, step: &'t Provisioner, builders: &[Named<'_>]) -> Option<Ready<'t>> {
        if !builders.is_empty() {
            self.check_scope(&step.scope, builders);
            step.overrides.iter().for_each(|(name, _)| self.check_name(name, builders));
        }
        let shared = step.shared.iter().map(|entry| self.with_unit(entry)).collect();
        let cx = BuildCx { engine: self.outside.clone(), secrets: self.request.secrets.clone() };
        let body = cx.body(&step.kind, &step.kind, step.span, shared, BuildFacts::Never);
        StepOptions::from_body(&body, self.diagnostics).map(|options| Ready { step, options })
    }

    /// A bare number of time is one of nanoseconds to Packer, and seldom meant so.
    fn with_unit(&mut self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if let (Data::Number(number), true) =
            (&entry.node.value.data, !["max_retries", "cache"].contains(&entry.name.as_str()))
        {
            let text = format!("{number} without a unit is {number} nanoseconds");
            let hint = format!("write \"{number}s\" for seconds");
            self.diagnostics.push(Diagnostic::warning(text).at(entry.node.span()).hint(hint));
            entry.node.value = Value::from(format!("{number}ns"));
        }
        entry
    }

    fn check_scope(&mut self, scope: &Scope, builders: &[Named<'_>]) {
        for name in scope.only.iter().chain(&scope.except) {
            self.check_name(name, builders);
        }
    }

    fn check_name(&mut self, name: &Text, builders: &[Named<'_>]) {
        if builders.iter().any(|build| build.is_called(&name.text)) {
            return;
        }
        let unknown = Diagnostic::error(format!("there is no builder named `{}`", name.text)).at(name.span);
        let known = builders.iter().map(|build| build.name.as_str());
        self.diagnostics.push(unknown.did_you_mean(&name.text, known));
    }
}
