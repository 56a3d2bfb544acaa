//! From the options of a machine to `modifyvm` settings, and since when VirtualBox knows them.

use crate::options::{Firmware, HardwareOptions, TpmType};
use crate::vboxmanage::{Feature, Version};

pub type Settings = Vec<(String, String)>;

/// The option that this VirtualBox lacks, and what it would need.
pub fn lacking(options: &HardwareOptions, version: Version) -> Option<(&'static str, Feature)> {
    let wanted = [
        ("tpm_type", options.tpm_type.is_some_and(|kind| kind != TpmType::None), Feature::Tpm),
        ("efi_secure_boot", options.efi_secure_boot, Feature::SecureBoot),
        ("sound", matches!(options.sound.as_str(), "default" | "was"), Feature::AudioDefault),
    ];
    let lacking = wanted.into_iter().find(|(_, set, feature)| *set && !version.has(*feature));
    lacking.map(|(option, _, feature)| (option, feature))
}

/// Everything about a new machine but its disks.
pub fn settings(options: &HardwareOptions, version: Version) -> Settings {
    let mut settings = Settings::new();
    let mut set = |flag: &str, value: &str| settings.push((flag.to_owned(), value.to_owned()));
    for (index, device) in ["disk", "dvd", "none", "none"].iter().enumerate() {
        set(&format!("boot{}", index + 1), device);
    }
    set("cpus", &options.cpus.to_string());
    set("memory", &options.memory.to_string());
    if let Some(cap) = options.cpu_execution_cap {
        set("cpuexecutioncap", &cap.to_string());
    }
    set("ioapic", "on");
    set("chipset", options.chipset.as_str());
    set("firmware", firmware(options).as_str());
    set("rtcuseutc", on(options.rtc_time_base.as_str() == "UTC"));
    if options.nested_virt {
        set("nested-hw-virt", "on");
    }
    if let Some(kind) = options.tpm_type {
        set("tpm-type", kind.as_str());
    }
    set("nic1", "nat");
    set("nictype1", options.nic_type.as_str());
    if let Some(controller) = options.gfx_controller {
        set("graphicscontroller", controller.as_str());
    }
    if let Some(mib) = options.gfx_vram_size {
        set("vram", &mib.to_string());
    }
    if options.gfx_accelerate_3d {
        set("accelerate3d", "on");
    }
    audio(options, version, &mut set);
    usb(options, &mut set);
    settings
}

/// Secure boot exists with UEFI only: asking for it chooses that.
pub fn firmware(options: &HardwareOptions) -> Firmware {
    if options.efi_secure_boot && !options.firmware.is_uefi() { Firmware::Efi } else { options.firmware }
}

fn audio(options: &HardwareOptions, version: Version, set: &mut impl FnMut(&str, &str)) {
    let driver = options.sound.as_str();
    if version.has(Feature::AudioDriver) {
        set("audio-driver", driver);
        set("audio-enabled", on(driver != "none"));
    } else {
        set("audio", driver);
    }
    if driver != "none" {
        set("audiocontroller", options.audio_controller.as_str());
    }
}

fn usb(options: &HardwareOptions, set: &mut impl FnMut(&str, &str)) {
    let controller = options.usb_controller.map(|controller| controller.as_str());
    let has = options.usb || controller.is_some();
    set("usb", on(controller == Some("ohci") || controller.is_none() && options.usb));
    if let Some(newer @ ("ehci" | "xhci")) = controller {
        set(&format!("usb{newer}"), "on");
    }
    let mouse = options.mouse.map(|mouse| mouse.as_str());
    set("mouse", mouse.unwrap_or(if has { "usbtablet" } else { "ps2" }));
    set("keyboard", options.keyboard.map_or("ps2", |keyboard| keyboard.as_str()));
}

fn on(yes: bool) -> &'static str {
    if yes { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Diagnostics, Options, Value};

    use super::*;
    use crate::check::tests::body;
    use crate::options::IsoBuildOptions;

    const OLD: Version = Version { major: 6, minor: 1, patch: 50 };
    const NEW: Version = Version { major: 7, minor: 2, patch: 0 };

    fn hardware(options: &[(&str, Value)]) -> HardwareOptions {
        let mut found = Diagnostics::default();
        let options = IsoBuildOptions::from_body(&body("virtualbox-iso", options), &mut found);
        options.unwrap_or_else(|| panic!("{found:?}")).hardware
    }

    fn shown(options: &[(&str, Value)], version: Version) -> String {
        settings(&hardware(options), version).iter().map(|(flag, value)| format!("--{flag} {value}\n")).collect()
    }

    #[test]
    fn a_plain_machine_in_the_words_of_each_version() {
        insta::assert_snapshot!("plain_machine_6_1", shown(&[], OLD));
        insta::assert_snapshot!("plain_machine_7_2", shown(&[], NEW));
    }

    #[test]
    fn a_machine_with_everything() {
        let options = [
            ("cpus", 4.into()),
            ("memory", 4096.into()),
            ("cpu_execution_cap", 80.into()),
            ("chipset", "ich9".into()),
            ("efi_secure_boot", true.into()),
            ("tpm_type", "2.0".into()),
            ("rtc_time_base", "local".into()),
            ("nested_virt", true.into()),
            ("nic_type", "virtio".into()),
            ("gfx_controller", "vmsvga".into()),
            ("gfx_vram_size", 64.into()),
            ("gfx_accelerate_3d", true.into()),
            ("usb_controller", "xhci".into()),
            ("sound", "pulse".into()),
            ("audio_controller", "hda".into()),
            ("keyboard", "usb".into()),
        ];
        insta::assert_snapshot!(shown(&options, NEW));
    }

    #[test]
    fn what_a_version_lacks_is_named() {
        assert_eq!(lacking(&hardware(&[("tpm_type", "2.0".into())]), OLD), Some(("tpm_type", Feature::Tpm)));
        assert_eq!(lacking(&hardware(&[("tpm_type", "none".into())]), OLD), None);
        assert_eq!(lacking(&hardware(&[("sound", "default".into())]), OLD), Some(("sound", Feature::AudioDefault)));
        assert_eq!(lacking(&hardware(&[("efi_secure_boot", true.into())]), NEW), None);
    }
}
