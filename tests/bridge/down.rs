//! The way down: an AMI becomes a disk of this machine, which is the same and boots.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Outcome, Sandbox, tiny};
use crate::wire::{BLOCK, BUCKET, calls, import, kinds, prepare_import, qemu_img, small};

/// What an export printed, and its end.
fn export(sandbox: &Sandbox, image: &str, to: &str, options: &[&str]) -> (Outcome, Value) {
    let done = sandbox.run(&[&["export", image, "--to", to, "--json"][..], options].concat());
    let made = serde_json::from_str(&done.stdout).unwrap_or(Value::Null);
    (done, made)
}

/// An AMI of the small disk that nothing boots from.
fn small_ami(sandbox: &Sandbox) -> String {
    let (done, made) = import(sandbox, &small(sandbox), &[]);
    done.ok();
    made["images"]["us-east-1"].as_str().unwrap().to_owned()
}

/// The disk has whole GiB; it begins as the other one does, and holds nothing behind it.
#[track_caller]
fn assert_same(disk: &Path, format: &str, other: &Path) {
    let files = [disk.to_str().unwrap(), other.to_str().unwrap()];
    qemu_img(&["compare", "-q", "-f", format, "-F", "raw", files[0], files[1]]);
    if format == "raw" {
        assert_eq!(disk.metadata().unwrap().len() % (1 << 30), 0);
    }
}

#[test]
fn the_same_disk_in_every_format_and_it_boots() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let whole = sandbox.path("tiny.raw");
    qemu_img(&["convert", "-O", "raw", tiny().to_str().unwrap(), whole.to_str().unwrap()]);
    for file in ["web.raw", "web.qcow2", "web.vmdk", "web.ova", "web.box"] {
        let (done, made) = export(&sandbox, &cloud.image, file, &[]);
        done.ok();
        assert_eq!((&made["via"], &made["files"][0]), (&json!("ebs-direct"), &json!(sandbox.path(file))), "{made:#}");
        assert!(!sandbox.path(&format!(".{file}.export")).exists());
        let look = sandbox.run(&["preflight", "--json", file]).ok();
        let report: Value = serde_json::from_str(&look.stdout).unwrap();
        assert_eq!(report["facts"]["bios"], true, "{file}: {report:#}");
    }
    assert_same(&sandbox.path("web.raw"), "raw", &whole);
    assert!(fs::metadata(sandbox.path("web.raw")).unwrap().blocks() * 512 < 400 << 20, "zeroes are no holes");
    assert_same(&sandbox.path("web.qcow2"), "qcow2", &whole);
    assert_same(&sandbox.path("web.vmdk"), "vmdk", &whole);
    let run = sandbox.run(&["run", "web.ova", "--memory", "256", "--check", "exit 7"]);
    assert_eq!(run.status.code(), Some(7), "{}", run.all());
    sandbox.assert_nothing_left();
    cloud.assert_empty("after exports");
}

#[test]
fn by_the_service_and_a_bucket() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let image = small_ami(&sandbox);
    prepare_import(&cloud);
    let before = cloud.state();
    let options = ["--via", "image", "--bucket", BUCKET, "--prefix", "taken/"];
    let (done, made) = export(&sandbox, &image, "web.raw", &options);
    done.ok();
    assert_eq!(made["via"], "image");
    assert_same(&sandbox.path("web.raw"), "raw", &sandbox.path("small.raw"));
    assert_eq!(cloud.state(), before, "the object is left");
    sandbox.assert_nothing_left();

    // A task that fails says so in EC2's words, and its object goes.
    cloud.settings(json!({ "task_fails": "ClientError: no room" }));
    let (done, _) = export(&sandbox, &image, "again.raw", &options);
    done.fails_saying(&["no room", "ebs-direct"]);
    assert!(!sandbox.path("again.raw").exists() && !sandbox.path(".again.raw.export").exists());
    assert_eq!(cloud.state(), before);
    sandbox.assert_nothing_left();
}

#[test]
fn every_volume_and_encrypted_ones() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let disk = small(&sandbox);
    let second = sandbox.path("second.raw");
    fs::copy(&disk, &second).unwrap();
    File::options().write(true).open(&second).unwrap().write_all_at(b"second", 10 * BLOCK as u64).unwrap();
    let (done, made) = import(&sandbox, &disk, &["--encrypt", second.to_str().unwrap()]);
    done.ok();
    let image = made["images"]["us-east-1"].as_str().unwrap();
    let (done, made) = export(&sandbox, image, "one.raw", &[]);
    done.ok();
    assert_eq!(made["files"].as_array().unwrap().len(), 1);
    assert!(!sandbox.path("one-1.raw").exists());
    let (done, made) = export(&sandbox, image, "all.raw", &["--all"]);
    done.ok();
    assert_eq!(made["files"], json!([sandbox.path("all.raw"), sandbox.path("all-1.raw")]));
    assert_same(&sandbox.path("all.raw"), "raw", &disk);
    assert_same(&sandbox.path("all-1.raw"), "raw", &second);
    sandbox.assert_nothing_left();
}

