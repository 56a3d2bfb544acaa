use std::process::Command;

use super::*;
use crate::ovf::{Bus, Disk, Os, STREAM_OPTIMIZED, Version};

fn appliance(dir: &Path) -> PathBuf {
    let disk = dir.join("disk");
    std::fs::write(&disk, vec![7; 300_000]).unwrap();
    let descriptor = Descriptor {
        version: Version::V1,
        name: "debian".into(),
        os: Os { cim: 101, virtualbox: None },
        cpus: 1,
        memory_mib: 512,
        disks: vec![Disk {
            id: "vmdisk1".into(),
            capacity: 300_032,
            file: Some("file1".into()),
            format: STREAM_OPTIMIZED.into(),
            bus: Some(Bus::Ide),
        }],
        adapters: vec![],
        files: vec![ovf::File { id: "file1".into(), href: "debian-disk001.vmdk".into(), size: None }],
    };
    let path = dir.join("debian.ova");
    write(File::create(&path).unwrap(), &descriptor, &[disk], 1_700_000_000, &mut |_| Ok(())).unwrap();
    path
}

#[test]
fn an_appliance_is_read_back_and_its_manifest_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = appliance(dir.path());
    let archive = open(&path).unwrap();
    let names: Vec<&str> = archive.members.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["debian.ovf", "debian-disk001.vmdk", "debian.mf"]);
    assert_eq!((archive.descriptor.name.as_str(), archive.verify().unwrap()), ("debian", 2));
    let unpack = Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(dir.path()).status().unwrap();
    assert!(unpack.success());
    let check = Command::new("sha256sum").args(["-c", "debian.mf"]).current_dir(dir.path()).status().unwrap();
    assert!(check.success(), "sha256sum reads the manifest's form too");
}

#[test]
fn a_damaged_disk_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = appliance(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let part = open(&path).unwrap().members[1].clone();
    bytes[(part.offset + 70_000) as usize] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = open(&path).unwrap().verify().unwrap_err().to_string();
    assert!(error.starts_with("`debian-disk001.vmdk` is damaged: the manifest says "), "{error}");
}

#[test]
fn what_is_no_appliance_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.ova");
    let pack = |names: &[&str]| {
        for name in names {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let made = Command::new("tar").arg("-cf").arg(&path).arg("-C").arg(dir.path()).args(names).status();
        assert!(made.unwrap().success());
        open(&path).unwrap_err().to_string().replace(dir.path().to_str().unwrap(), "DIR")
    };
    assert_eq!(pack(&["note"]), "DIR/x.ova is no OVA: it holds no .ovf");
    assert!(pack(&["a.ovf"]).starts_with("the OVF descriptor is not XML"));
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    assert_eq!(pack(&["sub/x"]), "DIR/x.ova is no OVA: `sub/x` has no place in it");
}

#[test]
fn manifests_of_both_spellings_are_read() {
    let lines = manifest_lines("SHA256 (a (1).vmdk) = AB\nSHA1(b)= cd\n\n").unwrap();
    let line = |algorithm: &str, name: &str, hex: &str| Line {
        algorithm: algorithm.into(),
        name: name.into(),
        hex: hex.into(),
    };
    assert_eq!(lines, [line("SHA256", "a (1).vmdk", "ab"), line("SHA1", "b", "cd")]);
    assert_eq!(manifest_lines("rubbish").unwrap_err(), "its manifest has the line `rubbish`");
}
