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
