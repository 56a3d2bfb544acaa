//! Whenever a build is ended, nothing stays behind: no process, no temporary file, no lock.
#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Sandbox, tiny, was_killed};

/// Every stage of a build of the small guest takes long enough to be met in it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "t.pkr.hcl",
        &format!(
            r#"
source "qemu" "tiny" {{
  disk_image       = true
  iso_url          = "{}"
  iso_checksum     = "none"
  memory           = 256
  headless         = true
  disk_compression = true
  disk_compression_type = "zlib" # the slow one: the capture must not be over before the signal comes
  output_directory = "out"
  ssh_username     = "tiny"
  boot_wait        = "1s"
  boot_command     = ["<wait2s>"]
  shutdown_command = "sleep 2; sudo poweroff"
}}
build {{
  sources = ["source.qemu.tiny"]
  provisioner "shell" {{
    inline = ["dd if=/dev/urandom of=/home/tiny/fill bs=1M count=100 2>/dev/null; sync", "sleep 3"]
  }}
  post-processor "shell-local" {{
    inline = ["sleep 30"]
  }}
}}
"#,
            tiny().display()
        ),
    );
    sandbox
}

const STAGES: [&str; 7] = ["start", "type", "connect", "provision", "power off", "capture", "post-process"];

fn ended_in_each_stage(signal: Signal) {
    for stage in STAGES {
        let sandbox = sandbox();
        let mut build = sandbox.start(&["t.pkr.hcl"]);
        build.until_stage(stage);
        std::thread::sleep(Duration::from_millis(300)); // into the stage, not before its first step
        build.signal(signal);
        let (status, stderr, took) = build.end();
        if signal == Signal::SIGKILL {
            assert!(was_killed(status), "{stage}: {status}");
            sandbox.run(&["gc"]).ok();
        } else {
            assert_eq!(status.code(), Some(1), "{stage}: {stderr}");
            assert!(took < Duration::from_secs(15), "{stage}: took {took:?}");
        }
        sandbox.assert_nothing_left();
        // Up to the capture nothing may look like a result.
        if !matches!(stage, "post-process") {
            assert!(!sandbox.path("out").exists(), "{stage}: an output directory");
        }
    }
}

#[test]
fn ctrl_c_in_each_stage() {
    ended_in_each_stage(Signal::SIGINT);
}

#[test]
fn sigterm_in_each_stage() {
    ended_in_each_stage(Signal::SIGTERM);
}

#[test]
fn sigkill_in_each_stage_then_gc() {
    ended_in_each_stage(Signal::SIGKILL);
}
