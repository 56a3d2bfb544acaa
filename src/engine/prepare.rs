//! From a plan to builds that can run: every block is handed to the backend, provisioner or
//! post-processor it names, offline, and everything wrong is found at once.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use bakehouse_api::diag::nearest_within;
use bakehouse_api::{Backend, Body, Builder, Diagnostic, Diagnostics, Severity, Span};

use super::known;
use crate::template::plan::{self, Late, Plan, Plugin};
use crate::{post, provision};

/// Everything a template can name.
pub struct Kinds {
    pub backends: Vec<Box<dyn Backend>>,
    pub provisioners: &'static [provision::Row],
    pub post_processors: &'static [post::Row],
}

impl Kinds {
    /// What this program is made of.
    pub fn all() -> Self {
        Self { backends: crate::registry::backends(), provisioners: provision::table(), post_processors: post::table() }
    }
}

/// A build, checked and ready to run.
pub struct Prepared {
    pub name: String,
    /// The builder type.
    pub kind: String,
    /// The header of its source block.
    pub span: Span,
    /// The folder of its template.
    pub root: PathBuf,
    /// How long its provisioners' checkpoints count, where they do not say.
    pub cache_ttl: Option<Duration>,
    pub builder: Box<dyn Builder>,
    pub provisioners: Vec<Step>,
    pub on_error: Option<Step>,
    pub post: Vec<Vec<PostStep>>,
}

/// A provisioner of the plan and what implements it.
pub struct Step {
    pub plan: plan::Step,
    pub row: &'static provision::Row,
}

pub struct PostStep {
    pub plan: plan::PostStep,
    pub row: &'static post::Row,
}

/// What builds are prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be judged: a component that only this program lacks is worth a warning.
    Check,
    /// To be run: every component must be here.
    Run,
}

/// The builds that are right, in order, and all that is wrong with the others. A build that needs a
/// component which is not built in is left out.
pub fn prepare(plan: Plan, kinds: &Kinds, purpose: Purpose) -> (Vec<Prepared>, Diagnostics) {
    let mut preparing =
        Preparing { kinds, purpose, plugins: plan.plugins, foreign: HashSet::new(), found: Diagnostics::default() };
    let prepared = plan.builds.into_iter().filter_map(|build| preparing.build(build)).collect();
    (prepared, preparing.found)
}

struct Preparing<'a> {
    kinds: &'a Kinds,
    purpose: Purpose,
    plugins: Vec<Plugin>,
    /// Components that are not built in and have been reported: once for each kind.
    foreign: HashSet<(&'static str, String)>,
    found: Diagnostics,
}

