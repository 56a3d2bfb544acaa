//! `run`: boots a disk here as EC2 would.

mod session;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::instance::{DiskFormat, DiskInterface, Launch, Login, Metadata};
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_boxes::disk::{self, Format};
use bakehouse_boxes::preflight::{self, Architecture, Facts};
use bakehouse_kit::disks::{self, blocking};
use clap::ValueEnum;
use serde::Serialize;

use super::End;
use super::caching::duration;
use super::errand::{Errand, Telling, carry_out};
use crate::registry;
use session::Key;

#[derive(clap::Args)]
#[command(after_help = "Without --check, --wait-ssh or --ssh it runs until the guest switches itself off, or Ctrl-C.")]
pub struct Args {
    /// A disk (qcow2, raw, vmdk, vhd, vhdx, vdi), an OVA or a Vagrant box.
    file: PathBuf,
    /// Write to the disk itself. Otherwise what the guest writes is gone when it ends.
    #[arg(long)]
    keep: bool,
    /// User data for cloud-init, as an instance would be given it.
    #[arg(long, value_name = "FILE", help_heading = "Metadata")]
    user_data: Option<PathBuf>,
    /// Public key to log in with. Otherwise one is made for this run.
    #[arg(long, value_name = "FILE", help_heading = "Metadata")]
    ssh_key: Option<PathBuf>,
    /// Whether the metadata service wants tokens (IMDSv2).
    #[arg(long, value_enum, default_value = "required", value_name = "TOKENS", help_heading = "Metadata")]
    imds: Imds,
    /// Name of the instance.
    #[arg(long, help_heading = "Metadata")]
    hostname: Option<String>,
    /// Instance type that the metadata tells; the machine stays as it is.
    #[arg(long, default_value = "t3.micro", value_name = "TYPE", help_heading = "Metadata")]
    instance_type: String,
    /// Region that the metadata tells.
    #[arg(long, default_value = "us-east-1", help_heading = "Metadata")]
    region: String,
    /// Memory in MiB.
    #[arg(long, default_value_t = 1024, value_name = "MIB", help_heading = "Machine",
        value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    #[arg(long, default_value_t = 2, value_name = "COUNT", help_heading = "Machine", help = "Processors",
        value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// What starts the disk; by default what it has a boot loader for, a BIOS first.
    #[arg(long, value_enum, help_heading = "Machine")]
    firmware: Option<Firmware>,
    /// How the disk is attached.
    #[arg(long, value_enum, default_value = "nvme", value_name = "INTERFACE", help_heading = "Machine")]
    disk_interface: Interface,
    /// Lead a TCP port of this machine's loopback to one of the guest. May be given several times.
    #[arg(long, value_name = "HERE:GUEST", value_parser = forward, help_heading = "Machine")]
    port_forward: Vec<(u16, u16)>,
    /// Write the serial line to a file instead of showing it.
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    serial: Option<PathBuf>,
    /// Log in by SSH, and switch the guest off afterwards.
    #[arg(long, conflicts_with_all = ["check", "wait_ssh", "json", "events"], help_heading = "Session")]
    ssh: bool,
    /// Run a command by SSH, switch the guest off, and end with the command's exit code.
    #[arg(long, value_name = "COMMAND", conflicts_with = "wait_ssh", help_heading = "Session")]
    check: Option<String>,
    /// Wait until SSH lets us in, and switch the guest off.
    #[arg(long, help_heading = "Session")]
    wait_ssh: bool,
    /// Who logs in; by default cloud-init's default user on the disk, else root.
    #[arg(long, value_name = "USER", help_heading = "Session")]
    ssh_user: Option<String>,
    /// How long the guest may take until SSH lets us in.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration, help_heading = "Session")]
    timeout: Duration,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Imds {
    Required,
    /// Version 1 works too.
    Optional,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Firmware {
    Bios,
    Uefi,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Interface {
    /// As on EC2.
    Nvme,
    Virtio,
}

/// How it ended.
#[derive(Serialize)]
struct Ended {
    instance_id: String,
    firmware: &'static str,
    /// Of the command in the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<u8>,
}

fn forward(text: &str) -> Result<(u16, u16), String> {
    let ports = text.split_once(':').and_then(|(here, guest)| Some((here.parse().ok()?, guest.parse().ok()?)));
    ports.filter(|(here, guest)| *here > 0 && *guest > 0).ok_or_else(|| "write two ports, like 8080:80".into())
}

pub fn run(args: &Args, machine_readable: bool) -> Result<End> {
    let errand = Errand {
        name: "run",
        telling: &args.telling,
        machine_readable,
        force: false,
        leave: false,
        live: !args.ssh,
        secrets: Default::default(),
    };
    let mut code = 0;
    let end = carry_out(&errand, async |cx| {
        let ended = args.boot(cx).await?;
        code = ended.exit.unwrap_or(0);
        Ok(ended)
    })?;
    Ok(if end == End::Success && code != 0 { End::Code(code) } else { end })
}

impl Args {
    async fn boot(&self, cx: &Cx) -> Result<Ended> {
        let (disk, format, facts) = self.disk(cx).await?;
        let key = Key::of(cx, self.ssh_key.as_deref())?;
        let launch = self.launch(cx, disk, format, &facts, &key)?;
        let user = self.ssh_user.clone().or(facts.login).unwrap_or_else(|| "root".into());
        let login = Login { user, key: key.private.clone(), timeout: self.timeout };
        let firmware = if launch.uefi { "uefi" } else { "bios" };
        cx.say(format!("Booting {} by {firmware} as {}", self.file.display(), launch.metadata.instance_id));
        let guest = registry::launcher().launch(cx, &launch).await?;
        let exit = match (&self.check, self.wait_ssh, self.ssh) {
            (Some(command), _, _) => Some(session::check(cx, &*guest, &login, command).await?),
            (None, true, _) => session::wait(cx, &*guest, &login).await.map(|()| None)?,
            (None, false, true) => Some(session::open(cx, &*guest, &login).await?),
            (None, false, false) => session::watch(cx, &*guest, &login).await.map(|()| None)?,
        };
        Ok(Ended { instance_id: launch.metadata.instance_id, firmware, exit })
    }

    /// The disk as QEMU takes it, and what can be read of it.
    async fn disk(&self, cx: &Cx) -> Result<(PathBuf, DiskFormat, Facts)> {
        let given = cx.settings().cwd.join(&self.file);
        let path = match disk::kind(&given)? {
            disk::Kind::Qcow2 | disk::Kind::Raw | disk::Kind::Other => given,
            _ if self.keep => {
                let error = format!("{} cannot be written to while it runs", self.file.display());
                return Err(Error::new(Kind::Config, error).hint("convert it: qemu-img convert -O qcow2 OLD NEW"));
            }
            _ => self.converted(cx, given).await?,
        };
        let format = match disk::format(&path)? {
            Format::Qcow2 => DiskFormat::Qcow2,
            Format::Raw => DiskFormat::Raw,
        };
        let looked = path.clone();
        // A qcow2 that our reader cannot take may well run: its facts are not known then.
        let facts = blocking(cx, move || Ok(preflight::of_file(&looked).unwrap_or_default().facts)).await?;
        if facts.architecture == Some(Architecture::Arm64) {
            let error = format!("{} is for arm64, and only x86_64 is booted here", self.file.display());
            return Err(Error::new(Kind::Input, error).hint("`bakehouse preflight` looks at it without booting it"));
        }
        Ok((path, format, facts))
    }

    async fn converted(&self, cx: &Cx, given: PathBuf) -> Result<PathBuf> {
        let mut disks = disks::open(cx, &[given]).await?;
        if disks.len() > 1 {
            cx.warn(format!("{} holds {} disks: only the first one comes along", self.file.display(), disks.len()));
        }
        let missing = || Error::new(Kind::Input, format!("{} holds no disk", self.file.display()));
        disks.drain(..).next().map(|first| first.path).ok_or_else(missing)
    }

    fn launch(&self, cx: &Cx, disk: PathBuf, format: DiskFormat, facts: &Facts, key: &Key) -> Result<Launch> {
        let quiet = self.check.is_some() || self.wait_ssh || self.ssh;
        let given = self.serial.as_ref().map(|path| cx.settings().cwd.join(path));
        Ok(Launch {
            disk,
            format,
            keep: self.keep,
            uefi: self.firmware.map_or(facts.uefi && !facts.bios, |firmware| firmware == Firmware::Uefi),
            interface: match self.disk_interface {
                Interface::Nvme => DiskInterface::Nvme,
                Interface::Virtio => DiskInterface::Virtio,
            },
            memory_mib: self.memory,
            cpus: self.cpus,
            forwards: self.port_forward.clone(),
            serial: given.or_else(|| quiet.then(|| cx.temp().join("serial.log"))),
            metadata: Metadata {
                instance_id: format!("i-{}", &uuid::Uuid::new_v4().simple().to_string()[..17]),
                instance_type: self.instance_type.clone(),
                region: self.region.clone(),
                hostname: self.hostname.clone(),
                user_data: self.user_data.as_deref().map(|path| read(cx, path)).transpose()?,
                public_key: Some(key.public.clone()),
                token_required: matches!(self.imds, Imds::Required),
            },
            relay: relay()?,
        })
    }
}

fn read(cx: &Cx, path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io(format!("reading {}", path.display()), &error);
    std::fs::read(cx.settings().cwd.join(path)).map_err(failed)
}

/// This program, for the guest's way to its metadata service.
fn relay() -> Result<Vec<String>> {
    let program = std::env::current_exe().map_err(|error| Error::io("finding this program's own file", &error))?;
    let program = program.to_str().ok_or_else(|| {
        Error::new(Kind::Host, format!("the name of this program is not UTF-8: {}", program.display()))
    })?;
    Ok(vec![program.to_owned(), "relay".into()])
}

#[cfg(test)]
mod tests {
    use super::forward;

    #[test]
    fn two_ports_make_a_forward() {
        assert_eq!(forward("8080:80"), Ok((8080, 80)));
        for wrong in ["80", "0:80", "80:", "80:x", "70000:80"] {
            assert!(forward(wrong).is_err(), "{wrong}");
        }
    }
}
