//! What AWS does to a build: either it survives, or it says clearly why it ended; nothing is left either way.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::cloud::Cloud;

/// How a build with a fault ends.
enum End {
    Survives,
    Says(&'static [&'static str]),
}

struct Case {
    name: String,
    settings: Value,
    faults: Vec<Value>,
    source: &'static str,
    end: End,
}

impl Case {
    fn new(name: &str, fault: Value, end: End) -> Self {
        Self { name: name.into(), settings: json!({}), faults: vec![fault], source: "", end }
    }

    fn setting(name: &str, settings: Value, end: End) -> Self {
        Self { name: name.into(), settings, faults: vec![], source: "", end }
    }

    fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

/// A guest that never runs costs nothing, and most faults have nothing to do with it.
fn settings() -> Value {
    json!({ "guest_hangs": true, "stop_deadline": 0 })
}

const QUICK: &str = r#"
  communicator = "none"
  ami_regions  = ["us-west-2"]
  ami_users    = ["111122223333"]
"#;

fn run(cloud: &Cloud, case: &Case) {
    cloud.reset();
    cloud.settings(settings());
    cloud.settings(case.settings.clone());
    for fault in &case.faults {
        cloud.fault(fault.clone());
    }
    let sandbox = cloud.sandbox();
    let source = if case.source.is_empty() { QUICK } else { case.source };
    sandbox.write("t.pkr.hcl", &cloud.template(source, ""));
    let made = sandbox.run(&["build", "t.pkr.hcl"]);
    let name = &case.name;
    let met = cloud.faults();
    match case.end {
        End::Survives => {
            assert!(made.status.success(), "{name}: {}", made.all());
            let state = cloud.state();
            let kinds: Vec<&String> = state.as_object().unwrap().keys().collect();
            assert_eq!(kinds, ["images", "snapshots"], "{name}: {state:#}\n{}", made.all());
            assert_eq!(state["images"].as_array().unwrap().len(), 2, "{name}: {state:#}");
        }
        End::Says(words) => {
            assert_eq!(made.status.code(), Some(1), "{name}: {}", made.all());
            for word in words {
                assert!(made.stderr.contains(word), "{name}: `{word}` is not said\n{}", made.all());
            }
            let state = cloud.state();
            assert_eq!(state, json!({}), "{name}: resources are left\n{}", made.all());
        }
    }
    if !case.faults.is_empty() {
        let hits = |rule: &Value| rule["hits"].as_u64().or(rule["hit"].as_u64()).unwrap_or(0);
        assert!(
            met.as_array().is_some_and(|rules| rules.iter().any(|rule| hits(rule) > 0)),
            "{name}: never met: {met:#}"
        );
    }
    sandbox.assert_nothing_left();
}

/// Two endpoints side by side: a build waits more than it works.
fn run_all(cases: Vec<Case>) {
    let queue = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let cloud = Cloud::start();
                loop {
                    let Some(case) = queue.lock().unwrap().next() else { return };
                    run(&cloud, &case);
                }
            });
        }
    });
}

/// Every call of a whole build fails once: by an error of AWS, by a connection that is cut before the call was
/// carried out, and by one that is cut after it.
#[test]
fn each_call_may_fail_once() {
    const CALLS: [&str; 13] = [
        "GetCallerIdentity",
        "DescribeImages",
        "DescribeVpcs",
        "DescribeRegions",
        "CreateSecurityGroup",
        "RunInstances",
        "DescribeInstances",
        "StopInstances",
        "CreateImage",
        "CopyImage",
        "ModifyImageAttribute",
        "TerminateInstances",
        "DeleteSecurityGroup",
    ];
    // The first call of these is a dry run.
    const REHEARSED: [&str; 3] = ["CreateSecurityGroup", "RunInstances", "CopyImage"];
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: String, fault: Value| cases.push(Case::new(&name, fault, End::Survives));
    for call in CALLS {
        let nth = if REHEARSED.contains(&call) { 2 } else { 1 };
        add(format!("500 on {call}"), json!({ "kind": "internal", "action": call, "nth": nth }));
        add(format!("{call} cut off"), json!({ "kind": "cut", "action": call, "nth": nth }));
    }
    for call in REHEARSED.iter().chain(&["CreateImage"]) {
        let nth = if REHEARSED.contains(call) { 2 } else { 1 };
        let fault = json!({ "kind": "cut", "action": call, "executed": true, "nth": nth });
        add(format!("{call} cut off after it was done"), fault);
    }
    for call in REHEARSED {
        add(format!("500 on the dry run of {call}"), json!({ "kind": "internal", "action": call }));
    }
    run_all(cases);
}