impl Preparing<'_> {
    fn build(&mut self, build: plan::Build) -> Option<Prepared> {
        let builder = self.builder(&build.source);
        // All of them, before the first `?`: every block's errors are wanted.
        let provisioners: Vec<Option<Step>> = build.provisioners.into_iter().map(|step| self.step(step)).collect();
        let on_error = build.on_error.map(|step| self.step(step));
        let post: Vec<Option<Vec<PostStep>>> = build
            .post
            .into_iter()
            .map(|chain| {
                let steps: Vec<Option<PostStep>> = chain.into_iter().map(|step| self.post_step(step)).collect();
                steps.into_iter().collect()
            })
            .collect();
        let builder = builder?;
        Some(Prepared {
            name: build.name,
            kind: build.source.kind,
            span: build.source.span,
            root: build.source.root,
            cache_ttl: build.cache_ttl,
            builder,
            provisioners: provisioners.into_iter().collect::<Option<_>>()?,
            on_error: match on_error {
                Some(step) => Some(step?),
                None => None,
            },
            post: post.into_iter().collect::<Option<_>>()?,
        })
    }

    fn builder(&mut self, source: &Body) -> Option<Box<dyn Builder>> {
        let Some(backend) = self.kinds.backends.iter().find(|backend| backend.kind() == source.kind) else {
            let ours = self.kinds.backends.iter().map(|backend| backend.kind()).collect();
            self.missing("builder", &source.kind, source.span, ours, known::BUILDERS);
            return None;
        };
        let mut found = Diagnostics::default();
        let builder = backend.prepare(source, &mut found);
        self.sift(found, Some(source));
        builder
    }

    fn step(&mut self, step: plan::Step) -> Option<Step> {
        let Some(row) = self.kinds.provisioners.iter().find(|row| row.kind == step.kind) else {
            let ours = self.kinds.provisioners.iter().map(|row| row.kind).collect();
            self.missing("provisioner", &step.kind, step.span, ours, known::PROVISIONERS);
            return None;
        };
        self.check(&step.config, row.prepare).then_some(Step { plan: step, row })
    }

    fn post_step(&mut self, step: plan::PostStep) -> Option<PostStep> {
        let Some(row) = self.kinds.post_processors.iter().find(|row| row.kind == step.kind) else {
            let ours = self.kinds.post_processors.iter().map(|row| row.kind).collect();
            self.missing("post-processor", &step.kind, step.span, ours, known::POST_PROCESSORS);
            return None;
        };
        self.check(&step.config, row.prepare).then_some(PostStep { plan: step, row })
    }

    /// Evaluates a body with `build.*` unknown and lets its owner judge it. True when nothing is wrong.
    fn check<T>(&mut self, config: &Late, prepare: fn(&Body, &mut Diagnostics) -> Option<T>) -> bool {
        let mut found = Diagnostics::default();
        let body = config.validate();
        let body = match &body {
            Ok(body) => {
                prepare(body, &mut found);
                Some(body)
            }
            Err(errors) => {
                found.extend(errors.clone());
                None
            }
        };
        self.sift(found, body)
    }

    /// Keeps the findings, but for those about a value that only the running machine will know.
    /// True when no error is among them.
    fn sift(&mut self, found: Diagnostics, body: Option<&Body>) -> bool {
        let unknown: Vec<Span> = body
            .into_iter()
            .flat_map(|body| &body.entries)
            .filter(|entry| entry.node.value.has_unknown())
            .map(|entry| entry.name_span.to(entry.node.span()))
            .collect();
        let about_unknown =
            |finding: &Diagnostic| finding.span.is_some_and(|span| unknown.iter().any(|whole| whole.contains(span)));
        let kept = Diagnostics(found.0.into_iter().filter(|finding| !about_unknown(finding)).collect());
        let fine = !kept.has_errors();
        kept.0.into_iter().for_each(|finding| self.push(finding));
        fine
    }

    /// A component that is not here: misspelt, or of a plugin that is not built in.
    fn missing(&mut self, what: &'static str, kind: &str, span: Span, mut ours: Vec<&str>, packers: &[&str]) {
        ours.sort_unstable();
        let list = format!("{what}s: {}", ours.join(", "));
        let plugin = self.plugins.iter().find(|plugin| plugin.has(kind));
        if plugin.is_none() && !packers.contains(&kind) {
            let slip = if kind.len() < 8 { 1 } else { 2 };
            if let Some(near) = nearest_within(slip, kind, ours.iter().chain(packers).copied()) {
                let error = Diagnostic::error(format!("there is no {what} `{kind}`")).at(span).detail(list);
                return self.push(error.hint(format!("did you mean `{near}`?")));
            }
        }
        if !self.foreign.insert((what, kind.to_owned())) {
            return;
        }
        let summary = format!("the {what} `{kind}` is not built in");
        let from = match plugin.and_then(|plugin| plugin.source.as_deref()) {
            Some(source) => format!("it comes with the plugin {source}, and plugins are not loaded"),
            None => "it comes with a plugin of Packer's, and plugins are not loaded".to_owned(),
        };
        let leave_out = "`-only` and `-except` choose the builds that do not need it";
        let hint = match known::instead(kind) {
            Some(instead) => format!("take {instead}; or {leave_out}"),
            None => leave_out.to_owned(),
        };
        self.push(match self.purpose {
            Purpose::Check => Diagnostic::warning(format!("{summary}: its options are not checked"))
                .at(span)
                .hint(format!("{from}; to build, {hint}")),
            Purpose::Run => Diagnostic::error(summary).at(span).detail(format!("{from}\n{list}")).hint(hint),
        });
    }

    /// A block that several builds share is reported once.
    fn push(&mut self, mut finding: Diagnostic) {
        if finding.only_to_build && self.purpose == Purpose::Check {
            finding.severity = Severity::Warning;
        }
        if !self.found.0.contains(&finding) {
            self.found.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Type, Value};

    use super::super::fake;
    use super::*;

    fn kinds() -> Kinds {
        Kinds {
            backends: vec![Box::new(fake::Platform)],
            provisioners: &fake::PROVISIONERS,
            post_processors: &fake::POST_PROCESSORS,
        }
    }

    fn build(kind: &str, options: &[(&str, Value)], provisioners: Vec<plan::Step>) -> plan::Build {
        let source = fake::body(kind, options);
        plan::Build {
            name: format!("{kind}.x"),
            source,
            cache_ttl: None,
            provisioners,
            on_error: None,
            post: Vec::new(),
        }
    }

    fn step(kind: &str, options: &[(&str, Value)]) -> plan::Step {
        let body = fake::body(kind, options);
        plan::Step {
            kind: kind.into(),
            name: kind.into(),
            span: Span::default(),
            pause_before: Duration::ZERO,
            max_retries: 0,
            timeout: None,
            continue_on_error: false,
            cache: None,
            cache_ttl: None,
            config: Late::new(move |_| Ok(body.clone())),
        }
    }

    fn summaries(builds: Vec<plan::Build>) -> (usize, Vec<String>) {
        let (prepared, found) = prepare(Plan { builds, ..Plan::default() }, &kinds(), Purpose::Run);
        (prepared.len(), found.0.into_iter().map(|finding| finding.summary).collect())
    }

    fn hint(build: plan::Build) -> Option<String> {
        let (_, found) = prepare(Plan { builds: vec![build], ..Plan::default() }, &kinds(), Purpose::Run);
        found.0.into_iter().next().and_then(|finding| finding.hint)
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let steps = vec![step("dose", &[]), step("does", &[("sya", Value::from("x"))])];
        let builds = vec![build("fake", &[("wrong", Value::from("yes"))], steps), build("fake", &[], vec![])];
        let (right, found) = summaries(builds);
        assert_eq!(right, 1);
        assert_eq!(found, ["this is wrong", "there is no provisioner `dose`", "no option `sya`"]);
    }

    #[test]
    fn a_block_of_two_builds_is_reported_once() {
        let builds = || build("fake", &[], vec![step("dose", &[])]);
        assert_eq!(summaries(vec![builds(), builds()]), (0, vec!["there is no provisioner `dose`".into()]));
    }

    #[test]
    fn misspelt_kinds_are_told_from_foreign_ones() {
        assert_eq!(hint(build("fkae", &[], vec![])).as_deref(), Some("did you mean `fake`?"));
        assert_eq!(hint(build("vmware-is", &[], vec![])).as_deref(), Some("did you mean `vmware-iso`?"));
        assert!(hint(build("amazon-chroot", &[], vec![])).is_some_and(|hint| hint.contains("`amazon-ebssurrogate`")));
        let (_, found) = summaries(vec![build("vmware-iso", &[], vec![step("cake", &[])])]);
        assert_eq!(found, ["the builder `vmware-iso` is not built in", "the provisioner `cake` is not built in"]);
    }

    #[test]
    fn a_foreign_kind_is_one_warning_when_it_is_only_checked() {
        let builds = || vec![build("vmware-iso", &[], vec![step("says", &[]), step("says", &[])])];
        let plugins =
            vec![plan::Plugin { name: "says".into(), source: Some("example.org/x/says".into()), version: None }];
        let plan = Plan { builds: builds().into_iter().chain(builds()).collect(), plugins };
        let (prepared, found) = prepare(plan, &kinds(), Purpose::Check);
        let found: Vec<_> = found.0.into_iter().map(|finding| (finding.severity, finding.summary)).collect();
        assert!(prepared.is_empty());
        assert_eq!(
            found,
            [
                (Severity::Warning, "the builder `vmware-iso` is not built in: its options are not checked".into()),
                (Severity::Warning, "the provisioner `says` is not built in: its options are not checked".into()),
            ]
        );
    }

    #[test]
    fn what_only_the_machine_knows_is_not_judged() {
        let unknown = Value::unknown(Type::String);
        assert_eq!(summaries(vec![build("fake", &[], vec![step("does", &[("later", unknown)])])]), (1, vec![]));
    }
}
