//! From a plan to builds that can run: every block is handed to the backend, provisioner or
//! post-processor it names, offline, and everything wrong is found at once.

use bakehouse_api::{Backend, Body, Builder, Diagnostic, Diagnostics, Span};

use super::known;
use crate::template::plan::{self, Late, Plan};
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

/// The builds that are right, in order, and all that is wrong with the others. Warnings alone do not
/// keep a build back.
pub fn prepare(plan: Plan, kinds: &Kinds) -> (Vec<Prepared>, Diagnostics) {
    let mut preparing = Preparing { kinds, found: Diagnostics::default() };
    let prepared = plan.builds.into_iter().filter_map(|build| preparing.build(build)).collect();
    (prepared, preparing.found)
}

struct Preparing<'a> {
    kinds: &'a Kinds,
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
            self.push(unknown("builder", &source.kind, source.span, ours, known::BUILDERS));
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
            self.push(unknown("provisioner", &step.kind, step.span, ours, known::PROVISIONERS));
            return None;
        };
        self.check(&step.config, row.prepare).then_some(Step { plan: step, row })
    }

    fn post_step(&mut self, step: plan::PostStep) -> Option<PostStep> {
        let Some(row) = self.kinds.post_processors.iter().find(|row| row.kind == step.kind) else {
            let ours = self.kinds.post_processors.iter().map(|row| row.kind).collect();
            self.push(unknown("post-processor", &step.kind, step.span, ours, known::POST_PROCESSORS));
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

    /// A block that several builds share is reported once.
    fn push(&mut self, finding: Diagnostic) {
        if !self.found.0.contains(&finding) {
            self.found.push(finding);
        }
    }
}

fn unknown(what: &str, kind: &str, span: Span, mut ours: Vec<&str>, packers: &[&str]) -> Diagnostic {
    ours.sort_unstable();
    let list = format!("{what}s: {}", ours.join(", "));
    if packers.contains(&kind) {
        return Diagnostic::error(format!("this version of Bakehouse does not have Packer's {what} `{kind}`"))
            .at(span)
            .detail(list)
            .hint("leave the builds that use it out with -only or -except");
    }
    let all = ours.iter().chain(packers).copied();
    Diagnostic::error(format!("there is no {what} `{kind}`")).at(span).detail(list).did_you_mean(kind, all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        plan::Build { name: format!("{kind}.x"), source, provisioners, on_error: None, post: Vec::new() }
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
            config: Late::new(move |_| Ok(body.clone())),
        }
    }

    fn summaries(builds: Vec<plan::Build>) -> (usize, Vec<String>) {
        let (prepared, found) = prepare(Plan { builds }, &kinds());
        (prepared.len(), found.0.into_iter().map(|finding| finding.summary).collect())
    }

    fn hint(build: plan::Build) -> Option<String> {
        let (_, found) = prepare(Plan { builds: vec![build] }, &kinds());
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
    fn unknown_kinds_are_told_from_packers() {
        assert_eq!(hint(build("fkae", &[], vec![])).as_deref(), Some("did you mean `fake`?"));
        assert_eq!(hint(build("vmware-is", &[], vec![])).as_deref(), Some("did you mean `vmware-iso`?"));
        let (_, found) = summaries(vec![build("vmware-iso", &[], vec![step("puppet-server", &[])])]);
        assert_eq!(
            found,
            [
                "this version of Bakehouse does not have Packer's builder `vmware-iso`",
                "this version of Bakehouse does not have Packer's provisioner `puppet-server`",
            ]
        );
    }

    #[test]
    fn what_only_the_machine_knows_is_not_judged() {
        let unknown = Value::unknown(Type::String);
        assert_eq!(summaries(vec![build("fake", &[], vec![step("does", &[("later", unknown)])])]), (1, vec![]));
    }
}
