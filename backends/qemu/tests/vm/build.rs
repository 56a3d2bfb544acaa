//! A whole build of an image, from overlay to artifact.

use std::time::Instant;

use bakehouse_api::Value;
use serde_json::Value as Json;

use crate::bench::{Bench, list, qemu_img_info, run, tiny};

#[tokio::test]
async fn an_image_boots_is_reached_goes_off_and_becomes_a_compressed_artifact() {
    let bench = Bench::new();
    let base = tiny();
    let before = base.metadata().unwrap().modified().unwrap();
    let began = Instant::now();
    let options = [("disk_compression", true.into()), ("disk_additional_size", list(&["64M"]))];
    let mut booted = bench.boot(&base, &options).await;
    let guest = booted.guest().await;
    let reached = began.elapsed();
    run(&bench.cx, &guest, "echo baked | sudo -n tee /baked").await;
    assert_eq!(run(&bench.cx, &guest, "cat /sys/block/vdb/size").await.trim(), "131072");
    assert!(!bench.output().exists(), "the output directory appears only when it is complete");
    booted.off().await;
    let off = began.elapsed();
    let artifact = booted.capture().await;
    eprintln!("reached after {reached:?}, off after {off:?}, captured after {:?}", began.elapsed());

    let [disk, second] = artifact.files.as_slice() else { panic!("{:?}", artifact.files) };
    assert_eq!((disk, second), (&bench.output().join("packer-test"), &bench.output().join("packer-test-1")));
    let info = qemu_img_info(disk);
    assert_eq!(info["format"], "qcow2");
    assert!(info.get("backing-filename").is_none(), "{info}");
    assert_eq!(info["virtual-size"], 40960u64 << 20);
    assert_eq!(base.metadata().unwrap().modified().unwrap(), before, "the base is never written");
    assert!(!bench.leftovers().iter().any(|name| name.contains("partial")), "{:?}", bench.leftovers());
}

#[tokio::test]
async fn an_artifact_that_stays_an_overlay_needs_no_pass_and_boots() {
    let bench = Bench::new();
    let options =
        [("use_backing_file", true.into()), ("skip_compaction", true.into()), ("skip_resize_disk", true.into())];
    let mut booted = bench.boot(&tiny(), &options).await;
    let guest = booted.guest().await;
    run(&bench.cx, &guest, "echo overlay | sudo -n tee /baked").await;
    booted.off().await;
    let artifact = booted.capture().await;
    let info = qemu_img_info(&artifact.files[0]);
    assert_eq!(info["backing-filename"], tiny().canonicalize().unwrap().to_str().unwrap());
    assert!(!bench.recorder.lines().iter().any(|line| line.contains("Writing the disk")));

    let second = Bench::new();
    let mut booted = second.boot(&artifact.files[0], &[("format", "raw".into()), ("disk_size", "2G".into())]).await;
    let guest = booted.guest().await;
    assert_eq!(run(&second.cx, &guest, "cat /baked").await, "overlay\n");
    booted.off().await;
    let artifact = booted.capture().await;
    let info = qemu_img_info(&artifact.files[0]);
    assert_eq!((&info["format"], &info["virtual-size"]), (&Json::from("raw"), &Json::from(2u64 << 30)));
}

#[tokio::test]
async fn two_machines_at_once_get_ports_of_their_own() {
    let (first, second) = (Bench::new(), Bench::new());
    let none = [("communicator", Value::from("none"))];
    let base = tiny();
    let (one, two) = tokio::join!(first.boot(&base, &none), second.boot(&base, &none));
    let port = |bench: &Bench| {
        let line = bench.recorder.lines().into_iter().find(|line| line.contains("-vnc ")).unwrap();
        line.split("-vnc ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_ne!(port(&first), port(&second));
    one.drop_all().await;
    two.drop_all().await;
}
