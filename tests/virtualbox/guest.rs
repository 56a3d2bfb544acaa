//! A real guest, interpreted: from a box that a QEMU build wrote to a box that VirtualBox wrote, and back in.

use std::time::Instant;

use crate::home::Home;
use crate::support::tiny;

const TEMPLATE: &str = r#"
variable "tiny" { type = string }

source "file" "disk" {
  source = var.tiny
  target = "disk.qcow2"
}

source "virtualbox-ovf" "guest" {
  vboxmanage_binary    = "./VBoxManage"
  source_path          = "qemu.box"
  headless             = true
  guest_additions_mode = "disable"
  ssh_username         = "tiny"
  ssh_password         = "tiny"
  ssh_timeout          = "14m"
  shutdown_command     = "sudo poweroff"
  shutdown_timeout     = "3m"
  output_directory     = "out"
  vm_name              = "guest"
}

source "virtualbox-ovf" "again" {
  vboxmanage_binary = "./VBoxManage"
  source_path       = "virtualbox.box"
  communicator      = "none"
  headless          = true
  output_directory  = "again"
}

build {
  name    = "box"
  sources = ["source.file.disk"]
  post-processor "vagrant" {
    provider_override = "virtualbox"
    architecture      = "amd64"
    output            = "qemu.box"
    compression_level = 1
  }
}

build {
  name    = "guest"
  sources = ["source.virtualbox-ovf.guest"]
  provisioner "shell" {
    inline = ["cat .vbox_version", "echo baked | sudo tee /baked", "cat /sys/class/dmi/id/product_name"]
  }
  post-processor "vagrant" {
    output            = "virtualbox.box"
    compression_level = 1
  }
}

build {
  name    = "again"
  sources = ["source.virtualbox-ovf.again"]
}
"#;

#[test]
fn a_guest_boots_is_provisioned_over_ssh_and_becomes_a_box() {
    let Some(home) = Home::new() else { return };
    home.sandbox.write("t.pkr.hcl", TEMPLATE);
    let disk = format!("tiny={}", tiny().display());
    let build = |name: &str| {
        let only = format!("-only={name}.*");
        home.sandbox.run(&["build", "-var", &disk, &only, "t.pkr.hcl"]).ok()
    };
    build("box");
    let began = Instant::now();
    let said = build("guest").stdout;
    eprintln!("the guest was baked after {:?}", began.elapsed());
    assert!(said.contains("baked") && said.contains("VirtualBox"), "{said}");
    build("again");
    let shown = home.sandbox.run(&["box", "verify", "virtualbox.box"]).ok().stdout;
    assert!(shown.contains("a box for virtualbox"), "{shown}");
    home.assert_nothing_left("after three builds");
}
