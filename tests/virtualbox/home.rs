//! A VirtualBox of its own for a sandbox.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Sandbox;

/// The recipe's own word for "cannot be had".
const UNAVAILABLE: i32 = 75;

pub struct Home {
    pub sandbox: Sandbox,
    wrapper: PathBuf,
    socket: String,
}

impl Home {
    /// None, and one line about it, where VirtualBox cannot be had.
    pub fn new() -> Option<Self> {
        let real = made("BAKEHOUSE_VIRTUALBOX", "tests/virtualbox/root.sh")?;
        let sandbox = Sandbox::new();
        let folder = sandbox.path("vbox");
        std::fs::create_dir(&folder).unwrap();
        let socket = sandbox.path("").file_name().unwrap().to_str().unwrap().to_owned();
        let wrapper = sandbox.write(
            "VBoxManage",
            &format!(
                "#!/bin/sh\nexport VBOX_USER_HOME='{}' VBOX_IPC_SOCKETID={socket}\nexec '{}' \"$@\"\n",
                folder.display(),
                real.display()
            ),
        );
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let home = Self { sandbox, wrapper, socket };
        home.vbox(&["setproperty", "machinefolder", home.sandbox.path("machines").to_str().unwrap()]);
        home.vbox(&["setextradata", "global", "VBoxInternal/HM/FallbackToIEM", "1"]);
        Some(home)
    }

    pub fn vbox(&self, args: &[&str]) -> String {
        let out = Command::new(&self.wrapper).args(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    #[track_caller]
    pub fn assert_nothing_left(&self, when: &str) {
        for what in ["runningvms", "vms", "hdds", "dvds", "floppies"] {
            assert_eq!(self.vbox(&["list", what]).trim(), "", "{when}: {what}");
        }
        let folders: Vec<_> =
            std::fs::read_dir(self.sandbox.path("machines")).into_iter().flatten().flatten().collect();
        assert!(folders.is_empty(), "{when}: {folders:?}");
        self.end_service();
        self.sandbox.assert_nothing_left();
    }

    /// VBoxSVC stays for some seconds after its last client.
    fn end_service(&self) {
        let mark = format!("VBOX_IPC_SOCKETID={}", self.socket);
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
            let ours = String::from_utf8_lossy(&read("environ")).split('\0').any(|one| one == mark);
            if ours && ["VBoxHeadless", "VBoxSVC", "VBoxXPCOMIPCD"].contains(&name.as_str()) {
                Command::new("kill").arg("-9").arg(entry.file_name()).status().unwrap();
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.end_service();
        let _ = std::fs::remove_dir_all(format!("/tmp/.vbox-{}-ipc", self.socket));
    }
}

/// What a recipe prints the path of; none where its packages cannot be had.
pub fn made(variable: &str, recipe: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return (!path.is_empty()).then(|| path.into());
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join(recipe);
    let made = Command::new(&recipe).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    if made.status.code() == Some(UNAVAILABLE) {
        eprintln!("{}", said.lines().last().unwrap_or_default());
        return None;
    }
    assert!(made.status.success(), "{}: {said}", recipe.display());
    Some(PathBuf::from(String::from_utf8(made.stdout).unwrap().lines().last().unwrap()))
}
