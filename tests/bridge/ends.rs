//! Wherever an import is ended: it is cleaned up, or the next one goes on with it. Never a wrong image, nothing left.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::Sandbox;
use crate::wire::{BUCKET, all_calls, assert_holds, calls, command, count, import, kinds, prepare_import, small};

const TIMES: u64 = 20;

/// Numbers that look random and are the same each time.
fn scatter(seed: u64, below: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)) % below.max(1)
}

fn options(way: &str) -> Vec<&str> {
    if way == "ebs-direct" { vec!["--via", way] } else { vec!["--via", way, "--bucket", BUCKET] }
}

/// Buckets and roles are the test's own.
fn left(cloud: &Cloud) -> Value {
    let mut state = cloud.state();
    state.as_object_mut().unwrap().retain(|kind, _| kind != "buckets" && kind != "roles");
    state
}

#[test]
fn ended_at_twenty_points() {
    let cloud = Cloud::start();
    let ways = ["ebs-direct", "snapshot", "image"];
    let mut whole = Vec::new();
    for way in ways {
        cloud.reset();
        prepare_import(&cloud);
        let before = all_calls(&cloud);
        let sandbox = cloud.sandbox();
        import(&sandbox, &small(&sandbox), &options(way)).0.ok();
        whole.push(all_calls(&cloud) - before);
    }
    let mut met = 0;
    for time in 0..TIMES {
        let which = (time % 3) as usize;
        let signal = if time % 2 == 0 { Signal::SIGINT } else { Signal::SIGKILL };
        cloud.reset();
        cloud.settings(json!({ "snapshot": 1, "image": 1, "task": 1 }));
        prepare_import(&cloud);
        met += u64::from(ended(&cloud, ways[which], signal, scatter(time, whole[which])));
    }
    assert!(met >= TIMES / 2, "only {met} of {TIMES} were met while they worked");
}

/// Ends an import after so many of its calls. False: it was done before.
fn ended(cloud: &Cloud, way: &str, signal: Signal, after: u64) -> bool {
    let when = format!("{way}, {signal} after {after} calls");
    let sandbox = cloud.sandbox();
    let disk = small(&sandbox);
    let before = all_calls(cloud);
    let mut child =
        sandbox.command(&command(&disk, &options(way))).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while all_calls(cloud) - before < after && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "{when}: it stands still");
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = kill(Pid::from_raw(child.id() as i32), signal); // it may have ended by itself
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let done = output.status.success();
    match signal {
        _ if done => {}
        Signal::SIGINT => {
            assert_eq!(left(cloud), json!({}), "{when}: something is left\n{said}");
            sandbox.assert_nothing_left();
        }
        _ => {
            let (mut again, mut made) = import(&sandbox, &disk, &options(way));
            if again.stderr.contains("the AMI name `web` is used") {
                // It was ended when its image was there already, which is nobody's yet.
                sandbox.run(&["gc"]).ok();
                (again, made) = import(&sandbox, &disk, &options(way));
            }
            again.ok();
            sandbox.run(&["gc"]).ok();
            whole(cloud, &sandbox, &when, &made);
            sandbox.assert_nothing_left();
        }
    }
    !done
}

/// One image, one snapshot, and the disk in it.
#[track_caller]
fn whole(cloud: &Cloud, sandbox: &Sandbox, when: &str, made: &Value) {
    let state = left(cloud);
    assert_eq!(kinds(&state), ["images", "snapshots"], "{when}: {state:#}");
    assert_eq!((count(&state, "images"), count(&state, "snapshots")), (1, 1), "{when}: {state:#}");
    assert_eq!(state["images"][0]["state"], "available", "{when}");
    assert_holds(cloud, made["snapshots"][0].as_str().unwrap(), &sandbox.path("small.raw"));
}

/// Blocks that were put are not put again, neither after a kill nor after an interrupt that is to keep them.
#[test]
fn an_upload_goes_on_where_it_was_ended() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    import(&sandbox, &small(&sandbox), &[]).0.ok();
    let all = calls(&cloud, "ebs:PutSnapshotBlock");
    for (signal, keep) in [(Signal::SIGKILL, &[][..]), (Signal::SIGINT, &["--keep-partial"])] {
        cloud.reset();
        // Slow enough to be met in the middle of it.
        cloud.fault(json!({ "kind": "slow", "service": "ebs", "action": "PutSnapshotBlock", "delay": 0.2 }));
        let sandbox = cloud.sandbox();
        let disk = small(&sandbox);
        let slowly = [&["--parallel", "4"][..], keep].concat();
        let mut child =
            sandbox.command(&command(&disk, &slowly)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while calls(&cloud, "ebs:PutSnapshotBlock") < all / 2 {
            assert!(began.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(count(&cloud.state(), "snapshots"), 1, "it is kept");

        let (done, made) = import(&sandbox, &disk, &["--parallel", "4"]);
        done.ok();
        // Those that were under way when it was ended may be sent twice.
        let sent = calls(&cloud, "ebs:PutSnapshotBlock");
        assert!(sent <= all + 4, "{signal}: {sent} puts for {all} blocks");
        assert_eq!(count(&cloud.state(), "snapshots"), 1, "the same one");
        // What the first run noted is not its own any more.
        sandbox.run(&["gc"]).ok();
        whole(&cloud, &sandbox, "resumed", &made);
        sandbox.assert_nothing_left();
    }
}
