//! Which checkpoint is taken, and what is said of the others.

use std::path::Path;

use bakehouse_api::Input;

use super::super::key::{Recipe, Salt};
use super::super::note::{Note, Ran};
use super::super::{Ledger, Store};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// The boot, and a leg for each text; the last one is the artifact.
fn course(read: &[&str]) -> Course {
    let salt = Salt::fixed();
    let mut legs: Vec<Leg> = Vec::new();
    for (at, text) in read.iter().enumerate() {
        let recipe = Recipe::new(&salt, vec![Input::new("script", *text)]);
        let key = Some(recipe.key(&salt, legs.last().and_then(|leg| leg.key.as_ref()), "leg"));
        let ttl = (at > 0 && at + 1 < read.len()).then_some(DAY);
        legs.push(Leg { name: format!("leg {at}"), recipe, key, never: None, ttl });
    }
    Course { legs }
}

/// Nothing from this leg on is found again.
fn never(mut course: Course, leg: usize) -> Course {
    course.legs[leg..].iter_mut().for_each(|leg| leg.key = None);
    course.legs[leg].never = Some("`cache = false`".into());
    course
}

/// A checkpoint of each leg, which ran so many seconds ago.
fn entries(dir: &Path, course: &Course, legs: &[usize], ages: &[u64]) -> Vec<Entry> {
    let store = Store::open(dir).unwrap();
    for leg in legs {
        let folder = dir.join(format!("c-{leg}-{}", ages[*leg]));
        std::fs::create_dir(&folder).unwrap();
        let kind = if leg + 1 == course.legs.len() { Kind::Artifact } else { Kind::Machine };
        let ran = ages[..=*leg].iter().map(|age| Ran { leg: String::new(), at: now() - age }).collect();
        let key = course.legs[*leg].key.clone().unwrap();
        Note::take(&folder, key, kind, "b", "s", ran).unwrap().write(&folder).unwrap();
    }
    store.entries().unwrap()
}

fn told(decision: &Decision) -> (Option<usize>, Vec<String>) {
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Cached(_) => "cached".to_owned(),
        Verdict::Run(why) => why.clone(),
    };
    (decision.from.as_ref().map(|(leg, _)| *leg), decision.verdicts.iter().map(verdict).collect())
}

/// What the last run of the build has left.
fn remembered(dir: &Path, course: &Course, done: usize) -> Option<Remembered> {
    let mut ledger = Ledger::open(dir, Path::new("/t"), "b");
    let verdicts: Vec<Verdict> = course.legs.iter().map(|_| Verdict::Run(String::new())).collect();
    ledger.begin(course, &verdicts).unwrap();
    (0..done).for_each(|leg| ledger.done(leg).unwrap());
    ledger.last()
}

#[test]
fn the_deepest_one_that_holds_is_taken_and_the_change_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let old = course(&["boot", "a", "b", "artifact"]);
    let all = entries(dir.path(), &old, &[0, 1, 2, 3], &[40, 30, 20, 10]);
    let last = remembered(dir.path(), &old, 4);
    let decide = |course: &Course| told(&Decision::make(course, &all, last.as_ref()));
    assert_eq!(decide(&old), (Some(3), ["cached"; 4].map(str::to_owned).into()));
    let (from, why) = decide(&course(&["boot", "a", "B", "artifact"]));
    assert_eq!(
        (from, why),
        (Some(1), ["cached", "cached", "script changed", "it follows `leg 2`"].map(str::to_owned).into())
    );
    let (from, why) = decide(&course(&["BOOT", "a", "b", "artifact"]));
    assert_eq!(from, None);
    assert_eq!(why, ["script changed", "it follows `leg 0`", "it follows `leg 1`", "it follows `leg 2`"]);
}

#[test]
fn one_that_was_removed_is_told_from_one_that_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let course = course(&["boot", "a", "artifact"]);
    let all = entries(dir.path(), &course, &[0], &[10]);
    let decide = |last: Option<&Remembered>| told(&Decision::make(&course, &all, last)).1[1].clone();
    assert_eq!(decide(None), "nothing is known of an earlier run");
    assert_eq!(decide(remembered(dir.path(), &course, 3).as_ref()), "no checkpoint of it is there");
    assert_eq!(decide(remembered(dir.path(), &course, 1).as_ref()), "it did not end well last time");
}

#[test]
fn a_provisioner_that_ran_too_long_ago_runs_again_however_young_what_follows_is() {
    let dir = tempfile::tempdir().unwrap();
    let course = course(&["boot", "a", "b", "artifact"]);
    let long = 30 * 86_400;
    let all = entries(dir.path(), &course, &[0, 1, 2, 3], &[long, 90_000, 20, 10]);
    let (from, why) = told(&Decision::make(&course, &all, None));
    assert_eq!((from, why[1].as_str()), (Some(0), "older than 24 h"), "a boot does not go stale");
}

#[test]
fn of_two_with_one_key_the_one_that_ran_last_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let course = course(&["boot", "a", "artifact"]);
    entries(dir.path(), &course, &[1], &[100, 90_000]);
    let all = entries(dir.path(), &course, &[1], &[100, 20]);
    let decision = Decision::make(&course, &all, None);
    assert_eq!(decision.from.unwrap().1.id(), "c-1-20");
}

#[test]
fn nothing_is_taken_from_a_step_that_is_not_cached_on() {
    let dir = tempfile::tempdir().unwrap();
    let whole = course(&["boot", "a", "b", "artifact"]);
    let all = entries(dir.path(), &whole, &[0, 1, 2, 3], &[40, 30, 20, 10]);
    let (from, why) = told(&Decision::make(&never(whole, 1), &all, None));
    assert_eq!((from, why[1].as_str()), (Some(0), "`cache = false`"));
    assert_eq!(why[2], "it follows `leg 1`");
}

#[test]
fn an_artifact_is_not_taken_for_a_machine() {
    let dir = tempfile::tempdir().unwrap();
    let short = course(&["boot", "a"]);
    let all = entries(dir.path(), &short, &[1], &[20, 10]);
    assert_eq!(told(&Decision::make(&course(&["boot", "a", "artifact"]), &all, None)).0, None);
}
