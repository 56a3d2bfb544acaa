//! From a configured source to a machine that runs: disks, media, firmware, then QEMU.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Builder, Connector, Cx, Error, Facts, Kind, Origin, Result, Value};
use bakehouse_kit::boot_command;
use bakehouse_kit::cloud_init::{HostKey, Seed};
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::http::HttpServer;
use bakehouse_kit::ssh::{GeneratedKey, KeyError, KeyKind, SshConnector, Target};

use crate::argv::Firmware;
use crate::bridge::OnBridge;
use crate::builder::{QemuBuilder, Resolved};
use crate::courier::Hotplug;
use crate::disk::{Finish, Img, Source, finish};
use crate::frozen::{self, Frozen, Media, VARIABLES};
use crate::launch::{Launched, Launcher, set_vnc_password};
use crate::live::{self, Live};
use crate::machine::{Built, Harvest, Held, QemuMachine, Steps, Watched};
use crate::net::random_mac;
use crate::options::{Format, QemuOptions};
use crate::tpm::{self, Swtpm};
use crate::workspace::{Workspace, socket_dir};
use crate::{checkpoint, firmware};

/// This machine's address in QEMU's user network.
const USER_NETWORK_HOST: &str = "10.0.2.2";
/// QEMU acknowledges each key, so this is only for the guest to take it up; a firmware under
/// emulation needs about that long.
const KEY_INTERVAL: Duration = Duration::from_millis(40);

/// How the guest and we know each other.
struct Login {
    /// Made for this build where the template gives no credentials.
    key: Option<GeneratedKey>,
    /// Public host keys, put into the guest by the seed or seen before its checkpoint.
    host_keys: Vec<String>,
}

/// A checkpoint to go on from.
struct From {
    dir: PathBuf,
    frozen: Frozen,
}

