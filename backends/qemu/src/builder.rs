//! A configured QEMU source.

use std::path::{Path, PathBuf};

use bakehouse_api::backend::Shutdown;
use bakehouse_api::{
    Artifact, Body, Builder, Cx, Diagnostics, Error, Facts, Input, Kind, Machine, Options, Origin, Result, Value,
    async_trait,
};
use tokio::sync::OnceCell;

use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::download::Fetched;

use crate::disk::{Img, Info};
use crate::options::{CloudInit, QemuOptions};
use crate::{accel, check, reads, recall, start, workspace};

/// The login that a seed of ours makes when the template names none.
const SEED_USER: &str = "bakehouse";

pub struct QemuBuilder {
    pub options: QemuOptions,
    pub vm_name: String,
    pub output: PathBuf,
    resolved: OnceCell<Resolved>,
    inputs: Vec<Input>,
    capture_inputs: Vec<Input>,
}

/// What only this machine and the network could tell.
pub struct Resolved {
    pub accel: accel::Choice,
    /// Of QEMU.
    version: String,
    /// The installer or the base image.
    pub iso: PathBuf,
    digest: String,
    /// Of a base image.
    pub info: Option<Info>,
}

impl QemuBuilder {
    pub fn prepare(body: &Body, found: &mut Diagnostics) -> Option<Self> {
        let mut options = QemuOptions::from_body(body, found)?;
        if options.seeds() && options.comm.ssh.username().is_none() {
            options.comm.ssh.ssh_username = Some(SEED_USER.into());
        }
        let before = found.errors();
        check::check(&options, found);
        options.comm.check(found);
        // Packer's relative paths begin where it is started, and the program does not change that.
        let here = Path::new(".");
        options.iso.check(here, found);
        options.media.check(here, found);
        options.http.check(here, found);
        options.boot.check(found);
        if found.errors() > before {
            return None;
        }
        let vm_name = options.vm_name.clone().unwrap_or_else(|| format!("packer-{}", body.build_name));
        let output = options.output_directory.clone().unwrap_or_else(|| format!("output-{}", body.build_name).into());
        let inputs = reads::boot(body, &options);
        let capture_inputs = reads::capture(body, &options, &vm_name);
        Some(Self { options, vm_name, output, resolved: OnceCell::new(), inputs, capture_inputs })
    }

    pub async fn resolved(&self, cx: &Cx) -> Result<&Resolved> {
        self.resolved.get_or_try_init(|| self.find_out(cx)).await
    }

    async fn find_out(&self, cx: &Cx) -> Result<Resolved> {
        workspace::refuse_existing(cx, &self.output).map_err(|error| error.at(self.at("output_directory")))?;
        let options = &self.options;
        let accel = accel::choose(cx, &options.qemu_binary, options.accelerator).await.map_err(|error| {
            let error = start::hint_package(&options.qemu_binary, error);
            error.at(self.at(if options.accelerator.is_some() { "accelerator" } else { "qemu_binary" }))
        })?;
        let version = accel::version(cx, &options.qemu_binary).await?;
        let request = options.iso.request();
        let request = request.ok_or_else(|| Error::new(Kind::Internal, "an image without URL passed validation"))?;
        let fetched = bakehouse_kit::download::fetch(cx, &request).await.map_err(Error::from);
        let Fetched { path: iso, digest, .. } = fetched.map_err(|error| error.at(self.iso_place()))?;
        let info = if options.disk_image { Some(self.inspect(cx, &iso).await?) } else { None };
        Ok(Resolved { accel, version, iso, digest: digest.to_string(), info })
    }

    /// What only this machine could tell and a guest depends on.
    fn found_inputs(&self, cx: &Cx, resolved: &Resolved) -> Result<Vec<Input>> {
        let name = if self.options.disk_image { "base image" } else { "installer" };
        let accelerator = resolved.accel.accelerator;
        let mut inputs = vec![
            Input::new(name, resolved.digest.clone()),
            // Disks name the file that they build upon.
            Input::new(format!("place of the {name}"), resolved.iso.to_string_lossy()),
            Input::shown("QEMU", resolved.version.clone()),
            Input::shown("accelerator", accelerator.as_str()),
        ];
        inputs.extend(accel::processor(accelerator).map(|processor| Input::shown("processor", processor)));
        inputs.extend(reads::contents(cx, &self.options)?);
        if let Some(uefi) = start::uefi(cx, self)? {
            for path in std::iter::once(&uefi.code).chain(uefi.vars.iter().map(|(path, _)| path)) {
                inputs.push(reads::file(cx, "firmware", path)?);
            }
        }
        Ok(inputs)
    }

