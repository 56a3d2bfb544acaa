//! libvirt for the length of a test: its daemons where none run, a storage pool of the test's own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const URI: &str = "qemu:///system";
const NETWORK: &str = "default";
/// The plugin makes it at the first `up`.
const PLUGIN_NETWORK: &str = "vagrant-libvirt";
/// Daemons are up in a second or two.
const STARTED: Duration = Duration::from_secs(30);

pub struct Libvirt {
    /// What was started here, to be ended in reverse.
    daemons: Vec<Child>,
    network_started: bool,
    plugin_network_was_there: bool,
    pub pool: String,
}

impl Libvirt {
    pub fn start() -> Self {
        let pool = format!("bakehouse-test-{}", std::process::id());
        let mut libvirt = Self { daemons: Vec::new(), network_started: false, plugin_network_was_there: false, pool };
        if !virsh(&["version"]).0 {
            for name in ["virtlogd", "libvirtd"] {
                let daemon = Command::new(format!("/usr/sbin/{name}"))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                libvirt.daemons.push(daemon);
            }
            let began = Instant::now();
            while !virsh(&["version"]).0 {
                assert!(began.elapsed() < STARTED, "libvirtd does not answer: {}", virsh(&["version"]).1);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        libvirt.plugin_network_was_there = networks("--all").iter().any(|name| name == PLUGIN_NETWORK);
        if !networks("--name").iter().any(|name| name == NETWORK) {
            must(&["net-start", NETWORK]);
            libvirt.network_started = true;
        }
        // Where QEMU's own user may read: not below a private folder in /tmp.
        let folder = format!("/var/lib/libvirt/images/{}", libvirt.pool);
        must(&["pool-create-as", &libvirt.pool, "dir", "--target", &folder, "--build"]);
        libvirt
    }

    /// Machines whose name begins with `prefix`.
    pub fn machines(&self, prefix: &str) -> Vec<String> {
        let names = virsh(&["list", "--all", "--name"]).1;
        names.lines().filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
    }
}

impl Drop for Libvirt {
    /// A failed test leaves nothing either.
    fn drop(&mut self) {
        for volume in virsh(&["vol-list", &self.pool]).1.lines().skip(2) {
            if let Some(name) = volume.split_whitespace().next() {
                virsh(&["vol-delete", "--pool", &self.pool, name]);
            }
        }
        virsh(&["pool-destroy", &self.pool]);
        let _ = std::fs::remove_dir(format!("/var/lib/libvirt/images/{}", self.pool));
        if !self.plugin_network_was_there {
            virsh(&["net-destroy", PLUGIN_NETWORK]);
            virsh(&["net-undefine", PLUGIN_NETWORK]);
        }
        if self.network_started {
            virsh(&["net-destroy", NETWORK]);
        }
        while let Some(mut daemon) = self.daemons.pop() {
            let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = daemon.wait();
        }
    }
}

pub fn destroy(machine: &str) {
    virsh(&["destroy", machine]);
    virsh(&["undefine", machine]);
}

/// The running ones, or with `--all` those that are defined.
fn networks(which: &str) -> Vec<String> {
    let names = virsh(&["net-list", "--name", which]).1;
    names.lines().map(|name| name.trim().to_owned()).collect()
}

fn must(args: &[&str]) {
    let (done, said) = virsh(args);
    assert!(done, "virsh {args:?}: {said}");
}

fn virsh(args: &[&str]) -> (bool, String) {
    let out = Command::new("timeout").args(["60", "virsh", "-c", URI]).args(args).output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}
