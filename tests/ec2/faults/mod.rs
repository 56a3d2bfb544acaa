//! What AWS does to a build: either it survives, or it says clearly why it ended; nothing is left either way.
//! `make bench only=faults` runs these tests and shows their tables.

mod cases;
mod run;

use serde_json::json;

use crate::cloud::Cloud;

#[test]
fn each_call_may_fail_once() {
    run::assert_all(cases::once());
}

#[test]
fn what_does_not_pass_is_said_and_cleaned_up() {
    run::assert_all(cases::lasting());
}

#[test]
fn what_passes_is_waited_for() {
    run::assert_all(cases::passing());
}

/// The guest runs, and nobody answers: what its console says is shown.
#[test]
fn a_guest_that_is_never_reached() {
    let cloud = Cloud::start();
    cloud.settings(json!({ "guest_traits": "nosshd", "stop_deadline": 0 }));
    let sandbox = cloud.sandbox();
    sandbox.write("t.pkr.hcl", &cloud.template("ssh_timeout = \"40s\"", ""));
    let made = sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["timed out", "SSH", "console.log"]);
    assert!(made.all().contains("The last lines of the console of i-"), "{}", made.all());
    cloud.assert_empty("never reached");
    sandbox.assert_nothing_left();
}
