//! A configured QEMU source.

use std::path::{Path, PathBuf};

use bakehouse_api::backend::Shutdown;
use bakehouse_api::{
    Body, Builder, Cx, Diagnostics, Error, Input, Kind, Machine, Options, Origin, Result, async_trait,
};
use tokio::sync::OnceCell;

use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::download::Fetched;

use crate::disk::{Img, Info};
use crate::options::{CloudInit, QemuOptions};
use crate::{accel, check, start, workspace};

/// The login that a seed of ours makes when the template names none.
const SEED_USER: &str = "bakehouse";

pub struct QemuBuilder {
    pub options: QemuOptions,
    pub vm_name: String,
    pub output: PathBuf,
    resolved: OnceCell<Resolved>,
    inputs: Vec<Input>,
}

/// What only this machine and the network could tell.
pub struct Resolved {
    pub accel: accel::Choice,
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
        let inputs = inputs(body);
        Some(Self { options, vm_name, output, resolved: OnceCell::new(), inputs })
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
        let request = options.iso.request();
        let request = request.ok_or_else(|| Error::new(Kind::Internal, "an image without URL passed validation"))?;
        let fetched = bakehouse_kit::download::fetch(cx, &request).await.map_err(Error::from);
        let Fetched { path: iso, digest, .. } = fetched.map_err(|error| error.at(self.iso_place()))?;
        let info = if options.disk_image { Some(self.inspect(cx, &iso).await?) } else { None };
        Ok(Resolved { accel, iso, digest: digest.to_string(), info })
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

/// Every option as it was written; secrets are left out.
fn inputs(body: &Body) -> Vec<Input> {
    let known = body.entries.iter().filter(|entry| !entry.node.value.has_sensitive());
    known.map(|entry| Input::new(format!("option {}", entry.name), format!("{:?}", entry.node.value.data))).collect()
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
        let name = if self.options.disk_image { "base image" } else { "installer" };
        let accelerator = resolved.accel.accelerator.as_str();
        Ok(vec![Input::new(name, resolved.digest.clone()), Input::new("accelerator", accelerator)])
    }

    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>> {
        if from != Origin::Scratch {
            return Err(Error::new(Kind::Internal, "this backend keeps no checkpoints to start from"));
        }
        Ok(Box::new(start::start(cx, self).await?))
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
