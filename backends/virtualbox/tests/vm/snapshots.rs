//! `virtualbox-vm`: the machine is the user's, and stays as it was but for what was asked for.

use bakehouse_api::{Origin, Value};

use crate::bench::{Bench, lines};
use crate::typing::{ECHO, bootable_cd};

/// A machine of the user's with a snapshot `base`.
fn machine(bench: &Bench) {
    let image = bench.path("mine.iso");
    std::fs::write(&image, bootable_cd(ECHO)).unwrap();
    let disk = bench.path("machines/mine/mine.vdi");
    bench.vbox(&["createvm", "--name", "mine", "--register", "--platform-architecture", "x86"]);
    bench.vbox(&["modifyvm", "mine", "--memory", "32", "--nic1", "nat", "--natpf1", "web,tcp,,8080,,80"]);
    bench.vbox(&["createmedium", "disk", "--filename", disk.to_str().unwrap(), "--size", "16"]);
    bench.vbox(&["storagectl", "mine", "--name", "Main", "--add", "ide"]);
    let attach = ["storageattach", "mine", "--storagectl", "Main", "--device", "0"];
    bench.vbox(&[&attach[..], &["--port", "0", "--type", "hdd", "--medium", disk.to_str().unwrap()]].concat());
    bench.vbox(&[&attach[..], &["--port", "1", "--type", "dvddrive", "--medium", image.to_str().unwrap()]].concat());
    bench.vbox(&["snapshot", "mine", "take", "base"]);
}

/// Whether NAT reaches this machine's loopback is told one way of a new machine, another way once a VBoxSVC that was
/// started again has read its settings.
const CHANGING: [&str; 6] =
    ["VMStateChangeTime", "VideoMode", "ImageUUID", ".vdi", "vrdeproperty", "localhostReachable"];

/// What VirtualBox tells of it, less what changes by itself.
fn told(bench: &Bench) -> Vec<String> {
    let told = bench.vbox(&["showvminfo", "mine", "--machinereadable"]);
    let same = |line: &&str| !CHANGING.iter().any(|word| line.contains(word));
    told.lines().filter(same).map(str::to_owned).collect()
}

fn options<'a>(more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let usual = [
        ("vm_name", Value::from("mine")),
        ("ssh_username", "x".into()),
        ("ssh_password", "x".into()),
        ("cd_content", Value::object([("note".to_owned(), "x".into())].into())),
    ];
    let given = |name: &str| more.iter().any(|(given, _)| *given == name);
    let usual = usual.into_iter().filter(|(name, _)| !given(name));
    usual.chain(more.iter().cloned()).collect()
}

#[tokio::test]
async fn a_machine_is_set_back_run_snapshot_and_exported() {
    let Some(bench) = Bench::new() else { return };
    machine(&bench);
    let post = lines(&[&["modifyvm", "{{ .Name }}", "--description", "changed"]]);
    let more = [
        ("attach_snapshot", "base".into()),
        ("target_snapshot", "baked".into()),
        ("vboxmanage_post", post),
        ("format", "ova".into()),
    ];
    let mut running = bench.start("virtualbox-vm", &options(&more)).await;
    assert_eq!(bench.info("mine", "Forwarding(1)").split(',').next(), Some("web"));
    bench.done(running.force_off(&bench.cx).await);
    let artifact = bench.capture(running).await;
    assert!(bench.recorder.held().is_empty(), "{:?}", bench.recorder.held());
    assert_eq!(artifact.files, [bench.output().join("mine.ova")]);
    assert_eq!(bench.info("mine", "SnapshotName-1"), "baked");
    assert_eq!(bench.info("mine", "Forwarding(0)"), "web,tcp,,8080,,80");
    assert_eq!(bench.info("mine", "uart1"), "off");

    let error = bench
        .refused("virtualbox-vm", &options(&[("target_snapshot", "baked".into()), ("skip_export", true.into())]))
        .await;
    assert!(error.to_string().contains("has a snapshot named `baked` already"), "{error}");
    let error = bench
        .refused("virtualbox-vm", &options(&[("attach_snapshot", "bse".into()), ("output_directory", "x".into())]))
        .await;
    assert!(error.to_string().contains("has no snapshot `bse`"), "{error}");
    let again = [
        ("attach_snapshot", "base".into()),
        ("target_snapshot", "baked".into()),
        ("force_delete_snapshot", true.into()),
        ("skip_export", true.into()),
    ];
    let mut running = bench.start("virtualbox-vm", &options(&again)).await;
    bench.done(running.force_off(&bench.cx).await);
    bench.capture(running).await;
    let told = bench.vbox(&["showvminfo", "mine", "--machinereadable"]);
    assert_eq!(told.matches("=\"baked\"").count(), 2, "one of that name, and it is the current one: {told}");
}

#[tokio::test]
async fn a_machine_that_was_frozen_while_it_ran_goes_on_from_there() {
    let Some(bench) = Bench::new() else { return };
    machine(&bench);
    bench.vbox(&["startvm", "mine", "--type", "headless"]);
    bench.vbox(&["snapshot", "mine", "take", "frozen", "--live"]);
    bench.vbox(&["controlvm", "mine", "poweroff"]);
    let more = [
        ("attach_snapshot", "frozen".into()),
        ("target_snapshot", "baked".into()),
        ("skip_export", true.into()),
        ("cd_content", Value::null()),
    ];
    let mut running = bench.start("virtualbox-vm", &options(&more)).await;
    assert_eq!(bench.info("mine", "VMState"), "running");
    assert!(bench.info("mine", "Forwarding(0)").starts_with("packercomm,tcp,127.0.0.1,"));
    bench.done(running.force_off(&bench.cx).await);
    bench.capture(running).await;
    assert_eq!(bench.info("mine", "Forwarding(0)"), "web,tcp,,8080,,80");
    assert!(bench.recorder.held().is_empty(), "{:?}", bench.recorder.held());
}

#[tokio::test]
async fn a_build_that_fails_leaves_the_machine_off_and_as_it_was() {
    let Some(bench) = Bench::new() else { return };
    machine(&bench);
    let before = told(&bench);
    let builder = bench.builder("virtualbox-vm", &options(&[]));
    drop(bench.done(builder.start(&bench.cx, Origin::Scratch).await));
    assert_ne!(told(&bench), before);
    bench.recorder.drain().await.unwrap();
    let after = told(&bench);
    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(lost.is_empty() && new.is_empty(), "lost: {lost:?}, new: {new:?}");
    assert!(!bench.output().exists());
    assert_eq!(bench.vbox(&["list", "dvds"]).matches("Location:").count(), 1, "only the user's own CD");
}
