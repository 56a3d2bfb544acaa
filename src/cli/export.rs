//! `export`: the disk of an AMI comes to this machine.

mod package;

use std::path::{Path, PathBuf};

use bakehouse_api::bridge::{Export, Exported, Via};
use bakehouse_api::{Error, Kind, Result, Secrets};
use bakehouse_kit::undo;
use clap::ValueEnum;
use serde::Serialize;

use super::End;
use super::account::{AccountArgs, checked};
use super::errand::{Errand, Telling, carry_out};
use crate::registry;

#[derive(clap::Args)]
pub struct Args {
    /// The AMI.
    #[arg(value_name = "AMI")]
    image: String,
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Its format; else as its name ends.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Block by block (ebs-direct), or by the service that writes into a bucket (image).
    #[arg(long, value_name = "WAY", value_parser = via)]
    via: Option<Via>,
    /// Every volume of the AMI; else the one to boot from. Further disks are called NAME-1, NAME-2, ...; an OVA and a
    /// box hold them all.
    #[arg(long)]
    all: bool,
    /// Requests under way at once.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// Bucket for the way through one.
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Beginning of the object's name.
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// Role of the export service; else vmimport.
    #[arg(long, value_name = "NAME", requires = "bucket")]
    role_name: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Qcow2,
    Raw,
    /// Stream-optimised, as OVAs have it.
    Vmdk,
    Ova,
    /// A Vagrant box for libvirt.
    Box,
}

/// What came out.
#[derive(Serialize)]
struct Made {
    image: String,
    name: String,
    via: Via,
    files: Vec<PathBuf>,
    bytes: u64,
    received: u64,
    architecture: String,
    boot_mode: String,
}

fn via(text: &str) -> Result<Via, String> {
    Via::named(text).filter(|way| *way != Via::Snapshot).ok_or_else(|| "it must be ebs-direct or image".into())
}

pub fn run(args: &Args, machine_readable: bool) -> Result<End> {
    let bridge = registry::need_bridge()?;
    let account = args.account.options();
    checked("export", |body, found| bridge.check_account(body, &account, found))?;
    let format = args.format()?;
    let errand = Errand {
        name: "export",
        telling: &args.telling,
        machine_readable,
        force: args.force,
        leave: false,
        live: true,
        secrets: Secrets::default(),
    };
    carry_out(&errand, async |cx| {
        let target = cx.settings().cwd.join(&args.to);
        if target.exists() && !args.force {
            let error = format!("{} is there already", args.to.display());
            return Err(Error::new(Kind::Config, error).hint("export to another file, or replace it with --force"));
        }
        let folder = workplace(&target)?;
        let held = cx.hold(undo::empty(&folder))?;
        let exported = bridge.export(cx, &account, &args.export(&folder)).await?;
        let files = package::pack(cx, &exported, format, &target).await?;
        std::fs::remove_dir_all(&folder)
            .map_err(|error| Error::io(format!("removing {}", folder.display()), &error))?;
        cx.forget(held);
        let Exported { via, image, name, bytes, received, architecture, boot_mode, .. } = exported;
        for file in &files {
            cx.say(format!("Made {}", file.display()));
        }
        Ok(Made { image, name, via, files, bytes, received, architecture, boot_mode })
    })
}

/// A folder beside the file, where an interrupted export is found again.
fn workplace(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| Error::new(Kind::Config, "the file to make has no name"))?;
    let folder = target.with_file_name(format!(".{}.export", name.to_string_lossy()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(format!("making {}", folder.display()), &error))?;
    Ok(folder)
}

impl Args {
    fn export(&self, folder: &Path) -> Export {
        Export {
            image: self.image.clone(),
            into: folder.to_owned(),
            all: self.all,
            via: self.via,
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            role: self.role_name.clone(),
            lanes: self.parallel.map(usize::from),
        }
    }

    fn format(&self) -> Result<Format> {
        let ending = self.to.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let named = match ending.as_deref() {
            Some("qcow2") => Some(Format::Qcow2),
            Some("raw" | "img") => Some(Format::Raw),
            Some("vmdk") => Some(Format::Vmdk),
            Some("ova") => Some(Format::Ova),
            Some("box") => Some(Format::Box),
            _ => None,
        };
        self.format.or(named).ok_or_else(|| {
            Error::new(Kind::Config, format!("the name {} does not tell its format", self.to.display()))
                .hint("let it end with .qcow2, .raw, .vmdk, .ova or .box, or name the format: --format")
        })
    }
}
