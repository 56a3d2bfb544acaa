//! The shipped box and the real vagrant: from the build to `up`, `box update` and a box that was
//! tampered with.
#![allow(clippy::unwrap_used)] // a test may panic

mod libvirt;
#[path = "../support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use libvirt::Libvirt;
use support::Sandbox;

const NAME: &str = "bakehouse/debian";

/// A project folder with the shipped Vagrantfile and a Vagrant home of its own.
struct Project {
    sandbox: Sandbox,
    libvirt: Libvirt,
}

struct Said {
    done: bool,
    text: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> String {
        assert!(self.done, "{}", self.text);
        self.text
    }

    #[track_caller]
    fn fails(self) -> String {
        assert!(!self.done, "{}", self.text);
        self.text
    }
}

impl Project {
    fn new() -> Self {
        let (sandbox, libvirt) = (Sandbox::new(), Libvirt::start());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(root.join("Vagrantfile"), sandbox.path("Vagrantfile")).unwrap();
        let pool = format!(
            "Vagrant.configure(\"2\") do |config|\n  config.vm.provider :libvirt do |libvirt|\n    \
             libvirt.storage_pool_name = \"{}\"\n  end\nend\n",
            libvirt.pool
        );
        sandbox.write("home/Vagrantfile", &pool);
        Self { sandbox, libvirt }
    }

    /// Within ten minutes: an emulated guest shares two cores with whatever else runs.
    fn vagrant(&self, args: &[&str]) -> Said {
        let out = Command::new("timeout")
            .args(["--kill-after=30", "600", "vagrant"])
            .args(args)
            .current_dir(self.sandbox.path(""))
            .env("VAGRANT_HOME", self.sandbox.path("home"))
            .env("VAGRANT_DEFAULT_PROVIDER", "libvirt")
            .env("VAGRANT_CHECKPOINT_DISABLE", "1")
            .env("TMPDIR", self.sandbox.path("tmp"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        Said { done: out.status.success(), text: format!("vagrant {args:?}: {}\n{text}", out.status) }
    }

    fn catalog(&self) -> String {
        self.sandbox.path("output/vagrant/metadata.json").display().to_string()
    }

    /// The same box under another version, as `bakehouse box catalog` lists it.
    fn list(&self, version: &str, file: &str) {
        let catalog = self.catalog();
        self.sandbox.run(&["box", "catalog", "-name", NAME, "-version", version, "-output", &catalog, file]).ok();
    }
}

impl Drop for Project {
    /// What `vagrant destroy` did not get to.
    fn drop(&mut self) {
        let folder = self.sandbox.path("").file_name().unwrap_or_default().to_string_lossy().into_owned();
        for machine in self.libvirt.machines(&folder) {
            libvirt::destroy(&machine);
        }
    }
}

#[test]
fn the_box_is_added_booted_updated_and_refused_when_tampered_with() {
    let project = Project::new();
    let sandbox = &project.sandbox;
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/vagrant");
    let base = format!("base_image={}", support::debian().display());
    sandbox.run(&["build", "-var", &base, template.to_str().unwrap()]).ok();
    let catalog = project.catalog();
    sandbox.run(&["box", "verify", &catalog]).ok();

    project.vagrant(&["box", "add", "--provider", "libvirt", &catalog]).ok();
    assert!(project.vagrant(&["box", "list"]).ok().contains("bakehouse/debian (libvirt, 1.0.0)"));
    project.vagrant(&["up"]).ok();
    let said = project.vagrant(&["ssh", "-c", "id -un; sudo id -un; hostname; cat .ssh/authorized_keys"]).ok();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert!(lines.windows(3).any(|lines| lines == ["vagrant", "root", "debian"]), "{said}");
    assert!(!said.contains("insecure public key"), "the key that everybody has is still there: {said}");
    project.vagrant(&["destroy", "-f"]).ok();

    let file = sandbox.path("output/vagrant/debian-1.0.0-libvirt.box");
    let next = sandbox.path("output/vagrant/debian-1.1.0-libvirt.box");
    std::fs::copy(&file, &next).unwrap();
    project.list("1.1.0", next.to_str().unwrap());
    let said = project.vagrant(&["box", "outdated", "--global"]).ok();
    assert!(said.contains("'bakehouse/debian' for 'libvirt' is outdated! Current: 1.0.0. Latest: 1.1.0"), "{said}");
    project.vagrant(&["box", "update", "--box", NAME, "--provider", "libvirt"]).ok();
    assert!(project.vagrant(&["box", "list"]).ok().contains("bakehouse/debian (libvirt, 1.1.0)"));

    let bad = sandbox.path("output/vagrant/debian-1.2.0-libvirt.box");
    std::fs::copy(&file, &bad).unwrap();
    project.list("1.2.0", bad.to_str().unwrap());
    File::options().append(true).open(&bad).unwrap().write_all(b"x").unwrap();
    let said = project.vagrant(&["box", "update", "--box", NAME, "--provider", "libvirt"]).fails();
    assert!(said.contains("checksum"), "{said}");
    sandbox.run(&["box", "verify", &catalog]).fails_saying(&["the sha256 of", "the catalog says"]);
}

/// No VirtualBox here: Vagrant takes the box, and its parts are what it looks for at `up`.
#[test]
fn a_virtualbox_box_made_without_virtualbox_is_added() {
    let sandbox = Sandbox::new();
    let template = r#"
source "null" "x" { communicator = "none" }
build {
  sources = ["null.x"]
  post-processors {
    post-processor "artifice" { files = ["tiny.qcow2"] }
    post-processor "vagrant" {
      provider_override = "virtualbox"
      output            = "x.box"
      architecture      = "amd64"
    }
  }
}
"#;
    sandbox.write("t.pkr.hcl", template);
    std::fs::copy(support::tiny(), sandbox.path("tiny.qcow2")).unwrap();
    sandbox.run(&["build", "t.pkr.hcl"]).ok();
    let add = Command::new("vagrant")
        .args(["box", "add", "--name", "tiny", "x.box"])
        .current_dir(sandbox.path(""))
        .env("VAGRANT_HOME", sandbox.path("home"))
        .output()
        .unwrap();
    assert!(add.status.success(), "{}", String::from_utf8_lossy(&add.stderr));
    let folder = sandbox.path("home/boxes/tiny/0/virtualbox");
    assert!(folder.join("box.ovf").is_file() && folder.join("box-disk001.vmdk").is_file());
    let same = Command::new("qemu-img")
        .args(["compare", "-f", "vmdk", "-F", "qcow2"])
        .arg(folder.join("box-disk001.vmdk"))
        .arg(support::tiny())
        .output()
        .unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
}
