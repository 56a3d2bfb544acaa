//! Starting QEMU: ports are chosen, the command line is made of everything decided, and a launch
//! that lost a race for a port is tried again with others.

use std::path::PathBuf;
use std::sync::Arc;

use bakehouse_api::{Cx, Error, Kind, Result, Secret, Template};
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::http::HttpServer;
use bakehouse_kit::process::{Program, quoted};
use tokio::sync::Mutex;

use crate::agent::Agent;
use crate::argv::{Arg, Control, Firmware};
use crate::builder::{QemuBuilder, Resolved};
use crate::frozen::Media;
use crate::hardware::{Parts, hardware};
use crate::machine::Built;
use crate::net::{PortLease, lease};
use crate::options::QemuOptions;
use crate::qmp::Qmp;
use crate::vm::{LaunchError, Vm};
use crate::workspace::Workspace;

/// Launches, each with other ports, before a busy machine is given up.
const LAUNCHES: usize = 8;

pub struct Launcher<'a> {
    pub cx: &'a Cx,
    pub builder: &'a QemuBuilder,
    pub resolved: &'a Resolved,
    pub workspace: &'a Workspace,
    pub disks: &'a [Built],
    pub media: &'a Media,
    pub firmware: Firmware,
    pub tpm: Option<PathBuf>,
    pub http: Option<&'a HttpServer>,
    pub http_ip: String,
    pub mac: String,
    /// The machine waits for a checkpoint to go on from.
    pub incoming: bool,
    /// Where sockets have short paths.
    pub sockets: PathBuf,
}

/// A machine that runs, and what leads to it.
pub struct Launched {
    pub vm: Vm,
    pub ports: Vec<PortLease>,
    pub control: Control,
    pub agent: Option<Arc<Mutex<Agent>>>,
    pub hotplug_bus: Option<&'static str>,
    pub ssh_port: Option<u16>,
}

/// Leases of one launch.
struct Ports {
    ssh: Option<PortLease>,
    vnc: Option<PortLease>,
}