pub async fn start(cx: &Cx, builder: &QemuBuilder, origin: Origin) -> Result<QemuMachine> {
    let resolved = builder.resolved(cx).await?;
    let options = &builder.options;
    let from = match origin {
        Origin::Scratch => None,
        Origin::Checkpoint(dir) => Some(From { frozen: Frozen::read(&dir)?, dir }),
    };
    let workspace = Workspace::new(cx, &builder.output).map_err(|error| error.at(builder.at("output_directory")))?;
    let mut live = Live::new(cx, from.as_ref().map(|from| from.dir.as_path()), builder.no_checkpoints())?;
    let disks = match &from {
        Some(from) => overlays(cx, builder, resolved, from, place(&live, &workspace)).await?,
        None => make_disks(cx, builder, resolved, &workspace, live.as_ref()).await?,
    };
    let (login, media) = match &from {
        Some(From { dir, frozen }) => {
            let key = frozen.key.as_ref().map(|key| key.generated());
            (Login { key, host_keys: frozen.host_keys.clone() }, live::absolute(dir, &frozen.media))
        }
        None => make_media(cx, options, live.as_ref().map_or(cx.temp(), |live| live.dir())).await?,
    };
    let mut dropped = Vec::new();
    let variables = from.as_ref().filter(|from| from.frozen.variables.is_some()).map(|from| from.dir.join(VARIABLES));
    let firmware = make_firmware(cx, builder, &workspace, variables.as_deref(), &mut dropped)?;
    let sockets = socket_dir(cx)?;
    let tpm = start_tpm(cx, options, &workspace, &sockets).await?;
    let http = match options.http.is_enabled() {
        true => Some(HttpServer::start(cx, &options.http).await?),
        false => None,
    };
    let http_ip = http_ip(options, http.as_ref());
    let launcher = Launcher {
        cx,
        builder,
        resolved,
        workspace: &workspace,
        disks: &disks,
        media: &media,
        firmware,
        tpm: tpm.as_ref().map(|tpm| tpm.socket.clone()),
        http: http.as_ref(),
        http_ip: http_ip.clone(),
        mac: from.as_ref().map_or_else(random_mac, |from| Ok(from.frozen.mac.clone()))?,
        incoming: from.is_some(),
        sockets,
    };
    let Launched { vm, ports, control, agent, hotplug_bus, ssh_port } = launcher.launch().await?;
    let (mac, variables) = (launcher.mac, variables_of(&launcher.firmware));
    if let Some(live) = &mut live {
        live.frozen = Frozen {
            mac: mac.clone(),
            key: login.key.as_ref().map(Into::into),
            variables: variables.as_ref().map(|(_, format)| format.as_str().to_owned()),
            ..Frozen::default()
        };
        live.media = media.clone();
    }
    if let Some(from) = &from {
        checkpoint::thaw(cx, &vm.qmp, &from.dir).await.map_err(|error| vm.last_words(error))?;
    }
    dropped.extend(control.user_qmp.clone().filter(|socket| socket.starts_with(&workspace.partial)));
    set_vnc_password(cx, options, &vm.qmp).await?;
    let connector = connector(options, &login, ssh_port, |connect| {
        Arc::new(OnBridge::new(mac, agent.clone(), vm.status.clone(), connect))
    });
    let connector = connector.map(|inner| Arc::new(Watched { inner, status: vm.status.clone() }) as Arc<dyn Connector>);
    let hotplug = hotplug_bus.map(|bus| Arc::new(Hotplug::new(vm.qmp.clone(), bus)));
    let img_args = options.qemu_img_args.clone();
    Ok(QemuMachine {
        facts: facts(builder, http.as_ref(), &http_ip),
        typing: if from.is_some() { None } else { typing(builder, &login, http.as_ref(), &http_ip)? },
        resumed: from.is_some(),
        memory_mib: options.memory,
        live,
        connector,
        agent,
        hotplug,
        control,
        harvest: Harvest {
            facts: artifact_facts(builder, resolved),
            workspace,
            disks,
            dropped,
            img_args,
            variables: variables.map(|(path, _)| path),
        },
        held: Held { _ports: ports, tpm, _http: http },
        guest: None,
        asked: false,
        vm,
    })
}

/// Where disks are written while the machine runs.
fn place<'a>(live: &'a Option<Live>, space: &'a Workspace) -> &'a Path {
    live.as_ref().map_or(&space.partial, |live| live.dir())
}

/// The names of the artifact's disks.
fn names(builder: &QemuBuilder) -> impl Iterator<Item = String> {
    let name = &builder.vm_name;
    let more = (1..=builder.options.disk_additional_size.len()).map(move |index| format!("{name}-{index}"));
    std::iter::once(name.clone()).chain(more)
}

/// Disks that build upon those of a checkpoint.
async fn overlays(cx: &Cx, builder: &QemuBuilder, resolved: &Resolved, from: &From, into: &Path) -> Result<Vec<Built>> {
    let img = Img { cx, args: None };
    let base = resolved.info.as_ref().map(|info| (resolved.iso.clone(), info.format.clone()));
    let mut disks = Vec::new();
    for (index, (name, disk)) in names(builder).zip(&from.frozen.disks).enumerate() {
        let file = into.join(format!("disk{index}"));
        let below = live::relative(into, &from.dir.join(&disk.name));
        img.chain(&file, &below, frozen::format(&disk.format)?, disk.size).await?;
        let finish = finish(&builder.options, base.as_ref().filter(|_| index == 0));
        let finish = Finish { as_it_is: false, ..finish };
        disks.push(Built { file, name, format: Format::Qcow2, finish });
    }
    Ok(disks)
}

