//! Builds of real guests that go on from checkpoints.
#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Outcome, Sandbox, installer, tiny, tiny_source, was_killed};

/// A template for the small guest that runs the scripts of the sandbox; `source` goes into its block.
fn template(source: &str, scripts: &[&str]) -> String {
    let step = |script: &&str| format!("  provisioner \"shell\" {{ script = \"{script}\" }}\n");
    format!(
        r#"
{}build {{
  sources = ["source.qemu.tiny"]
{}}}
"#,
        tiny_source(source),
        scripts.iter().map(step).collect::<String>()
    )
}

/// A sandbox with scripts `a`, `b` and `c`, each of which leaves a file and says so.
fn sandbox(source: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        script(&sandbox, name, name);
    }
    sandbox.write("t.pkr.hcl", &template(source, &["a", "b", "c"]));
    sandbox
}

fn script(sandbox: &Sandbox, name: &str, text: &str) {
    let lines = format!("#!/bin/sh -e\necho ran {name} {text}\necho {text} >>/home/tiny/{name}\ncat /home/tiny/?\n");
    sandbox.write(name, &lines);
}

fn build(sandbox: &Sandbox) -> Outcome {
    let outcome = sandbox.run(&["build", "-force", "t.pkr.hcl"]).ok();
    sandbox.assert_nothing_left();
    outcome
}

/// Which scripts ran.
fn ran(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stdout.lines().filter_map(|line| line.split_once("qemu.tiny: ran ").map(|(_, rest)| rest));
    lines.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
}

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    serde_json::from_str(&sandbox.run(args).ok().stdout).unwrap()
}

/// The folders of all checkpoints.
fn checkpoints(sandbox: &Sandbox) -> Vec<PathBuf> {
    let root = sandbox.path("cache/bakehouse/checkpoints");
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("checkpoint.json").exists()).collect()
}

#[test]
fn what_changed_runs_and_the_image_equals_that_of_a_full_build() {
    let sandbox = sandbox("disk_compression = true");
    assert_eq!(ran(&build(&sandbox)), ["a", "b", "c"]);
    let planned = json(&sandbox, &["plan", "--json", "t.pkr.hcl"]);
    let cached =
        |planned: &Value| planned[0]["stages"].as_array().unwrap().iter().filter(|it| it["cached"] == true).count();
    assert_eq!(cached(&planned), 8, "{planned:#}");

    script(&sandbox, "c", "C");
    let plan = sandbox.run(&["plan", "t.pkr.hcl"]).ok();
    assert!(plan.stdout.contains("provision 3: shell  will run  script c changed"), "{}", plan.all());
    assert!(plan.stdout.contains("provision 2: shell  cached"), "{}", plan.all());
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["c"], "{}", outcome.all());
    assert!(outcome.stdout.contains("script c changed"), "{}", outcome.all());
    let why = sandbox.run(&["cache", "why", "qemu.tiny"]).ok();
    assert!(why.stdout.contains("script c changed"), "{}", why.all());

    // What both images hold, told by booting them.
    let whole = template("disk_compression = true", &["a", "b", "c"]).replace("\"out\"", "\"whole\"");
    sandbox.write("whole.pkr.hcl", &whole);
    assert_eq!(ran(&sandbox.run(&["build", "--no-cache", "whole.pkr.hcl"]).ok()), ["a", "b", "c"]);
    let mut held = Vec::new();
    for image in ["out", "whole"] {
        sandbox.write("look", "#!/bin/sh -e\nfor file in /home/tiny/?; do echo holds $file $(cat $file); done\n");
        let look = template("", &["look"]).replace(&tiny().display().to_string(), &format!("{image}/tiny.qcow2"));
        sandbox.write("look.pkr.hcl", &look.replace("\"out\"", "\"looked\""));
        let looked = sandbox.run(&["build", "-force", "--no-cache", "look.pkr.hcl"]).ok();
        let lines = looked.stdout.lines().filter(|line| line.contains(" holds "));
        held.push(lines.map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(held[0], held[1]);
    assert_eq!(held[0].len(), 3);
    assert!(held[0][2].ends_with("/home/tiny/c C"), "{held:?}");
}

#[test]
fn nothing_runs_when_nothing_changed() {
    let sandbox = sandbox("");
    build(&sandbox);
    let first = std::fs::read(sandbox.path("out/tiny.qcow2")).unwrap();
    for before in ["as it is", "removed", "written to"] {
        match before {
            "removed" => std::fs::remove_dir_all(sandbox.path("out")).unwrap(),
            "written to" => drop(sandbox.write("out/tiny.qcow2", "another thing")),
            _ => {}
        }
        let outcome = build(&sandbox);
        assert_eq!(ran(&outcome), [""; 0], "{before}: {}", outcome.all());
        let same = std::fs::read(sandbox.path("out/tiny.qcow2")).unwrap();
        if before == "written to" {
            assert!(outcome.stdout.contains("The artifact is not what it was"), "{}", outcome.all());
            let checked =
                std::process::Command::new("qemu-img").arg("check").arg(sandbox.path("out/tiny.qcow2")).output();
            assert!(checked.unwrap().status.success());
        } else {
            assert!(outcome.stdout.contains("Nothing has changed"), "{before}: {}", outcome.all());
            assert!(same == first, "{before}");
        }
    }
    sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["exists already", "-force"]);
}

