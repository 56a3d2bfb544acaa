//! What is wrong is said at once and in its own words, and nothing is left.

use std::time::{Duration, Instant};

use bakehouse_api::{Kind, Origin, Value};

use crate::bench::{Bench, executable};
use crate::machines::new_machine;

/// A program that only answers `--version`.
fn pretender(bench: &Bench, says: &str) -> Value {
    let path = bench.path("pretender");
    std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
    executable(&path);
    path.to_str().unwrap().into()
}

#[tokio::test]
async fn a_virtualbox_that_is_missing_too_old_or_none_is_told() {
    let Some(bench) = Bench::new() else { return };
    let cases = [
        (Value::from("no-such-VBoxManage"), "`no-such-VBoxManage` is not installed"),
        (pretender(&bench, "5.2.44r139111"), "VirtualBox 5.2.44 is too old: 6.1.0 or later is needed"),
    ];
    for (program, wanted) in cases {
        let options = new_machine(&bench, &[("vboxmanage_binary", program)]);
        let error = bench.builder("virtualbox-iso", &options).resolve(&bench.cx).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert!(error.to_string().contains(wanted) && !error.hints().is_empty(), "{error}");
    }
    let options = new_machine(&bench, &[("vboxmanage_binary", pretender(&bench, "hello"))]);
    let error = bench.builder("virtualbox-iso", &options).resolve(&bench.cx).await.unwrap_err();
    assert!(error.to_string().contains("is no VBoxManage: it answers --version with `hello`"), "{error}");
}

#[tokio::test]
async fn an_option_that_this_virtualbox_lacks_is_told_with_its_version() {
    let Some(bench) = Bench::new() else { return };
    let old = pretender(&bench, "6.1.50r161033");
    let options = new_machine(&bench, &[("vboxmanage_binary", old), ("tpm_type", "2.0".into())]);
    let error = bench.builder("virtualbox-iso", &options).resolve(&bench.cx).await.unwrap_err();
    assert!(
        error.to_string().contains("VirtualBox 6.1.50 has no `tpm_type` like that: it came with VirtualBox 7.0"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_in_use_is_told_and_what_has_it_stays() {
    let Some(bench) = Bench::new() else { return };
    bench.vbox(&["createvm", "--name", "small", "--register", "--platform-architecture", "x86"]);
    let options = new_machine(&bench, &[]);
    let error = bench.refused("virtualbox-iso", &options).await;
    assert!(error.to_string().contains("VirtualBox has a machine named `small` already"), "{error}");
    bench.vbox(&["unregistervm", "small"]);
    let error = bench.refused("virtualbox-iso", &options).await;
    assert!(error.to_string().contains("machines/small exists already"), "{error}");
    assert_eq!(bench.machines(), ["small"], "an unregistered machine of the user stays");
}

#[tokio::test]
async fn a_machine_that_does_not_start_says_why_and_goes() {
    let Some(bench) = Bench::new() else { return };
    bench.vbox(&["setextradata", "global", "VBoxInternal/HM/FallbackToIEM"]);
    let error = bench.refused("virtualbox-iso", &new_machine(&bench, &[])).await;
    assert!(error.to_string().starts_with("starting the machine: `VBoxManage startvm"), "{error}");
    assert!(error.hints().iter().any(|hint| hint.starts_with("VirtualBox's log says:")), "{:?}", error.hints());
    bench.assert_nothing_left();
}

#[tokio::test]
async fn a_line_that_virtualbox_refuses_is_quoted() {
    let Some(bench) = Bench::new() else { return };
    let line = crate::bench::lines(&[&["modifyvm", "{{ .Name }}", "--no-such-option", "1"]]);
    let error = bench.refused("virtualbox-iso", &new_machine(&bench, &[("vboxmanage", line)])).await;
    assert!(
        error.to_string().contains("VBoxManage modifyvm small --no-such-option 1` failed: Unknown option"),
        "{error}"
    );
    bench.assert_nothing_left();
}

#[tokio::test]
async fn the_end_of_the_service_ends_the_build_and_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let mut machine = bench.start("virtualbox-iso", &new_machine(&bench, &[])).await;
    assert_eq!(bench.processes("VBoxSVC").len(), 1);
    bench.kill("VBoxSVC");
    let began = Instant::now();
    let ended = machine.wait_off(&bench.cx, Duration::from_secs(60)).await;
    let error = ended.expect_err("nobody switched it off");
    assert_ne!(error.kind(), Kind::Timeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    bench.recorder.drain().await.unwrap();
    bench.assert_nothing_left();
}

#[tokio::test]
async fn an_interrupt_at_each_step_of_the_start_leaves_nothing() {
    for step in ["Creating the machine", "leads to the guest", "Starting the machine"] {
        let Some(bench) = Bench::new() else { return };
        let more = [("communicator", "ssh".into()), ("ssh_username", "x".into()), ("ssh_password", "x".into())];
        let builder = bench.builder("virtualbox-iso", &new_machine(&bench, &more));
        let interrupt = async {
            while !bench.recorder.lines().iter().any(|line| line.contains(step)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            bench.cx.cancel().cancel();
        };
        let started = async { bench.cx.interruptible(builder.start(&bench.cx, Origin::Scratch)).await };
        let (started, ()) = tokio::join!(started, interrupt);
        assert_eq!(started.err().expect("is interrupted").kind(), Kind::Interrupted, "{step}");
        bench.recorder.drain().await.unwrap();
        bench.assert_nothing_left();
    }
}
