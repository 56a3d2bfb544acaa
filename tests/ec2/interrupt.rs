//! Whenever a build is ended, the account is as it was before.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cloud::Cloud;
use crate::support::was_killed;

const NONE: &str = "communicator = \"none\"";
const SSH: &str = "";

/// What is said when a step begins, and the communicator: the build is ended right then.
const STEPS: [(&str, &str); 9] = [
    ("Creating temporary security group", NONE),
    ("Creating temporary keypair", SSH),
    ("Launching a source AWS instance", NONE),
    ("Instance ID", NONE),
    ("Waiting for the guest to answer", SSH),
    ("Waiting for the instance to stop", NONE),
    ("Waiting for AMI to become ready", NONE),
    ("Copying AMI", NONE),
    ("Terminating the source AWS instance", NONE),
];

fn ended_at_each_step(signal: Signal) {
    let cloud = Cloud::start();
    for (step, communicator) in STEPS {
        cloud.reset();
        cloud.settings(json!({ "guest_hangs": true, "stop_deadline": 1, "image": 2, "launch": 1 }));
        let sandbox = cloud.sandbox();
        let source = format!("{communicator}\n  ami_regions = [\"us-west-2\"]");
        sandbox.write("t.pkr.hcl", &cloud.template(&source, ""));
        let mut build = sandbox.start(&["t.pkr.hcl"]);
        build.until(step, |event| event["text"].as_str().is_some_and(|text| text.starts_with(step)));
        build.signal(signal);
        let (status, stderr, took) = build.end();
        if signal == Signal::SIGKILL {
            assert!(was_killed(status), "{step}: {status}");
            sandbox.run(&["gc"]).ok();
        } else {
            assert_eq!(status.code(), Some(1), "{step}: {stderr}");
            assert!(took < Duration::from_secs(60), "{step}: took {took:?}");
        }
        cloud.assert_empty(step);
        sandbox.assert_nothing_left();
    }
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    ended_at_each_step(Signal::SIGINT);
}

#[test]
fn what_a_killed_build_left_is_removed_by_gc() {
    ended_at_each_step(Signal::SIGKILL);
}
