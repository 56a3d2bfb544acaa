//! What is put into the drives of a machine.

use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Result};
use bakehouse_kit::media::MediaOptions;

use crate::builder::{Source, VirtualBoxBuilder, absolute};
use crate::claim::known_media;
use crate::options::{AdditionsMode, Bus};
use crate::storage::{Found, Storage};
use crate::tidy::Tidy;
use crate::vboxmanage::verbs;
use crate::vm::Vm;

/// Media made for this build.
struct Made {
    cd: Option<PathBuf>,
    floppy: Option<PathBuf>,
}

fn make(cx: &Cx, options: &MediaOptions) -> Result<Made> {
    let here = &cx.settings().cwd;
    let cd = options.has_cd().then(|| cx.temp().join("cd.iso"));
    if let Some(image) = &cd {
        options.build_cd(here, image)?;
    }
    let floppy = options.has_floppy().then(|| cx.temp().join("floppy.img"));
    if let Some(image) = &floppy {
        options.build_floppy(here, image)?;
    }
    Ok(Made { cd, floppy })
}

/// Fills the drives: the installer first, so that it is the one that boots.
pub async fn insert(cx: &Cx, builder: &VirtualBoxBuilder, vm: &Vm, tidy: &mut Tidy) -> Result<()> {
    let resolved = builder.resolved(cx).await?;
    let common = builder.common();
    let made = make(cx, &common.media)?;
    let known = known_media(cx, &vm.vbox).await?;
    let mut drives = Drives { cx, vm, tidy, known, storage: Storage::of(&vm.id, &vm.info(cx).await?) };
    let bus = match &builder.source {
        Source::Iso(options) => options.hardware.iso_interface,
        _ => Bus::Ide,
    };
    if let Some(iso) = &resolved.iso {
        let stays = matches!(&builder.source, Source::Iso(options) if options.bundle_iso);
        drives.insert_cd(bus, &absolute(cx, iso), stays).await?;
    }
    if let Some(cd) = &made.cd {
        drives.insert_cd(bus, cd, false).await?;
    }
    if common.guest_additions_mode == AdditionsMode::Attach
        && let Some(additions) = &resolved.additions
    {
        drives.insert_cd(common.guest_additions_interface.unwrap_or(bus), additions, false).await?;
    }
    if let Some(floppy) = &made.floppy {
        let found = drives.storage.floppy();
        drives.insert(&found, "fdd", floppy, false).await?;
    }
    Ok(())
}

struct Drives<'a> {
    cx: &'a Cx,
    vm: &'a Vm,
    tidy: &'a mut Tidy,
    storage: Storage,
    /// Media on VirtualBox's list before.
    known: Vec<String>,
}

impl Drives<'_> {
    async fn insert_cd(&mut self, bus: Bus, image: &Path, stays: bool) -> Result<()> {
        let found = self.storage.drive(bus)?;
        self.insert(&found, "dvddrive", image, stays).await
    }

    async fn insert(&mut self, found: &Found, kind: &str, image: &Path, stays: bool) -> Result<()> {
        let id = &self.vm.id;
        let path = image.to_string_lossy();
        if !stays {
            let before = if found.had_drive { "emptydrive" } else { "none" };
            let mut back = vec![verbs::attach(id, &found.place, kind, before)];
            back.extend(found.made_controller.then(|| verbs::remove_controller(id, &found.place.controller)));
            if !self.known.iter().any(|known| *known == path) {
                back.push(verbs::closemedium(if kind == "fdd" { "floppy" } else { "dvd" }, &path));
            }
            self.tidy.later(self.cx, self.vm, "a drive", back)?;
        }
        for line in &found.before {
            self.vm.call(self.cx, line.clone()).await?;
        }
        let attached = self.vm.call(self.cx, verbs::attach(id, &found.place, kind, &path)).await;
        attached.map_err(|error| error.context(format!("putting {path} into a drive")))
    }
}
