//! What is wrong is said at once, and nothing is left.

use std::time::{Duration, Instant};

use bakehouse_api::{Kind, Origin, Value};

use crate::bench::{Bench, list, tiny};

async fn refused(bench: &Bench, image: &str, options: &[(&str, Value)]) -> bakehouse_api::Error {
    let usual = [
        ("disk_image", true.into()),
        ("iso_url", image.into()),
        ("iso_checksum", "none".into()),
        ("ssh_username", "tiny".into()),
    ];
    let all: Vec<_> = usual.into_iter().chain(options.iter().cloned()).collect();
    let error = bench.builder(&all).start(&bench.cx, Origin::Scratch).await.err().expect("is refused");
    bench.recorder.drain().await.unwrap();
    assert!(!bench.leftovers().iter().any(|name| name.contains("output")), "{:?}", bench.leftovers());
    error
}

#[tokio::test]
async fn a_truncated_image_is_told_before_anything_starts() {
    let bench = Bench::new();
    let whole = std::fs::read(tiny()).unwrap();
    let cut = bench.dir.path().join("cut.qcow2");
    std::fs::write(&cut, &whole[..whole.len() / 3]).unwrap();
    let error = refused(&bench, cut.to_str().unwrap(), &[]).await;
    assert_eq!(error.kind(), Kind::Input);
    assert!(
        error.to_string().contains("cut.qcow2") && error.hints()[0].contains("truncated"),
        "{error} {:?}",
        error.hints()
    );
}

#[tokio::test]
async fn a_disk_size_below_the_images_is_refused() {
    let bench = Bench::new();
    let error = refused(&bench, tiny().to_str().unwrap(), &[("disk_size", "16M".into())]).await;
    assert_eq!(error.kind(), Kind::Config, "{error}");
}

#[tokio::test]
async fn a_missing_qemu_names_the_package() {
    let bench = Bench::new();
    let error = refused(&bench, tiny().to_str().unwrap(), &[("qemu_binary", "qemu-system-nope".into())]).await;
    assert_eq!(error.kind(), Kind::Missing);
    assert!(error.hints().iter().any(|hint| hint.contains("qemu-system-x86")), "{:?}", error.hints());
}

#[tokio::test]
async fn an_existing_output_directory_is_refused_and_force_replaces_it_at_the_end_only() {
    let bench = Bench::new();
    std::fs::create_dir(bench.output()).unwrap();
    std::fs::write(bench.output().join("mine"), "precious").unwrap();
    let options = [
        ("disk_image", true.into()),
        ("iso_url", tiny().to_str().unwrap().into()),
        ("iso_checksum", "none".into()),
        ("ssh_username", "tiny".into()),
    ];
    let error = bench.builder(&options).resolve(&bench.cx).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(bench.output().join("mine").exists());
}

#[tokio::test]
async fn qemu_that_refuses_its_arguments_is_quoted() {
    let bench = Bench::new();
    let args = Value::tuple(vec![list(&["-device", "no-such-device"])]);
    let error = refused(&bench, tiny().to_str().unwrap(), &[("qemuargs_extra", args)]).await;
    assert!(error.to_string().contains("'no-such-device' is not a valid device model name"), "{error}");
}

#[tokio::test]
async fn a_machine_that_dies_ends_the_wait_for_ssh_at_once() {
    let bench = Bench::new();
    let mut booted = bench.boot(&tiny(), &[]).await;
    let held = bench.recorder.held();
    let process = held.iter().find(|undo| undo.kind == "process").unwrap();
    let pid = process.data["pid"].as_u64().unwrap().to_string();
    let connector = bench.done(booted.machine.connector(&bench.cx).await).unwrap();
    let began = Instant::now();
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    };
    let (connected, ()) = tokio::join!(connector.connect(&bench.cx), kill);
    let error = connected.err().expect("the machine is gone");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(error.to_string().contains("SIGKILL"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_told_at_once_as_such() {
    let bench = Bench::new();
    // Every write of the guest fails as it would on a full file system.
    let disk = "if=virtio,format=qcow2,file.driver=blkdebug,file.inject-error.0.event=write_aio,\
                file.inject-error.0.errno=28,file.image.driver=file,file.image.filename={{ .OutputDir }}/{{ .Name }}";
    let args = Value::tuple(vec![list(&["-drive", disk])]);
    let mut booted = bench.boot(&tiny(), &[("qemuargs", args), ("cloud_init", "false".into())]).await;
    let gone = tokio::time::timeout(Duration::from_secs(120), booted.machine.gone(&bench.cx)).await;
    let error = gone.expect("is told before the communicator's deadline");
    assert!(error.to_string().contains("full"), "{error}");
    booted.drop_all().await;
}
