//! The program as its users run it, on real guests.
#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::process::Command;

use support::{Sandbox, tiny, tiny_source};

/// A template for the small guest: `source` and `build` go into their blocks.
fn template(source: &str, build: &str) -> String {
    format!(
        r#"
{}build {{
  sources = ["source.qemu.tiny"]
  {build}
}}
"#,
        tiny_source(source)
    )
}

#[test]
fn a_build_leaves_a_disk_that_holds_what_was_baked() {
    let sandbox = Sandbox::new();
    sandbox.write("site/index.html", "hello");
    sandbox.write(
        "t.pkr.hcl",
        &template(
            r#"disk_compression = true"#,
            r#"
  provisioner "file" {
    source      = "site"
    destination = "/tmp"
  }
  provisioner "shell" {
    inline = ["echo said by $GREETER", "sudo cp /tmp/site/index.html /root/baked", "sync"]
    environment_vars = ["GREETER=the script"]
  }
  provisioner "file" {
    direction   = "download"
    source      = "/tmp/site/index.html"
    destination = "back.html"
  }
  post-processor "manifest" {}
  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "SHA256SUMS"
  }"#,
        ),
    );
    let outcome = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(outcome.stdout.contains("said by the script"), "{}", outcome.all());
    assert!(outcome.stdout.contains("--> qemu.tiny:"), "{}", outcome.all());
    assert!(!outcome.stdout.contains('\x1b'), "control characters on a pipe");
    assert_eq!(sandbox.read("back.html"), "hello");
    sandbox.assert_nothing_left();

    let listed: Vec<_> = std::fs::read_dir(sandbox.path("out")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(listed, ["tiny.qcow2"], "only the disk is the artifact");
    let sums = Command::new("sha256sum").arg(sandbox.path("out/tiny.qcow2")).output().unwrap();
    let sum = String::from_utf8(sums.stdout).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(sandbox.read("SHA256SUMS"), format!("{sum}\ttiny.qcow2\n"));
    let manifest: serde_json::Value = serde_json::from_str(&sandbox.read("packer-manifest.json")).unwrap();
    assert_eq!(manifest["builds"][0]["files"][0]["name"], "out/tiny.qcow2");

    // The artifact is a base for the next build, and holds what was baked.
    let next = template("", r#"provisioner "shell" { inline = ["sudo cat /root/baked"] }"#)
        .replace(&tiny().display().to_string(), "out/tiny.qcow2")
        .replace("\"out\"", "\"out2\"");
    sandbox.write("next.pkr.hcl", &next);
    let outcome = sandbox.run(&["build", "next.pkr.hcl"]).ok();
    assert!(outcome.stdout.contains("qemu.tiny: hello"), "{}", outcome.all());
    sandbox.assert_nothing_left();
}

#[test]
fn a_failing_script_stops_the_build_and_leaves_its_evidence() {
    let sandbox = Sandbox::new();
    let build = r#"provisioner "shell" { inline = ["echo the last words >&2", "exit 3"] }"#;
    sandbox.write("t.pkr.hcl", &template("", build));
    let outcome = sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["3", "the last words", "t.pkr.hcl:"]);
    let serial = outcome.stderr.lines().find(|line| line.contains("serial"));
    let serial = serial.unwrap_or_else(|| panic!("no serial log is named\n{}", outcome.all()));
    let path = serial.rsplit("see: ").next().unwrap().trim();
    assert!(std::fs::read_to_string(sandbox.path(path)).unwrap().contains("tiny: ready"));
    let screen =
        outcome.stderr.lines().find_map(|line| line.trim().rsplit_once("see: ").filter(|(_, it)| it.ends_with(".png")));
    let screen = sandbox.path(screen.unwrap_or_else(|| panic!("no screenshot is named\n{}", outcome.all())).1);
    assert_eq!(&std::fs::read(screen).unwrap()[..4], b"\x89PNG");
    assert!(!sandbox.path("out").exists());
    sandbox.assert_nothing_left();
}

#[test]
fn a_guest_that_never_answers_is_told_apart_from_a_wrong_password() {
    let sandbox = Sandbox::new();
    sandbox.write("user-data", "#cloud-config\n");
    sandbox.write("nosshd", "");
    let silent = r#"
  ssh_password = "tiny"
  ssh_timeout  = "20s"
  cd_files     = ["user-data", "nosshd"]
  cd_label     = "cidata""#;
    sandbox.write("silent.pkr.hcl", &template(silent, ""));
    sandbox.run(&["build", "silent.pkr.hcl"]).fails_saying(&["timed out", "SSH"]);
    sandbox.assert_nothing_left();

    let wrong = "ssh_password = \"wrong-password\"\n  ssh_timeout = \"60s\"\n  ssh_handshake_attempts = 2";
    sandbox.write("wrong.pkr.hcl", &template(wrong, ""));
    let outcome =
        sandbox.run(&["build", "wrong.pkr.hcl"]).fails_saying(&["the login of \"tiny\" failed", "the password"]);
    assert!(!outcome.all().contains("wrong-password"), "the password is shown");
    sandbox.assert_nothing_left();
}

#[test]
fn a_reboot_in_the_middle_needs_no_guesses() {
    let sandbox = Sandbox::new();
    let build = r#"
  provisioner "shell" {
    inline            = ["echo before >/home/tiny/mark", "sync", "sudo reboot", "sleep 60"]
    expect_disconnect = true
  }
  provisioner "shell" { inline = ["cat /home/tiny/mark", "cut -d. -f1 /proc/uptime | sed 's/^/up /'"] }"#;
    sandbox.write("t.pkr.hcl", &template("", build));
    let outcome = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(outcome.stdout.contains("qemu.tiny: before"), "{}", outcome.all());
    sandbox.assert_nothing_left();
}