#[test]
fn what_does_not_pass_is_said_and_cleaned_up() {
    let says = |words: &'static [&'static str]| End::Says(words);
    let always = |code: &str, message: &str, action: &str| json!({ "kind": "error", "code": code, "message": message, "action": action, "times": 0 });
    let cases = vec![
        Case::new("expired credentials", json!({ "kind": "expired" }), says(&["Request has expired", "aws sso login"])),
        Case::new(
            "a missing permission, found by the dry run",
            json!({ "kind": "unauthorized", "action": "RunInstances" }),
            says(&["asking whether an instance may be launched", "ec2:RunInstances"]),
        ),
        Case::new(
            "a missing permission at the end",
            json!({ "kind": "unauthorized", "action": "ModifyImageAttribute" }),
            says(&["the launch permissions", "ec2:ModifyImageAttribute"]),
        ),
        Case::new(
            "no such image",
            always("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", "DescribeImages"),
            says(&["looking at the source image", "does not exist"]),
        ),
        Case::new(
            "the quota of instances is used up",
            always("VcpuLimitExceeded", "You have requested more vCPU capacity", "RunInstances"),
            says(&["vCPU capacity", "quota"]),
        ),
        Case::setting(
            "no capacity",
            json!({ "no_capacity": ["*"] }),
            says(&["launching an instance of t3.micro", "InsufficientInstanceCapacity", "availability_zone"]),
        ),
        Case::setting(
            "the instance ends by itself",
            json!({ "launch_fails": "Client.InternalError: Client error on launch" }),
            says(&["waiting for the instance", "Client error on launch"]),
        ),
        Case::setting(
            "the image fails",
            json!({ "image_fails": "Server.InternalError: the image went wrong" }),
            says(&["the image ami-", "failed"]),
        ),
        Case::setting(
            "the snapshot is slower than the patience",
            json!({ "image": 600 }),
            says(&["gave up waiting for the image ami-", "`pending`", "aws_polling"]),
        )
        .source("communicator = \"none\"\n  aws_polling {\n    delay_seconds = 1\n    max_attempts = 5\n  }"),
        Case::new(
            "CreateImage is refused",
            always("InvalidParameterValue", "no such thing", "CreateImage"),
            says(&["creating the image web from i-", "no such thing"]),
        ),
        Case::new(
            "a copy is refused",
            always("InvalidRequest", "the key is disabled", "CopyImage"),
            says(&["copying ami-", "the key is disabled"]),
        ),
    ];
    run_all(cases);
}

#[test]
fn what_passes_is_waited_for() {
    let cases = vec![
        Case::setting("things show themselves late", json!({ "consistency": 2 }), End::Survives),
        Case::new(
            "throttled for ten seconds",
            json!({ "kind": "throttle", "action": "Describe*", "seconds": 10 }),
            End::Survives,
        ),
        Case::new("a cut in a wait", json!({ "kind": "cut", "action": "DescribeInstances", "nth": 2 }), End::Survives),
        Case::new("the service is overloaded", json!({ "kind": "unavailable", "action": "*" }), End::Survives),
    ];
    run_all(cases);
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