async fn make_disks(
    cx: &Cx,
    builder: &QemuBuilder,
    resolved: &Resolved,
    space: &Workspace,
    live: Option<&Live>,
) -> Result<Vec<Built>> {
    let options = &builder.options;
    let img = Img { cx, args: options.qemu_img_args.as_ref() };
    let place = |index: usize, name: &str| match live {
        Some(live) => live.dir().join(format!("disk{index}")),
        None => space.file(name),
    };
    let base = resolved.info.as_ref().map(|info| (resolved.iso.clone(), info.format.clone()));
    let (format, source) = match (&resolved.info, &base) {
        (Some(info), Some((base, format))) => {
            let grows = !options.skip_resize_disk && options.disk_size.0 > info.virtual_size;
            let size = grows.then_some(options.disk_size);
            (Format::Qcow2, Source::Overlay { base: base.clone(), format: format.clone(), size })
        }
        _ => (options.format, Source::Empty(options.disk_size)),
    };
    let more = options.disk_additional_size.iter().map(|size| (options.format, Source::Empty(*size)));
    let mut disks = Vec::new();
    for (index, (name, (format, source))) in
        names(builder).zip(std::iter::once((format, source)).chain(more)).enumerate()
    {
        let file = place(index, &name);
        img.create(&file, format, &source).await?;
        let finish = finish(options, base.as_ref().filter(|_| index == 0));
        disks.push(Built { file, name, format, finish });
    }
    Ok(disks)
}

/// The login's key, and the host key for a seed.
async fn make_keys(options: &QemuOptions) -> Result<(Option<GeneratedKey>, Option<GeneratedKey>)> {
    let (ssh, makes_key, seeds) = (options.comm.ssh.clone(), options.makes_key(), options.seeds());
    // An RSA key takes seconds of a processor.
    let made = tokio::task::spawn_blocking(move || {
        let key = makes_key.then(|| ssh.generate_key()).transpose()?;
        let host_key = seeds.then(|| GeneratedKey::new(KeyKind::Ed25519, None, "host key")).transpose()?;
        Ok((key, host_key))
    });
    let made = made.await.map_err(|error| Error::new(Kind::Internal, error))?;
    made.map_err(|error: KeyError| Error::new(Kind::Internal, error).context("making the keys of this build"))
}

/// What the guest finds when it boots, and how it lets us in.
async fn make_media(cx: &Cx, options: &QemuOptions, into: &Path) -> Result<(Login, Media)> {
    let (key, host_key) = make_keys(options).await?;
    let here = &cx.settings().cwd;
    let build = |has: bool, name: &str| has.then(|| into.join(name));
    let cd = build(options.media.has_cd(), "cd.iso");
    if let Some(image) = &cd {
        options.media.build_cd(here, image)?;
    }
    let floppy = build(options.media.has_floppy(), "floppy.img");
    if let Some(image) = &floppy {
        options.media.build_floppy(here, image)?;
    }
    let seed = build(options.seeds(), "seed.iso");
    if let Some(image) = &seed {
        write_seed(cx, options, key.as_ref(), host_key.clone(), image)?;
    }
    let host_keys = host_key.iter().map(|key| key.public_openssh.clone()).collect();
    Ok((Login { key, host_keys }, Media { cd, floppy, seed }))
}

fn write_seed(
    cx: &Cx,
    options: &QemuOptions,
    key: Option<&GeneratedKey>,
    host_key: Option<GeneratedKey>,
    image: &Path,
) -> Result<()> {
    let user = options.comm.ssh.username().unwrap_or_default().to_owned();
    cx.say(format!("The guest learns the login `{user}` and its host key from a cloud-init seed"));
    let seed = Seed {
        instance_id: format!("bakehouse-{}", cx.settings().run_uuid),
        hostname: None,
        user,
        ssh_public_key: key.map(|key| key.public_openssh.clone()),
        host_key: host_key.map(|key| HostKey { private: key.private_openssh, public: key.public_openssh }),
        password: options.comm.ssh.password().cloned(),
        user_data: None,
        network_config: None,
    };
    Ok(seed.write(image)?)
}

