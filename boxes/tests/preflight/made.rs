//! Disks with everything that the preflight looks at, in a few megabytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bakehouse_boxes::disk::{Raw, Reader};
use bakehouse_boxes::preflight::{Finding, Report, Severity, examine};

pub const ROOT_UUID: &str = "11111111-2222-4333-8444-555555555555";
const VERSION: &str = "6.1.0-25-amd64";
const MIB: u64 = 1 << 20;
pub const ESP: u64 = 2 * MIB;
pub const ROOT: u64 = 44 * MIB;
pub const SIZE: u64 = 80 * MIB;

/// What goes onto a disk; made as a disk that EC2 boots, to be changed.
pub struct Made {
    /// Contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
    pub esp: BTreeMap<String, Vec<u8>>,
    /// For sfdisk.
    pub table: String,
    /// In the first 440 bytes.
    pub boot_code: &'static [u8],
    /// In the BIOS boot partition.
    pub core: &'static [u8],
    /// Written over the root file system, at an offset in it.
    pub instead: Option<(u64, Vec<u8>)>,
    pub modules: Vec<&'static str>,
    pub compress: fn(Vec<u8>) -> Vec<u8>,
}

pub fn cmdline(arguments: &str) -> Vec<u8> {
    format!("menuentry 'x' {{\n linux /boot/vmlinuz-{VERSION} {arguments}\n initrd /boot/initrd.img-{VERSION}\n}}\n")
        .into()
}

impl Made {
    pub fn good() -> Self {
        let mut made = Self {
            files: BTreeMap::new(),
            esp: BTreeMap::from([("EFI/BOOT/BOOTX64.EFI".into(), b"MZ".to_vec())]),
            table: "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n\
                    start=4096, size=81920, type=U\nstart=90112, type=L, name=root\n"
                .into(),
            boot_code: b"\xeb\x63 GRUB",
            core: b"core",
            instead: None,
            modules: vec!["nvme", "virtio_blk"],
            compress: |plain| zstd::stream::encode_all(plain.as_slice(), 1).unwrap(),
        };
        made.put("etc/os-release", "NAME=x\nPRETTY_NAME=\"Testing 1\"\n");
        made.put("etc/fstab", format!("UUID={ROOT_UUID} / ext4 defaults 0 1\n"));
        made.put("bin/sh", elf(62));
        made.put("usr/bin/cloud-init", "#!/usr/bin/python3\n");
        made.put("boot/grub/grub.cfg", cmdline(&format!("root=UUID={ROOT_UUID} ro console=ttyS0,115200")));
        made.put(&format!("boot/vmlinuz-{VERSION}"), kernel(true));
        let modules =
            ["drivers/nvme/host/nvme", "drivers/block/virtio_blk", "drivers/net/virtio_net", "drivers/net/ena"];
        let dep: String = modules.iter().map(|module| format!("kernel/{module}.ko.xz: kernel/lib/x.ko\n")).collect();
        made.put(&format!("lib/modules/{VERSION}/modules.dep"), dep);
        made.put(&format!("lib/modules/{VERSION}/modules.builtin"), "kernel/fs/ext4/ext4.ko\n");
        made
    }

    pub fn put(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), content.into());
    }

    pub fn path_of_modules(name: &str) -> String {
        format!("lib/modules/{VERSION}/{name}")
    }

    pub fn without(&mut self, path: &str) {
        assert!(self.files.remove(path).is_some(), "{path}");
    }

    /// The raw disk, in `dir`.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let disk = dir.join("disk.raw");
        let file = File::create(&disk).unwrap();
        file.set_len(SIZE).unwrap();
        run(Command::new("sfdisk").args(["--quiet", "disk.raw"]), dir, self.table.as_bytes());
        file.write_all_at(self.boot_code, 0).unwrap();
        file.write_all_at(self.core, MIB).unwrap();
        self.write_esp(dir);
        copy(&dir.join("esp.img"), &file, ESP);
        self.write_root(dir);
        copy(&dir.join("root.img"), &file, ROOT);
        if let Some((at, bytes)) = &self.instead {
            file.write_all_at(&vec![0; 128 << 10], ROOT).unwrap();
            file.write_all_at(bytes, ROOT + at).unwrap();
        }
        disk
    }

    fn write_esp(&self, dir: &Path) {
        File::create(dir.join("esp.img")).unwrap().set_len(40 * MIB).unwrap();
        run(
            Command::new("mkfs.vfat").args(["-F", "32", "-s", "1", "-n", "ESP", "-i", "ABCD1234", "esp.img"]),
            dir,
            b"",
        );
        let tree = dir.join("esp");
        self.esp.iter().for_each(|(path, bytes)| write(&tree, path, bytes));
        for entry in fs::read_dir(&tree).into_iter().flatten() {
            run(Command::new("mcopy").args(["-s", "-i", "esp.img"]).arg(entry.unwrap().path()).arg("::/"), dir, b"");
        }
    }

    fn write_root(&self, dir: &Path) {
        let tree = dir.join("root");
        fs::create_dir_all(&tree).unwrap();
        self.files.iter().for_each(|(path, bytes)| write(&tree, path, bytes));
        if !self.modules.is_empty() {
            write(&tree, &format!("boot/initrd.img-{VERSION}"), &(self.compress)(initramfs(&self.modules)));
        }
        File::create(dir.join("root.img")).unwrap().set_len(34 * MIB).unwrap();
        let options = ["-q", "-t", "ext4", "-L", "root", "-U", ROOT_UUID, "-d", "root", "root.img"];
        run(Command::new("mke2fs").args(options), dir, b"");
    }

    pub fn report(&self) -> Report {
        let dir = tempfile::tempdir().unwrap();
        examined(&self.write(dir.path()))
    }
}

pub fn examined(disk: &Path) -> Report {
    examine(Reader::new(Box::new(Raw::open(disk).unwrap())))
}

/// The findings that are no good news, as "check: severity: seen".
pub fn troubles(report: &Report) -> Vec<String> {
    let text = |finding: &Finding| {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        assert!(finding.todo.as_ref().is_some_and(|todo| !todo.is_empty()), "nothing to do: {finding:?}");
        format!("{}: {severity}: {}", finding.check, finding.seen)
    };
    report.troubles().map(text).collect()
}

/// A kernel's header as the boot protocol has it.
pub fn kernel(long_mode: bool) -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x600u16.to_le_bytes());
    image[0x236] = u8::from(long_mode);
    let text = format!("{VERSION} (builder@host) #1 SMP");
    image[0x800..0x800 + text.len()].copy_from_slice(text.as_bytes());
    image
}

pub fn elf(machine: u8) -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    program[18] = machine;
    program
}

fn initramfs(modules: &[&str]) -> Vec<u8> {
    let names: Vec<String> = modules.iter().map(|name| format!("usr/lib/modules/{VERSION}/kernel/{name}.ko")).collect();
    let mut bytes: Vec<u8> = Vec::new();
    for name in names.iter().map(String::as_str).chain(["TRAILER!!!"]) {
        let fields = [0, 0o100_644, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() + 1, 0];
        bytes.extend(b"070701");
        bytes.extend(fields.map(|field| format!("{field:08x}")).concat().bytes());
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn write(tree: &Path, path: &str, bytes: &[u8]) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &File, at: u64) {
    to.write_all_at(&fs::read(from).unwrap(), at).unwrap();
}

fn run(command: &mut Command, dir: &Path, stdin: &[u8]) {
    use std::io::Write;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut child = command
        .current_dir(dir)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}
