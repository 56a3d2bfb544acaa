//! A whole build of an image, from overlay to artifact.

mod common;

use common::{Bench, qemu_img_info, run};

#[tokio::test]
async fn an_image_boots_is_reached_goes_off_and_becomes_a_compressed_artifact() {
    let bench = Bench::new();
    let base = common::tiny();
    let before = base.metadata().unwrap().modified().unwrap();
    let began = std::time::Instant::now();
    let mut booted = bench.boot(&base, &[("disk_compression", true.into()), ("memory", 1024.into())]).await;
    eprintln!("started after {:?}", began.elapsed());
    let guest = booted.guest().await;
    eprintln!("reached after {:?}", began.elapsed());
    run(&bench.cx, &guest, "echo baked | sudo -n tee /baked && sync").await;
    booted.off().await;
    eprintln!("off after {:?}", began.elapsed());
    assert!(!bench.output().exists(), "the output directory appears only when it is complete");
    let artifact = booted.capture().await;
    eprintln!("captured after {:?}", began.elapsed());
    assert_eq!(artifact.files, [bench.output().join("packer-test")]);
    let info = qemu_img_info(&artifact.files[0]);
    assert_eq!(info["format"], "qcow2");
    assert!(info.get("backing-filename").is_none(), "{info}");
    assert_eq!(info["virtual-size"], 40960u64 << 20);
    assert_eq!(base.metadata().unwrap().modified().unwrap(), before, "the base is never written");
    let beside: Vec<_> = std::fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().contains("partial")), "{beside:?}");
}
