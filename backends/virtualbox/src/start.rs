//! From a configured source to a machine that runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Connector, Cx, Error, Facts, Kind, Result, Template, Value};
use bakehouse_kit::boot_command::Fields;
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::http::HttpServer;
use bakehouse_kit::ports::{PortLease, lease};
use bakehouse_kit::process::ProcessError;
use bakehouse_kit::ssh::{GeneratedKey, KeyError, SshConnector, Target};
use bakehouse_kit::workspace::Workspace;

use crate::builder::{Source, VirtualBoxBuilder};
use crate::claim::Claim;
use crate::machine::{Steps, VirtualBoxMachine};
use crate::options::{AdditionsMode, CommonOptions};
use crate::tidy::Tidy;
use crate::vboxmanage::{Args, Feature, Info, State, VBoxError, verbs};
use crate::vm::Vm;
use crate::{existing, guest_additions, iso, media, ovf, undo};

/// This machine's address in VirtualBox's address translation.
const NAT_HOST: &str = "10.0.2.2";
/// The rule that leads to the guest's communicator, by Packer's name.
const RULE: &str = "packercomm";

pub async fn start(cx: &Cx, builder: &VirtualBoxBuilder) -> Result<VirtualBoxMachine> {
    let resolved = builder.resolved(cx).await?;
    let common = builder.common();
    let workspace = match common.skip_export {
        true => None,
        false => {
            let made = Workspace::new(cx, &builder.output);
            Some(made.map_err(|error| error.at(builder.at("output_directory")))?)
        }
    };
    let key = make_key(common).await?;
    let (vm, claim) = make_machine(cx, builder).await?;
    let mut tidy = Tidy::new(claim.is_none());
    media::insert(cx, builder, &vm, &mut tidy).await?;
    let http = match common.http.is_enabled() {
        true => Some(HttpServer::start(cx, &common.http).await?),
        false => None,
    };
    let info = vm.info(cx).await?;
    // A machine that was frozen while it ran goes on as it was: only its ports can be changed, once it runs.
    let frozen = info.state() == State::Saved;
    let mut set_up = SetUp { cx, builder, vm: &vm, tidy: &mut tidy, info, frozen };
    let guest_port = set_up.network(http.is_some()).await?;
    let desktop = if frozen { None } else { set_up.remote_desktop().await? };
    let serial = if frozen { None } else { set_up.serial().await? };
    run_lines(cx, builder, &vm, "vboxmanage", &common.vboxmanage, http.as_ref()).await?;
    let power = match claim {
        Some(_) => None,
        None => Some(cx.hold(undo::power(&vm.vbox.install, &vm.id))?),
    };
    cx.say("Starting the machine");
    vm.start(cx, window(cx, common)).await.map_err(|error| with_log(error, &vm))?;
    if let Some(lease) = guest_port.as_ref().filter(|_| frozen) {
        let rule = verbs::forwarding(RULE, lease.port, common.comm.ssh.ssh_port);
        vm.call(cx, verbs::controlvm(&vm.id, &["natpf1", &rule])).await?;
    }
    Ok(VirtualBoxMachine {
        facts: facts(builder, http.as_ref()),
        typing: typing(builder, key.as_ref(), http.as_ref())?,
        connector: connector(common, key, guest_port.as_ref().map(|lease| lease.port)),
        uploads: uploads(builder, resolved.additions.clone(), &vm)?,
        ports: guest_port.into_iter().chain(desktop).collect(),
        acpi_shutdown: common.acpi_shutdown,
        reached: common.comm.communicator != CommKind::None,
        serial,
        vm,
        claim,
        tidy,
        workspace,
        power,
        source: builder.source.clone(),
        vm_name: builder.vm_name.clone(),
        http,
    })
}

async fn make_machine(cx: &Cx, builder: &VirtualBoxBuilder) -> Result<(Vm, Option<Claim>)> {
    let resolved = builder.resolved(cx).await?;
    let vbox = &resolved.vbox;
    match (&builder.source, &resolved.appliance) {
        (Source::Iso(options), _) => {
            let (vm, claim) = iso::create(cx, builder, options, vbox).await?;
            Ok((vm, Some(claim)))
        }
        (Source::Ovf(options), Some(appliance)) => {
            let (vm, claim) = ovf::import(cx, builder, options, vbox, appliance).await?;
            Ok((vm, Some(claim)))
        }
        (Source::Ovf(_), None) => Err(Error::new(Kind::Internal, "an appliance was not fetched")),
        (Source::Existing(options), _) => Ok((existing::adopt(cx, builder, options, vbox).await?, None)),
    }
}

async fn make_key(common: &CommonOptions) -> Result<Option<GeneratedKey>> {
    if common.comm.communicator != CommKind::Ssh || common.comm.ssh.has_credentials() {
        return Ok(None);
    }
    let ssh = common.comm.ssh.clone();
    // An RSA key takes seconds of a processor.
    let made = tokio::task::spawn_blocking(move || ssh.generate_key()).await;
    let made = made.map_err(|error| Error::new(Kind::Internal, error))?;
    let made =
        made.map_err(|error: KeyError| Error::new(Kind::Internal, error).context("making the key of this build"));
    made.map(Some)
}

