//! Disks as they are given, and as they can be read: qcow2 and raw as they are, what else there is through `qemu-img`.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::disk::{self, DiskError};
use bakehouse_boxes::{ova, read};
use serde_json::json;

use crate::process::Program;

/// A box unpacks to so much at most.
const MOST: u64 = 1 << 44;

/// A disk that can be read here.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file that was given, and which disk of it.
    pub origin: PathBuf,
    pub number: usize,
    /// A qcow2 or raw file.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// What of it was never written is not known any more.
    pub rewritten: bool,
}

impl Source {
    pub fn label(&self) -> String {
        match self.number {
            0 => self.origin.display().to_string(),
            number => format!("disk {} of {}", number + 1, self.origin.display()),
        }
    }
}

/// The disks in these files, the one to boot from first, which something could start from.
pub async fn bootable(cx: &Cx, files: &[PathBuf]) -> Result<Vec<Source>> {
    let all = open(cx, files).await?;
    match all.first() {
        None => Err(Error::new(Kind::Config, "no disk is named")),
        Some(first) => starts(first).map(|()| all),
    }
}

/// The disks in these files.
pub async fn open(cx: &Cx, files: &[PathBuf]) -> Result<Vec<Source>> {
    let mut all = Vec::new();
    for file in files {
        let file = cx.settings().cwd.join(file);
        let found = of_file(cx, &file).await.map_err(|error| error.context(format!("opening {}", file.display())))?;
        all.extend(found);
    }
    Ok(all)
}

async fn of_file(cx: &Cx, file: &Path) -> Result<Vec<Source>> {
    let given =
        |path: &Path| Given { origin: file.to_owned(), number: 0, path: path.to_owned(), part: None, foreign: false };
    match disk::kind(file)? {
        disk::Kind::Ova => of_ova(cx, file).await,
        disk::Kind::Box => of_box(cx, file).await,
        kind => Ok(vec![given(file).source(cx, kind).await?]),
    }
}

/// A file, or a part of one, in some format.
struct Given {
    origin: PathBuf,
    number: usize,
    path: PathBuf,
    /// Where it is within the file: offset and size.
    part: Option<(u64, u64)>,
    /// It came in a package of somebody's, and may name no other file of this machine.
    foreign: bool,
}

impl Given {
    async fn source(self, cx: &Cx, kind: disk::Kind) -> Result<Source> {
        let plain = self.part.is_none() && matches!(kind, disk::Kind::Qcow2 | disk::Kind::Raw | disk::Kind::Other);
        let (path, rewritten) = match plain.then(|| disk::open(&self.path)) {
            Some(Ok(_)) => (self.path, false),
            // A chain of files, or a feature that our reader lacks: QEMU's own knows them.
            Some(Err(DiskError::Backing { .. } | DiskError::Qcow2 { .. })) if !self.foreign => {
                (self.convert(cx, kind).await?, true)
            }
            Some(Err(error)) => return Err(error.into()),
            None => (self.convert(cx, kind).await?, true),
        };
        let size = disk::open(&path)?.size();
        if size == 0 || size % 512 != 0 {
            let error = format!("its size of {size} bytes is no number of sectors: it is not a disk");
            return Err(Error::new(Kind::Input, error).hint(KNOWN));
        }
        Ok(Source { origin: self.origin, number: self.number, path, size, rewritten })
    }

    async fn convert(&self, cx: &Cx, kind: disk::Kind) -> Result<PathBuf> {
        let format = kind.qemu().ok_or_else(|| Error::new(Kind::Input, "it holds no disk").hint(KNOWN))?;
        if self.foreign && kind == disk::Kind::Vmdk {
            self.is_one_file()?;
        }
        let target = cx.temp().join(format!("disk-{}.raw", uuid::Uuid::new_v4().simple()));
        let file = json!({ "driver": "file", "filename": self.path, "locking": "off" });
        let file = match self.part {
            Some((offset, size)) => json!({ "driver": "raw", "offset": offset, "size": size, "file": file }),
            None => file,
        };
        let image = json!({ "driver": format, "file": file });
        cx.message(format!("Converting {} with qemu-img", self.origin.display()));
        let convert = Program::new("qemu-img").args(["convert", "-O", "raw"]).arg(format!("json:{image}")).arg(&target);
        convert.check(cx).await.map_err(|error| Error::from(error).hint(KNOWN))?;
        Ok(target)
    }
}

impl Given {
    /// A VMDK that is a text names files wherever it likes.
    fn is_one_file(&self) -> Result<()> {
        let failed = |error| Error::io(format!("reading {}", self.path.display()), &error);
        let file = std::fs::File::open(&self.path).map_err(failed)?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, self.part.map_or(0, |(offset, _)| offset)).map_err(failed)?;
        match &magic == b"KDMV" {
            true => Ok(()),
            false => Err(Error::new(Kind::Input, "its VMDK names other files").hint("convert it to one that is whole")),
        }
    }
}