#[test]
fn whatever_ends_it_the_next_one_goes_on() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let image = small_ami(&sandbox);
    let all = 50; // blocks of the small disk
    for (number, signal) in [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL].into_iter().enumerate()
    {
        // The last of so many blocks is slow, and the others are there by then.
        let nth = 4 + 7 * number;
        cloud.fault(json!({ "kind": "slow", "action": "GetSnapshotBlock", "nth": nth, "delay": 600, "times": 0 }));
        let name = format!("web{number}.raw");
        let before = calls(&cloud, "ebs:GetSnapshotBlock");
        let mut command = sandbox.command(&["export", &image, "--to", &name, "--parallel", "4"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listed = sandbox.path(&format!(".{name}.export/disk0.received"));
        let records = || {
            fs::read(&listed).map_or(0, |bytes| {
                bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| (bytes.len() - end - 1) / 36)
            })
        };
        let began = Instant::now();
        while records() < nth - 1 {
            assert!(began.elapsed() < Duration::from_secs(120), "only {} of {} blocks came", records(), nth - 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let status = child.wait_with_output().unwrap().status;
        assert!(!status.success());
        if signal == Signal::SIGKILL {
            sandbox.run(&["gc"]).ok();
        }
        assert!(!sandbox.path(&name).exists(), "{signal}: a file that is not complete");
        cloud.clear_faults();
        if number % 2 == 1 {
            // What a crash has left is not what was written.
            let raw = File::options().write(true).open(sandbox.path(&format!(".{name}.export/disk0.raw"))).unwrap();
            raw.write_all_at(&[0; BLOCK], 0).unwrap();
        }
        let asked = calls(&cloud, "ebs:GetSnapshotBlock") - before;
        let (done, made) = export(&sandbox, &image, &name, &[]);
        done.ok();
        assert_same(&sandbox.path(&name), "raw", &sandbox.path("small.raw"));
        let received = made["received"].as_u64().unwrap() / BLOCK as u64;
        assert!(received < all, "{signal}: all {received} blocks came again; {asked} had been asked for");
        sandbox.assert_nothing_left();
        assert!(!sandbox.path(&format!(".{name}.export")).exists());
    }
}

/// What has arrived is not fetched again because something else failed.
#[test]
fn a_disk_that_could_not_be_written_out_is_there_already() {
    let cloud = Cloud::start();
    let mut sandbox = cloud.sandbox();
    let image = small_ami(&sandbox);
    let path = std::env::var("PATH").unwrap();
    sandbox.write("bin/qemu-img", "#!/bin/sh\necho no space >&2\nexit 1\n");
    fs::set_permissions(sandbox.path("bin/qemu-img"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.env.push(("PATH".into(), format!("{}:{path}", sandbox.path("bin").display())));
    let (done, _) = export(&sandbox, &image, "web.qcow2", &[]);
    done.fails_saying(&["no space"]);
    sandbox.env.pop();
    let (done, made) = export(&sandbox, &image, "web.qcow2", &[]);
    done.ok();
    assert_eq!(made["received"], 0);
    assert_same(&sandbox.path("web.qcow2"), "qcow2", &sandbox.path("small.raw"));
    sandbox.assert_nothing_left();
}

#[test]
fn what_goes_wrong_is_survived_or_explained() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let image = small_ami(&sandbox);
    cloud.fault(json!({ "kind": "throttle", "action": "GetSnapshotBlock", "code": "RequestThrottledException", "rate": 30, "status": 400 }));
    cloud.fault(json!({ "kind": "internal", "action": "GetSnapshotBlock", "nth": 3, "times": 5 }));
    cloud.fault(json!({ "kind": "cut", "action": "GetSnapshotBlock", "nth": 20, "times": 3 }));
    cloud.fault(json!({ "kind": "internal", "action": "ListSnapshotBlocks" }));
    let (done, _) = export(&sandbox, &image, "web.raw", &[]);
    done.ok();
    assert_same(&sandbox.path("web.raw"), "raw", &sandbox.path("small.raw"));
    cloud.clear_faults();

    let before = cloud.state();
    let denied = |action: &str| json!({ "action": action, "status": 403, "code": "AccessDeniedException", "message": "Not you", "times": 0 });
    for (image, to, options, fault, words) in [
        (
            "ami-0123456789abcdef0",
            "x.raw",
            &[][..],
            None,
            &["there is no image ami-0123456789abcdef0 in us-east-1", "--region"][..],
        ),
        ("web", "x.raw", &[], None, &["web"]),
        (&image, "x.raw", &[], Some(denied("ListSnapshotBlocks")), &["Not you", "ebs:ListSnapshotBlocks"]),
        (&image, "x.raw", &[], Some(denied("DescribeImages")), &["Not you"]),
        (&image, "x.disk", &[], None, &["does not tell its format", "--format"]),
        (&image, "web.raw", &[], None, &["is there already", "--force"]),
        (&image, "x.raw", &["--via", "image"], None, &["needs a bucket"]),
        (&image, "x.raw", &["--via", "image", "--bucket", "none"], None, &["none"]),
    ] {
        fault.into_iter().for_each(|fault| cloud.fault(fault));
        let done = sandbox.run(&[&["export", image, "--to", to][..], options].concat());
        let said = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.status.code(), Some(1), "{image} {to}: {}", done.all());
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}\n{}", done.all());
        cloud.clear_faults();
        assert!(!sandbox.path(".x.raw.export").exists(), "{image} {to}: a folder is left");
        sandbox.assert_nothing_left();
    }
    assert_eq!(cloud.state(), before);
    assert_eq!(kinds(&before), ["images", "snapshots"]);
}