#[test]
fn a_guest_that_goes_on_has_the_right_time_fresh_randomness_and_its_network() {
    let sandbox = sandbox("http_directory = \"www\"");
    sandbox.write("www/page", "over the network\n");
    build(&sandbox);
    let mut seen = Vec::new();
    for turn in ["one", "two"] {
        let script = format!(
            "#!/bin/sh\n# {turn}\necho time $(date +%s)\necho random $(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' ')\n\
             echo fork $(sudo dmesg | grep -c 'virtual machine fork')\nwget -q -O - http://$PACKER_HTTP_ADDR/page\n"
        );
        sandbox.write("c", &script);
        let outcome = build(&sandbox);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(
            outcome.stdout.contains("Going on from the checkpoint after `provision 2: shell`"),
            "{}",
            outcome.all()
        );
        let said = |what: &str| {
            let line = outcome.stdout.lines().find_map(|line| line.split_once(&format!("qemu.tiny: {what} ")));
            line.unwrap_or_else(|| panic!("no {what}\n{}", outcome.all())).1.trim().to_owned()
        };
        // The build itself goes on for some seconds after the script.
        assert!(now.abs_diff(said("time").parse().unwrap()) < 60, "{}", outcome.all());
        assert_eq!(said("fork"), "1", "{}", outcome.all());
        assert!(outcome.stdout.contains("over the network"), "{}", outcome.all());
        seen.push(said("random"));
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_failed_or_killed_build_is_gone_on_from_where_it_was() {
    let sandbox = sandbox("");
    sandbox.write("b", "#!/bin/sh\nexit 3\n");
    sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&["exited with code 3"]);
    sandbox.assert_nothing_left();

    sandbox.write("b", "#!/bin/sh\necho ran b b\necho b >/home/tiny/b\nsleep 60\n");
    let mut killed = sandbox.start(&["t.pkr.hcl"]);
    killed.until("b runs", |event| event["text"] == "ran b b");
    killed.signal(Signal::SIGKILL);
    assert!(was_killed(killed.end().0));
    sandbox.run(&["gc"]).ok();
    sandbox.assert_nothing_left();

    script(&sandbox, "b", "b");
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["b", "c"], "{}", outcome.all());
    assert!(outcome.stdout.contains("Going on from the checkpoint after `provision 1: shell`"), "{}", outcome.all());
    assert_eq!(sandbox.run(&["cache", "verify"]).status.code(), Some(0));
}

