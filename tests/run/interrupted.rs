//! Ctrl-C shuts the guest down, and nothing stays behind.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Sandbox, tiny};

/// Another guest may have this machine's processors.
const UP: Duration = Duration::from_secs(300);

#[test]
fn ctrl_c_presses_the_power_button() {
    let sandbox = Sandbox::new();
    let disk = tiny().display().to_string();
    let mut command =
        sandbox.command(&["run", &disk, "--memory", "256", "--disk-interface", "virtio", "--serial", "serial.log"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let said = || std::fs::read(sandbox.path("serial.log")).unwrap_or_default();
    let says = |words: &str| String::from_utf8_lossy(&said()).contains(words);
    let began = Instant::now();
    while !says("tiny: ready") {
        assert!(began.elapsed() < UP, "the guest does not come up");
        std::thread::sleep(Duration::from_millis(200));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the guest, by its power button"), "{told}");
    assert!(says("reboot: Power down"), "it was cut off: {}", String::from_utf8_lossy(&said()));
    sandbox.assert_nothing_left();
}
