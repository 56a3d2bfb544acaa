//! What a courier's disk holds and how the guest reads it: one file as it is, or a tar archive.

use std::fs::File;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bakehouse_kit::process::quoted;

/// Tenths of a second that the guest looks for the disk; then SSH is used.
const LOOKS: u32 = 80;
/// Finds the disk without udev's help. The kernel ends a serial number without a line end, which
/// `read` calls a failure.
const FIND: &str = r#"disk=
looks=0
while [ -z "$disk" ]; do
  for drive in /sys/block/vd*; do
    serial=
    read -r serial < "$drive/serial"
    [ "$serial" = SERIAL ] && [ -b "/dev/${drive##*/}" ] && disk=/dev/${drive##*/}
  done 2>/dev/null
  if [ -z "$disk" ]; then
    looks=$((looks + 1))
    if [ $looks -gt LOOKS ]; then echo 'the disk did not appear' >&2; exit 75; fi
    sleep 0.1
  fi
done
"#;
/// A tar archive spends a header on every file, however small.
const HEADER: u64 = 512;

pub struct Payload {
    pub file: PathBuf,
    pub what: String,
    pub bytes: u64,
    read: Read,
    ours: bool,
}

enum Read {
    /// `cat` to this path, cut to the size: disks end at a full sector.
    File { to: String, mode: u32 },
    /// `tar -x` in this directory.
    Directory { to: String },
}

impl Payload {
    /// The file itself is the disk: nothing is copied.
    pub fn file(from: &Path, to: &str) -> Option<Self> {
        let meta = from.metadata().ok()?;
        Some(Self {
            file: from.canonicalize().ok()?,
            what: name(from),
            bytes: meta.len(),
            read: Read::File { to: to.into(), mode: meta.permissions().mode() & 0o7777 },
            ours: false,
        })
    }

    /// The contents of `from` as an archive at `image`.
    pub fn directory(from: &Path, to: &str, image: &Path) -> Option<Self> {
        let mut payload = Self {
            file: image.to_owned(),
            what: name(from),
            bytes: 0,
            read: Read::Directory { to: to.into() },
            ours: true,
        };
        let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, File::create(image).ok()?));
        archive.follow_symlinks(false);
        archive.append_dir_all(".", from).ok()?;
        archive.into_inner().ok()?.into_inner().ok()?;
        payload.bytes = image.metadata().ok()?.len();
        Some(payload)
    }

    /// For the guest's shell: waits for the disk with that serial and unpacks it.
    pub fn script(&self, serial: &str, sudo: bool) -> String {
        let cat = if sudo { "sudo -n cat" } else { "cat" };
        let find = FIND.replace("SERIAL", serial).replace("LOOKS", &LOOKS.to_string());
        let unpack = match &self.read {
            Read::File { to, mode } => {
                let (to, size) = (quoted(to), self.bytes);
                let cut = if size % 512 == 0 {
                    String::new()
                } else {
                    format!(" && dd of={to} bs=1 seek={size} count=0 2>/dev/null")
                };
                format!("{cat} \"$disk\" > {to}{cut} && chmod {mode:o} {to}")
            }
            Read::Directory { to } => {
                let to = quoted(to);
                format!("mkdir -p {to} && {cat} \"$disk\" | tar -xpof - -C {to}")
            }
        };
        // The login shell may be no POSIX shell.
        format!("exec sh -c {}", quoted(&format!("{find}{unpack}")))
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(&self.file); // it lies in the build's scratch space
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A destination that means the same to a shell as to a communicator.
pub fn plain(to: &str) -> bool {
    !to.is_empty() && !to.starts_with(['~', '-']) && !to.ends_with('/')
}

/// Bytes of an archive of the directory; counting stops once there are `enough`.
pub fn weight(dir: &Path, enough: u64) -> u64 {
    let mut total = 0;
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            total += HEADER + if meta.is_file() { meta.len() } else { 0 };
            if meta.is_dir() {
                pending.push(entry.path());
            }
            if total >= enough {
                return total;
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_counts_headers_and_stops_early() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), [0; 100]).unwrap();
        assert_eq!(weight(dir.path(), u64::MAX), 512 + 512 + 100);
        assert_eq!(weight(dir.path(), 1), 512);
    }

    #[test]
    fn scripts_quote_paths_and_cut_to_size() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blob");
        std::fs::write(&file, [7; 513]).unwrap();
        let script = Payload::file(&file, "/srv/it's here").unwrap().script("bakehouse-1", true);
        let out = std::process::Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(script.contains("seek=513") && script.contains("sudo -n cat"), "{script}");
    }

    #[test]
    fn tilde_options_and_folders_go_by_the_communicator() {
        assert!(plain("/tmp/x") && plain("x"));
        assert!(!plain("~/x") && !plain("-x") && !plain("/tmp/") && !plain(""));
    }
}