/// `variables`: those of a checkpoint, instead of a fresh store.
fn make_firmware(
    cx: &Cx,
    builder: &QemuBuilder,
    space: &Workspace,
    variables: Option<&Path>,
    dropped: &mut Vec<PathBuf>,
) -> Result<Firmware> {
    let options = &builder.options;
    let Some(uefi) = uefi(cx, builder)? else {
        return Ok(match (&options.firmware, options.use_pflash) {
            (None, _) => Firmware::Builtin,
            (Some(path), false) => Firmware::Bios(path.clone()),
            (Some(path), true) => Firmware::Flash(path.clone()),
        });
    };
    let vars = match uefi.vars {
        Some((template, format)) => {
            let store = space.file(VARIABLES);
            copy_store(variables.unwrap_or(&template), &store)?;
            if options.efi_drop_efivars {
                dropped.push(store.clone());
            }
            Some((store, format))
        }
        None => None,
    };
    Ok(Firmware::Uefi { code: uefi.code, code_format: uefi.code_format, vars, smm: uefi.smm })
}

/// The UEFI that the options ask for, where they ask for one.
pub fn uefi(cx: &Cx, builder: &QemuBuilder) -> Result<Option<firmware::Uefi>> {
    let options = &builder.options;
    match &options.efi_firmware_code {
        _ if !options.uefi() => Ok(None),
        Some(code) => Ok(Some(firmware::Uefi {
            code: code.clone(),
            code_format: firmware::sniff(code),
            vars: options.efi_firmware_vars.as_ref().map(|vars| (vars.clone(), firmware::sniff(vars))),
            smm: options.efi_secure_boot,
        })),
        None => described_firmware(cx, builder).map(Some),
    }
}

/// The store that the machine writes to.
fn variables_of(firmware: &Firmware) -> Option<(PathBuf, Format)> {
    match firmware {
        Firmware::Uefi { vars, .. } => vars.clone(),
        _ => None,
    }
}

fn described_firmware(cx: &Cx, builder: &QemuBuilder) -> Result<firmware::Uefi> {
    let options = &builder.options;
    let wanted = firmware::Wanted {
        architecture: architecture(&options.qemu_binary),
        machine_type: options.machine(),
        secure_boot: options.efi_secure_boot,
    };
    let option = if options.efi_secure_boot { "efi_secure_boot" } else { "efi_boot" };
    firmware_by_descriptors(cx, wanted).map_err(|error| error.at(builder.at(option)))
}

pub fn firmware_by_descriptors(cx: &Cx, wanted: firmware::Wanted<'_>) -> Result<firmware::Uefi> {
    let env = &cx.settings().env;
    let folder = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(Path::new);
    firmware::find(&firmware::folders(folder("HOME"), folder("XDG_CONFIG_HOME")), wanted)
}

pub fn copy_store(template: &Path, store: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // A distribution's template is read-only, and so would its copy be.
    std::fs::copy(template, store)
        .and_then(|_| std::fs::set_permissions(store, std::fs::Permissions::from_mode(0o644)))
        .map_err(|error| Error::io(format!("copying the UEFI variables {}", template.display()), &error))
}

/// `qemu-system-ARCH`.
fn architecture(binary: &str) -> &str {
    binary.rsplit('-').next().unwrap_or(binary)
}

async fn start_tpm(cx: &Cx, options: &QemuOptions, space: &Workspace, sockets: &Path) -> Result<Option<Swtpm>> {
    if !options.vtpm {
        return Ok(None);
    }
    let state = if options.vtpm_keep_state { space.file("tpm") } else { cx.temp().join("tpm") };
    // Sockets may lie beside the state.
    tpm::start(cx, &state, sockets.join("swtpm"), options.use_tpm1).await.map(Some)
}

/// Where the guest finds our HTTP server.
fn http_ip(options: &QemuOptions, http: Option<&HttpServer>) -> String {
    match (&options.net_bridge, http) {
        (Some(_), Some(http)) => host_address(http.address().ip()),
        _ => USER_NETWORK_HOST.into(),
    }
}

