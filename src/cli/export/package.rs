//! Raw disks become what was asked for, complete before they have their names.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_api::bridge::Exported;
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::disk::{self, Raw};
use bakehouse_boxes::pack::{self, Compression};
use bakehouse_boxes::preflight::{self, Facts};
use bakehouse_boxes::provider::{self, Guest};
use bakehouse_boxes::{ova, vmdk};
use bakehouse_kit::disks::blocking;
use bakehouse_kit::output::Output;
use bakehouse_kit::process::Program;
use bakehouse_kit::undo;

use super::Format;

/// gzip's usual level.
const GZIP: u32 = 6;

/// The files that were made of the disks, the one to boot from first.
pub async fn pack(cx: &Cx, exported: &Exported, format: Format, target: &Path) -> Result<Vec<PathBuf>> {
    let disks = &exported.disks;
    if matches!(format, Format::Ova | Format::Box) {
        let guest = guest(cx, exported).await?;
        match format {
            Format::Ova => archive(cx, disks.clone(), guest, target).await?,
            _ => vagrant_box(cx, disks, guest, target).await?,
        }
        return Ok(vec![target.to_owned()]);
    }
    let mut made = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        let target = numbered(target, number);
        match format {
            Format::Raw => rename(disk, &target)?,
            Format::Qcow2 => {
                // Beside the target, so that it only has to be renamed.
                let partial = disk.with_extension("qcow2");
                let held = cx.hold(undo::path(&partial))?;
                qcow2(cx, disk, &partial).await?;
                rename(&partial, &target)?;
                cx.forget(held);
            }
            _ => one_vmdk(cx, disk.clone(), target.clone()).await?,
        }
        made.push(target);
    }
    Ok(made)
}

/// `disk.qcow2`, `disk-1.qcow2`, ...
fn numbered(target: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return target.to_owned();
    }
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let ending = target.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    target.with_file_name(format!("{stem}-{number}{ending}"))
}

/// The folder of the raw disk is beside the target.
fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| Error::io(format!("writing {}", to.display()), &error))
}

/// Zeroes stay holes.
async fn qcow2(cx: &Cx, from: &Path, to: &Path) -> Result<()> {
    cx.say("Writing the disk as qcow2");
    let convert = Program::new("qemu-img").args(["convert", "-W", "-m", "16", "-f", "raw", "-O", "qcow2"]);
    convert.arg(from).arg(to).check(cx).await.map_err(|error| {
        let error = Error::from(error);
        if error.kind() == Kind::Missing {
            error.hint("Debian and Ubuntu have it in the package `qemu-utils`")
        } else {
            error
        }
    })?;
    Ok(())
}

async fn one_vmdk(cx: &Cx, from: PathBuf, to: PathBuf) -> Result<()> {
    cx.say("Writing the disk as a stream-optimised VMDK");
    let work = cx.clone();
    written(cx, to.clone(), move |mut file| {
        let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut raw = Raw::open(&from)?;
        let id = libdeflater::crc32(name.as_bytes());
        vmdk::write(&mut raw, &name, id, &mut file, &mut |_| going_on(&work))
            .map_err(|error| Error::new(Kind::Host, error).context(format!("writing {}", to.display())))
    })
    .await
}

async fn archive(cx: &Cx, disks: Vec<PathBuf>, guest: Guest, to: &Path) -> Result<()> {
    cx.say("Packing an OVA");
    let (work, mtime) = (cx.clone(), now());
    let name = to.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    written(cx, to.to_owned(), move |file| {
        let descriptor = provider::machine(&name, &name, &disks, &guest)?;
        ova::write(file, &descriptor, &disks, mtime, &mut |_| going_on(&work))?;
        Ok(())
    })
    .await
}

async fn vagrant_box(cx: &Cx, disks: &[PathBuf], guest: Guest, to: &Path) -> Result<()> {
    let mut converted = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        let path = cx.temp().join(format!("box{number}.qcow2"));
        qcow2(cx, disk, &path).await?;
        converted.push(path);
    }
    cx.say("Packing a Vagrant box for libvirt");
    let (work, mtime) = (cx.clone(), now());
    written(cx, to.to_owned(), move |file| {
        let contents = provider::libvirt(&converted, &guest)?;
        let options = pack::Options { compression: Compression::Gzip(GZIP), mtime };
        pack::write(file, &contents, &options, &mut |_| going_on(&work))?;
        Ok(())
    })
    .await
}

/// On a thread of its own, into a file that gets its name when it is complete.
async fn written(cx: &Cx, to: PathBuf, work: impl FnOnce(std::fs::File) -> Result<()> + Send + 'static) -> Result<()> {
    let output = Output::create(cx, &to)?;
    let file = output.file()?;
    let done = blocking(cx, move || work(file)).await;
    output.settle(done)
}

fn going_on(cx: &Cx) -> std::io::Result<()> {
    if cx.cancel().is_cancelled() { Err(std::io::Error::other("interrupted")) } else { Ok(()) }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What the disk and the image tell of the machine.
async fn guest(cx: &Cx, exported: &Exported) -> Result<Guest> {
    let first = exported.disks.first().cloned();
    let facts = blocking(cx, move || {
        let read = first.filter(|path| disk::open(path).is_ok());
        Ok(read.and_then(|path| preflight::of_file(&path).ok()).map(|report| report.facts).unwrap_or_default())
    });
    let Facts { bios, uefi, .. } = facts.await?;
    Ok(Guest {
        architecture: provider::architecture(&exported.architecture).to_owned(),
        uefi: exported.boot_mode == "uefi" || uefi && !bios,
        cpus: None,
        memory_mib: None,
        sata: true,
        virtio_net: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_disks_have_numbers() {
        assert_eq!(numbered(Path::new("/x/web.qcow2"), 0), Path::new("/x/web.qcow2"));
        assert_eq!(numbered(Path::new("/x/web.qcow2"), 2), Path::new("/x/web-2.qcow2"));
        assert_eq!(numbered(Path::new("web"), 1), Path::new("web-1"));
    }
}
