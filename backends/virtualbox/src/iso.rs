//! `virtualbox-iso`: a new machine.

use std::path::Path;

use bakehouse_api::{Cx, Error, Result};

use crate::builder::{VirtualBoxBuilder, absolute};
use crate::claim::Claim;
use crate::hardware;
use crate::options::{Bus, HardwareOptions, IsoBuildOptions};
use crate::storage::Storage;
use crate::vboxmanage::{VBoxManage, verbs};
use crate::vm::Vm;

pub async fn create(
    cx: &Cx,
    builder: &VirtualBoxBuilder,
    options: &IsoBuildOptions,
    vbox: &VBoxManage,
) -> Result<(Vm, Claim)> {
    let hardware = &options.hardware;
    let name = &builder.vm_name;
    let claim = Claim::take(cx, vbox, name, false).await.map_err(|error| error.at(builder.at("vm_name")))?;
    cx.say(format!("Creating the machine {name}"));
    let uuid = uuid::Uuid::new_v4().to_string();
    let created = vbox.call(cx, verbs::createvm(vbox.version, name, &uuid, &hardware.guest_os_type)).await;
    created.map_err(|error| {
        Error::from(error)
            .at(builder.at("guest_os_type"))
            .hint("`VBoxManage list ostypes` has the words for `guest_os_type`")
    })?;
    let (vm, claim) = claim.settle(cx, vbox).await?;
    vm.call(cx, verbs::modifyvm(&vm.id, &hardware::settings(hardware, vbox.version))).await?;
    make_disks(cx, &vm, hardware).await?;
    firmware(cx, &vm, hardware).await?;
    Ok((vm, claim))
}

async fn make_disks(cx: &Cx, vm: &Vm, hardware: &HardwareOptions) -> Result<()> {
    let bus = hardware.hard_drive_interface;
    let mut storage = Storage::of(&vm.id, &vm.info(cx).await?);
    let ports = match bus {
        Bus::Pcie => hardware.nvme_port_count,
        _ => hardware.sata_port_count,
    };
    for line in storage.controller(bus, ports) {
        vm.call(cx, line).await?;
    }
    let sizes = std::iter::once(hardware.disk_size).chain(hardware.disk_additional_size.iter().copied());
    for (index, mib) in sizes.enumerate() {
        let suffix = if index == 0 { String::new() } else { format!("-{index}") };
        let file = vm.folder.join(format!("{}{suffix}.vdi", vm.name));
        vm.call(cx, verbs::createmedium(&file, mib)).await.map_err(|error| error.context("making a disk"))?;
        attach_disk(cx, vm, &mut storage, &file, hardware).await?;
    }
    Ok(())
}

async fn attach_disk(cx: &Cx, vm: &Vm, storage: &mut Storage, file: &Path, hardware: &HardwareOptions) -> Result<()> {
    let found = storage.disk(hardware.hard_drive_interface)?;
    for line in found.before {
        vm.call(cx, line).await?;
    }
    let mut line = verbs::attach(&vm.id, &found.place, "hdd", &file.to_string_lossy());
    for (flag, set) in
        [("--discard", hardware.hard_drive_discard), ("--nonrotational", hardware.hard_drive_nonrotational)]
    {
        if set {
            line.extend([flag.to_owned(), "on".to_owned()]);
        }
    }
    vm.call(cx, line).await.map_err(|error| error.context("attaching a disk"))
}

/// What UEFI keeps, and what it shows.
async fn firmware(cx: &Cx, vm: &Vm, hardware: &HardwareOptions) -> Result<()> {
    if let Some(size) = &hardware.gfx_efi_resolution {
        vm.call(cx, verbs::extra_data(&vm.id, "VBoxInternal2/EfiGraphicsResolution", size)).await?;
    }
    if let Some(file) = &hardware.nvram_file {
        let info = vm.info(cx).await?;
        let store = info.get("NvramFile").map_or_else(|| vm.folder.join(format!("{}.nvram", vm.name)), Into::into);
        let from = absolute(cx, file);
        std::fs::copy(&from, &store)
            .map_err(|error| Error::io(format!("copying the UEFI variables {}", from.display()), &error))?;
    }
    if hardware.efi_secure_boot {
        let steps: [&[&str]; 4] =
            [&["inituefivarstore"], &["enrollmssignatures"], &["enrollorclpk"], &["secureboot", "--enable"]];
        for step in steps.into_iter().skip(usize::from(hardware.nvram_file.is_some())) {
            let done = vm.call(cx, verbs::nvram(&vm.id, step)).await;
            done.map_err(|error| error.context("switching secure boot on"))?;
        }
    }
    Ok(())
}
