//! Booted, reached, asked.

use std::fs;
use std::process::Stdio;

use crate::support::{Sandbox, debian, tiny};

/// What the service at 169.254.169.254 answers first to a request without a token.
const WITHOUT_TOKEN: &str =
    r"printf 'GET /latest/meta-data/instance-id HTTP/1.0\r\n\r\n' | nc 169.254.169.254 80 | head -n 1";

#[test]
fn key_and_user_data_arrive_and_the_exit_code_is_handed_on() {
    let sandbox = Sandbox::new();
    sandbox.write("user-data", "#!/bin/sh\necho by user data >/root/made.new\nmv /root/made.new /root/made\n");
    let disk = tiny();
    let before = fs::metadata(&disk).unwrap().modified().unwrap();
    // The script runs once sshd is up.
    let command = format!(
        "for i in $(seq 300); do [ -e /root/made ] && break; sleep 0.2; done; cat /root/made; hostname; id -un; {WITHOUT_TOKEN}; exit 7"
    );
    let disk = disk.display().to_string();
    let run = sandbox.run(&["run", &disk, "--user-data", "user-data", "--hostname", "web", "--check", &command]);
    assert_eq!(run.status.code(), Some(7), "{}", run.all());
    for line in ["by user data", "web", "root", "HTTP/1.0 401"] {
        assert!(run.stdout.lines().any(|found| found.contains(line)), "`{line}`\n{}", run.all());
    }
    sandbox.assert_nothing_left();
    assert_eq!(fs::metadata(tiny()).unwrap().modified().unwrap(), before, "the disk was written to");
}

#[test]
fn the_ec2_datasource_of_cloud_init_takes_what_an_instance_is_given() {
    let sandbox = Sandbox::new();
    sandbox.write("user-data", "#cloud-config\nwrite_files:\n- {path: /etc/made, content: by cloud-init}\n");
    let command = "cloud-init status --wait >/dev/null; cloud-id; cat /etc/made; echo; hostname; \
                   sudo cloud-init query ds.meta_data.instance_id; id -un; ip -o -4 address show scope link";
    let disk = debian().display().to_string();
    let run = sandbox.run(&["run", &disk, "--user-data", "user-data", "--check", command]).ok();
    let said: Vec<&str> = run.stdout.lines().collect();
    for words in ["by cloud-init", "ip-169-254-2-15", ": i-", "debian"] {
        assert!(said.iter().any(|line| line.contains(words)), "`{words}`\n{}", run.all());
    }
    assert!(said.iter().any(|line| line.ends_with(": aws") || line.ends_with(": ec2")), "{}", run.all());
    sandbox.assert_nothing_left();
}

#[test]
fn a_kept_disk_has_what_the_guest_wrote_booted_by_uefi_with_the_old_metadata() {
    let sandbox = Sandbox::new();
    let copy = sandbox.path("copy.qcow2");
    fs::copy(tiny(), &copy).unwrap();
    let write = format!("echo written by the guest itself >/root/kept; sync; {WITHOUT_TOKEN}");
    let options = ["--keep", "--firmware", "uefi", "--imds", "optional", "--serial", "serial.log"];
    let run = sandbox.run(&[&["run", "copy.qcow2", "--check", &write][..], &options].concat()).ok();
    assert!(run.stdout.contains("HTTP/1.0 200"), "{}", run.all());
    assert!(sandbox.read("serial.log").contains("tiny: ready"));
    let words = b"written by the guest itself";
    let disk = fs::read(copy).unwrap();
    assert!(disk.windows(words.len()).any(|part| part == words), "the disk does not have it");
    sandbox.assert_nothing_left();
}

#[test]
fn a_session_reads_its_commands_and_hands_on_its_end() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let disk = tiny().display().to_string();
    let mut command = sandbox.command(&["run", &disk, "--memory", "256", "--ssh"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"echo in the session as $(id -un)\nexit 9\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("in the session as root"), "{said}");
    sandbox.assert_nothing_left();
}

#[test]
fn a_guest_that_ends_before_it_is_reached_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("user-data", "#!/bin/sh\n#tiny: nosshd\npoweroff\n");
    let disk = tiny().display().to_string();
    let run = sandbox.run(&["run", &disk, "--user-data", "user-data", "--wait-ssh"]);
    run.fails_saying(&["waiting for the guest to be reached: the guest switched itself off", "tiny: no sshd"]);
    sandbox.assert_nothing_left();
}