/// The address of this machine that other machines reach: one of the network, where the server
/// listens on all of them.
fn host_address(bound: IpAddr) -> String {
    if !bound.is_unspecified() {
        return bound.to_string();
    }
    // Nothing is sent: connecting a datagram socket only asks the routing table.
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        Ok(socket.local_addr()?.ip())
    });
    routed.unwrap_or(bound).to_string()
}

fn connector(
    options: &QemuOptions,
    login: &Login,
    ssh_port: Option<u16>,
    on_bridge: impl FnOnce(Box<dyn Fn(String) -> SshConnector + Send + Sync>) -> Arc<dyn Connector>,
) -> Option<Arc<dyn Connector>> {
    if options.comm.communicator == CommKind::None {
        return None;
    }
    let ssh = options.comm.ssh.clone();
    let port = ssh_port.unwrap_or(ssh.ssh_port);
    let generated_key = login.key.clone();
    let known_host_keys = login.host_keys.clone();
    let host = ssh.ssh_host.clone().filter(|host| !host.is_empty());
    let connect = move |host: String| {
        let (generated_key, known_host_keys) = (generated_key.clone(), known_host_keys.clone());
        SshConnector::new(ssh.clone(), Target { host, port, generated_key, known_host_keys })
    };
    match (host, &options.net_bridge) {
        (Some(host), _) => Some(Arc::new(connect(host))),
        (None, None) => Some(Arc::new(connect("127.0.0.1".into()))),
        (None, Some(_)) => Some(on_bridge(Box::new(connect))),
    }
}

fn facts(builder: &QemuBuilder, http: Option<&HttpServer>, http_ip: &str) -> Facts {
    let mut facts = Facts::from([("ID".to_owned(), Value::from(builder.vm_name.as_str()))]);
    facts.extend(http.map(|http| http.facts(http_ip)).unwrap_or_default());
    facts
}

fn typing(builder: &QemuBuilder, login: &Login, http: Option<&HttpServer>, http_ip: &str) -> Result<Option<Steps>> {
    let boot = &builder.options.boot;
    if boot.is_empty() {
        return Ok(None);
    }
    let fields = boot_command::Fields {
        http_ip,
        http_port: http.map(HttpServer::port),
        name: &builder.vm_name,
        public_key: login.key.as_ref().map(|key| key.public_openssh.as_str()),
    };
    let steps = fields.steps(boot)?;
    let interval = boot.boot_key_interval.unwrap_or(KEY_INTERVAL);
    Ok(Some(Steps { steps, wait: boot.boot_wait, interval }))
}

pub fn artifact_facts(builder: &QemuBuilder, resolved: &Resolved) -> std::collections::BTreeMap<String, String> {
    let options = &builder.options;
    let size = match &resolved.info {
        Some(info) if options.skip_resize_disk => info.virtual_size,
        Some(info) => info.virtual_size.max(options.disk_size.0),
        None => options.disk_size.0,
    };
    let architecture = architecture(&options.qemu_binary);
    [
        ("disk_format", options.format.as_str().to_owned()),
        ("disk_size", size.to_string()),
        ("architecture", architecture.to_owned()),
        ("firmware", if options.uefi() { "uefi" } else { "bios" }.to_owned()),
        ("disk_name", builder.vm_name.clone()),
        ("disk_interface", options.disk_interface.as_str().to_owned()),
        ("net_device", options.net_device.clone()),
        ("cpus", options.cpus.to_string()),
        ("memory", options.memory.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A missing QEMU is named with the package that has it.
pub fn hint_package(binary: &str, error: Error) -> Error {
    if error.kind() != Kind::Missing || !error.hints().is_empty() && !error.message().contains("not installed") {
        return error;
    }
    crate::vm::missing(binary, error)
}
