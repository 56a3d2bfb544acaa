//! Going on from where an earlier build was.

use super::*;
use crate::engine::cache::{Ledger, Store};
use crate::engine::prepare::Step;

/// A kitchen that keeps checkpoints.
fn kitchen() -> Kitchen {
    let mut kitchen = Kitchen::new();
    kitchen.checkpoints = Some(kitchen.path().join("checkpoints"));
    kitchen
}

/// The next run in the same kitchen: what was said before is forgotten.
fn again(kitchen: &mut Kitchen) {
    kitchen.recorder = Arc::default();
    kitchen.cancel = CancellationToken::new();
}

fn build(kitchen: &Kitchen, says: &[&'static str]) -> Prepared {
    let mut fake = kitchen.fake();
    fake.reads = Some("1");
    fake.types = false; // nobody waits for the boot
    with(fake, says)
}

fn with(fake: Fake, says: &[&'static str]) -> Prepared {
    let mut build = fake.build("fake.x");
    build.provisioners = says.iter().map(|say| step(&[("say", say)])).collect();
    build
}

/// The verbs and provisioners, without what is said about checkpoints and switching off.
fn did(kitchen: &Kitchen) -> Vec<String> {
    let noise = ["typing", "key", "ask_off", "wait_off", "evidence"];
    kitchen
        .asked()
        .into_iter()
        .filter(|asked| !asked.contains(['`', ' ']) && !noise.contains(&asked.as_str()))
        .collect()
}

fn entries(kitchen: &Kitchen) -> usize {
    Store::open(kitchen.checkpoints.as_ref().unwrap()).unwrap().entries().unwrap().len()
}

fn outcomes(report: &Report) -> Vec<Outcome> {
    report.stages.iter().map(|stage| stage.outcome).collect()
}

#[tokio::test]
async fn a_changed_step_and_what_follows_it_run_again() {
    let mut kitchen = kitchen();
    kitchen.bake_one(build(&kitchen, &["a", "b", "c"])).await;
    let all = ["resolve", "start", "connect", "freeze", "a", "freeze", "b", "freeze", "c", "freeze", "capture"];
    assert_eq!(did(&kitchen), all);
    assert_eq!(entries(&kitchen), 5);

    again(&mut kitchen);
    let report = kitchen.bake_one(build(&kitchen, &["a", "B", "c"])).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(did(&kitchen), ["resolve", "resume", "connect", "B", "freeze", "c", "freeze", "capture"]);
    assert!(kitchen.warned("`provision 2: does` runs: words changed"));
    assert!(kitchen.warned("`provision 3: does` runs: it follows `provision 2: does`"));
    assert_eq!(
        outcomes(&report)[..5],
        [Outcome::Cached, Outcome::Cached, Outcome::Cached, Outcome::Cached, Outcome::Done]
    );
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0));
}

#[tokio::test]
async fn nothing_runs_when_nothing_changed() {
    let mut kitchen = kitchen();
    let with_post = |kitchen: &Kitchen| {
        let mut build = build(kitchen, &["a"]);
        build.post = vec![vec![post_step(kitchen.path(), &[], None)]];
        build
    };
    kitchen.bake_one(with_post(&kitchen)).await;
    again(&mut kitchen);
    std::fs::remove_file(kitchen.path().join("disk")).unwrap();
    let report = kitchen.bake_one(with_post(&kitchen)).await;
    assert_eq!(did(&kitchen), ["resolve", "recall"]);
    assert!(kitchen.exists("disk"));
    assert_eq!(report.artifacts.len(), 1);
    assert_eq!(outcomes(&report).last(), Some(&Outcome::Done));
}

#[tokio::test]
async fn a_failed_step_is_gone_on_from_next_time() {
    let mut kitchen = kitchen();
    let mut failing = build(&kitchen, &["a", "b"]);
    failing.provisioners[1] = step(&[("say", "b"), ("fails", "9")]);
    assert_eq!(kitchen.bake_one(failing).await.outcome, Outcome::Failed);
    again(&mut kitchen);
    assert_eq!(kitchen.bake_one(build(&kitchen, &["a", "b"])).await.outcome, Outcome::Done);
    assert_eq!(did(&kitchen), ["resolve", "resume", "connect", "b", "freeze", "capture"]);
    assert!(kitchen.warned("`provision 2: does` runs: it did not end well last time"));
}

