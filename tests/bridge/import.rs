//! What comes out, by each of the ways.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use serde_json::json;

use crate::cloud::Cloud;
use crate::support::tiny;
use crate::wire::{
    BLOCK, BUCKET, assert_boots, assert_holds, blocks, calls, count, element, image, import, kinds, prepare_import,
    small, tiny_as,
};

#[test]
fn block_by_block_into_two_regions() {
    // The guest boots by UEFI here, which takes more than its usual memory.
    let cloud = Cloud::with(&["--memory", "512"]);
    let sandbox = cloud.sandbox();
    let options = [
        "--tag",
        "Name=web",
        "--snapshot-tag",
        "Kind=root",
        "--regions",
        "us-west-2",
        "--users",
        "111122223333",
        "--imds",
    ];
    let (done, made) = import(&sandbox, &tiny(), &options);
    done.ok();
    assert_eq!(made["via"], "ebs-direct");
    assert_eq!(made["architecture"], "x86_64");
    let (id, snapshot) = (made["images"]["us-east-1"].as_str().unwrap(), made["snapshots"][0].as_str().unwrap());
    assert!(made["images"]["us-west-2"].as_str().unwrap().starts_with("ami-"), "{made:#}");

    let state = cloud.state();
    assert_eq!(kinds(&state), ["images", "snapshots"], "{state:#}");
    assert_eq!((count(&state, "images"), count(&state, "snapshots")), (2, 2), "{state:#}");
    for image in state["images"].as_array().unwrap() {
        assert_eq!((&image["name"], &image["tags"]), (&json!("web"), &json!({ "Name": "web" })), "{image:#}");
        assert_eq!(image["permissions"][0]["UserId"], "111122223333", "{image:#}");
    }
    for snapshot in state["snapshots"].as_array().unwrap() {
        assert_eq!(snapshot["tags"], json!({ "Name": "web", "Kind": "root" }), "{snapshot:#}");
    }
    let told = image(&cloud, id);
    for (name, value) in
        [("architecture", "x86_64"), ("virtualizationType", "hvm"), ("enaSupport", "true"), ("imdsSupport", "v2.0")]
    {
        assert_eq!(element(&told, name), value, "{name}: {told}");
    }
    assert_eq!(element(&told, "bootMode"), made["boot_mode"].as_str().unwrap());
    assert_holds(&cloud, snapshot, &tiny());
    sandbox.assert_nothing_left();
    assert_boots(&cloud, &sandbox, id);
}

#[test]
fn through_a_bucket_as_it_is_and_by_the_service() {
    let cloud = Cloud::start();
    prepare_import(&cloud);
    for (via, more) in [("snapshot", &[][..]), ("image", &["--license-type", "BYOL", "--platform", "linux"])] {
        let sandbox = cloud.sandbox();
        let mut options = vec!["--via", via, "--bucket", BUCKET, "--tag", "Name=web"];
        options.extend(more);
        let (done, made) = import(&sandbox, &tiny(), &options);
        done.ok();
        assert_eq!(made["via"], via);
        let state = cloud.state();
        assert_eq!(kinds(&state), ["buckets", "images", "roles", "snapshots"], "{via}: {state:#}");
        assert_eq!((count(&state, "images"), count(&state, "snapshots")), (1, 1), "{via}: {state:#}");
        assert_eq!(state["images"][0]["name"], "web", "no other name, and no copy");
        assert_eq!(calls(&cloud, "ec2:CopyImage"), 0);
        assert_eq!(state["snapshots"][0]["tags"], json!({ "Name": "web" }), "{state:#}");
        assert_holds(&cloud, made["snapshots"][0].as_str().unwrap(), &tiny());
        sandbox.assert_nothing_left();
        cloud.reset();
        prepare_import(&cloud);
    }
}

