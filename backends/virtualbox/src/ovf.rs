//! `virtualbox-ovf`: an appliance, wherever it comes from, becomes a machine.

use std::io;
use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::ova::{self, OvaError};
use bakehouse_boxes::ovf::{self, Descriptor};
use bakehouse_boxes::read;
use bakehouse_kit::download::{self, Checksum, Fetched, Location, Request};

use crate::builder::VirtualBoxBuilder;
use crate::claim::Claim;
use crate::options::OvfBuildOptions;
use crate::vboxmanage::{VBoxManage, verbs};
use crate::vm::Vm;

/// Far more than the disks of any box; a compressed bomb is stopped there.
const MOST_UNPACKED: u64 = 4 << 40;

/// An OVF or OVA on this machine.
#[derive(Debug)]
pub struct Appliance {
    pub path: PathBuf,
    pub digest: String,
}

/// What an appliance can come as.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Ovf,
    Ova,
    Box,
}

pub async fn fetch(cx: &Cx, options: &OvfBuildOptions) -> Result<Appliance> {
    let checksum = options.checksum.as_deref().filter(|text| !text.is_empty());
    let checksum = checksum.map_or(Ok(Checksum::None), str::parse).map_err(Error::from)?;
    let url = &options.source_path;
    let extension = url.rsplit('.').next().filter(|extension| extension.len() <= 4).unwrap_or("ova");
    let request = Request {
        urls: vec![url.clone()],
        checksum,
        target: options.target_path.clone(),
        extension: extension.to_owned(),
    };
    let Fetched { path, digest, .. } = download::fetch(cx, &request).await?;
    let remote = matches!(Location::parse(url, &cx.settings().cwd), Ok(Location::Remote(_)));
    let path = cx.settings().cwd.join(path);
    let (work, from) = (cx.clone(), path.clone());
    let opened = tokio::task::spawn_blocking(move || open(&work, &from, remote)).await;
    let path = opened.map_err(|error| Error::new(Kind::Internal, error))??;
    Ok(Appliance { path, digest: digest.to_string() })
}

/// The OVF or OVA in `path`, with everything it names.
fn open(cx: &Cx, path: &Path, remote: bool) -> Result<PathBuf> {
    match form(path).map_err(|error| Error::io(format!("reading {}", path.display()), &error))? {
        Form::Ovf if remote => Err(Error::new(Kind::Config, "an OVF from a URL comes without its disks")
            .hint("use the URL of an OVA or of a Vagrant box, which hold them")),
        Form::Ovf => check_ovf(path).map(|()| path.to_owned()),
        Form::Ova => match ova::open(path) {
            Ok(_) => Ok(path.to_owned()),
            // A plain tar may be a box as well.
            Err(OvaError::Wrong { .. }) if read::metadata(path).is_ok() => unpack(cx, path),
            Err(error) => Err(error.into()),
        },
        Form::Box => unpack(cx, path),
    }
}

fn form(path: &Path) -> io::Result<Form> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(512).read_to_end(&mut head)?;
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    Ok(match text.trim_ascii_start() {
        [b'<', ..] => Form::Ovf,
        _ if head.get(257..262) == Some(b"ustar") => Form::Ova,
        _ => Form::Box,
    })
}

fn check_ovf(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(format!("reading {}", path.display()), &error))?;
    let descriptor = ovf::parse(&bytes).map_err(|error| Error::from(error).context(path.display()))?;
    missing(&descriptor, path).map_or(Ok(()), |name| {
        let error = format!("{} names the file `{name}`, which is not beside it", path.display());
        Err(Error::new(Kind::Input, error).hint("put all files of the appliance into one folder"))
    })
}

fn missing(descriptor: &Descriptor, path: &Path) -> Option<String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    descriptor.files.iter().map(|file| &file.href).find(|href| !folder.join(href).is_file()).cloned()
}

