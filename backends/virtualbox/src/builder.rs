//! A configured source, and what has to be found out before it starts.

use std::path::{Path, PathBuf};

use bakehouse_api::backend::Shutdown;
use bakehouse_api::{
    Body, Builder, Cx, Diagnostics, Error, Input, Kind, Machine, Options, Origin, Result, Span, async_trait,
};
use bakehouse_kit::communicator::CommKind;
use bakehouse_kit::{download, workspace};
use tokio::sync::OnceCell;

use crate::options::{CommonOptions, IsoBuildOptions, OvfBuildOptions, VmBuildOptions};
use crate::ovf::Appliance;
use crate::vboxmanage::{Feature, VBoxManage, info, verbs};
use crate::{check, elsewhere, guest_additions, hardware, ovf, start};

/// What a machine is made of.
#[derive(Clone, Debug)]
pub enum Source {
    Iso(Box<IsoBuildOptions>),
    Ovf(Box<OvfBuildOptions>),
    Existing(Box<VmBuildOptions>),
}

/// Implemented by the three option structs.
pub trait IntoSource: Options {
    fn into_source(self) -> Source;
}

impl IntoSource for IsoBuildOptions {
    fn into_source(self) -> Source {
        Source::Iso(Box::new(self))
    }
}

impl IntoSource for OvfBuildOptions {
    fn into_source(self) -> Source {
        Source::Ovf(Box::new(self))
    }
}

impl IntoSource for VmBuildOptions {
    fn into_source(self) -> Source {
        Source::Existing(Box::new(self))
    }
}

impl Source {
    pub fn common(&self) -> &CommonOptions {
        match self {
            Self::Iso(options) => &options.common,
            Self::Ovf(options) => &options.common,
            Self::Existing(options) => &options.common,
        }
    }

    fn vm_name(&self) -> Option<&str> {
        match self {
            Self::Iso(options) => options.vm_name.as_deref(),
            Self::Ovf(options) => options.vm_name.as_deref(),
            Self::Existing(options) => Some(&options.vm_name),
        }
    }
}

pub struct VirtualBoxBuilder {
    pub source: Source,
    pub vm_name: String,
    pub output: PathBuf,
    resolved: OnceCell<Resolved>,
    inputs: Vec<Input>,
}

/// What only this machine and the network could tell.
pub struct Resolved {
    pub vbox: VBoxManage,
    /// The installer.
    pub iso: Option<PathBuf>,
    pub appliance: Option<Appliance>,
    pub additions: Option<PathBuf>,
    digest: String,
}

pub fn prepare<T: IntoSource>(body: &Body, found: &mut Diagnostics) -> Option<Box<dyn Builder>> {
    let source = T::from_body(body, found)?.into_source();
    let before = found.errors();
    check::check(&source, found);
    if found.errors() > before {
        return None;
    }
    let vm_name = source.vm_name().map_or_else(|| format!("packer-{}", body.build_name), str::to_owned);
    let output = source.common().output_directory.clone();
    let output = output.unwrap_or_else(|| format!("output-{}", body.build_name).into());
    Some(Box::new(VirtualBoxBuilder { source, vm_name, output, resolved: OnceCell::new(), inputs: inputs(body) }))
}

/// Every option as it was written; secrets are left out.
fn inputs(body: &Body) -> Vec<Input> {
    let known = body.entries.iter().filter(|entry| !entry.node.value.has_sensitive());
    known.map(|entry| Input::new(format!("option {}", entry.name), format!("{:?}", entry.node.value.data))).collect()
}

impl VirtualBoxBuilder {
    pub fn common(&self) -> &CommonOptions {
        self.source.common()
    }

    pub fn at(&self, option: &str) -> Span {
        self.common().spans.at(option)
    }

    pub async fn resolved(&self, cx: &Cx) -> Result<&Resolved> {
        self.resolved.get_or_try_init(|| self.find_out(cx)).await
    }

