//! What an account keeps: old images are pruned, and what killed builds left is found by its mark.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Sandbox, was_killed};

/// Images `web-1`, the oldest, to `web-8`, each with what keeps it, and two others. Prints their ids by name.
const IMAGES: &str = r#"
settings(guest_hangs=True, stop_deadline=0, image=0, snapshot=0)
volume = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]

def snapshot():
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made], WaiterConfig={"Delay": 1})
    return made

def image(name, days, of, team="web"):
    settings(image_age=days * 86400.0)
    made = ec2.register_image(
        Name=name, Architecture="x86_64", VirtualizationType="hvm", EnaSupport=True, RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": of}}],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "Team", "Value": team}]}],
    )["ImageId"]
    ids[name] = made
    return made

def available(made):
    ec2.get_waiter("image_available").wait(ImageIds=[made], WaiterConfig={"Delay": 1})
    return made

ids = {}
shared = snapshot()
image("web-1", 9, snapshot())
launched = available(image("web-2", 8, snapshot()))
started = ec2.run_instances(ImageId=launched, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"]
ec2.get_waiter("instance_running").wait(InstanceIds=[started[0]["InstanceId"]], WaiterConfig={"Delay": 1})
templated = image("web-3", 7, snapshot())
ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": templated})
ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": "ami-00000000"})
configured = available(image("web-4", 6, snapshot()))
scaling = client("autoscaling")
scaling.create_launch_configuration(LaunchConfigurationName="old", ImageId=configured, InstanceType="t3.micro")
scaling.create_auto_scaling_group(AutoScalingGroupName="fleet", LaunchConfigurationName="old", MinSize=0, MaxSize=0,
                                  AvailabilityZones=["us-east-1a"])
ec2.enable_image_deregistration_protection(ImageId=image("web-5", 5, snapshot()))
image("web-6", 4, shared)
copied = available(image("web-8", 2, shared))
image("other", 20, snapshot(), team="other")
settings(image_age=10 * 86400.0)
west = client("ec2", "us-west-2")
there = west.copy_image(Name="web-west", SourceImageId=copied, SourceRegion="us-east-1")["ImageId"]
west.get_waiter("image_available").wait(ImageIds=[there], WaiterConfig={"Delay": 1})
settings(image=600, image_age=3 * 86400.0)
image("web-7", 3, snapshot())
print(json.dumps(ids))
"#;

fn names(state: &Value) -> BTreeSet<String> {
    state["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect()
}

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    serde_json::from_str(&sandbox.run(args).ok().stdout).unwrap()
}

#[test]
fn old_images_go_and_those_that_somebody_needs_stay() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let ids = cloud.python(IMAGES);
    let before = cloud.state();

    let regions = ["--region", "us-east-1,us-west-2"];
    let listed = json(&sandbox, &[&["ami", "ls", "--name", "web-*", "--json"], &regions[..]].concat());
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 9);
    let uses = |name: &str| {
        let image = listed.iter().find(|image| image["name"] == name).unwrap();
        image["used_by"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(uses("web-1"), "");
    assert!(uses("web-2").starts_with("instance i-"), "{}", uses("web-2"));
    assert!(uses("web-3").starts_with("launch template web (lt-") && uses("web-3").ends_with(") version 1"));
    assert_eq!(uses("web-4"), "Auto Scaling group fleet, launch configuration old");
    assert_eq!((&listed[0]["name"], &listed[0]["gib"]), (&json!("web-8"), &json!(1)), "the youngest first");
    assert!(listed[0]["age_seconds"].as_u64().is_some_and(|age| age >= 2 * 86_400));
    let table = sandbox.run(&["ami", "ls", "--tag", "Team=other"]).ok().stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("other") && table.contains("20 days") && table.contains("1 GiB"), "{table}");

    let prune = [&["ami", "prune", "--name", "web-*", "--keep", "1", "--older-than", "60h"], &regions[..]].concat();
    let told = sandbox.run(&prune).ok().stdout;
    let line = |name: &str| {
        let found = told.lines().find(|line| line.contains(&format!("({name}, ")));
        found.unwrap_or_else(|| panic!("nothing is said of {name}\n{told}"))
    };
    assert!(line("web-1").contains("would be removed with snap-"), "{told}");
    assert!(line("web-6").contains("would be removed"), "{told}");
    assert!(line("web-2").contains("stays, used by instance i-"), "{told}");
    assert!(line("web-5").contains("stays, protected from being deregistered"), "{told}");
    assert!(line("web-7").contains("stays, it is still being made"), "{told}");
    assert!(!told.contains("web-8") && !told.contains("web-west") && !told.contains("other"), "{told}");
    assert!(told.contains("2 of 9 images would go. `--yes` removes them."), "{told}");
    assert_eq!(cloud.state(), before, "a dry run removes nothing");

    // Nobody prunes blindly.
    cloud.fault(json!({ "kind": "unauthorized", "action": "DescribeLaunchTemplates" }));
    let warned = sandbox.run(&["ami", "ls"]).ok();
    assert!(warned.stderr.contains("launch templates in us-east-1"), "{}", warned.all());
    sandbox.run(&[&prune[..], &["--yes"]].concat()).fails_saying(&["it is not known what uses these images"]);
    assert_eq!(cloud.state(), before);
    cloud.clear_faults();

    let done = json(&sandbox, &[&prune[..], &["--yes", "--json"]].concat());
    let removed: Vec<&Value> = done.as_array().unwrap().iter().filter(|it| it["action"] == "removed").collect();
    assert_eq!(removed.len(), 2, "{done:#}");
    let of = |name: &str| removed.iter().find(|it| it["id"] == ids[name]).unwrap();
    assert_eq!(of("web-1")["snapshots"].as_array().unwrap().len(), 1, "{done:#}");
    assert_eq!(of("web-6")["snapshots_kept"].as_array().unwrap().len(), 1, "web-8 is made of it: {done:#}");
    let after = cloud.state();
    let gone: Vec<String> = names(&before).difference(&names(&after)).cloned().collect();
    assert_eq!(gone, ["web-1", "web-6"]);
    let snapshots = |state: &Value| state["snapshots"].as_array().unwrap().len();
    assert_eq!(snapshots(&before) - snapshots(&after), 1);

    sandbox.run(&["ami", "prune", "--keep", "1"]).fails_saying(&["--name"]);
    sandbox.run(&["ami", "prune", "--name", "web-*"]).fails_saying(&["--keep"]);
}

