//! A disk booted as EC2 would boot it: NVMe, firmware tables that say "Amazon EC2", and a metadata service at
//! 169.254.169.254, behind which is a socket of ours.

mod parts;
mod serial;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::instance::{DiskFormat, Instance, Launch, Launcher, Login};
use bakehouse_api::{Communicator, Connector, Cx, Error, Kind, Result, UndoId, Value, async_trait};
use bakehouse_kit::imds::{Identity, Service};
use bakehouse_kit::ssh::{SshConnector, SshOptions, Target};

use crate::argv::{Control, Firmware};
use crate::disk::{Img, Source};
use crate::machine::Watched;
use crate::net::{PortLease, lease, random_mac};
use crate::options::Format;
use crate::vm::{LaunchError, State, Vm};
use crate::workspace::socket_dir;
use crate::{accel, firmware, power, start};
use parts::{ADDRESS, Parts};

const BINARY: &str = "qemu-system-x86_64";
/// Takes any firmware, and puts the network card where EC2's Nitro system has it.
const MACHINE: &str = "pc";
/// Launches, each with another port for SSH.
const LAUNCHES: usize = 8;
/// For a guest to shut down when its run is interrupted: one that writes to the user's disk must not lose what it has
/// in memory.
const KEPT: Duration = Duration::from_secs(50);
const THROWN_AWAY: Duration = Duration::from_secs(15);
/// The last of a guest that could not be reached.
const LAST_LINES: usize = 15;

pub struct Local;

#[async_trait]
impl Launcher for Local {
    async fn launch(&self, cx: &Cx, launch: &Launch) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Running::start(cx, launch).await?))
    }
}

struct Running {
    cx: Cx,
    vm: Vm,
    /// The undo that switches it off.
    power: UndoId,
    port: PortLease,
    serial: PathBuf,
    _service: Service,
    _follower: Option<serial::Follower>,
}

impl Running {
    async fn start(cx: &Cx, launch: &Launch) -> Result<Self> {
        let choice = accel::choose(cx, BINARY, None).await.map_err(|error| start::hint_package(BINARY, error))?;
        if let Some(why) = &choice.why {
            cx.say(format!("Using the accelerator {}: {why}", choice.accelerator.as_str()));
        }
        let (disk, format) = disk(cx, launch).await?;
        let firmware = firmware(cx, launch.uefi)?;
        let sockets = socket_dir(cx)?;
        let mac = random_mac()?;
        let metadata = sockets.join("imds");
        let service = Service::start(cx, &metadata, &identity(launch, &mac), launch.metadata.token_required)?;
        let serial = launch.serial.clone().unwrap_or_else(|| cx.temp().join("serial.log"));
        let control = Control {
            qmp: sockets.join("qmp"),
            user_qmp: Some(sockets.join("power")),
            agent: sockets.join("agent"),
            serial: serial.clone(),
            command: cx.temp().join("qemu-command.log"),
        };
        let parts = Parts { launch, choice: &choice, disk: &disk, format, firmware, mac: &mac, metadata: &metadata };
        let (vm, port) = launch_vm(cx, &parts, &control).await?;
        let power = cx.hold(power::off(&sockets.join("power"), if launch.keep { KEPT } else { THROWN_AWAY }))?;
        let follower = launch.serial.is_none().then(|| serial::Follower::start(cx, &serial));
        Ok(Self { cx: cx.clone(), vm, power, port, serial, _service: service, _follower: follower })
    }

    fn login(&self, login: &Login) -> Result<Watched> {
        let mut options = SshOptions::of([("ssh_username", Value::from(login.user.as_str()))])
            .ok_or_else(|| Error::new(Kind::Internal, "the options of a plain login were refused"))?;
        options.ssh_timeout = Some(login.timeout);
        options.ssh_private_key_file = login.key.clone();
        options.ssh_agent_auth = login.key.is_none();
        options.ssh_disable_agent_forwarding = true;
        let target =
            Target { host: "127.0.0.1".into(), port: self.port.port, generated_key: None, known_host_keys: vec![] };
        let inner = Arc::new(SshConnector::new(options, target));
        Ok(Watched { inner, status: self.vm.status.clone() })
    }
}

