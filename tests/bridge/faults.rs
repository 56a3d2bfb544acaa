//! What goes wrong on the way: survived, or ended with a word about what to do.

use serde_json::json;

use crate::cloud::Cloud;
use crate::wire::{BUCKET, assert_holds, import, kinds, make_bucket, prepare_import, qemu_img, small};

#[test]
fn calls_that_fail_for_a_while_are_made_again() {
    let cloud = Cloud::start();
    let direct: &[&str] = &[];
    let bucket: &[&str] = &["--via", "snapshot", "--bucket", BUCKET];
    let throttled = json!({ "kind": "throttle", "action": "PutSnapshotBlock", "code": "RequestThrottledException",
        "rate": 40, "status": 400 });
    let cut = |action: &str| json!({ "kind": "cut", "action": action, "executed": true });
    for (name, faults, options) in [
        ("throttled", vec![throttled], direct),
        (
            "a 500 on a block",
            vec![json!({ "kind": "internal", "action": "PutSnapshotBlock", "nth": 3, "times": 5 })],
            direct,
        ),
        ("answers lost", ["StartSnapshot", "PutSnapshotBlock", "RegisterImage"].map(cut).to_vec(), direct),
        ("the answer of the completion lost", vec![cut("CompleteSnapshot")], direct),
        ("the task's answer lost", vec![cut("ImportSnapshot"), cut("RegisterImage")], bucket),
        ("parts that fail", vec![json!({ "kind": "internal", "service": "s3", "action": "PUT *", "nth": 2 })], bucket),
    ] {
        cloud.reset();
        prepare_import(&cloud);
        cloud.settings(json!({ "consistency": 0.5 }));
        for fault in faults {
            cloud.fault(fault);
        }
        let sandbox = cloud.sandbox();
        let disk = small(&sandbox);
        let (done, made) = import(&sandbox, &disk, options);
        assert!(done.status.success(), "{name}: {}", done.all());
        let state = cloud.state();
        assert_eq!(kinds(&state), ["buckets", "images", "roles", "snapshots"], "{name}: {state:#}");
        assert!(cloud.faults().as_array().unwrap().iter().all(|rule| rule["hits"] != 0), "{name}: never met");
        cloud.settings(json!({ "consistency": 0 }));
        assert_holds(&cloud, made["snapshots"][0].as_str().unwrap(), &disk);
        sandbox.assert_nothing_left();
    }
}

#[test]
fn mistakes_are_explained_and_leave_nothing() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let text = sandbox.write("notes.qcow2", "this is no disk at all\n");
    let blank = sandbox.path("blank.raw");
    qemu_img(&["create", "-q", "-f", "raw", blank.to_str().unwrap(), "16M"]);
    let broken = sandbox.write("broken.vmdk", "KDMV and nothing more");
    make_bucket(&cloud, "us-east-1", BUCKET);
    make_bucket(&cloud, "eu-west-1", "far-away");
    let before = cloud.state();
    let disk = small(&sandbox);
    let denied = |service: &str, action: &str, code: &str| json!({ "service": service, "action": action, "status": 403, "code": code, "message": "Not you", "times": 0 });
    for (given, options, faults, words) in [
        (&text, &[][..], vec![], &["not a disk", "qcow2, raw, vmdk"][..]),
        (&blank, &[], vec![], &["no boot sector and no partition table"]),
        (&broken, &[], vec![], &["qemu-img"]),
        (&disk, &["--volume-size", "0"], vec![], &["volume_size"]),
        (&disk, &["--via", "snapshot"], vec![], &["needs `s3_bucket_name`"]),
        (
            &disk,
            &["--via", "snapshot", "--bucket", "nowhere-at-all"],
            vec![],
            &["there is no bucket `nowhere-at-all`", "aws s3 mb"],
        ),
        (
            &disk,
            &["--via", "snapshot", "--bucket", "far-away"],
            vec![],
            &["eu-west-1", "us-east-1", "take a bucket of us-east-1"],
        ),
        (&disk, &["--via", "snapshot", "--bucket", BUCKET], vec![], &["vmimport", "docs/guides/aws.md"]),
        (&disk, &["--via", "image", "--bucket", BUCKET], vec![], &["vmimport", "docs/guides/aws.md"]),
        (
            &disk,
            &[],
            vec![denied("ebs", "StartSnapshot", "AccessDeniedException")],
            &["starting a snapshot", "Not you", "permission"],
        ),
        (
            &disk,
            &[],
            vec![denied("ebs", "PutSnapshotBlock", "AccessDeniedException")],
            &["putting a block", "permission"],
        ),
        (&disk, &["--regions", "atlantis-1"], vec![], &["no region `atlantis-1`"]),
        (&disk, &["--parent", "snap-0123456789abcdef0"], vec![], &["parent snapshot", "completed snapshot"]),
    ] {
        for fault in faults {
            cloud.fault(fault);
        }
        let (done, _) = import(&sandbox, given, options);
        done.fails_saying(words);
        assert_eq!(cloud.state(), before, "{words:?}: something is left");
        sandbox.assert_nothing_left();
        cloud.clear_faults();
    }
}

#[test]
fn what_is_not_allowed_goes_through_the_bucket_where_there_is_one() {
    let cloud = Cloud::start();
    prepare_import(&cloud);
    cloud.fault(json!({ "service": "ebs", "action": "StartSnapshot", "status": 403, "code": "AccessDeniedException",
        "message": "Not you", "times": 0 }));
    let sandbox = cloud.sandbox();
    let (done, made) = import(&sandbox, &small(&sandbox), &["--bucket", BUCKET]);
    let done = done.ok();
    assert_eq!(made["via"], "snapshot");
    assert!(done.stderr.contains("going through the bucket instead"), "{}", done.all());
    sandbox.assert_nothing_left();
}

/// EC2's own words reach the user, and what the task had to work on goes.
#[test]
fn a_task_that_fails_says_why() {
    let cloud = Cloud::start();
    prepare_import(&cloud);
    let before = cloud.state();
    let sandbox = cloud.sandbox();
    cloud.settings(json!({ "task_fails": "Disk validation failed [Unsupported VMDK File Format]" }));
    for via in ["snapshot", "image"] {
        let (done, _) = import(&sandbox, &small(&sandbox), &["--via", via, "--bucket", BUCKET]);
        done.fails_saying(&["ClientError: Disk validation failed [Unsupported VMDK File Format]", "`format`"]);
        assert_eq!(cloud.state(), before, "{via}: something is left");
        sandbox.assert_nothing_left();
    }
}