#[tokio::test]
async fn an_interrupted_step_is_gone_on_from_next_time() {
    let mut kitchen = kitchen();
    let mut hanging = build(&kitchen, &["a", "b"]);
    hanging.provisioners[1] = step(&[("say", "b"), ("hang", "yes")]);
    let interrupt = async {
        while !kitchen.asked().iter().any(|asked| asked == "b") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kitchen.cancel.cancel();
    };
    let (report, ()) = tokio::join!(kitchen.bake_one(hanging), interrupt);
    assert_eq!(report.outcome, Outcome::Interrupted);
    again(&mut kitchen);
    kitchen.bake_one(build(&kitchen, &["a", "b"])).await;
    assert_eq!(did(&kitchen)[..3], ["resolve", "resume", "connect"]);
}

#[tokio::test]
async fn a_step_is_retried_from_the_checkpoint_before_it_with_what_it_reads_by_then() {
    let mut kitchen = kitchen();
    kitchen.on_error = OnError::Ask;
    let script = kitchen.path().join("script");
    std::fs::write(&script, "wrong").unwrap();
    let path: &'static str = script.to_string_lossy().into_owned().leak();
    let picky = |kitchen: &Kitchen| {
        let mut build = build(kitchen, &["a"]);
        build.provisioners.push(step(&[("say", "b"), ("reads", path), ("picky", "yes")]));
        build
    };
    *kitchen.recorder.answers.lock().unwrap() = vec![2];
    let report = kitchen.bake_one(picky(&kitchen)).await;
    assert_eq!(report.outcome, Outcome::Done);
    let tail: Vec<String> = did(&kitchen).into_iter().skip_while(|asked| asked != "b").collect();
    assert_eq!(tail, ["b", "resume", "connect", "b", "freeze", "capture"]);

    again(&mut kitchen);
    kitchen.bake_one(picky(&kitchen)).await;
    assert_eq!(did(&kitchen), ["resolve", "recall"], "its checkpoint is found by what it read in the end");
}

#[tokio::test]
async fn a_guest_that_does_not_come_back_costs_one_checkpoint() {
    let mut kitchen = kitchen();
    kitchen.bake_one(build(&kitchen, &["a", "b", "c"])).await;
    again(&mut kitchen);
    let mut fake = kitchen.fake().failing("resume", 1);
    fake.reads = Some("1");
    let report = kitchen.bake_one(with(fake, &["a", "b", "C"])).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(did(&kitchen)[..5], ["resolve", "resume", "resume", "connect", "b"]);
    assert!(
        kitchen.warned("the checkpoint after `provision 2: does` is of no use, trying an earlier one: resume failed")
    );
    assert!(kitchen.warned("`provision 2: does` runs: the guest did not come back from its checkpoint"));
}

#[tokio::test]
async fn a_damaged_checkpoint_is_dropped_and_made_again() {
    let mut kitchen = kitchen();
    kitchen.bake_one(build(&kitchen, &["a", "b"])).await;
    let store = Store::open(kitchen.checkpoints.as_ref().unwrap()).unwrap();
    for entry in store.entries().unwrap() {
        let cut = ["memory", "files/disk"].map(|name| entry.dir.join(name)).into_iter().find(|path| path.exists());
        std::fs::write(cut.unwrap(), "fro").unwrap();
    }
    again(&mut kitchen);
    let report = kitchen.bake_one(build(&kitchen, &["a", "b"])).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert!(kitchen.warned("The artifact is not what it was, and is made anew: files/disk: it has 3 bytes"));
    assert_eq!(did(&kitchen)[..3], ["resolve", "start", "connect"]);
    assert_eq!(entries(&kitchen), 4);
    assert!(kitchen.warned("`provision 2: does` runs: its checkpoint was damaged"));
    again(&mut kitchen);
    kitchen.bake_one(build(&kitchen, &["a", "b"])).await;
    assert_eq!(did(&kitchen), ["resolve", "recall"]);
}