    async fn find_out(&self, cx: &Cx) -> Result<Resolved> {
        let common = self.common();
        if !common.skip_export {
            workspace::refuse_existing(cx, &self.output).map_err(|error| error.at(self.at("output_directory")))?;
            let (name, suffix) = (common.output_filename.as_deref(), common.format.as_str());
            elsewhere::refuse_existing(cx, &self.output, name, suffix)
                .map_err(|error| error.at(self.at("output_filename")))?;
        }
        let vbox = VBoxManage::find(cx, &common.vboxmanage_binary).await;
        let vbox = vbox.map_err(|error| Error::from(error).at(self.at("vboxmanage_binary")))?;
        if let Source::Iso(options) = &self.source
            && let Some((option, feature)) = hardware::lacking(&options.hardware, vbox.version)
        {
            return Err(lacks(option, feature, &vbox).at(self.at(option)));
        }
        if !matches!(self.source, Source::Existing(_)) {
            refuse_name(cx, &vbox, &self.vm_name).await.map_err(|error| error.at(self.at("vm_name")))?;
        }
        let (mut iso, mut appliance, mut digest) = (None, None, String::new());
        match &self.source {
            Source::Iso(options) => {
                let request = options.iso.request();
                let request =
                    request.ok_or_else(|| Error::new(Kind::Internal, "an image without URL passed validation"))?;
                let fetched = download::fetch(cx, &request).await.map_err(|error| {
                    Error::from(error).at(self.at(if options.spans.has("iso_url") { "iso_url" } else { "iso_urls" }))
                })?;
                (iso, digest) = (Some(fetched.path), fetched.digest.to_string());
            }
            Source::Ovf(options) => {
                let found = ovf::fetch(cx, options).await.map_err(|error| error.at(self.at("source_path")))?;
                digest.clone_from(&found.digest);
                appliance = Some(found);
            }
            Source::Existing(_) => {}
        }
        let additions = guest_additions::fetch(cx, self, &vbox).await?;
        Ok(Resolved { vbox, iso, appliance, additions, digest })
    }
}

fn lacks(option: &str, feature: Feature, vbox: &VBoxManage) -> Error {
    let (major, minor) = feature.since();
    let found = vbox.version;
    let error = format!("VirtualBox {found} has no `{option}` like that: it came with VirtualBox {major}.{minor}");
    Error::new(Kind::Config, error).hint("leave the option out or install a newer VirtualBox")
}

async fn refuse_name(cx: &Cx, vbox: &VBoxManage, name: &str) -> Result<()> {
    let listed = vbox.call(cx, verbs::list("vms")).await?;
    if !info::machines(&listed).iter().any(|(there, _)| there == name) {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("VirtualBox has a machine named `{name}` already"))
        .hint(format!("choose another `vm_name`, or remove that machine: VBoxManage unregistervm {name:?} --delete")))
}

#[async_trait]
impl Builder for VirtualBoxBuilder {
    fn inputs(&self) -> Vec<Input> {
        self.inputs.clone()
    }

    fn shutdown(&self) -> Option<Shutdown> {
        let common = self.common();
        let command = Some(common.shutdown_command.clone()).filter(|command| !command.is_empty());
        // An installer that nobody talks to ends by switching the machine off.
        let unreached = common.comm.communicator == CommKind::None && matches!(self.source, Source::Iso(_));
        let by_itself = common.disable_shutdown || unreached && command.is_none() && !common.acpi_shutdown;
        Some(Shutdown { command, timeout: common.shutdown_timeout, by_itself })
    }

    async fn resolve(&self, cx: &Cx) -> Result<Vec<Input>> {
        let resolved = self.resolved(cx).await?;
        cx.message(format!("VirtualBox {}", resolved.vbox.version));
        Ok(vec![
            Input::new("VirtualBox", resolved.vbox.version.to_string()),
            Input::new("source", resolved.digest.clone()),
        ])
    }

    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>> {
        if from != Origin::Scratch {
            return Err(Error::new(Kind::Internal, "this backend keeps no checkpoints to start from"));
        }
        Ok(Box::new(start::start(cx, self).await?))
    }
}

/// A path as VBoxManage is told it, which runs elsewhere than the template is read.
pub fn absolute(cx: &Cx, path: &Path) -> PathBuf {
    cx.settings().cwd.join(path)
}