#[test]
fn nothing_wrong_is_gone_on_from() {
    let sandbox = sandbox("");
    build(&sandbox);
    // The youngest machine is cut short, the one before it is not what it was, the artifact is gone.
    let mut all: Vec<(u64, PathBuf)> = Vec::new();
    for dir in checkpoints(&sandbox) {
        let note: Value = serde_json::from_slice(&std::fs::read(dir.join("checkpoint.json")).unwrap()).unwrap();
        match note["kind"].as_str() {
            Some("machine") => all.push((note["ran"].as_array().unwrap().len() as u64, dir)),
            _ => std::fs::remove_dir_all(dir).unwrap(),
        }
    }
    all.sort();
    let cut = all[3].1.join("memory");
    let length = cut.metadata().unwrap().len();
    std::fs::File::options().write(true).open(&cut).unwrap().set_len(length - 1).unwrap();
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::File::options().write(true).open(all[2].1.join("memory")).unwrap(),
        b"not this",
        length / 2,
    )
    .unwrap();
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["b", "c"], "{}", outcome.all());
    assert!(outcome.stdout.contains("is damaged and dropped: memory: it has"), "{}", outcome.all());
    assert!(outcome.stdout.contains("is damaged and dropped: memory: its contents changed"), "{}", outcome.all());

    // A memory that QEMU itself cannot read, with a note that vouches for it.
    let list = json(&sandbox, &["cache", "ls", "--json"]);
    let ids: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["after"] == "capture")
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    sandbox.run(&[&["cache", "rm"][..], &ids].concat()).ok();
    for dir in checkpoints(&sandbox) {
        let mut note: Value = serde_json::from_slice(&std::fs::read(dir.join("checkpoint.json")).unwrap()).unwrap();
        if note["after"] == "provision 3: shell" {
            // As a build that died in the middle of a power cut might: everything has its right length and time.
            let memory = dir.join("memory");
            let time = memory.metadata().unwrap().modified().unwrap();
            let file = std::fs::File::options().write(true).open(&memory).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0).unwrap();
            file.set_modified(time).unwrap();
            note["boot"] = "another boot".into();
            std::fs::write(dir.join("checkpoint.json"), note.to_string()).unwrap();
        }
    }
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["c"], "{}", outcome.all());
}

#[test]
fn checkpoints_have_uefi_variables_a_tpm_and_further_disks() {
    // Ports of its own: the TPM goes with a machine that lost a race for one.
    let source = "host_port_min = 3800\n  disable_vnc = true\n  efi_boot = true\n  vtpm = true\n  disk_additional_size = [\"64M\"]\n  cd_content = { note = \"on the CD\" }\n  cloud_init = \"true\"";
    let sandbox = sandbox(source);
    // With 256 MiB the firmware leaves GRUB too little for kernel and initramfs.
    sandbox.write("t.pkr.hcl", &template(source, &["a", "b", "c"]).replace("= 256", "= 512"));
    sandbox.write("b", "#!/bin/sh -e\necho ran b b\necho kept | sudo dd of=/dev/vdb conv=sync 2>/dev/null\n");
    build(&sandbox);
    let look = "#!/bin/sh -e\necho ran c c\nsudo head -c 4 /dev/vdb\necho\nls -d /sys/firmware/efi\ncat /sys/class/tpm/tpm0/tpm_version_major\n\
                sudo mkdir -p /cd\nsudo mount -r -t iso9660 /dev/sr0 /cd\ncat /cd/note\n";
    sandbox.write("c", look);
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["c"], "{}", outcome.all());
    for said in ["kept", "/sys/firmware/efi", "on the CD"] {
        assert!(outcome.stdout.contains(said), "{said}\n{}", outcome.all());
    }
    assert!(sandbox.path("out/tiny.qcow2-1").exists());
}

