//! Appliances from everywhere: boxes that no VirtualBox was needed for, OVA, OVF; whole and damaged.

use std::path::{Path, PathBuf};

use bakehouse_api::{Kind, Value};
use bakehouse_boxes::pack::{self, Compression, Contents};
use bakehouse_boxes::provider::{self, Guest};

use crate::bench::{Bench, list, serial, type_all};
use crate::typing::ECHO;

/// A raw disk whose boot sector says on the serial line what is typed.
fn disk(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path(name);
    let mut bytes = vec![0; 1 << 20];
    bytes[..ECHO.len()].copy_from_slice(ECHO);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn contents(disks: &[PathBuf]) -> Contents {
    let guest = Guest { architecture: "amd64".into(), memory_mib: Some(32), ..Guest::default() };
    provider::virtualbox(&[], disks, &guest).unwrap()
}

/// A box as the `vagrant` post-processor writes it of a QEMU build's disk.
fn pack_box(path: &Path, contents: &Contents) {
    let options = pack::Options { compression: Compression::Gzip(1), mtime: 0 };
    pack::write(std::fs::File::create(path).unwrap(), contents, &options, &mut |_| Ok(())).unwrap();
}

/// The files of an appliance, unpacked.
fn unpack(bench: &Bench, contents: &Contents) -> PathBuf {
    let packed = bench.path("source.box");
    pack_box(&packed, contents);
    let folder = bench.path("source");
    std::fs::create_dir(&folder).unwrap();
    bakehouse_boxes::read::extract(&packed, &folder, u64::MAX, &mut |_| Ok(())).unwrap();
    folder.join("box.ovf")
}

fn source<'a>(path: &Path, more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let usual = [
        ("source_path", Value::from(path.to_str().unwrap())),
        ("communicator", "none".into()),
        ("vm_name", "small".into()),
    ];
    usual.into_iter().chain(more.iter().cloned()).collect()
}

#[tokio::test]
async fn a_box_that_qemu_baked_imports_starts_and_becomes_a_box_again() {
    let Some(bench) = Bench::new() else { return };
    let packed = bench.path("qemu.box");
    let made = contents(&[disk(&bench, "disk.raw")]);
    pack_box(&packed, &made);
    let more = [("format", "ova".into()), ("boot_command", list(&["<wait1s>box"]))];
    let mut machine = bench.start("virtualbox-ovf", &source(&packed, &more)).await;
    let mac = bench.info("small", "macaddress1");
    bench.echoes("small").await;
    type_all(&bench, &mut *machine).await;
    let said = serial(&bench, |said| said.ends_with("box")).await;
    assert!(said.ends_with("box"), "{said}");
    bench.done(machine.force_off(&bench.cx).await);
    let artifact = bench.capture(machine).await;
    bench.assert_nothing_left();

    // What the `vagrant` post-processor makes of it.
    let guest = Guest { architecture: "amd64".into(), ..Guest::default() };
    let again = provider::virtualbox(&artifact.files, &[], &guest).unwrap();
    assert!(again.vagrantfile.contains(&format!("config.vm.base_mac = \"{mac}\"")), "{}", again.vagrantfile);
    let names: Vec<_> = again.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["box.ovf", "small-disk001.vmdk"]);
    let packed = bench.path("again.box");
    pack_box(&packed, &again);
    let second = bench.path("second");
    let mut machine =
        bench.start("virtualbox-ovf", &source(&packed, &[("output_directory", second.to_str().unwrap().into())])).await;
    assert_eq!(bench.info("small", "memory"), "32");
    bench.done(machine.force_off(&bench.cx).await);
    bench.capture(machine).await;
    bench.assert_nothing_left();
}

#[tokio::test]
async fn several_disks_and_import_flags_arrive() {
    let Some(bench) = Bench::new() else { return };
    let descriptor = unpack(&bench, &contents(&[disk(&bench, "one.raw"), disk(&bench, "two.raw")]));
    let flags = list(&["--memory", "48", "--cpus", "2"]);
    let more = [("import_flags", flags), ("import_opts", "importtovdi".into()), ("checksum", "none".into())];
    let mut machine = bench.start("virtualbox-ovf", &source(&descriptor, &more)).await;
    assert_eq!((bench.info("small", "memory"), bench.info("small", "cpus")), ("48".into(), "2".into()));
    bench.done(machine.force_off(&bench.cx).await);
    let artifact = bench.capture(machine).await;
    assert_eq!(artifact.files.iter().filter(|file| file.extension().is_some_and(|e| e == "vmdk")).count(), 2);
    bench.assert_nothing_left();
}

#[tokio::test]
async fn damaged_and_foreign_appliances_are_refused_and_leave_nothing() {
    let Some(bench) = Bench::new() else { return };
    let descriptor = unpack(&bench, &contents(&[disk(&bench, "disk.raw")]));
    let good = std::fs::read_to_string(&descriptor).unwrap();
    let manifest = descriptor.with_extension("mf");

    let wrong = "0".repeat(64);
    std::fs::write(&manifest, format!("SHA256 (box.ovf) = {wrong}\nSHA256 (box-disk001.vmdk) = {wrong}\n")).unwrap();
    let error = bench.refused("virtualbox-ovf", &source(&descriptor, &[])).await;
    assert!(error.to_string().to_lowercase().contains("digest") || error.to_string().contains("manifest"), "{error}");
    bench.assert_nothing_left();
    std::fs::remove_file(&manifest).unwrap();

    std::fs::write(&descriptor, good.replace("box-disk001.vmdk", "other.vmdk")).unwrap();
    let error = bench.builder("virtualbox-ovf", &source(&descriptor, &[])).resolve(&bench.cx).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("names the file `other.vmdk`, which is not beside it"), "{error}");

    let unknown = "<rasd:ResourceType>5</rasd:ResourceType>";
    assert!(good.contains(unknown), "{good}");
    std::fs::write(&descriptor, good.replace(unknown, "<rasd:ResourceType>4711</rasd:ResourceType>")).unwrap();
    let error = bench.refused("virtualbox-ovf", &source(&descriptor, &[])).await;
    assert!(error.to_string().contains("4711"), "{error}");
    bench.assert_nothing_left();

    std::fs::write(&descriptor, good).unwrap();
    let wrong = [("checksum", Value::from(format!("sha256:{}", "0".repeat(64))))];
    let error = bench.builder("virtualbox-ovf", &source(&descriptor, &wrong)).resolve(&bench.cx).await.unwrap_err();
    assert!(error.to_string().contains("has the wrong checksum"), "{error}");
}