/// The user's own file, or an overlay of it that goes with the run.
async fn disk(cx: &Cx, launch: &Launch) -> Result<(PathBuf, Format)> {
    let format = match launch.format {
        DiskFormat::Qcow2 => Format::Qcow2,
        DiskFormat::Raw => Format::Raw,
    };
    if launch.keep {
        return Ok((launch.disk.clone(), format));
    }
    let overlay = cx.temp().join("overlay.qcow2");
    let base = launch.disk.clone();
    let source = Source::Overlay { base, format: format.as_str().to_owned(), size: None };
    Img { cx, args: None }.create(&overlay, Format::Qcow2, &source).await?;
    Ok((overlay, Format::Qcow2))
}

/// A new instance knows no stored UEFI variables.
fn firmware(cx: &Cx, uefi: bool) -> Result<Firmware> {
    if !uefi {
        return Ok(Firmware::Builtin);
    }
    let wanted = firmware::Wanted { architecture: "x86_64", machine_type: MACHINE, secure_boot: false };
    let found = start::firmware_by_descriptors(cx, wanted)?;
    let vars = match found.vars {
        Some((template, format)) => {
            let store = cx.temp().join("uefi-variables");
            start::copy_store(&template, &store)?;
            Some((store, format))
        }
        None => None,
    };
    Ok(Firmware::Uefi { code: found.code, code_format: found.code_format, vars, smm: found.smm })
}

fn identity(launch: &Launch, mac: &str) -> Identity {
    let metadata = &launch.metadata;
    let named = || format!("ip-{}.ec2.internal", ADDRESS.replace('.', "-"));
    Identity {
        instance_id: metadata.instance_id.clone(),
        instance_type: metadata.instance_type.clone(),
        image_id: "ami-00000000000000000".into(),
        hostname: metadata.hostname.clone().unwrap_or_else(named),
        address: ADDRESS.into(),
        mac: mac.to_owned(),
        region: metadata.region.clone(),
        public_key: metadata.public_key.clone(),
        user_data: metadata.user_data.clone(),
    }
}

async fn launch_vm(cx: &Cx, parts: &Parts<'_>, control: &Control) -> Result<(Vm, PortLease)> {
    let locks = cx.settings().cache.join("ports");
    let mut spent = Vec::new();
    loop {
        let port = lease(&locks, "127.0.0.1", 2222, 4444, "SSH")?;
        let argv = parts.hardware(control, port.port).argv();
        match Vm::launch(cx, BINARY, argv, control).await {
            Ok(vm) => return Ok((vm, port)),
            Err(LaunchError::PortTaken(error)) => {
                // Kept until the launch works, so that the next try does not choose it again.
                spent.push(port);
                if spent.len() == LAUNCHES {
                    return Err(error.hint("a port of --port-forward is in use on this machine: choose another one"));
                }
            }
            Err(LaunchError::Other(error)) => return Err(error),
        }
    }
}

#[async_trait]
impl Instance for Running {
    fn ssh_port(&self) -> u16 {
        self.port.port
    }

    async fn connect(&self, cx: &Cx, login: &Login) -> Result<Arc<dyn Communicator>> {
        cx.say(format!("Waiting for `{}` to log in by SSH, for up to {:?}", login.user, login.timeout));
        self.login(login)?.connect(cx).await.map_err(|error| match serial::tail(&self.serial, LAST_LINES) {
            Some(lines) if error.kind() != Kind::Interrupted => {
                error.hint(format!("look at the last lines of its serial console:\n{lines}"))
            }
            _ => error,
        })
    }

    async fn ended(&self) -> Result<()> {
        let state = self.vm.status.ended().await;
        self.cx.forget(self.power);
        match state {
            State::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn power_off(&self, cx: &Cx, patience: Duration) -> Result<()> {
        cx.say("Switching the guest off");
        if tokio::time::timeout(patience, power::press(&self.vm.qmp)).await.is_err() {
            cx.message(format!("It does not react to its power button within {patience:?}: cutting the power"));
            self.vm.force_off().await?;
        }
        self.ended().await
    }
}

/// The path as it is in a command line that GLib splits: what needs it is quoted.
fn command(relay: &[String], socket: &Path) -> String {
    let words = relay.iter().map(String::as_str).chain([socket.to_str().unwrap_or_default()]);
    words.map(bakehouse_kit::process::quoted).collect::<Vec<_>>().join(" ")
}
