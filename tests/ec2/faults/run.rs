//! Builds under faults, and what became of each.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};

use super::cases::{Case, End};
use crate::cloud::Cloud;
use crate::support::Outcome;

/// What a build under a fault came to.
pub struct Row {
    pub name: String,
    pub ended: String,
    pub seconds: f64,
    /// Resources that are left which should not be.
    pub leaks: usize,
    /// Why this is not as it should be.
    pub wrong: Option<String>,
}

/// Two endpoints side by side: a build waits more than it works.
pub fn run_all(cases: Vec<Case>) -> Vec<Row> {
    let (queue, rows) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let cloud = Cloud::start();
                loop {
                    let Some(case) = queue.lock().unwrap().next() else { return };
                    let row = run(&cloud, &case);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    rows.into_inner().unwrap()
}

pub fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<58} {:<60} {:>6} {:>5}\n", "fault", "the build", "s", "leaks");
    for Row { name, ended, seconds, leaks, .. } in rows {
        text += &format!("{name:<58} {ended:<60} {seconds:>6.1} {leaks:>5}\n");
    }
    let leaks: usize = rows.iter().map(|row| row.leaks).sum();
    text + &format!("{} faults, {leaks} leaks\n", rows.len())
}

pub fn assert_all(cases: Vec<Case>) {
    let rows = run_all(cases);
    print!("{}", table(&rows));
    let wrong: Vec<&String> = rows.iter().filter_map(|row| row.wrong.as_ref()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.iter().map(|it| it.as_str()).collect::<String>()
    );
}

fn run(cloud: &Cloud, case: &Case) -> Row {
    cloud.reset();
    // A guest that never runs costs nothing, and most faults have nothing to do with it.
    cloud.settings(json!({ "guest_hangs": true, "stop_deadline": 0 }));
    cloud.settings(case.settings.clone());
    if let Some(script) = case.before {
        cloud.python(script);
    }
    for fault in &case.faults {
        cloud.fault(fault.clone());
    }
    let sandbox = cloud.sandbox();
    sandbox.write("t.pkr.hcl", &cloud.template(case.source, ""));
    let began = Instant::now();
    let made = sandbox.run(&["build", "t.pkr.hcl"]);
    let seconds = began.elapsed().as_secs_f64();
    let state = cloud.state();
    let mut wrong = judge(case, &made, &state);
    if !case.faults.is_empty() && !met(&cloud.faults()) {
        wrong = wrong.or(Some("the fault was never met".into()));
    }
    sandbox.assert_nothing_left();
    let wrong = wrong.map(|wrong| format!("{}: {wrong}\n{state:#}\n{}\n", case.name, made.all()));
    Row { name: case.name.clone(), ended: ended(case, &made), seconds, leaks: leaks(&made, &state), wrong }
}

fn met(rules: &Value) -> bool {
    rules.as_array().is_some_and(|rules| rules.iter().any(|rule| rule["hits"].as_u64().is_some_and(|hits| hits > 0)))
}

fn judge(case: &Case, made: &Outcome, state: &Value) -> Option<String> {
    if leaks(made, state) > 0 {
        return Some("resources are left".into());
    }
    match case.end {
        End::Survives if !made.status.success() => Some("it did not survive".into()),
        End::Survives if count(state, "images") != 2 => Some("an image is missing".into()),
        End::Survives => None,
        End::Says(_) if made.status.code() != Some(1) => Some("it did not fail".into()),
        End::Says(words) => {
            let missing = words.iter().find(|word| !made.stderr.contains(*word));
            missing.map(|word| format!("`{word}` is not said"))
        }
    }
}

fn count(state: &Value, kind: &str) -> usize {
    state[kind].as_array().map_or(0, Vec::len)
}

/// A build that succeeds leaves its images with a snapshot each, one that fails nothing at all.
fn leaks(made: &Outcome, state: &Value) -> usize {
    let kinds = state.as_object().into_iter().flat_map(|kinds| kinds.keys());
    let left = |kind: &String| match kind.as_str() {
        "images" if made.status.success() => count(state, kind).saturating_sub(2),
        "snapshots" if made.status.success() => count(state, kind).saturating_sub(count(state, "images")),
        _ => count(state, kind),
    };
    kinds.map(left).sum()
}

/// In a few words.
fn ended(case: &Case, made: &Outcome) -> String {
    match case.end {
        _ if made.status.success() => "survived".into(),
        End::Survives => "failed".into(),
        End::Says(words) => format!("failed: {}", words.first().unwrap_or(&"")),
    }
}