#[test]
fn only_what_differs_from_a_parent_is_sent() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let disk = small(&sandbox);
    let (done, first) = import(&sandbox, &disk, &[]);
    done.ok();
    let parent = first["snapshots"][0].as_str().unwrap();
    let all = calls(&cloud, "ebs:PutSnapshotBlock");
    assert_eq!(first["sent"].as_u64().unwrap(), all * BLOCK as u64);

    // One block differs, one is new, one is empty now.
    let file = OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(&[7; 4096], 10 * BLOCK as u64).unwrap();
    file.write_all_at(&[7; 4096], 11 * BLOCK as u64).unwrap();
    file.write_all_at(&[0; BLOCK], 20 * BLOCK as u64).unwrap();
    drop(file);
    let again = |sandbox: &crate::support::Sandbox| {
        let before = calls(&cloud, "ebs:PutSnapshotBlock");
        let (done, made) = import(sandbox, &disk, &["--parent", parent, "--replace"]);
        done.ok();
        (made["snapshots"][0].as_str().unwrap().to_owned(), calls(&cloud, "ebs:PutSnapshotBlock") - before)
    };
    let (child, sent) = again(&sandbox);
    assert_eq!(sent, 3);
    assert_holds(&cloud, &child, &disk);
    // The image that is replaced has a snapshot, and its digests are known.
    let before = calls(&cloud, "ebs:PutSnapshotBlock");
    let (done, same) = import(&sandbox, &disk, &["--replace"]);
    done.ok();
    assert_eq!((same["sent"].as_u64(), calls(&cloud, "ebs:PutSnapshotBlock") - before), (Some(0), 0));
    assert_holds(&cloud, same["snapshots"][0].as_str().unwrap(), &disk);
    // Without our own notes of the parent its blocks are read.
    std::fs::remove_dir_all(sandbox.path("cache")).unwrap();
    let (child, sent) = again(&sandbox);
    assert_eq!(sent, 3);
    assert_holds(&cloud, &child, &disk);
    sandbox.assert_nothing_left();
}

#[test]
fn zeroes_are_sent_to_an_encrypted_snapshot() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let disk = small(&sandbox);
    let (done, made) = import(&sandbox, &disk, &["--encrypt"]);
    done.ok();
    let snapshot = made["snapshots"][0].as_str().unwrap();
    assert_eq!(cloud.state()["snapshots"][0]["encrypted"], true);
    assert_holds(&cloud, snapshot, &disk);
    let all = made["bytes"].as_u64().unwrap().div_ceil(BLOCK as u64);
    assert_eq!(blocks(&cloud, snapshot).len() as u64, all, "what is left out reads back as noise");

    // Unless the disk is known to be as its guest has left it.
    cloud.reset();
    let (done, made) = import(&sandbox, &disk, &["--encrypt", "--skip-unwritten"]);
    done.ok();
    let there: Vec<usize> = blocks(&cloud, made["snapshots"][0].as_str().unwrap()).into_keys().collect();
    let written: Vec<usize> = (0..100).filter(|index| index % 2 == 0 || *index == 33).collect();
    assert_eq!(there, written, "zeroes that were written are sent");
}

#[test]
fn disks_of_other_formats_and_within_packages() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    let vmdk = tiny_as(&sandbox, "vmdk", "disk.vmdk");
    let overlay = sandbox.path("overlay.qcow2");
    let (base, path) = (tiny(), overlay.to_str().unwrap().to_owned());
    crate::wire::qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.to_str().unwrap(), &path]);
    let packed = crate::post::template(
        r#"post-processor "vagrant" {
      provider_override   = "libvirt"
      output              = "tiny.box"
      keep_input_artifact = true
    }"#,
    );
    sandbox.write("box.pkr.hcl", &packed);
    sandbox.run(&["build", "box.pkr.hcl"]).ok();
    for disk in [vmdk, overlay, sandbox.path("tiny.box")] {
        cloud.reset();
        let (done, made) = import(&sandbox, &disk, &[]);
        done.ok();
        assert_holds(&cloud, made["snapshots"][0].as_str().unwrap(), &tiny());
    }
    sandbox.assert_nothing_left();
}
