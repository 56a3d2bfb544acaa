//! Bulk uploads by a disk that is plugged in while the machine runs.

use std::time::Instant;

use crate::bench::{Bench, run, tiny};

const BIG: usize = 256 << 20;
const SMALL: usize = 5000;

async fn uploads_arrive(options: &[(&str, bakehouse_api::Value)]) {
    let bench = Bench::new();
    let big = bench.dir.path().join("big");
    let many = bench.dir.path().join("many");
    // Odd, so that the end does not fall on a sector; not compressible to nothing by any layer.
    let bytes: Vec<u8> =
        (0..BIG as u32 / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).chain([7]).collect();
    std::fs::write(&big, &bytes).unwrap();
    std::fs::create_dir_all(many.join("sub")).unwrap();
    for i in 0..SMALL {
        let name = if i % 2 == 0 { format!("{i}") } else { format!("sub/{i}") };
        std::fs::write(many.join(name), &bytes[i * 4096..(i + 1) * 4096]).unwrap();
    }
    let script = many.join("sub/run me.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("run me.sh", many.join("sub/link")).unwrap();

    let mut booted = bench.boot(&tiny(), options).await;
    let guest = booted.guest().await;
    let comm = guest.comm(&bench.cx).await.unwrap();
    let began = Instant::now();
    comm.upload_file(&bench.cx, &big, "/home/tiny/big").await.unwrap();
    let one = began.elapsed();
    comm.upload_dir(&bench.cx, &many, "/home/tiny/it's many").await.unwrap();
    eprintln!("{BIG} bytes in one file: {one:?}; {SMALL} files of 4096 bytes: {:?}", began.elapsed() - one);

    assert!(!bench.recorder.lines().iter().any(|line| line.contains("by SSH")), "{:?}", bench.recorder.lines());
    let sum = std::process::Command::new("sha256sum").arg(&big).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let there = run(&bench.cx, &guest, "sha256sum /home/tiny/big").await;
    assert_eq!(there.split(' ').next(), sum.split(' ').next());
    let look =
        "cd \"/home/tiny/it's many\" && find . -type f | wc -l && stat -c '%a %U' 'sub/run me.sh' && readlink sub/link";
    assert_eq!(run(&bench.cx, &guest, look).await, format!("{}\n750 tiny\nrun me.sh\n", SMALL + 1));
    booted.drop_all().await;
}

#[tokio::test]
async fn by_disk_on_a_pc() {
    uploads_arrive(&[("memory", 1024.into())]).await;
}

#[tokio::test]
async fn by_disk_on_q35() {
    uploads_arrive(&[("memory", 1024.into()), ("machine_type", "q35".into())]).await;
}

#[tokio::test]
async fn a_user_who_may_not_read_disks_gets_the_files_by_ssh() {
    let bench = Bench::new();
    let big = bench.dir.path().join("big");
    std::fs::write(&big, vec![9; 9 << 20]).unwrap();
    let options = [("ssh_username", "plain".into()), ("ssh_password", "plain".into()), ("cloud_init", "true".into())];
    let mut booted = bench.boot(&tiny(), &options).await;
    let guest = booted.guest().await;
    guest.comm(&bench.cx).await.unwrap().upload_file(&bench.cx, &big, "/home/plain/big").await.unwrap();
    assert_eq!(run(&bench.cx, &guest, "wc -c < /home/plain/big").await.trim(), (9 << 20).to_string());
    booted.drop_all().await;
}