impl Launcher<'_> {
    pub async fn launch(&self) -> Result<Launched> {
        let window = self.window().await;
        let mut spent = Vec::new();
        loop {
            let ports = self.ports()?;
            match self.try_once(ports, window).await {
                Ok(launched) => return Ok(launched),
                Err((LaunchError::PortTaken(error), ports)) => {
                    // Kept until the launch works, so that the next try does not choose it again.
                    spent.push(ports);
                    if spent.len() == LAUNCHES {
                        return Err(error.hint("other programs keep taking the ports: choose another port range"));
                    }
                }
                Err((LaunchError::Other(error), _)) => return Err(error.at(self.builder.at("qemuargs"))),
            }
        }
    }

    async fn try_once(&self, ports: Ports, window: Option<&'static str>) -> Result<Launched, (LaunchError, Ports)> {
        let ssh_port = ports.ssh.as_ref().map(|lease| lease.port);
        let parts = match self.parts(&ports, window) {
            Ok(parts) => parts,
            Err(error) => return Err((LaunchError::Other(error), ports)),
        };
        let control = parts.control.clone();
        let hardware = hardware(&self.builder.options, parts);
        let (argv, binary) = (hardware.argv(), &self.builder.options.qemu_binary);
        let shown: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
        // Evidence, should the build fail; too long to be read while it works.
        let _ = std::fs::write(&control.command, format!("{} {}\n", quoted(binary), shown.join(" ")));
        let vm = match Vm::launch(self.cx, binary, argv, &control).await {
            Ok(vm) => vm,
            Err(error) => return Err((error, ports)),
        };
        let agent = hardware.has_agent_channel().then(|| Arc::new(Mutex::new(Agent::new(control.agent.clone()))));
        let hotplug_bus = hardware.hotplug_bus();
        let ports = ports.ssh.into_iter().chain(ports.vnc).collect();
        Ok(Launched { vm, ports, control, agent, hotplug_bus, ssh_port })
    }

    fn ports(&self) -> Result<Ports> {
        let options = &self.builder.options;
        let locks = self.cx.settings().cache.join("ports");
        let at = |option: &'static str| move |error: Error| error.at(self.builder.at(option));
        let forwards =
            options.comm.communicator == CommKind::Ssh && options.net_bridge.is_none() && !options.skip_nat_mapping;
        let ssh = forwards.then(|| {
            lease(&locks, "127.0.0.1", options.host_port_min, options.host_port_max, "SSH").map_err(at("host_port_min"))
        });
        let vnc = (!options.disable_vnc).then(|| {
            let (min, max) = (options.vnc_port_min, options.vnc_port_max);
            lease(&locks, &options.vnc_bind_address, min, max, "VNC").map_err(at("vnc_port_min"))
        });
        Ok(Ports { ssh: ssh.transpose()?, vnc: vnc.transpose()? })
    }

    fn parts(&self, ports: &Ports, window: Option<&'static str>) -> Result<Parts> {
        let options = &self.builder.options;
        let ssh_port = ports.ssh.as_ref().map(|lease| lease.port);
        let media = self.media;
        let iso = (!options.disk_image).then(|| self.resolved.iso.clone());
        Ok(Parts {
            name: self.builder.vm_name.clone(),
            accelerator: self.resolved.accel.accelerator,
            disks: self.disks.iter().map(|disk| (disk.file.clone(), disk.format)).collect(),
            iso,
            cd: media.cd.clone(),
            seed: media.seed.clone(),
            floppy: media.floppy.clone(),
            ssh_port,
            vnc_port: ports.vnc.as_ref().map(|lease| lease.port),
            mac: self.mac.clone(),
            firmware: self.firmware.clone(),
            tpm: self.tpm.clone(),
            window,
            control: self.control(options),
            incoming: self.incoming,
            user: self.args(&options.qemuargs, ssh_port)?,
            extra: self.args(&options.qemuargs_extra, ssh_port)?,
        })
    }

    fn control(&self, options: &QemuOptions) -> Control {
        let monitor = || self.workspace.file(&format!("{}.monitor", self.builder.vm_name));
        Control {
            qmp: self.sockets.join("qmp"),
            user_qmp: options.qmp_enable.then(|| options.qmp_socket_path.clone().unwrap_or_else(monitor)),
            agent: self.sockets.join("agent"),
            serial: self.cx.temp().join("serial.log"),
            command: self.cx.temp().join("qemu-command.log"),
        }
    }

    /// Each entry's first word is the switch, the others together are its value.
    fn args(&self, lines: &[Vec<Template>], ssh_port: Option<u16>) -> Result<Vec<Arg>> {
        let http_port = self.http.map(|http| http.port().to_string()).unwrap_or_default();
        let ssh_port = ssh_port.map(|port| port.to_string()).unwrap_or_default();
        let partial = self.workspace.partial.to_string_lossy();
        let fields = [
            ("HTTPIP", self.http_ip.as_str()),
            ("HTTPPort", &http_port),
            ("Name", &self.builder.vm_name),
            ("OutputDir", &partial),
            ("SSHHostPort", &ssh_port),
        ];
        let line = |line: &Vec<Template>| {
            let words = line.iter().map(|word| word.render(fields)).collect::<Result<Vec<String>>>()?;
            let Some((switch, values)) = words.split_first() else {
                return Err(Error::new(Kind::Internal, "an empty line of qemuargs passed validation"));
            };
            let value = (!values.is_empty()).then(|| self.moved(&values.concat()));
            Ok((switch.clone(), value))
        };
        lines.iter().map(line).collect()
    }

    /// Templates also write the output directory out; until the build is complete it is elsewhere.
    fn moved(&self, value: &str) -> String {
        let output = self.builder.output.to_string_lossy();
        let (written, partial) = (format!("file={output}/"), format!("file={}/", self.workspace.partial.display()));
        value.replace(&written, &partial)
    }

    /// The window that this QEMU can open on this desktop.
    async fn window(&self) -> Option<&'static str> {
        let options = &self.builder.options;
        if options.headless || options.use_default_display || options.display.is_some() {
            return None;
        }
        let env = &self.cx.settings().env;
        let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env.get(*name).is_some_and(|v| !v.is_empty()));
        if !desktop {
            self.cx
                .message("There is no display to open a window on: the machine runs without one, as with `headless`");
            return None;
        }
        let help = Program::new(&options.qemu_binary).args(["-display", "help"]);
        let listed = help.deadline(std::time::Duration::from_secs(10)).run(self.cx).await.ok()?.stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let known = ["gtk", "sdl", "cocoa"].into_iter().find(|kind| listed.lines().any(|line| line.trim() == *kind));
        if known.is_none() {
            self.cx.message("This QEMU can open no window: the machine runs without one");
        }
        known
    }
}

/// Sets the password that VNC viewers are asked for.
pub async fn set_vnc_password(cx: &Cx, options: &QemuOptions, qmp: &Qmp) -> Result<()> {
    if options.disable_vnc || !options.vnc_password() {
        return Ok(());
    }
    let password = match &options.vnc_password {
        Some(password) => password.clone(),
        None => random_password()?,
    };
    cx.secrets().add(password.reveal());
    let arguments = serde_json::json!({ "protocol": "vnc", "password": password.reveal() });
    qmp.raw("set_password", arguments).await.map_err(|error| Error::from(error).context("setting the VNC password"))?;
    Ok(())
}

fn random_password() -> Result<Secret> {
    use std::io::Read;
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0u8; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|error| Error::io("reading /dev/urandom", &error))?;
    Ok(Secret::new(bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).iter().collect::<String>()))
}
