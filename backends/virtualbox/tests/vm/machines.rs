//! A machine is made, run, cleaned, exported, and imported again as it was.

use bakehouse_api::Value;

use crate::bench::{Bench, lines, list};
use crate::typing::{ECHO, bootable_cd};

/// A new machine with a CD that boots; small, and nothing that the interpreter has to wait for.
pub fn new_machine(bench: &Bench, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let image = bench.path("echo.iso");
    std::fs::write(&image, bootable_cd(ECHO)).unwrap();
    let usual: [(&str, Value); 6] = [
        ("iso_url", image.to_str().unwrap().into()),
        ("iso_checksum", "none".into()),
        ("communicator", "none".into()),
        ("memory", 32.into()),
        ("disk_size", 64.into()),
        ("vm_name", "small".into()),
    ];
    let given = |name: &str| more.iter().any(|(given, _)| *given == name);
    let usual = usual.into_iter().filter(|(name, _)| !given(name));
    usual.chain(more.iter().cloned()).collect()
}

#[tokio::test]
async fn a_machine_runs_and_is_exported_without_what_only_the_build_needed() {
    let Some(bench) = Bench::new() else { return };
    let options = new_machine(
        &bench,
        &[
            ("guest_os_type", "Debian_64".into()),
            ("cpus", 2.into()),
            ("chipset", "ich9".into()),
            ("nic_type", "virtio".into()),
            ("hard_drive_interface", "sata".into()),
            ("hard_drive_discard", true.into()),
            ("disk_additional_size", Value::tuple(vec![16.into()])),
            ("gfx_controller", "vmsvga".into()),
            ("gfx_vram_size", 9.into()),
            ("usb_controller", "xhci".into()),
            ("rtc_time_base", "local".into()),
            ("cd_content", Value::object([("note".to_owned(), "x".into())].into())),
            ("floppy_content", Value::object([("note".to_owned(), "x".into())].into())),
            ("http_content", Value::object([("/note".to_owned(), "x".into())].into())),
            (
                "vboxmanage",
                lines(&[&[
                    "modifyvm",
                    "{{ .Name }}",
                    "--vm-execution-engine",
                    "interpreter",
                    "--description",
                    "{{ .HTTPIP }}",
                ]]),
            ),
            ("vboxmanage_post", lines(&[&["modifyvm", "{{ .Name }}", "--memory", "48"]])),
            ("export_opts", list(&["--manifest"])),
        ],
    );
    let mut machine = bench.start("virtualbox-iso", &options).await;
    assert_eq!(bench.info("small", "VMState"), "running");
    assert_eq!(bench.info("small", "description"), "10.0.2.2");
    assert!(!bench.output().exists(), "the output directory appears only when it is complete");
    bench.done(machine.force_off(&bench.cx).await);
    let artifact = bench.capture(machine).await;
    bench.assert_nothing_left();
    assert!(bench.recorder.held().is_empty(), "{:?}", bench.recorder.held());
    let lines = bench.recorder.lines();
    assert!(!lines.iter().any(|line| line.starts_with("taking back")), "{lines:?}");

    let names: Vec<_> = artifact.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["small-disk001.vmdk", "small-disk002.vmdk", "small.mf", "small.ovf"]);
    assert_eq!((artifact.builder_id.as_str(), artifact.facts["memory"].as_str()), ("mitchellh.virtualbox", "48"));
    let ovf = std::fs::read_to_string(bench.output().join("small.ovf")).unwrap();
    for left in [
        "executionEngine",
        "RemoteDisplay enabled=\"true\"",
        "<Port slot",
        "Forwarding",
        "echo.iso",
        bench.dir.path().to_str().unwrap(),
    ] {
        assert!(!ovf.contains(left), "{left} in {ovf}");
    }

    // The dry run reads it, and the real one makes the same machine of it.
    let descriptor = bench.output().join("small.ovf");
    bench.vbox(&["import", descriptor.to_str().unwrap(), "--dry-run"]);
    bench.vbox(&["import", descriptor.to_str().unwrap(), "--vsys", "0", "--vmname", "again"]);
    let wanted = [
        ("memory", "48"),
        ("cpus", "2"),
        ("chipset", "ich9"),
        ("nictype1", "virtio"),
        ("nic1", "nat"),
        ("rtcuseutc", "off"),
        ("graphicscontroller", "vmsvga"),
        ("vram", "9"),
        ("xhci", "on"),
        ("vrde", "off"),
        ("uart1", "off"),
        ("storagecontrollertype0", "IntelAhci"),
    ];
    for (key, value) in wanted {
        assert_eq!(bench.info("again", key), value, "{key}");
    }
    bench.vbox(&["unregistervm", "again", "--delete"]);
}