/// Starts a build and kills it when `moment` is there; then its journal is lost.
fn lost(cloud: &Cloud, source: &str, moment: impl Fn(&Value) -> bool) {
    let sandbox = cloud.sandbox();
    sandbox.write("t.pkr.hcl", &cloud.template(source, ""));
    let build = sandbox.start(&["t.pkr.hcl"]);
    let began = Instant::now();
    while !moment(&cloud.state()) {
        assert!(began.elapsed() < Duration::from_secs(120), "the moment never came: {:#}", cloud.state());
        std::thread::sleep(Duration::from_millis(100));
    }
    build.signal(Signal::SIGKILL);
    assert!(was_killed(build.end().0));
}

#[test]
fn what_killed_builds_left_is_found_without_their_journals() {
    let cloud = Cloud::start();
    let settings = json!({ "guest_hangs": true, "stop_deadline": 0, "image": 20, "launch": 0.1 });
    cloud.settings(settings);
    let any = |state: &Value, kind: &str| state[kind].as_array().is_some_and(|all| !all.is_empty());
    let policy = r#"
  ssh_timeout = "10m"
  temporary_iam_instance_profile_policy_document {
    Statement {
      Action   = ["s3:GetObject"]
      Resource = ["*"]
    }
  }
"#;
    // Nothing is on its way to the endpoint at these moments: the builds wait.
    let runs =
        |state: &Value| state["instances"].as_array().is_some_and(|all| all.iter().all(|it| it["state"] == "running"));
    lost(&cloud, policy, |state| any(state, "instances") && runs(state));
    lost(&cloud, "communicator = \"none\"", |state| any(state, "images"));
    let left = cloud.state();
    let kinds = ["images", "instances", "key_pairs", "roles", "security_groups", "snapshots", "volumes"];
    for kind in kinds {
        assert!(any(&left, kind), "no {kind}: {left:#}");
    }
    // Somebody else's, who uses the same tag for something of their own.
    cloud.python(
        r#"tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "bakehouse-run", "Value": "mine"}]}]
ec2.create_key_pair(KeyName="mine", TagSpecifications=tags)"#,
    );

    let sandbox = cloud.sandbox();
    let young = sandbox.run(&["gc", "--aws", "--yes"]).ok().stdout;
    assert!(young.contains("left alone") && !young.contains("removing"), "{young}");
    let old = ["gc", "--aws", "--older-than", "0s"];
    let listed = sandbox.run(&old).ok().stdout;
    for what in
        ["would remove instance i-", "security group sg-", "key pair packer_", "image ami-", "role and instance"]
    {
        assert!(listed.contains(what), "`{what}` is not said\n{listed}");
    }
    assert!(!listed.contains("key pair mine"), "{listed}");

    // A build of this machine that lives: its journal says so.
    cloud.settings(json!({ "image": 0.5 }));
    sandbox.write("t.pkr.hcl", &cloud.template("ssh_timeout = \"10m\"", "").replace("\"web\"", "\"other\""));
    let mut build = sandbox.start(&["t.pkr.hcl"]);
    build.until("guest", |event| event["text"].as_str().is_some_and(|text| text.starts_with("Waiting for the guest")));
    sandbox.run(&[&old[..], &["--yes"]].concat()).ok();
    let kept = cloud.state();
    assert_eq!(kept["instances"].as_array().map(Vec::len), Some(1), "{kept:#}");
    build.signal(Signal::SIGINT);
    build.end();

    cloud.python(r#"ec2.delete_key_pair(KeyName="mine")"#);
    cloud.assert_empty("after gc");
    assert!(sandbox.run(&old).ok().stdout.contains("Nothing is left there"));
}
