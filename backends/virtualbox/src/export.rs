//! From a machine that is off to an artifact: cleaned of what only the build needed, exported, looked at again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bakehouse_api::{Artifact, Cx, Error, Kind, Result};
use bakehouse_boxes::{ova, ovf};

use crate::builder::Source;
use crate::machine::VirtualBoxMachine;
use crate::options::{CommonOptions, Format};
use crate::vboxmanage::{Info, State, verbs};
use crate::vm::Vm;
use crate::{elsewhere, existing, start};

pub async fn capture(cx: &Cx, machine: VirtualBoxMachine) -> Result<Artifact> {
    let VirtualBoxMachine { vm, claim, tidy, workspace, power, source, vm_name, http, ports, .. } = machine;
    let common = source.common();
    pause(cx, common).await?;
    if vm.info(cx).await?.state() != State::Off {
        return Err(Error::new(Kind::Guest, "the machine is not off: its disks cannot be exported"));
    }
    if let Some(power) = power {
        cx.forget(power);
    }
    tidy.run(cx, &vm).await?;
    if claim.is_some() {
        clean(cx, &vm).await?;
    }
    start::say_lines(cx, &vm, start::render(&common.vboxmanage_post, &vm_name, http.as_ref())?).await?;
    drop((http, ports));
    let info = vm.info(cx).await?;
    if let Source::Existing(options) = &source {
        existing::take_target(cx, options, &vm).await?;
    }
    if let Some(workspace) = &workspace {
        export(cx, &vm, &source, &workspace.partial, &info).await?;
    }
    match claim {
        Some(claim) if common.keep_registered => claim.leave(cx),
        Some(claim) => claim.remove(cx).await?,
        None => {}
    }
    let (text, files, destroy) = match workspace {
        Some(workspace) => {
            let (output, files) = workspace.publish(cx)?;
            let files = elsewhere::moved(cx, &output, common.output_filename.as_deref(), files)?;
            let text = format!("VM files in directory: {}", output.display());
            let outside = files.iter().filter(|file| !file.starts_with(&output)).map(PathBuf::as_path);
            let destroy = outside.chain([output.as_path()]).map(bakehouse_kit::undo::path).collect();
            (text, files, destroy)
        }
        None => (format!("VirtualBox machine: {}", vm.name), vec![], vec![]),
    };
    let facts = facts(&vm, &info);
    Ok(Artifact { builder_id: "mitchellh.virtualbox".into(), id: "VM".into(), text, files, facts, destroy })
}

async fn pause(cx: &Cx, common: &CommonOptions) -> Result<()> {
    let delay = common.post_shutdown_delay;
    if delay.is_zero() {
        return Ok(());
    }
    cx.say(format!("Waiting {delay:?}, as `post_shutdown_delay` asks"));
    cx.interruptible(async {
        tokio::time::sleep(delay).await;
        Ok(())
    })
    .await
}

/// Paths of this machine and the way it ran the guest would travel with the export.
async fn clean(cx: &Cx, vm: &Vm) -> Result<()> {
    let info = vm.info(cx).await?;
    let mut settings = Vec::new();
    for (number, mode) in info.with_prefix("uartmode") {
        if mode != "disconnected" {
            settings.push((format!("uartmode{number}"), "disconnected".to_owned()));
        }
    }
    // No version tells the engine any other way.
    let file = info.get("CfgFile").map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
    if file.contains(" executionEngine=\"") {
        settings.push(("vm-execution-engine".into(), "default".into()));
    }
    if settings.is_empty() {
        return Ok(());
    }
    vm.call(cx, verbs::modifyvm(&vm.id, &settings)).await.map_err(|error| error.context("cleaning the machine"))
}

async fn export(cx: &Cx, vm: &Vm, source: &Source, folder: &Path, info: &Info) -> Result<()> {
    let common = source.common();
    let name = common.output_filename.as_deref().map_or(vm.name.as_str(), elsewhere::base);
    let file = folder.join(format!("{name}.{}", common.format.as_str()));
    cx.say(format!("Exporting the machine as {}", common.format.as_str()));
    let with_media = matches!(source, Source::Iso(options) if options.bundle_iso)
        && !common.export_opts.iter().any(|word| word.starts_with("--options"));
    let line = verbs::export(&vm.id, &file, with_media, &common.export_opts);
    vm.vbox.copy(cx, line).await.map_err(|error| Error::from(error).at(common.spans.at("export_opts")))?;
    let disks = info.disks();
    let form = common.format;
    let checked = tokio::task::spawn_blocking(move || check(&file, form, disks)).await;
    checked.map_err(|error| Error::new(Kind::Internal, error))?
}

/// That the export holds what it says, and every disk of the machine.
fn check(file: &Path, format: Format, disks: usize) -> Result<()> {
    let doing = || format!("reading the export {} back", file.display());
    let descriptor = match format {
        Format::Ova => {
            let archive = ova::open(file).map_err(|error| Error::from(error).context(doing()))?;
            archive.verify().map_err(|error| Error::from(error).context(doing()))?;
            archive.descriptor
        }
        Format::Ovf => {
            let bytes = std::fs::read(file).map_err(|error| Error::io(doing(), &error))?;
            let descriptor = ovf::parse(&bytes).map_err(|error| Error::from(error).context(doing()))?;
            let folder = file.parent().unwrap_or(Path::new("."));
            let empty = |path: PathBuf| path.metadata().map_or(true, |meta| meta.len() == 0);
            if let Some(lost) = descriptor.files.iter().find(|lost| empty(folder.join(&lost.href))) {
                return Err(Error::new(Kind::Host, format!("`{}` is missing or empty", lost.href)).context(doing()));
            }
            descriptor
        }
    };
    if descriptor.disks.len() < disks {
        let error = format!("the machine has {disks} disks, and the export {}", descriptor.disks.len());
        return Err(Error::new(Kind::Host, error).context(doing()));
    }
    Ok(())
}

fn facts(vm: &Vm, info: &Info) -> BTreeMap<String, String> {
    let get = |key: &str| info.get(key).unwrap_or_default().to_owned();
    let architecture = if get("platformArchitecture").eq_ignore_ascii_case("arm") { "aarch64" } else { "x86_64" };
    let firmware = if get("firmware").to_ascii_lowercase().starts_with("efi") { "uefi" } else { "bios" };
    [
        ("architecture", architecture.to_owned()),
        ("firmware", firmware.to_owned()),
        ("cpus", get("cpus")),
        ("memory", get("memory")),
        ("guest_os_type", get("ostype")),
        ("virtualbox_version", vm.vbox.version.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