/// What the build needs of a machine, taken back before the export.
struct SetUp<'a> {
    cx: &'a Cx,
    builder: &'a VirtualBoxBuilder,
    vm: &'a Vm,
    tidy: &'a mut Tidy,
    info: Info,
    frozen: bool,
}

impl SetUp<'_> {
    async fn say(&mut self, what: &'static str, line: Args, back: Vec<Args>) -> Result<(), VBoxError> {
        // An undo that cannot be written down is no refusal of VirtualBox: the call below then never happens.
        self.tidy.later(self.cx, self.vm, what, back).map_err(|error| VBoxError::Process(ProcessError::Undo(error)))?;
        self.vm.vbox.call(self.cx, line).await.map(|_| ())
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.info.get(key).is_some_and(|there| there.eq_ignore_ascii_case(value))
    }

    fn lease(&self, min: u16, max: u16, address: &str, option: &str, what: &str) -> Result<PortLease> {
        let locks = self.cx.settings().cache.join("ports");
        lease(&locks, address, min, max, what).map_err(|error| error.at(self.builder.at(option)))
    }

    /// A port of this machine that leads to the guest's communicator.
    async fn network(&mut self, http: bool) -> Result<Option<PortLease>> {
        let (common, id) = (self.builder.common(), self.vm.id.clone());
        let set = |flag: &str, value: &str| verbs::modifyvm(&id, &[(flag.to_owned(), value.to_owned())]);
        let nat = self.is("nic1", "nat");
        if http
            && nat
            && !self.frozen
            && self.vm.vbox.version.has(Feature::LocalhostReachable)
            && self.is("localhostReachable", "0")
        {
            let flag = "nat-localhostreachable1";
            self.say("the way to this machine", set(flag, "on"), vec![set(flag, "off")]).await?;
        }
        if common.comm.communicator == CommKind::None || common.skip_nat_mapping {
            return Ok(None);
        }
        if !nat {
            let kind = self.info.get("nic1").unwrap_or("none");
            self.cx.warn(format!("the first network card is `{kind}`, not `nat`: no port of this machine leads to it"));
        }
        if self.info.forwardings().contains(&RULE) {
            if self.frozen {
                let error =
                    Error::new(Kind::Host, format!("the frozen machine has a port forwarding named `{RULE}` already"));
                return Err(error.hint("take the snapshot without it, or set `skip_nat_mapping` and `ssh_port`"));
            }
            self.vm.call(self.cx, verbs::unforward(&id, RULE)).await?;
        }
        let lease = self.lease(common.host_port_min, common.host_port_max, "127.0.0.1", "host_port_min", "SSH")?;
        let back = vec![verbs::unforward(&id, RULE)];
        if self.frozen {
            self.tidy.later(self.cx, self.vm, "the port forwarding", back)?;
        } else {
            let rule = verbs::forward(&id, RULE, lease.port, common.comm.ssh.ssh_port);
            self.say("the port forwarding", rule, back).await?;
        }
        self.cx.message(format!(
            "Port {} of this machine leads to the guest's port {}",
            lease.port, common.comm.ssh.ssh_port
        ));
        Ok(Some(lease))
    }

    /// VirtualBox's remote desktop, where it has one.
    async fn remote_desktop(&mut self) -> Result<Option<PortLease>> {
        if self.is("vrde", "on") {
            return Ok(None);
        }
        let (common, id) = (self.builder.common(), self.vm.id.clone());
        let address = &common.vrdp_bind_address;
        let lease =
            self.lease(common.vrdp_port_min, common.vrdp_port_max, address, "vrdp_port_min", "the remote desktop")?;
        let on =
            [("vrde", "on"), ("vrdeauthtype", "null"), ("vrdeaddress", address), ("vrdeport", &lease.port.to_string())]
                .map(|(flag, value)| (flag.to_owned(), value.to_owned()));
        let off = [("vrde", "off"), ("vrdeaddress", ""), ("vrdeport", "default")]
            .map(|(flag, value)| (flag.to_owned(), value.to_owned()));
        // VirtualBox makes a certificate when a remote desktop is switched on, and tells where.
        let mut back = vec![verbs::modifyvm(&id, &off)];
        back.extend(
            ["Method", "ServerCertificate", "ServerPrivateKey"]
                .map(|name| verbs::modifyvm(&id, &[("vrdeproperty".to_owned(), format!("Security/{name}="))])),
        );
        match self.say("the remote desktop", verbs::modifyvm(&id, &on), back).await {
            Ok(()) => {
                self.cx.message(format!("Remote desktop: rdp://{address}:{}", lease.port));
                Ok(Some(lease))
            }
            Err(VBoxError::Refused { said, .. }) => {
                self.cx.message(format!("No remote desktop: {said}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the guest says on a free serial line, for the day the build fails.
    async fn serial(&mut self) -> Result<Option<PathBuf>> {
        if !self.is("uart1", "off") {
            return Ok(None);
        }
        let (id, file) = (self.vm.id.clone(), self.cx.temp().join("serial.log"));
        // A line that is only switched off keeps its file in the machine's settings.
        let off =
            [("uartmode1", "disconnected"), ("uart1", "off")].map(|(flag, value)| (flag.to_owned(), value.to_owned()));
        let off = verbs::modifyvm(&id, &off);
        self.say("the serial line", verbs::serial_file(&id, &file), vec![off]).await?;
        Ok(Some(file))
    }
}

/// Lines of the template, in their order.
pub async fn run_lines(
    cx: &Cx,
    builder: &VirtualBoxBuilder,
    vm: &Vm,
    option: &str,
    lines: &[Vec<Template>],
    http: Option<&HttpServer>,
) -> Result<()> {
    let rendered = render(lines, &builder.vm_name, http)?;
    say_lines(cx, vm, rendered).await.map_err(|error| error.at(builder.at(option)))
}

pub fn render(lines: &[Vec<Template>], name: &str, http: Option<&HttpServer>) -> Result<Vec<Args>> {
    let port = http.map(|http| http.port().to_string()).unwrap_or_default();
    let fields = [("Name", name), ("HTTPIP", NAT_HOST), ("HTTPPort", port.as_str())];
    lines.iter().map(|line| line.iter().map(|word| word.render(fields)).collect()).collect()
}

pub async fn say_lines(cx: &Cx, vm: &Vm, lines: Vec<Args>) -> Result<()> {
    for line in lines {
        cx.message(format!("VBoxManage {}", line.join(" ")));
        vm.vbox.copy(cx, line).await.map_err(|error| Error::from(error).context("running a line of the template"))?;
    }
    Ok(())
}

/// Is there a display to open a window on?
fn window(cx: &Cx, common: &CommonOptions) -> bool {
    let env = &cx.settings().env;
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env.get(*name).is_some_and(|v| !v.is_empty()));
    if !common.headless && !desktop {
        cx.message("There is no display to open a window on: the machine runs without one, as with `headless`");
    }
    !common.headless && desktop
}

/// Nobody else keeps the log of a machine that did not start.
fn with_log(error: Error, vm: &Vm) -> Error {
    let text = std::fs::read(vm.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let told: Vec<&str> =
        text.lines().filter(|line| ["rror", "VERR_", "rc="].iter().any(|word| line.contains(word))).collect();
    let last = told[told.len().saturating_sub(5)..].join("\n");
    if last.is_empty() { error } else { error.hint(format!("VirtualBox's log says:\n{last}")) }
}

/// Files that go into the guest once it is reached.
fn uploads(builder: &VirtualBoxBuilder, additions: Option<PathBuf>, vm: &Vm) -> Result<Uploads> {
    let common = builder.common();
    let version = vm.vbox.version.to_string();
    let path = match &common.guest_additions_path {
        Some(path) => path.render([("Version", version.as_str())])?,
        None => guest_additions::DEFAULT_PATH.to_owned(),
    };
    let upload = common.guest_additions_mode == AdditionsMode::Upload;
    let version_file = Some(common.virtualbox_version_file.clone()).filter(|name| !name.is_empty());
    Ok(Uploads { additions: additions.filter(|_| upload).map(|from| (from, path)), version_file, version })
}

/// What the guest gets once it is reached.
pub struct Uploads {
    pub additions: Option<(PathBuf, String)>,
    pub version_file: Option<String>,
    pub version: String,
}

fn connector(common: &CommonOptions, key: Option<GeneratedKey>, port: Option<u16>) -> Option<Arc<dyn Connector>> {
    if common.comm.communicator == CommKind::None {
        return None;
    }
    let ssh = common.comm.ssh.clone();
    let host = ssh.ssh_host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| "127.0.0.1".into());
    let port = port.unwrap_or(ssh.ssh_port);
    let target = Target { host, port, generated_key: key, known_host_keys: Vec::new() };
    Some(Arc::new(SshConnector::new(ssh, target)))
}

fn facts(builder: &VirtualBoxBuilder, http: Option<&HttpServer>) -> Facts {
    let mut facts = Facts::from([("ID".to_owned(), Value::from(builder.vm_name.as_str()))]);
    facts.extend(http.map(|http| http.facts(NAT_HOST)).unwrap_or_default());
    facts
}

fn typing(builder: &VirtualBoxBuilder, key: Option<&GeneratedKey>, http: Option<&HttpServer>) -> Result<Option<Steps>> {
    let boot = &builder.common().boot;
    if boot.is_empty() {
        return Ok(None);
    }
    let fields = Fields {
        http_ip: NAT_HOST,
        http_port: http.map(HttpServer::port),
        name: &builder.vm_name,
        public_key: key.map(|key| key.public_openssh.as_str()),
    };
    let interval = boot.boot_key_interval.unwrap_or(Duration::ZERO);
    Ok(Some(Steps { steps: fields.steps(boot)?, wait: boot.boot_wait, interval }))
}