#[test]
fn a_full_disk_or_a_forbidden_folder_costs_only_checkpoints() {
    let sandbox = sandbox("");
    let small = sandbox.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| {
        let done = std::process::Command::new(args[0]).args(&args[1..]).arg(&small).status();
        assert!(done.unwrap().success());
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs"]);
    let outcome = sandbox.command(&["build", "t.pkr.hcl"]).env("PACKER_CACHE_DIR", &small).output().unwrap();
    mount(&["umount"]);
    let said = String::from_utf8_lossy(&outcome.stdout) + String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
    assert!(said.contains("no checkpoints from here on") && said.contains("MiB are free"), "{said}");
    sandbox.assert_nothing_left();

    sandbox.write("file", "");
    let cache = sandbox.path("file/cache");
    let plan = sandbox.command(&["plan", "t.pkr.hcl"]).env("PACKER_CACHE_DIR", &cache).output().unwrap();
    assert!(String::from_utf8_lossy(&plan.stderr).contains("no checkpoints in this build"));
}

#[test]
fn two_builds_with_one_key_do_not_disturb_each_other() {
    let sandbox = sandbox("");
    sandbox.write("second.pkr.hcl", &template("", &["a", "b", "c"]).replace("\"out\"", "\"out-second\""));
    let builds = [sandbox.start(&["t.pkr.hcl"]), sandbox.start(&["second.pkr.hcl"])];
    for build in builds {
        let (status, stderr, _) = build.end();
        assert!(status.success(), "{stderr}");
    }
    sandbox.assert_nothing_left();
    assert_eq!(sandbox.run(&["cache", "verify"]).status.code(), Some(0));
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), [""; 0], "{}", outcome.all());
    sandbox.run(&["cache", "prune", "--keep-bytes", "0"]).ok();
    assert_eq!(checkpoints(&sandbox).len(), 0);
}

/// The boot loader may be late: one of the Returns finds its menu, and those after it disturb nobody.
const INSTALLED: &str = r#"
source "qemu" "tiny" {
  iso_url          = "ISO"
  iso_checksum     = "none"
  disk_size        = "1536M"
  memory           = 256
  headless         = true
  output_directory = "out"
  vm_name          = "tiny.qcow2"
  boot_wait        = "2s"
  boot_command     = [for turn in range(20) : "<enter><wait2>"]
  ssh_username     = "tiny"
  ssh_password     = "tiny"
  ssh_timeout      = "10m"
  shutdown_command = "sudo poweroff"
}
build {
  sources = ["source.qemu.tiny"]
  provisioner "shell" { script = "a" }
}
"#;

#[test]
fn an_installed_system_is_a_checkpoint() {
    let sandbox = Sandbox::new();
    script(&sandbox, "a", "a");
    sandbox.write("t.pkr.hcl", &INSTALLED.replace("ISO", &installer().display().to_string()));
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["a"], "{}", outcome.all());
    assert!(outcome.stdout.contains("Typing the boot command"), "{}", outcome.all());

    script(&sandbox, "a", "A");
    let outcome = build(&sandbox);
    assert_eq!(ran(&outcome), ["a"], "{}", outcome.all());
    assert!(outcome.stdout.contains("Going on from the checkpoint after `connect`"), "{}", outcome.all());
    assert!(!outcome.stdout.contains("Typing"), "{}", outcome.all());

    // It boots by itself, and holds what the last script left.
    sandbox.write("look", "#!/bin/sh -e\necho holds $(cat /home/tiny/a)\n");
    let look = template("", &["look"]).replace(&tiny().display().to_string(), "out/tiny.qcow2");
    sandbox.write("look.pkr.hcl", &look.replace("\"out\"", "\"looked\""));
    let looked = sandbox.run(&["build", "--no-cache", "look.pkr.hcl"]).ok();
    assert!(looked.stdout.contains("holds A"), "{}", looked.all());

    let typed = std::fs::read_to_string(sandbox.path("t.pkr.hcl")).unwrap().replace("<wait2>", "<wait3>");
    sandbox.write("t.pkr.hcl", &typed);
    let plan = sandbox.run(&["plan", "t.pkr.hcl"]).ok();
    assert!(plan.stdout.contains("boot_command changed"), "{}", plan.all());
}
