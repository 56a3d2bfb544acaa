//! What comes out.

use serde_json::{Value, json};

use crate::cloud::Cloud;

fn images(state: &Value) -> Vec<&Value> {
    state["images"].as_array().into_iter().flatten().collect()
}

/// One template through all of its life: provisioners, copies, tags, permissions, manifest, box.
#[test]
fn an_image_in_three_regions() {
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    sandbox.write("hello.txt", "hello from here\n");
    let source = r#"
  ami_regions     = ["us-west-2", "eu-west-1"]
  ami_description = "made of {{ .SourceAMI }}"
  ami_users       = ["111122223333"]
  tags            = { Name = "web", Base = "{{ .SourceAMIName }}" }
  snapshot_tags   = { Kind = "root" }
  run_tags        = { Team = "images" }
  imds_support    = "v2.0"
"#;
    let build = r#"
  provisioner "file" {
    source      = "hello.txt"
    destination = "/tmp/hello.txt"
  }
  provisioner "shell" {
    inline = ["cat /tmp/hello.txt", "echo baked from ${build.SourceAMI} in ${build.BuildRegion}", "sync"]
  }
  post-processor "manifest" { output = "manifest.json" }
  post-processor "vagrant" { output = "aws.box" }
"#;
    sandbox.write("t.pkr.hcl", &cloud.template(source, build));
    sandbox.run(&["validate", "t.pkr.hcl"]).ok();
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    for words in [
        "Prevalidating AMI Name: web",
        "Found Image ID: ami-",
        "Creating temporary keypair: packer_",
        "Authorizing access to port 22 from 127.0.0.0/8",
        "Launching a source AWS instance...",
        "hello from here",
        "in us-east-1",
        "Stopping the source instance...",
        "Creating AMI web from instance i-",
        "Terminating the source AWS instance...",
        "AMIs were created:",
    ] {
        assert!(made.stdout.contains(words), "`{words}` is not said\n{}", made.all());
    }
    sandbox.assert_nothing_left();

    let state = cloud.state();
    let kinds: Vec<&String> = state.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["images", "snapshots"], "{state:#}");
    let mut regions: Vec<&str> = images(&state).iter().map(|image| image["region"].as_str().unwrap()).collect();
    regions.sort_unstable();
    assert_eq!(regions, ["eu-west-1", "us-east-1", "us-west-2"]);
    for image in images(&state) {
        assert_eq!(image["tags"], json!({ "Name": "web", "Base": "tiny" }), "{image:#}");
    }
    for snapshot in state["snapshots"].as_array().unwrap() {
        assert_eq!(snapshot["tags"], json!({ "Name": "web", "Base": "tiny", "Kind": "root" }), "{snapshot:#}");
    }

    let manifest: Value = serde_json::from_str(&sandbox.read("manifest.json")).unwrap();
    let id = manifest["builds"][0]["artifact_id"].as_str().unwrap();
    let parts: Vec<&str> = id.split(',').map(|part| part.split_once(':').unwrap().0).collect();
    assert_eq!(parts, ["eu-west-1", "us-east-1", "us-west-2"]);
    let first = id.split(',').nth(1).unwrap().split_once(':').unwrap().1.to_owned();
    assert!(sandbox.path("aws.box").is_file());

    // The image is a source for the next build, and holds what was baked.
    let next = cloud
        .template("skip_create_ami = true", r#"provisioner "shell" { inline = ["ls /tmp /home/tiny"] }"#)
        .replace(&cloud.image, &first);
    sandbox.write("next.pkr.hcl", &next);
    let made = sandbox.run(&["build", "next.pkr.hcl"]).ok();
    assert!(made.stdout.contains("skip_create_ami"), "{}", made.all());
    assert_eq!(images(&cloud.state()).len(), 3, "no image is made");
}

/// Builds that need no guest to answer: nothing runs in it, and its power is cut.
fn quick(cloud: &Cloud) {
    cloud.settings(json!({ "guest_hangs": true, "stop_deadline": 0 }));
}

#[test]
fn a_name_that_is_taken_is_found_before_anything_is_made() {
    let cloud = Cloud::start();
    quick(&cloud);
    let sandbox = cloud.sandbox();
    sandbox.write("t.pkr.hcl", &cloud.template("communicator = \"none\"", ""));
    sandbox.run(&["build", "t.pkr.hcl"]).ok();
    let before = cloud.state();
    sandbox.run(&["build", "t.pkr.hcl"]).fails_saying(&[
        "the AMI name `web` is used by ami-",
        "us-east-1",
        "t.pkr.hcl:",
    ]);
    assert_eq!(cloud.state(), before);

    // In another region only.
    let other = cloud.template("communicator = \"none\"\n region = \"us-east-2\"", "");
    let other = other.replace("source_ami    =", "ami_regions = [\"us-east-1\"]\n  source_ami =");
    sandbox.write("other.pkr.hcl", &other);
    sandbox.run(&["build", "other.pkr.hcl"]).fails_saying(&["ami"]);
    assert_eq!(cloud.state(), before);
    sandbox.assert_nothing_left();
}

