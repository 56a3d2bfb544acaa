//! The engine against a platform that records what it is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::event::Outcome;
use bakehouse_api::testing::Recorder;
use bakehouse_api::{EventKind, Kind, Prompter, Settings};
use tokio_util::sync::CancellationToken;

use super::fake::{self, Fake, post_step, step};
use super::prepare::Prepared;
use super::{OnError, Report, Run, Summary, Undoers};

mod checkpoints;
mod power;

struct Kitchen {
    dir: PathBuf,
    /// Removes `dir` at the end, when it is the kitchen's own.
    _own: Option<tempfile::TempDir>,
    recorder: Arc<Recorder>,
    cancel: CancellationToken,
    on_error: OnError,
    parallel: usize,
    debug: bool,
    checkpoints: Option<PathBuf>,
    ttl: Option<Duration>,
}

impl Kitchen {
    fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        Self {
            dir: own.path().to_owned(),
            _own: Some(own),
            recorder: Arc::default(),
            cancel: CancellationToken::new(),
            on_error: OnError::Cleanup,
            parallel: 0,
            debug: false,
            checkpoints: None,
            ttl: None,
        }
    }

    fn path(&self) -> &Path {
        &self.dir
    }

    fn fake(&self) -> Fake {
        Fake::new(self.path())
    }

    fn undoers(&self) -> Undoers {
        let mut all = bakehouse_kit::undo::undoers();
        all.push(Arc::new(fake::Undoing));
        all.into()
    }

    async fn bake(&self, builds: Vec<Prepared>) -> Summary {
        let settings = Settings {
            run_uuid: "00000000-0000-4000-8000-000000000000".into(),
            state: self.path().join("state"),
            cwd: self.path().to_owned(),
            env: [("TMPDIR".to_owned(), self.path().to_string_lossy().into_owned())].into(),
            debug: self.debug,
            checkpoints: self.checkpoints.clone(),
            ..Settings::default()
        };
        let run = Run {
            settings: Arc::new(settings),
            sink: self.recorder.clone(),
            prompter: self.recorder.clone() as Arc<dyn Prompter>,
            secrets: Default::default(),
            sources: Default::default(),
            undoers: self.undoers(),
            on_error: self.on_error,
            cache: super::cache::Policy { ttl: self.ttl, ..Default::default() },
            parallel: self.parallel,
            cancel: self.cancel.clone(),
            stop: CancellationToken::new(),
        };
        super::run(builds, run).await
    }

    async fn bake_one(&self, build: Prepared) -> Report {
        self.bake(vec![build]).await.builds.remove(0)
    }

    /// What the fake was asked, in order.
    fn asked(&self) -> Vec<String> {
        let events = self.recorder.events.lock().unwrap();
        let text = |kind: &EventKind| match kind {
            EventKind::Message { text } => Some(text.clone()),
            _ => None,
        };
        events.iter().filter_map(|event| text(&event.kind)).collect()
    }

    /// What was undone, without the scratch directory.
    fn undone(&self) -> Vec<String> {
        let events = self.recorder.events.lock().unwrap();
        let what = |kind: &EventKind| match kind {
            EventKind::Undoing { what } if !what.contains("bakehouse-") => Some(what.clone()),
            _ => None,
        };
        events.iter().filter_map(|event| what(&event.kind)).collect()
    }

    fn warned(&self, part: &str) -> bool {
        self.recorder.lines().iter().any(|line| line.contains(part))
    }

    fn exists(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    fn journals(&self) -> usize {
        std::fs::read_dir(self.path().join("state/undo")).map_or(0, Iterator::count)
    }

    fn scratch_dirs(&self) -> usize {
        let entries = std::fs::read_dir(self.path()).unwrap().flatten();
        entries.filter(|entry| is_scratch(&entry.file_name().to_string_lossy())).count()
    }
}

fn is_scratch(name: &str) -> bool {
    name.starts_with("bakehouse-") && name != "bakehouse-evidence"
}