    async fn inspect(&self, cx: &Cx, image: &Path) -> Result<Info> {
        let img = Img { cx, args: None };
        let place = |error: Error| error.at(self.iso_place());
        let info = img.info(image).await.map_err(place)?;
        img.verify(image, &info).await.map_err(place)?;
        let wanted = self.options.disk_size.0;
        let grows = !self.options.skip_resize_disk && self.options.spans.has("disk_size");
        if grows && wanted < info.virtual_size {
            let size = crate::size::Size(info.virtual_size);
            let error = format!("the image is {size} large, and disk_size is {}", self.options.disk_size);
            let error = Error::new(Kind::Config, error).hint("a disk can grow but not shrink: raise disk_size");
            return Err(error.at(self.at("disk_size")));
        }
        Ok(info)
    }

    fn iso_place(&self) -> bakehouse_api::Span {
        self.at(if self.options.spans.has("iso_url") { "iso_url" } else { "iso_urls" })
    }

    pub fn at(&self, option: &str) -> bakehouse_api::Span {
        self.options.spans.at(option)
    }
}

#[async_trait]
impl Builder for QemuBuilder {
    fn inputs(&self) -> Vec<Input> {
        self.inputs.clone()
    }

    fn shutdown(&self) -> Option<Shutdown> {
        let command = Some(self.options.shutdown_command.clone()).filter(|command| !command.is_empty());
        // As in Packer: an installer that nobody talks to ends by switching the machine off.
        let by_itself = self.options.comm.communicator == CommKind::None;
        Some(Shutdown { command, timeout: self.options.shutdown_timeout, by_itself })
    }

    async fn resolve(&self, cx: &Cx) -> Result<Vec<Input>> {
        let resolved = self.resolved(cx).await?;
        if let Some(why) = &resolved.accel.why {
            cx.message(format!("Accelerator {}: {why}", resolved.accel.accelerator.as_str()));
        }
        self.found_inputs(cx, resolved)
    }

    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>> {
        Ok(Box::new(start::start(cx, self, from).await?))
    }

    fn no_checkpoints(&self) -> Option<String> {
        let options = &self.options;
        if options.comm.communicator == CommKind::None {
            return Some("a machine without a communicator is not known to be ready".into());
        }
        if options.net_bridge.is_some() {
            return Some("two builds that go on from one checkpoint would share an address on the bridge".into());
        }
        reads::obstacle(options)
    }

    fn lasting_facts(&self) -> Facts {
        let ssh = &self.options.comm.ssh;
        let mut facts = Facts::from([
            ("ID".to_owned(), Value::from(self.vm_name.as_str())),
            ("User".to_owned(), Value::from(ssh.username().unwrap_or_default())),
            ("ConnType".to_owned(), Value::from("ssh")),
        ]);
        if let Some(password) = ssh.password() {
            facts.insert("Password".into(), Value::from(password.reveal()).sensitive(true));
        }
        if let Some((public, private)) = ssh.key_texts() {
            facts.insert("SSHPublicKey".into(), Value::from(public));
            facts.insert("SSHPrivateKey".into(), Value::from(private).sensitive(true));
        }
        facts
    }

    fn capture_inputs(&self) -> Vec<Input> {
        self.capture_inputs.clone()
    }

    async fn keep(&self, cx: &Cx, _artifact: &Artifact, into: &Path) -> Result<bool> {
        recall::keep(&cx.settings().cwd.join(&self.output), into)
    }

    async fn recall(&self, cx: &Cx, from: &Path) -> Result<Artifact> {
        let facts = start::artifact_facts(self, self.resolved(cx).await?);
        recall::recall(cx, &self.output, from, facts)
    }
}

impl QemuOptions {
    /// Does this build make a key for its login?
    pub fn makes_key(&self) -> bool {
        self.comm.communicator == CommKind::Ssh && !self.comm.ssh.has_credentials()
    }

    /// Does this build make a seed of its own?
    pub fn seeds(&self) -> bool {
        match self.cloud_init {
            CloudInit::Always => true,
            CloudInit::Never => false,
            CloudInit::Auto => self.disk_image && self.makes_key() && !self.media.has_cd() && !self.media.has_floppy(),
        }
    }
}