#[test]
fn a_new_image_takes_the_place_of_the_old_one() {
    let cloud = Cloud::start();
    quick(&cloud);
    let sandbox = cloud.sandbox();
    let source = r#"
  communicator          = "none"
  force_deregister      = true
  force_delete_snapshot = true
  ami_regions           = ["us-west-2"]
  tags                  = { Name = "web" }
"#;
    sandbox.write("t.pkr.hcl", &cloud.template(source, ""));
    sandbox.run(&["build", "t.pkr.hcl"]).ok();
    let old = cloud.state();
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(made.stdout.contains("Deregistering the old AMI"), "{}", made.all());
    let new = cloud.state();
    let ids = |state: &Value, kind: &str| {
        let mut ids: Vec<String> =
            state[kind].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    for kind in ["images", "snapshots"] {
        let (old, new) = (ids(&old, kind), ids(&new, kind));
        assert_eq!((old.len(), new.len()), (2, 2), "{kind}");
        assert!(old.iter().all(|id| !new.contains(id)), "{kind}: the old ones are gone");
    }
    for image in images(&new) {
        assert_eq!((&image["name"], &image["tags"]["Name"]), (&json!("web"), &json!("web")), "{image:#}");
    }
    assert_eq!(new.as_object().unwrap().len(), 2, "{new:#}");
    sandbox.assert_nothing_left();
}

/// EC2 takes these only when an image is registered: it is, of the very snapshots of the instance's image.
#[test]
fn an_image_with_a_firmware_of_its_own() {
    let cloud = Cloud::start();
    quick(&cloud);
    let sandbox = cloud.sandbox();
    let source = r#"
  communicator = "none"
  boot_mode    = "uefi"
  tpm_support  = "v2.0"
  uefi_data    = "QU1aTlVFRkk="
  no_ephemeral = true
  tags         = { Name = "web" }
  license_specifications {
    license_configuration_request {
      license_configuration_arn = "arn:aws:license-manager:us-east-1:123456789012:license-configuration:lic-0"
    }
  }
"#;
    sandbox.write("t.pkr.hcl", &cloud.template(source, ""));
    sandbox.run(&["validate", "t.pkr.hcl"]).ok();
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    let state = cloud.state();
    let kinds: Vec<&String> = state.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["images", "snapshots"], "{state:#}\n{}", made.all());
    for kind in kinds {
        let all = state[kind].as_array().unwrap();
        assert_eq!((all.len(), &all[0]["tags"]), (1, &json!({ "Name": "web" })), "{state:#}");
    }
    let told = cloud.python(
        r#"[image] = ec2.describe_images(Owners=["self"])["Images"]
uefi = ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="uefiData")["UefiData"]["Value"]
print(json.dumps([image[key] for key in ("Name", "BootMode", "TpmSupport", "EnaSupport")] + [uefi]))"#,
    );
    assert_eq!(told, json!(["web", "uefi", "v2.0", true, "QU1aTlVFRkk="]));
    sandbox.assert_nothing_left();
}

#[test]
fn a_second_volume_becomes_an_image_and_volumes_stay() {
    let cloud = Cloud::start();
    quick(&cloud);
    let sandbox = cloud.sandbox();
    let common = format!(
        r#"
  source_ami    = "{}"
  instance_type = "t3.micro"
  communicator  = "none""#,
        cloud.image
    );
    sandbox.write(
        "surrogate.pkr.hcl",
        &format!(
            r#"
source "amazon-ebssurrogate" "second" {{ {common}
  ami_name  = "second"
  boot_mode = "uefi"
  launch_block_device_mappings {{
    device_name = "/dev/sdf"
    volume_size = 1
  }}
  launch_block_device_mappings {{
    device_name        = "/dev/sdg"
    volume_size        = 1
    omit_from_artifact = true
  }}
  ami_root_device {{
    source_device_name = "/dev/sdf"
    device_name        = "/dev/xvda"
    volume_type        = "gp3"
  }}
}}
build {{ sources = ["source.amazon-ebssurrogate.second"] }}
"#
        ),
    );
    sandbox.run(&["validate", "surrogate.pkr.hcl"]).ok();
    let made = sandbox.run(&["build", "surrogate.pkr.hcl"]).ok();
    let state = cloud.state();
    let kinds: Vec<&String> = state.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["images", "snapshots"], "{state:#}\n{}", made.all());
    assert_eq!(state["snapshots"].as_array().unwrap().len(), 1, "{state:#}");
    assert_eq!(state["snapshots"][0]["tags"], json!({}), "our mark is taken off");

    cloud.reset();
    quick(&cloud);
    sandbox.write(
        "volume.pkr.hcl",
        &format!(
            r#"
source "amazon-ebsvolume" "data" {{ {common}
  ebs_volumes {{
    device_name     = "/dev/sdf"
    volume_size     = 1
    tags            = {{ Name = "data" }}
    snapshot_volume = true
    snapshot_tags   = {{ Name = "copy" }}
  }}
  ebs_volumes {{
    device_name           = "/dev/sdg"
    volume_size           = 1
    delete_on_termination = true
  }}
}}
build {{ sources = ["source.amazon-ebsvolume.data"] }}
"#
        ),
    );
    let made = sandbox.run(&["build", "volume.pkr.hcl"]).ok();
    let state = cloud.state();
    let kinds: Vec<&String> = state.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["snapshots", "volumes"], "{state:#}\n{}", made.all());
    assert_eq!(state["volumes"].as_array().unwrap().len(), 1, "{state:#}");
    assert_eq!(state["volumes"][0]["tags"], json!({ "Name": "data" }));
    assert_eq!(state["snapshots"][0]["tags"], json!({ "Name": "copy" }));
    sandbox.assert_nothing_left();
}
