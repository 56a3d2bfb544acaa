//! Whenever a build is ended, nothing stays: no machine, no medium, no folder, no process.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::home::Home;
use crate::support::was_killed;

const STAGES: [&str; 5] = ["start", "type", "power off", "capture", "post-process"];

/// A machine that boots nothing; each stage takes long enough to be met in it.
fn write_template(home: &Home) {
    home.sandbox.write("empty.iso", &"\0".repeat(1 << 20));
    home.sandbox.write(
        "t.pkr.hcl",
        r#"
source "virtualbox-iso" "small" {
  vboxmanage_binary    = "./VBoxManage"
  iso_url              = "empty.iso"
  iso_checksum         = "none"
  communicator         = "none"
  headless             = true
  memory               = 16
  disk_size            = 64
  hard_drive_interface = "sata"
  cd_content           = { note = "x" }
  floppy_content       = { note = "x" }
  boot_wait            = "1s"
  boot_command         = ["<wait2s>"]
  acpi_shutdown        = true
  shutdown_timeout     = "3s"
  post_shutdown_delay  = "1s"
  output_directory     = "out"
}
build {
  sources = ["source.virtualbox-iso.small"]
  post-processor "shell-local" {
    inline = ["sleep 30"]
  }
}
"#,
    );
}

fn ended_in_each_stage(signal: Signal) {
    for stage in STAGES {
        let Some(home) = Home::new() else { return };
        write_template(&home);
        let mut build = home.sandbox.start(&["t.pkr.hcl"]);
        build.until_stage(stage);
        std::thread::sleep(Duration::from_millis(700)); // into the stage, not before its first step
        build.signal(signal);
        let (status, stderr, took) = build.end();
        if signal == Signal::SIGKILL {
            assert!(was_killed(status), "{stage}: {status}");
            home.sandbox.run(&["gc"]).ok();
        } else {
            assert_eq!(status.code(), Some(1), "{stage}: {stderr}");
            assert!(took < Duration::from_secs(60), "{stage}: took {took:?}");
        }
        home.assert_nothing_left(stage);
        // Up to the capture nothing may look like a result.
        if stage != "post-process" {
            assert!(!home.sandbox.path("out").exists(), "{stage}: an output directory");
        }
    }
}

#[test]
fn ctrl_c_in_each_stage() {
    ended_in_each_stage(Signal::SIGINT);
}

#[test]
fn sigkill_in_each_stage_then_gc() {
    ended_in_each_stage(Signal::SIGKILL);
}
