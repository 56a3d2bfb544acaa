//! What the guest finds in its machine.

use std::collections::BTreeMap;
use std::path::Path;

use bakehouse_api::Value;

use crate::bench::{Bench, run, tiny};

async fn boots_from(interface: &str, machine: &str) {
    let bench = Bench::new();
    let options = [("disk_interface", interface.into()), ("machine_type", machine.into())];
    let mut booted = bench.boot(&tiny(), &options).await;
    let guest = booted.guest().await;
    let root = run(&bench.cx, &guest, "findfs LABEL=tiny").await;
    let disk = if interface == "virtio" { "/dev/vda" } else { "/dev/sda" };
    assert!(root.starts_with(disk), "{interface}: the root is on {root}");
    booted.drop_all().await;
}

#[tokio::test]
async fn a_virtio_scsi_disk_boots() {
    boots_from("virtio-scsi", "pc").await;
}

#[tokio::test]
async fn a_scsi_disk_boots() {
    boots_from("scsi", "pc").await;
}

#[tokio::test]
async fn a_sata_disk_boots() {
    boots_from("sata", "pc").await;
}

#[tokio::test]
async fn an_ide_disk_boots() {
    boots_from("ide", "pc").await;
}

#[tokio::test]
async fn a_virtio_disk_boots_on_q35() {
    boots_from("virtio", "q35").await;
}

fn content(path: &str, text: &str) -> Value {
    Value::object(BTreeMap::from([(path.to_owned(), Value::from(text))]))
}

#[tokio::test]
async fn cd_floppy_and_card_are_there_and_the_screen_is_a_png() {
    let bench = Bench::new();
    let options = [
        ("cd_content", content("deep/a long name.txt", "on the CD")),
        ("cd_label", "mylabel".into()),
        ("floppy_content", content("floppy.txt", "on the floppy")),
        ("cloud_init", "true".into()),
        ("net_device", "e1000".into()),
        ("cpus", 2.into()),
        ("memory", 600.into()),
    ];
    let mut booted = bench.boot(&tiny(), &options).await;
    let guest = booted.guest().await;
    let mount = "sudo -n sh -c 'mkdir -p /cd /fd; mount -r \"$(findfs LABEL=mylabel)\" /cd; mount -r -t vfat /dev/fd0 /fd; \
                 cat \"/cd/deep/a long name.txt\" /fd/floppy.txt'";
    assert_eq!(run(&bench.cx, &guest, mount).await, "on the CDon the floppy");
    assert!(run(&bench.cx, &guest, "readlink /sys/class/net/eth0/device/driver").await.trim().ends_with("e1000"));
    assert_eq!(run(&bench.cx, &guest, "grep -c ^processor /proc/cpuinfo").await.trim(), "2");

    let into = bench.dir.path().join("evidence");
    std::fs::create_dir(&into).unwrap();
    let kept = booted.machine.evidence(&bench.cx, &into).await;
    let bytes = std::fs::read(into.join("screen.png")).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{kept:?}");
    assert!(std::fs::read_to_string(into.join("serial.log")).unwrap().contains("Linux"), "{kept:?}");
    booted.drop_all().await;
}

#[tokio::test]
async fn uefi_boots_with_a_tpm_and_keeps_its_variables() {
    let bench = Bench::new();
    let options = [("efi_boot", true.into()), ("vtpm", true.into()), ("vtpm_keep_state", true.into())];
    let mut booted = bench.boot(&tiny(), &options).await;
    let guest = booted.guest().await;
    run(&bench.cx, &guest, "test -d /sys/firmware/efi").await;
    assert_eq!(run(&bench.cx, &guest, "cat /sys/class/tpm/tpm0/tpm_version_major").await.trim(), "2");
    booted.off().await;
    let artifact = booted.capture().await;
    let names: Vec<_> = artifact.files.iter().map(|file| file.strip_prefix(bench.output()).unwrap()).collect();
    assert!(names.contains(&Path::new("efivars.fd")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("tpm")), "{names:?}");
    assert_eq!(artifact.facts["firmware"], "uefi");
}

#[tokio::test]
async fn secure_boot_is_on_and_its_store_can_be_dropped() {
    let bench = Bench::new();
    // The guest's loader is not signed, so the machine stays in its firmware; the store tells.
    let options = [
        ("efi_secure_boot", true.into()),
        ("efi_drop_efivars", true.into()),
        ("communicator", "none".into()),
        ("disk_size", "2G".into()),
    ];
    let mut booted = bench.boot(&tiny(), &options).await;
    let line = bench.recorder.lines().into_iter().find(|line| line.contains("pflash")).unwrap();
    assert!(line.contains("type=q35,smm=on") && line.contains("property=secure,value=on"), "{line}");
    bench.done(booted.machine.force_off(&bench.cx).await);
    let artifact = booted.capture().await;
    assert_eq!(artifact.files, [bench.output().join("packer-test")]);
}