const KNOWN: &str =
    "a disk is a file in one of the formats qcow2, raw, vmdk, vhd, vhdx, vdi, or an OVA or a Vagrant box";

async fn of_ova(cx: &Cx, file: &Path) -> Result<Vec<Source>> {
    let package = ova::open(file)?;
    let mut all = Vec::new();
    for (number, disk) in package.descriptor.disks.iter().enumerate() {
        let named = package.descriptor.files.iter().find(|file| disk.file.as_ref() == Some(&file.id));
        let part = named.and_then(|file| package.members.iter().find(|part| part.name == file.href));
        let missing = || Error::new(Kind::Input, format!("the OVA does not hold its disk `{}`", disk.id));
        let part = part.ok_or_else(missing)?;
        let given = Given {
            origin: file.to_owned(),
            number,
            path: file.to_owned(),
            part: Some((part.offset, part.size)),
            foreign: true,
        };
        all.push(given.source(cx, disk::Kind::Vmdk).await?);
    }
    Ok(all)
}

async fn of_box(cx: &Cx, file: &Path) -> Result<Vec<Source>> {
    let folder = cx.temp().join(format!("box-{}", uuid::Uuid::new_v4().simple()));
    let (path, into, work) = (file.to_owned(), folder.clone(), cx.clone());
    cx.message(format!("Unpacking {}", file.display()));
    let summary = blocking(cx, move || {
        std::fs::create_dir(&into).map_err(|error| Error::io(format!("making {}", into.display()), &error))?;
        let mut step =
            |_| if work.cancel().is_cancelled() { Err(std::io::Error::other("interrupted")) } else { Ok(()) };
        Ok(read::extract(&path, &into, MOST, &mut step)?)
    })
    .await?;
    let mut all = Vec::new();
    for (number, name) in disks_of(&summary, &folder)?.into_iter().enumerate() {
        let path = folder.join(&name);
        let kind = disk::kind(&path)?;
        let given = Given { origin: file.to_owned(), number, path, part: None, foreign: true };
        all.push(given.source(cx, kind).await?);
    }
    Ok(all)
}

/// As the metadata names them, or the descriptor of a box for VirtualBox.
fn disks_of(summary: &read::Summary, folder: &Path) -> Result<Vec<String>> {
    let listed = summary.metadata.get("disks").and_then(|disks| disks.as_array()).into_iter().flatten();
    let listed: Vec<String> = listed.filter_map(|disk| disk.get("path")?.as_str().map(str::to_owned)).collect();
    let has = |name: &str| summary.members.iter().any(|member| member.name == name);
    let found = match () {
        () if !listed.is_empty() => listed,
        () if has("box.img") => vec!["box.img".to_owned()],
        () if has("box.ovf") => {
            let path = folder.join("box.ovf");
            let text =
                std::fs::read(&path).map_err(|error| Error::io(format!("reading {}", path.display()), &error))?;
            let descriptor = bakehouse_boxes::ovf::parse(&text)?;
            let named = descriptor.disks.iter().filter_map(|disk| {
                let file = descriptor.files.iter().find(|file| disk.file.as_ref() == Some(&file.id));
                file.map(|file| file.href.clone())
            });
            named.collect()
        }
        () => Vec::new(),
    };
    // The names came with the box: only files that were unpacked are meant.
    match found.iter().find(|name| !has(name)) {
        Some(missing) => {
            Err(Error::new(Kind::Input, format!("the box names the disk `{missing}` and does not hold it")))
        }
        None if found.is_empty() => {
            let provider = summary.provider();
            let error = format!("the box is for {provider} and holds no disk that could be imported");
            Err(Error::new(Kind::Input, error).hint("boxes for libvirt, qemu and virtualbox hold disks"))
        }
        None => Ok(found),
    }
}

/// A machine starts from a boot sector or a partition table.
fn starts(first: &Source) -> Result<()> {
    let mut head = vec![0; 1024];
    let data = disk::open(&first.path)?.read(0, &mut head)?;
    if data && (head[510..512] == [0x55, 0xaa] || head[512..520] == *b"EFI PART") {
        return Ok(());
    }
    let error = format!("{} has no boot sector and no partition table: nothing could start from it", first.label());
    Err(Error::new(Kind::Input, error).hint(KNOWN))
}

pub async fn blocking<T: Send + 'static>(cx: &Cx, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let work = async {
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(Error::new(Kind::Internal, error)))
    };
    cx.interruptible(work).await
}
