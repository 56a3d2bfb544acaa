//! A build as legs, and the key of each.

use std::time::Duration;

use bakehouse_api::{Diagnostics, Facts, Input, Value};

use super::key::{Key, Recipe, Salt};
use super::{PROVISIONER_TTL, Policy};
use crate::engine::prepare::{Prepared, Step};
use crate::engine::stage::Stage;
use crate::provision::{Caching, Provisioner};

/// What only a running machine knows, and knows anew each time. A stand-in has its place in a key.
const VOLATILE: [&str; 10] = [
    "Host",
    "Port",
    "Password",
    "PackerRunUUID",
    "PackerHTTPIP",
    "PackerHTTPPort",
    "PackerHTTPAddr",
    "SSHPublicKey",
    "SSHPrivateKey",
    "WinRMPassword",
];

#[derive(Clone, Debug)]
pub struct Leg {
    /// The stage that its checkpoint is taken after.
    pub name: String,
    pub recipe: Recipe,
    /// None: nothing from here on is found again.
    pub key: Option<Key>,
    /// Why neither this leg nor any after it has a key.
    pub never: Option<String>,
    /// How long it counts; none: for ever.
    pub ttl: Option<Duration>,
}

/// The legs of a build: the boot, each provisioner, the artifact.
#[derive(Clone, Debug)]
pub struct Course {
    pub legs: Vec<Leg>,
}

impl Course {
    /// `found` are the inputs that resolving the builder told.
    pub fn of(build: &Prepared, found: Vec<Input>, salt: &Salt, policy: &Policy) -> Self {
        let mut course = Self { legs: Vec::new() };
        let boot = build.builder.inputs().into_iter().chain(found).collect();
        let boot = build.builder.no_checkpoints().map_or(Ok(boot), Err);
        course.add(salt, Stage::Connect.name(build), kind(build, 0), boot, None);
        for (n, step) in build.provisioners.iter().enumerate() {
            let ttl = policy.ttl.or(step.plan.cache_ttl).or(build.cache_ttl).unwrap_or(PROVISIONER_TTL);
            let inputs = inputs(step, &stand_ins(build));
            course.add(salt, Stage::Provision(n).name(build), kind(build, n + 1), inputs, Some(ttl));
        }
        course.add(
            salt,
            Stage::Capture.name(build),
            kind(build, build.provisioners.len() + 1),
            Ok(build.builder.capture_inputs()),
            None,
        );
        course
    }

    fn add(
        &mut self,
        salt: &Salt,
        name: String,
        kind: &str,
        inputs: Result<Vec<Input>, String>,
        ttl: Option<Duration>,
    ) {
        let before = self.legs.last();
        let broken = before.is_some_and(|leg| leg.key.is_none());
        let (recipe, never) = match inputs {
            Ok(inputs) => (Recipe::new(salt, inputs), None),
            Err(reason) => (Recipe::default(), Some(reason)),
        };
        let key = (!broken && never.is_none()).then(|| recipe.key(salt, before.and_then(|leg| leg.key.as_ref()), kind));
        self.legs.push(Leg { name, recipe, key, never, ttl });
    }

    /// What a leg reads by now. The boot and the artifact read what resolving the builder has found.
    pub fn read_again(&self, leg: usize, build: &Prepared, salt: &Salt) -> Recipe {
        let step = leg.checked_sub(1).and_then(|n| build.provisioners.get(n));
        match step.map(|step| inputs(step, &stand_ins(build))) {
            Some(Ok(inputs)) => Recipe::new(salt, inputs),
            _ => self.legs[leg].recipe.clone(),
        }
    }

    /// The leg reads something else from now on; so the keys of what follows change.
    pub fn replace(&mut self, leg: usize, recipe: Recipe, build: &Prepared, salt: &Salt) {
        self.legs[leg].recipe = recipe;
        for at in leg..self.legs.len() {
            let (done, rest) = self.legs.split_at_mut(at);
            let (before, leg) = (done.last().and_then(|leg| leg.key.as_ref()), &mut rest[0]);
            if leg.key.is_some() {
                leg.key = Some(leg.recipe.key(salt, before, kind(build, at)));
            }
        }
    }

    /// The leg that a stage belongs to; none: post-processors run each time.
    pub fn leg_of(&self, stage: Stage) -> Option<usize> {
        match stage {
            Stage::Start | Stage::Type | Stage::Connect => Some(0),
            Stage::Provision(n) => Some(n + 1),
            Stage::PowerOff | Stage::Disconnect | Stage::Capture => Some(self.legs.len() - 1),
            Stage::PostProcess { .. } => None,
        }
    }
}

/// What tells the legs apart that read the same.
fn kind(build: &Prepared, leg: usize) -> &str {
    match leg.checked_sub(1) {
        None => &build.kind,
        Some(n) => build.provisioners.get(n).map_or("artifact", |step| step.row.kind),
    }
}

fn stand_ins(build: &Prepared) -> Facts {
    let stand_in = |name: &str| match name {
        "Port" => Value::from(22),
        "PackerHTTPPort" => Value::from("80"),
        _ => Value::from(format!("<{name}>")),
    };
    let mut facts: Facts = VOLATILE.into_iter().map(|name| (name.to_owned(), stand_in(name))).collect();
    facts.extend(build.builder.lasting_facts());
    facts
}

/// What a step reads, or why that cannot be told.
fn inputs(step: &Step, facts: &Facts) -> Result<Vec<Input>, String> {
    if step.plan.cache == Some(false) {
        return Err("`cache = false`".into());
    }
    let provisioner = realise(step, facts).ok_or("what it reads of `build` is known only while it runs")?;
    match provisioner.caching() {
        Caching::Never(reason) => Err(reason.into()),
        Caching::Outside(reason) if step.plan.cache != Some(true) => Err(reason.into()),
        _ => Ok(provisioner.inputs()),
    }
}

fn realise(step: &Step, facts: &Facts) -> Option<Box<dyn Provisioner>> {
    let body = step.plan.config.body(facts).ok()?;
    (step.row.prepare)(&body, &mut Diagnostics::default())
}
