use super::*;

fn guest() -> Guest {
    Guest { architecture: architecture("x86_64").into(), ..Guest::default() }
}

/// The header of an empty qcow2 disk with one zeroed table.
fn qcow2(path: &Path, size: u64) -> PathBuf {
    let mut bytes = vec![0; 0x20000];
    bytes[..4].copy_from_slice(b"QFI\xfb");
    bytes[4..8].copy_from_slice(&2u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&16u32.to_be_bytes());
    bytes[24..32].copy_from_slice(&size.to_be_bytes());
    bytes[36..40].copy_from_slice(&1u32.to_be_bytes());
    bytes[40..48].copy_from_slice(&0x10000u64.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
    path.to_owned()
}

#[test]
fn a_libvirt_box_of_one_disk_has_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let disk = qcow2(&dir.path().join("debian.qcow2"), (8 << 30) + 1);
    let contents = libvirt(std::slice::from_ref(&disk), &guest()).unwrap();
    assert_eq!(
        serde_json::Value::from(contents.metadata),
        json!({"provider": "libvirt", "architecture": "amd64", "format": "qcow2", "virtual_size": 9,
            "disks": [{"path": "box.img", "format": "qcow2"}]})
    );
    assert_eq!(contents.members, [file("box.img", &disk)]);
    assert!(contents.vagrantfile.contains("libvirt.driver = \"qemu\""), "{}", contents.vagrantfile);
}

#[test]
fn a_libvirt_box_of_several_disks_has_the_second_form_only() {
    let dir = tempfile::tempdir().unwrap();
    let disks = ["a", "b"].map(|name| qcow2(&dir.path().join(name), 1 << 30));
    let contents = libvirt(&disks, &Guest { uefi: true, ..guest() }).unwrap();
    assert!(!contents.metadata.contains_key("format") && !contents.metadata.contains_key("virtual_size"));
    let names: Vec<&str> = contents.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["box_1.img", "box_2.img"]);
    assert!(contents.vagrantfile.contains("libvirt.loader = loader if loader"));
}

#[test]
fn disks_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    std::fs::write(&raw, "raw").unwrap();
    let say = |result: Result<Contents, ProviderError>| result.unwrap_err().to_string();
    assert_eq!(say(libvirt(&[], &guest())), "a box for libvirt needs a disk, and the artifact has none");
    assert!(say(libvirt(&[raw], &guest())).starts_with("a box for libvirt holds qcow2 disks, and "));
    let two = ["a", "b"].map(|name| qcow2(&dir.path().join(name), 1));
    assert_eq!(say(qemu(&two, &guest())), "a box for qemu holds one disk, and the artifact has 2");
}

#[test]
fn a_box_for_another_architecture_names_its_machine() {
    let dir = tempfile::tempdir().unwrap();
    let disk = qcow2(&dir.path().join("d"), 1 << 30);
    let arm = Guest { architecture: architecture("aarch64").into(), uefi: true, ..Guest::default() };
    let contents = libvirt(std::slice::from_ref(&disk), &arm).unwrap();
    assert!(contents.vagrantfile.contains("libvirt.machine_arch = \"aarch64\""), "{}", contents.vagrantfile);
    let contents = qemu(&[disk], &arm).unwrap();
    assert_eq!(contents.metadata["provider"], "qemu");
    assert!(contents.vagrantfile.contains("qe.arch = \"aarch64\"") && !contents.vagrantfile.contains("q35"));
}

#[test]
fn an_aws_box_names_the_ami_of_each_region() {
    let contents = aws("eu-central-1:ami-1,us-east-1:ami-2", &guest()).unwrap();
    assert!(contents.members.is_empty());
    assert!(contents.vagrantfile.contains("    aws.region_config \"eu-central-1\", ami: \"ami-1\"\n"));
    assert!(contents.vagrantfile.contains("    aws.region_config \"us-east-1\", ami: \"ami-2\"\n"));
    for id in ["", "VM", "eu-central-1:", "eu:ami\" + `id`"] {
        assert!(matches!(aws(id, &guest()), Err(ProviderError::NoAmi { .. })), "{id}");
    }
}