#[tokio::test]
async fn uefi_with_secure_boot_and_a_tpm_is_made_and_exported() {
    let Some(bench) = Bench::new() else { return };
    let options = new_machine(
        &bench,
        &[
            ("efi_secure_boot", true.into()),
            ("tpm_type", "2.0".into()),
            ("gfx_efi_resolution", "1024x768".into()),
            ("hard_drive_interface", "virtio".into()),
            ("iso_interface", "sata".into()),
            ("format", "ova".into()),
            ("bundle_iso", true.into()),
            ("output_filename", "../images/bundled".into()),
        ],
    );
    let mut machine = bench.start("virtualbox-iso", &options).await;
    bench.done(machine.force_off(&bench.cx).await);
    let key = bench.path("platform-key");
    bench.vbox(&["modifynvram", "small", "queryvar", "--name", "PK", "--filename", key.to_str().unwrap()]);
    assert!(key.metadata().unwrap().len() > 100);
    let store = bench.path("store.nvram");
    std::fs::copy(bench.path("machines/small/small.nvram"), &store).unwrap();
    let artifact = bench.capture(machine).await;
    bench.assert_nothing_left();
    assert_eq!(artifact.facts["firmware"], "uefi");
    let archive = bakehouse_boxes::ova::open(&bench.path("images/bundled.ova")).unwrap();
    assert_eq!(artifact.files, [bench.path("images/bundled.ova")]);
    let names: Vec<_> = archive.members.iter().map(|part| part.name.as_str()).collect();
    assert!(names.iter().any(|name| name.ends_with(".iso")), "{names:?}");

    // The variables of that machine are where another one begins.
    let more = [
        ("firmware", "efi".into()),
        ("nvram_file", store.to_str().unwrap().into()),
        ("output_directory", bench.path("second").to_str().unwrap().into()),
    ];
    let mut machine = bench.start("virtualbox-iso", &new_machine(&bench, &more)).await;
    bench.done(machine.force_off(&bench.cx).await);
    let same = bench.path("same-key");
    bench.vbox(&["modifynvram", "small", "queryvar", "--name", "PK", "--filename", same.to_str().unwrap()]);
    assert_eq!(std::fs::read(same).unwrap(), std::fs::read(key).unwrap());
}

#[tokio::test]
async fn guest_additions_are_checked_and_put_into_a_drive() {
    let Some(bench) = Bench::new() else { return };
    let additions = bench.path("additions-7.iso");
    std::fs::write(&additions, bootable_cd(&[])).unwrap();
    let url = bench.path("additions-{{ .Version }}.iso").to_str().unwrap().replace("{{ .Version }}", "7");
    let attach = |sha256: &str| {
        let more = [
            ("guest_additions_mode", "attach".into()),
            ("guest_additions_url", url.as_str().into()),
            ("guest_additions_interface", "sata".into()),
            ("guest_additions_sha256", sha256.into()),
        ];
        new_machine(&bench, &more)
    };
    let wrong = bench.builder("virtualbox-iso", &attach(&"0".repeat(64))).resolve(&bench.cx).await.unwrap_err();
    assert!(
        wrong.to_string().contains("getting the Guest Additions") && wrong.to_string().contains("wrong checksum"),
        "{wrong}"
    );
    let mut machine = bench.start("virtualbox-iso", &attach("")).await;
    assert_eq!(bench.info("small", "\"SATA Controller-0-0\""), additions.to_str().unwrap());
    bench.done(machine.force_off(&bench.cx).await);
    bench.capture(machine).await;
    bench.assert_nothing_left();
}

#[tokio::test]
async fn a_machine_can_stay_registered_and_unexported() {
    let Some(bench) = Bench::new() else { return };
    let options = new_machine(&bench, &[("skip_export", true.into()), ("keep_registered", true.into())]);
    let mut machine = bench.start("virtualbox-iso", &options).await;
    bench.done(machine.force_off(&bench.cx).await);
    let artifact = bench.capture(machine).await;
    bench.recorder.drain().await.unwrap();
    assert_eq!((artifact.files.len(), bench.output().exists()), (0, false));
    assert_eq!(bench.info("small", "VMState"), "poweroff");
    assert_eq!(bench.vbox(&["list", "dvds"]).trim(), "", "the installer is out of its drive");
    let again = bench.builder("virtualbox-iso", &options).resolve(&bench.cx).await.unwrap_err();
    assert!(again.to_string().contains("VirtualBox has a machine named `small` already"), "{again}");
    bench.vbox(&["unregistervm", "small", "--delete"]);
}
