//! The preflight of disks that are known to boot.

use serde_json::Value;

use crate::support::{Sandbox, debian, tiny};

fn report(disk: &std::path::Path) -> Value {
    let run = Sandbox::new().run(&["preflight", "--json", disk.to_str().unwrap()]).ok();
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn the_debian_base_has_all_that_ec2_asks_for() {
    let report = report(&debian());
    let facts = &report["facts"];
    assert_eq!((&facts["bios"], &facts["uefi"], &facts["ena"]), (&true.into(), &true.into(), &true.into()));
    assert_eq!((&facts["architecture"], &facts["login"]), (&"x86_64".into(), &"debian".into()));
    let troubles: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] != "ok").collect();
    assert!(troubles.is_empty(), "{troubles:#?}");
}

#[test]
fn the_small_guest_boots_and_has_no_cloud_init() {
    let report = report(&tiny());
    let findings = report["findings"].as_array().unwrap();
    let with = |severity: &str| {
        let found = findings.iter().filter(|finding| finding["severity"] == severity);
        found.map(|finding| finding["check"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((with("error"), with("warning")), (vec![], vec!["cloud-init"]), "{findings:#?}");
}

#[test]
fn a_disk_that_cannot_boot_ends_with_three_and_what_is_no_disk_with_one() {
    let sandbox = Sandbox::new();
    std::fs::File::create(sandbox.path("blank.raw")).unwrap().set_len(1 << 20).unwrap();
    let run = sandbox.run(&["preflight", "blank.raw"]);
    assert_eq!(run.status.code(), Some(3), "{}", run.all());
    for words in [
        "error    partition-table    there is no partition table",
        "try: make the disk again",
        "blank.raw: EC2 could not boot",
    ] {
        assert!(run.stdout.contains(words), "`{words}`\n{}", run.all());
    }
    sandbox.write("broken.vmdk", "KDMV and nothing more");
    sandbox.run(&["preflight", "broken.vmdk"]).fails_saying(&["broken.vmdk", "a disk is a file in one of the formats"]);
    sandbox.run(&["preflight", "gone.qcow2"]).fails_saying(&["gone.qcow2"]);
    let overlay = sandbox.path("overlay.qcow2");
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .args([&tiny(), &overlay])
        .status();
    assert!(made.unwrap().success());
    let run = sandbox.run(&["preflight", "overlay.qcow2"]).ok();
    assert!(run.stdout.contains("EC2 could boot it"), "{}", run.all());
    sandbox.assert_nothing_left();
}