#[tokio::test(start_paused = true)]
async fn stages_run_in_order_and_nothing_is_left() {
    let kitchen = Kitchen::new();
    let mut build = kitchen.fake().build("fake.x");
    build.provisioners = vec![step(&[("say", "one")]), step(&[("say", "two")])];
    build.post = vec![vec![post_step(kitchen.path(), &[], None)]];
    let report = kitchen.bake_one(build).await;
    assert_eq!(report.outcome, Outcome::Done);
    let asked = [
        "resolve",
        "start",
        "typing",
        "key",
        "connect",
        "one",
        "two",
        "ask_off",
        "wait_off",
        "capture",
        "post disk -> =",
    ];
    assert_eq!(kitchen.asked(), asked);
    let stages: Vec<&str> = report.stages.iter().map(|time| time.stage.as_str()).collect();
    let names = [
        "start",
        "type",
        "connect",
        "provision 1: does",
        "provision 2: does",
        "power off",
        "capture",
        "post-process: turns",
    ];
    assert_eq!(stages, names);
    assert_eq!(report.stages[1].took, Duration::from_secs(13)); // boot_wait and a wait among the keys
    assert_eq!(report.artifacts.len(), 1);
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0));
    assert!(kitchen.undone().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_evidence_and_is_undone_in_reverse() {
    for verb in ["resolve", "start", "typing", "key", "connect", "ask_off", "capture"] {
        let kitchen = Kitchen::new();
        let report = kitchen.bake_one(kitchen.fake().failing(verb, 1).build("fake.x")).await;
        assert_eq!(report.outcome, Outcome::Failed, "{verb}");
        assert_eq!(report.errors[0].message(), format!("{verb} failed"));
        let machine = !["resolve", "start", "capture"].contains(&verb);
        assert_eq!(report.errors[0].evidence_files().len(), usize::from(machine), "{verb}");
        assert!(report.errors[0].evidence_files().iter().all(|file| file.exists()), "{verb}");
        let undone: &[&str] = if verb == "resolve" { &[] } else { &["machine", "disk"] };
        assert_eq!(kitchen.undone(), undone, "{verb}");
        assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0), "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_is_obeyed_in_every_stage() {
    for verb in ["resolve", "start", "typing", "key", "connect", "provision", "ask_off", "wait_off", "capture", "post"]
    {
        let kitchen = Kitchen::new();
        let mut fake = kitchen.fake();
        fake.hangs = verb;
        let mut build = fake.build("fake.x");
        build.provisioners = vec![step(if verb == "provision" { &[("hang", "yes")] } else { &[] })];
        let options: &[(&str, &str)] = if verb == "post" { &[("hang", "yes")] } else { &[] };
        build.post = vec![vec![post_step(kitchen.path(), options, None)]];
        let interrupt = async {
            while !kitchen.asked().iter().any(|asked| asked.starts_with(verb)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            kitchen.cancel.cancel();
        };
        let (report, ()) = tokio::join!(kitchen.bake_one(build), interrupt);
        assert_eq!(report.outcome, Outcome::Interrupted, "{verb}");
        assert!(report.took < Duration::from_secs(60), "{verb}");
        let undone: &[&str] = if verb == "resolve" { &[] } else { &["machine", "disk"] };
        assert_eq!(kitchen.undone(), undone, "{verb}");
        assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0), "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn abort_leaves_everything_to_gc() {
    let mut kitchen = Kitchen::new();
    kitchen.on_error = OnError::Abort;
    let mut build = kitchen.fake().failing("connect", 1).build("fake.x");
    build.on_error = Some(step(&[("say", "rescue")]));
    let report = kitchen.bake_one(build).await;
    assert_eq!(report.left.len(), 3);
    assert!(kitchen.undone().is_empty());
    assert!(kitchen.warned("bakehouse gc"));
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (1, 1));

    let (dead, living) = super::gc::find(&kitchen.path().join("state"), &kitchen.undoers()).unwrap();
    assert_eq!((dead.len(), living), (1, 0));
    let left = dead[0].drain(bakehouse_api::UndoId(0), &CancellationToken::new(), &|_| {}).await;
    dead[0].close();
    assert_eq!(left, []);
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_error_cleanup_provisioner_runs_when_a_provisioner_failed() {
    for (on_error, rescued, undone) in
        [(OnError::Cleanup, true, 2), (OnError::RunCleanupProvisioner, true, 0), (OnError::Abort, false, 0)]
    {
        let mut kitchen = Kitchen::new();
        kitchen.on_error = on_error;
        let mut build = kitchen.fake().build("fake.x");
        build.provisioners = vec![step(&[("fails", "1")]), step(&[("say", "never")])];
        build.on_error = Some(step(&[("say", "rescue")]));
        let report = kitchen.bake_one(build).await;
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!(report.errors[0].to_string(), "provisioner `does`: provision failed");
        assert_eq!(kitchen.asked().contains(&"rescue".to_owned()), rescued, "{on_error:?}");
        assert!(!kitchen.asked().contains(&"never".to_owned()));
        assert_eq!(kitchen.undone().len(), undone, "{on_error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_may_retry_a_stage_from_a_clean_state() {
    let mut kitchen = Kitchen::new();
    kitchen.on_error = OnError::Ask;
    kitchen.recorder.answers.lock().unwrap().push(2);
    let report = kitchen.bake_one(kitchen.fake().failing("start", 1).build("fake.x")).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(kitchen.asked()[..4], ["resolve", "start", "resolve", "start"]);
    assert_eq!(kitchen.undone(), ["machine", "disk"]); // what the first try had acquired
}

#[tokio::test(start_paused = true)]
async fn nobody_to_ask_means_clean_up() {
    let mut kitchen = Kitchen::new();
    kitchen.on_error = OnError::Ask;
    let report = kitchen.bake_one(kitchen.fake().failing("connect", 1).build("fake.x")).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(kitchen.undone(), ["machine", "disk"]);
    assert!(kitchen.warned("nobody answers"));
}

#[tokio::test(start_paused = true)]
async fn a_provisioner_is_retried_as_often_as_it_says() {
    for (fails, outcome, runs) in [("2", Outcome::Done, 3), ("3", Outcome::Failed, 3)] {
        let kitchen = Kitchen::new();
        let mut build = kitchen.fake().build("fake.x");
        build.provisioners = vec![step(&[("fails", fails)])];
        build.provisioners[0].plan.max_retries = 2;
        assert_eq!(kitchen.bake_one(build).await.outcome, outcome);
        assert_eq!(kitchen.asked().iter().filter(|asked| *asked == "provision").count(), runs);
        assert!(kitchen.warned("retry 2 of 2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provisioner_waits_before_and_has_a_deadline() {
    let kitchen = Kitchen::new();
    let mut build = kitchen.fake().build("fake.x");
    build.provisioners = vec![step(&[("hang", "yes")])];
    build.provisioners[0].plan.pause_before = Duration::from_secs(7);
    build.provisioners[0].plan.timeout = Some(Duration::from_secs(30));
    let report = kitchen.bake_one(build).await;
    assert_eq!(report.errors[0].kind(), Kind::Timeout);
    let took = report.stages.iter().find(|time| time.stage.starts_with("provision")).unwrap().took;
    assert_eq!(took.as_secs(), 37);
}

#[tokio::test(start_paused = true)]
async fn continue_on_error_goes_on() {
    let kitchen = Kitchen::new();
    let mut build = kitchen.fake().build("fake.x");
    build.provisioners = vec![step(&[("fails", "1")]), step(&[("say", "next")])];
    build.provisioners[0].plan.continue_on_error = true;
    let report = kitchen.bake_one(build).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.stages[3].outcome, Outcome::Failed);
    assert!(kitchen.asked().contains(&"next".to_owned()));
    assert!(kitchen.warned("continue_on_error"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_ends_is_not_waited_for() {
    let kitchen = Kitchen::new();
    let report = kitchen.bake_one(kitchen.fake().failing("gone", 1).build("fake.x")).await;
    assert_eq!(report.errors[0].to_string(), "waiting for ssh: the machine ended");
}

/// Options of the post-processors of each chain, `keep_input_artifact` of each, and the files left.
type Chain<'a> = &'a [(&'a [(&'static str, &'a str)], Option<bool>)];

async fn left_after(chains: &[Chain<'_>]) -> (Outcome, Vec<&'static str>) {
    let kitchen = Kitchen::new();
    let mut build = kitchen.fake().build("fake.x");
    let steps = |chain: &Chain| chain.iter().map(|(options, keep)| post_step(kitchen.path(), options, *keep)).collect();
    build.post = chains.iter().map(steps).collect();
    let report = kitchen.bake_one(build).await;
    let left: Vec<&str> = ["disk", "a", "b", "c"].into_iter().filter(|name| kitchen.exists(name)).collect();
    let told: Vec<&str> = report.artifacts.iter().map(|artifact| artifact.id.as_str()).collect();
    let mut sorted = told.clone();
    sorted.sort_by_key(|name| ["disk", "a", "b", "c"].iter().position(|known| known == name));
    assert_eq!(sorted, left, "the report tells what is there");
    (report.outcome, left)
}

#[tokio::test(start_paused = true)]
async fn post_processors_keep_what_the_rules_say() {
    use Outcome::{Done, Failed};
    let a: &[(&str, &str)] = &[("makes", "a")];
    let b: &[(&str, &str)] = &[("makes", "b")];
    let keeps: &[(&str, &str)] = &[("makes", "a"), ("keeps", "yes")];
    let same: &[(&str, &str)] = &[];
    let fails: &[(&str, &str)] = &[("fails", "yes")];
    let (yes, no) = (Some(true), Some(false));

    assert_eq!(left_after(&[]).await, (Done, vec!["disk"]));
    assert_eq!(left_after(&[&[(a, None)]]).await, (Done, vec!["a"]));
    assert_eq!(left_after(&[&[(a, yes)]]).await, (Done, vec!["disk", "a"]));
    assert_eq!(left_after(&[&[(keeps, None)]]).await, (Done, vec!["disk", "a"]));
    assert_eq!(left_after(&[&[(keeps, no)]]).await, (Done, vec!["a"]));
    assert_eq!(left_after(&[&[(same, None)]]).await, (Done, vec!["disk"]));
    // An intermediate one goes unless it is kept; the first alone decides about the original.
    assert_eq!(left_after(&[&[(a, None), (b, None)]]).await, (Done, vec!["b"]));
    assert_eq!(left_after(&[&[(a, None), (b, yes)]]).await, (Done, vec!["a", "b"]));
    assert_eq!(left_after(&[&[(a, yes), (b, None)]]).await, (Done, vec!["disk", "b"]));
    assert_eq!(left_after(&[&[(same, None), (b, no)]]).await, (Done, vec!["disk", "b"]));
    // Chains side by side.
    assert_eq!(left_after(&[&[(a, None)], &[(b, None)]]).await, (Done, vec!["a", "b"]));
    assert_eq!(left_after(&[&[(a, yes)], &[(b, no)]]).await, (Done, vec!["disk", "a", "b"]));
    // A failing chain ends, the others go on, and its input stays.
    assert_eq!(left_after(&[&[(fails, None), (a, None)], &[(b, None)]]).await, (Failed, vec!["disk", "b"]));
    assert_eq!(left_after(&[&[(a, None), (fails, None)]]).await, (Failed, vec!["disk", "a"]));
}

#[tokio::test(start_paused = true)]
async fn builds_run_side_by_side_up_to_the_limit() {
    for (parallel, seconds) in [(0, 15), (1, 60), (2, 30)] {
        let mut kitchen = Kitchen::new();
        kitchen.parallel = parallel;
        let builds = ["a", "b", "c", "d"].map(|name| kitchen.fake().build(name));
        let started = tokio::time::Instant::now();
        let summary = kitchen.bake(builds.into()).await;
        // Each types for 13 s and takes 2 s to go off.
        assert_eq!(started.elapsed().as_secs(), seconds, "-parallel-builds={parallel}");
        let names: Vec<&str> = summary.builds.iter().map(|build| build.build.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_failing_build_does_not_stop_the_others() {
    let kitchen = Kitchen::new();
    let builds = vec![kitchen.fake().failing("start", 1).build("a"), kitchen.fake().build("b")];
    let summary = kitchen.bake(builds).await;
    let outcomes: Vec<Outcome> = summary.builds.iter().map(|build| build.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Done]);
    assert_eq!(summary.outcome(), Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn debug_pauses_before_each_stage() {
    let mut kitchen = Kitchen::new();
    kitchen.debug = true;
    *kitchen.recorder.answers.lock().unwrap() = vec![0; 4];
    let report = kitchen.bake_one(kitchen.fake().build("fake.x")).await;
    // Start, type, connect and power off were waved through; nobody answered for capture.
    assert_eq!(report.stages.len(), 4);
    assert_eq!(report.outcome, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_fails_the_build_before_anything_starts() {
    let kitchen = Kitchen::new();
    std::fs::write(kitchen.path().join("state"), "a file").unwrap();
    let report = kitchen.bake_one(kitchen.fake().build("fake.x")).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.errors[0].to_string().contains("undo journal"));
    assert!(kitchen.asked().is_empty());
}

/// Bakes in a process of its own, which the next test kills.
#[tokio::test]
#[ignore = "started by a_killed_run_is_finished_by_gc"]
async fn bake_until_killed() {
    let dir = PathBuf::from(std::env::var_os("BAKEHOUSE_TEST_DIR").unwrap());
    let kitchen = Kitchen { dir, ..Kitchen::new() };
    let mut fake = kitchen.fake();
    fake.process = true;
    fake.hangs = "connect";
    kitchen.bake_one(fake.build("fake.x")).await;
}

#[tokio::test]
async fn a_killed_run_is_finished_by_gc() {
    let parent = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "engine::tests::bake_until_killed"])
        .env("BAKEHOUSE_TEST_DIR", parent.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    let kitchen = Kitchen { dir: parent.path().to_owned(), ..Kitchen::new() };
    let pid = loop {
        assert!(std::time::Instant::now() < patience, "the child does not get to its machine");
        let written = std::fs::read_to_string(kitchen.path().join("pid")).ok();
        if let Some(pid) = written.and_then(|text| text.parse::<u32>().ok()) {
            break pid;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let state = kitchen.path().join("state");
    let (dead, living) = super::gc::find(&state, &kitchen.undoers()).unwrap();
    assert_eq!((dead.len(), living), (0, 1), "a living run is left alone");

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(bakehouse_kit::undo::alive(pid, None));
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (1, 1));

    let (dead, living) = super::gc::find(&state, &kitchen.undoers()).unwrap();
    assert_eq!((dead.len(), living), (1, 0));
    let left = dead[0].drain(bakehouse_api::UndoId(0), &CancellationToken::new(), &|_| {}).await;
    dead[0].close();
    assert_eq!(left, []);
    assert!(!bakehouse_kit::undo::alive(pid, None));
    assert_eq!((kitchen.journals(), kitchen.scratch_dirs()), (0, 0));
}