#[tokio::test]
async fn trouble_with_a_checkpoint_costs_only_checkpoints() {
    let kitchen = kitchen();
    let mut fake = kitchen.fake().failing("freeze", 1);
    fake.reads = Some("1");
    assert_eq!(kitchen.bake_one(with(fake, &["a", "b"])).await.outcome, Outcome::Done);
    assert_eq!(did(&kitchen), ["resolve", "start", "connect", "freeze", "a", "b", "capture"]);
    assert!(kitchen.warned("no checkpoints from here on: freeze failed"));
    assert_eq!(entries(&kitchen), 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_is_said_and_done_without() {
    let mut kitchen = kitchen();
    std::fs::write(kitchen.path().join("file"), "").unwrap();
    kitchen.checkpoints = Some(kitchen.path().join("file/checkpoints"));
    assert_eq!(kitchen.bake_one(build(&kitchen, &["a"])).await.outcome, Outcome::Done);
    assert!(kitchen.warned("no checkpoints in this build"));
    assert_eq!(did(&kitchen), ["resolve", "start", "connect", "a", "capture"]);
}

#[tokio::test]
async fn a_step_that_is_not_cached_ends_what_is_gone_on_from_and_what_is_kept() {
    let mut kitchen = kitchen();
    let not_cached = |kitchen: &Kitchen| {
        let mut build = build(kitchen, &["a", "b", "c"]);
        build.provisioners[1].plan.cache = Some(false);
        build
    };
    kitchen.bake_one(not_cached(&kitchen)).await;
    assert_eq!(entries(&kitchen), 2, "the boot and the first step");
    again(&mut kitchen);
    kitchen.bake_one(not_cached(&kitchen)).await;
    assert_eq!(did(&kitchen), ["resolve", "resume", "connect", "b", "c", "capture"]);
    assert!(kitchen.warned("`provision 2: does` runs: `cache = false`"));
}

#[tokio::test]
async fn what_went_on_after_a_failure_is_not_kept() {
    let kitchen = kitchen();
    let mut build = build(&kitchen, &["a", "b"]);
    let failing: &mut Step = &mut build.provisioners[0];
    *failing = step(&[("say", "a"), ("fails", "9")]);
    failing.plan.continue_on_error = true;
    assert_eq!(kitchen.bake_one(build).await.outcome, Outcome::Done);
    assert_eq!(entries(&kitchen), 1, "the boot");
}

#[tokio::test]
async fn a_step_that_makes_what_it_reads_is_not_kept() {
    let kitchen = kitchen();
    let mut build = build(&kitchen, &[]);
    let path: &'static str = kitchen.path().join("made").to_string_lossy().into_owned().leak();
    build.provisioners = vec![step(&[("say", "a"), ("reads", path), ("makes", "yes")]), step(&[("say", "b")])];
    assert_eq!(kitchen.bake_one(build).await.outcome, Outcome::Done);
    assert_eq!(entries(&kitchen), 1);
    assert!(kitchen.warned("No checkpoints from `provision 1: does` on: file changed while the build ran"));
}

#[tokio::test]
async fn the_age_that_counts_is_settable() {
    let mut kitchen = kitchen();
    kitchen.bake_one(build(&kitchen, &["a"])).await;
    again(&mut kitchen);
    kitchen.ttl = Some(Duration::ZERO);
    kitchen.bake_one(build(&kitchen, &["a"])).await;
    assert_eq!(did(&kitchen)[..4], ["resolve", "resume", "connect", "a"]);
    assert!(kitchen.warned("`provision 1: does` runs: older than 0 s"));
}

#[tokio::test]
async fn what_the_boot_reads_is_named_with_both_values_and_remembered() {
    let mut kitchen = kitchen();
    kitchen.bake_one(build(&kitchen, &["a"])).await;
    again(&mut kitchen);
    let mut fake = kitchen.fake();
    fake.reads = Some("2");
    kitchen.bake_one(with(fake, &["a"])).await;
    assert!(kitchen.warned("`connect` runs: base 1 -> 2"));
    let pages = Ledger::all(kitchen.checkpoints.as_ref().unwrap()).unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].legs[0].why, "base 1 -> 2");
    assert!(pages[0].legs.iter().all(|leg| leg.done));
}

#[tokio::test]
async fn two_builds_of_one_key_end_well() {
    let kitchen = kitchen();
    let summary = kitchen.bake(vec![build(&kitchen, &["a"]), build(&kitchen, &["a"])]).await;
    assert_eq!(summary.outcome(), Outcome::Done);
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0));
}