/// Unpacks a Vagrant box into the build's scratch folder.
fn unpack(cx: &Cx, path: &Path) -> Result<PathBuf> {
    let metadata = read::metadata(path)
        .map_err(|error| Error::from(error).hint("`source_path` is an OVF, an OVA, or a Vagrant box for virtualbox"))?;
    let provider = metadata.get("provider").and_then(|provider| provider.as_str()).unwrap_or_default();
    if provider != "virtualbox" {
        let error = format!("{} is a box for {provider}, not for virtualbox", path.display());
        return Err(Error::new(Kind::Input, error).hint("choose the box's version for virtualbox"));
    }
    cx.say(format!("Unpacking the box {}", path.display()));
    let folder = cx.temp().join("box");
    let _ = std::fs::remove_dir_all(&folder); // of a try before this one
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(format!("making {}", folder.display()), &error))?;
    let cancel = cx.cancel();
    let mut go_on = |_| if cancel.is_cancelled() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
    let unpacked = read::extract(path, &folder, MOST_UNPACKED, &mut go_on);
    if cancel.is_cancelled() {
        return Err(Error::interrupted());
    }
    unpacked?;
    let descriptor = folder.join("box.ovf");
    check_ovf(&descriptor)?;
    Ok(descriptor)
}

pub async fn import(
    cx: &Cx,
    builder: &VirtualBoxBuilder,
    options: &OvfBuildOptions,
    vbox: &VBoxManage,
    appliance: &Appliance,
) -> Result<(Vm, Claim)> {
    let name = &builder.vm_name;
    let claim = Claim::take(cx, vbox, name, true).await.map_err(|error| error.at(builder.at("vm_name")))?;
    cx.say(format!("Importing {}", options.source_path));
    let flags = &options.import_flags;
    let import = verbs::import(&appliance.path, name, options.import_opts.as_deref(), flags);
    let imported = vbox.copy(cx, import).await;
    imported.map_err(|error| Error::from(error).at(builder.at("source_path")))?;
    claim.settle(cx, vbox).await
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    const OVF: &str = r#"<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="file1" ovf:href="disk.vmdk"/></References><VirtualSystem ovf:id="x"/></Envelope>"#;

    fn opened(cx: &Cx, path: &Path, remote: bool) -> String {
        match open(cx, path, remote) {
            Ok(path) => format!("opened {}", path.file_name().unwrap().to_string_lossy()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_ovf_needs_its_files_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let path = dir.path().join("x.ovf");
        std::fs::write(&path, OVF).unwrap();
        assert!(opened(&cx, &path, false).contains("names the file `disk.vmdk`, which is not beside it"));
        std::fs::write(dir.path().join("disk.vmdk"), "").unwrap();
        assert_eq!(opened(&cx, &path, false), "opened x.ovf");
        assert_eq!(opened(&cx, &path, true), "an OVF from a URL comes without its disks");
    }

    #[test]
    fn boxes_are_unpacked_and_those_of_others_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let pack = |name: &str, provider: &str| {
            let made = dir.path().join(provider);
            std::fs::create_dir_all(&made).unwrap();
            std::fs::write(made.join("metadata.json"), format!(r#"{{"provider":"{provider}"}}"#)).unwrap();
            std::fs::write(made.join("box.ovf"), OVF).unwrap();
            std::fs::write(made.join("disk.vmdk"), "x").unwrap();
            let path = dir.path().join(name);
            let files = ["metadata.json", "box.ovf", "disk.vmdk"];
            let tar =
                std::process::Command::new("tar").arg("-czf").arg(&path).arg("-C").arg(&made).args(files).status();
            assert!(tar.unwrap().success());
            path
        };
        assert_eq!(opened(&cx, &pack("good.box", "virtualbox"), true), "opened box.ovf");
        assert!(opened(&cx, &pack("other.box", "libvirt"), false).contains("is a box for libvirt, not for virtualbox"));
        let rubbish = dir.path().join("rubbish");
        std::fs::write(&rubbish, "rubbish").unwrap();
        assert!(opened(&cx, &rubbish, false).contains("is not a Vagrant box"));
    }
}