#[test]
fn a_full_disk_is_said_at_once() {
    let sandbox = Sandbox::new();
    let small = sandbox.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| assert!(Command::new(args[0]).args(&args[1..]).arg(&small).status().unwrap().success());
    mount(&["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs"]);
    let build = r#"provisioner "shell" { inline = ["dd if=/dev/urandom of=/home/tiny/fill bs=1M count=200; sync"] }"#;
    let text = template("", build).replace("\"out\"", "\"small/out\"");
    sandbox.write("t.pkr.hcl", &text);
    // Without checkpoints the disk grows where the artifact is made.
    let outcome = sandbox.run(&["build", "--no-cache", "t.pkr.hcl"]);
    mount(&["umount"]);
    outcome.fails_saying(&["full"]);
    sandbox.assert_nothing_left();
}

#[test]
fn two_builds_run_side_by_side() {
    let sandbox = Sandbox::new();
    let text = template("", r#"provisioner "shell" { inline = ["hostname"] }"#);
    let second = text.replace("\"tiny\" {", "\"second\" {").replace("\"out\"", "\"out-second\"");
    let second = second.split("build {").next().unwrap().to_owned();
    let text = text.replace("[\"source.qemu.tiny\"]", "[\"source.qemu.tiny\", \"source.qemu.second\"]");
    sandbox.write("t.pkr.hcl", &(second + &text));
    sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(sandbox.path("out/tiny.qcow2").exists() && sandbox.path("out-second/tiny.qcow2").exists());
    sandbox.assert_nothing_left();
}

#[test]
fn without_a_communicator_the_guest_must_switch_itself_off() {
    let sandbox = Sandbox::new();
    let text = template("communicator = \"none\"\n  shutdown_timeout = \"5s\"", "")
        .replace("  shutdown_command = \"sudo poweroff\"\n", "")
        .replace("  ssh_username     = \"tiny\"\n", "");
    sandbox.write("t.pkr.hcl", &text);
    sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["timed out", "waiting for the guest to switch itself off"]);
    sandbox.assert_nothing_left();
}

/// The shipped template, as `make image` bakes it, and what it leaves, booted without key or seed.
#[test]
fn the_debian_template_bakes_a_service_that_answers() {
    let sandbox = Sandbox::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let base = format!("base_image={}", support::debian().display());
    let template = root.join("templates/debian");
    let template = template.to_str().unwrap();
    sandbox.run(&["validate", "-var", &base, template]).ok();
    sandbox.run(&["build", "-only=qemu.debian", "-var", &base, "-var", "output_directory=out", template]).ok();
    sandbox.assert_nothing_left();
    let manifest: serde_json::Value = serde_json::from_str(&sandbox.read("out/manifest.json")).unwrap();
    assert_eq!(manifest["builds"][0]["files"][0]["name"], "debian.qcow2");
    let check = Command::new(root.join("templates/debian/check.sh")).arg(sandbox.path("out/debian.qcow2")).output();
    let check = check.unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.contains("200"), "{said}\n{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn an_output_that_exists_is_replaced_only_by_force_and_only_by_a_whole_build() {
    let sandbox = Sandbox::new();
    sandbox.write("out/old.txt", "kept");
    let with = |script: &str| template("", &format!(r#"provisioner "shell" {{ inline = ["{script}"] }}"#));
    sandbox.write("t.pkr.hcl", &with("exit 3"));
    sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["output directory", "exists already", "-force"]);
    sandbox.run(&["build", "-force", "t.pkr.hcl"]).fails_saying(&["3", "t.pkr.hcl:"]);
    assert_eq!(sandbox.read("out/old.txt"), "kept", "a build that fails replaces nothing");
    sandbox.assert_nothing_left();

    sandbox.write("t.pkr.hcl", &with("true"));
    sandbox.run(&["build", "-force", "t.pkr.hcl"]).ok();
    let listed: Vec<_> = std::fs::read_dir(sandbox.path("out")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(listed, ["tiny.qcow2"]);
    sandbox.assert_nothing_left();
}

/// Debian's signed shim, GRUB and kernel, on a firmware that starts nothing else.
#[test]
fn a_signed_guest_boots_under_secure_boot_with_its_own_name_and_the_right_time() {
    let sandbox = Sandbox::new();
    let secure = r#"
  efi_boot         = true
  efi_secure_boot  = true
  ssh_timeout      = "10m""#;
    let script = r#"provisioner "shell" {
    inline = [
      "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-* | sed 's/^ */secure boot: /'",
      "echo name: $(hostname)",
      "echo time: $(date +%s)",
    ]
  }"#;
    let text = template(secure, script)
        .replace(&tiny().display().to_string(), &support::debian().display().to_string())
        .replace("ssh_username     = \"tiny\"", "ssh_username     = \"debian\"")
        .replace("memory           = 256", "memory           = 1024\n  cpus             = 2");
    sandbox.write("t.pkr.hcl", &text);
    let outcome = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    let said = |what: &str| {
        let line = outcome.stdout.lines().find_map(|line| line.split_once(what));
        line.unwrap_or_else(|| panic!("no `{what}`\n{}", outcome.all())).1.trim().to_owned()
    };
    assert_eq!(said("secure boot: "), "1");
    assert_eq!(said("name: "), "debian", "the image keeps its own name");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let guest: u64 = said("time: ").parse().unwrap();
    assert!(now.abs_diff(guest) < 120, "the guest said {guest}, it is {now} here");
    sandbox.assert_nothing_left();
}
