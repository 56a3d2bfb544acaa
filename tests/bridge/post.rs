//! The bridge at the end of a build.

use serde_json::Value;

use crate::cloud::Cloud;
use crate::support::tiny;
use crate::wire::{BUCKET, assert_holds, count, kinds, object, prepare_import};

/// A build whose artifact is the small guest's disk, and what comes after it.
pub fn template(post: &str) -> String {
    let disk = tiny();
    format!(
        r#"
source "null" "x" {{ communicator = "none" }}
build {{
  sources = ["null.x"]
  post-processors {{
    post-processor "artifice" {{ files = ["{}"] }}
    {post}
  }}
}}
"#,
        disk.display()
    )
}

#[test]
fn an_artifact_becomes_an_image_by_packers_options() {
    let cloud = Cloud::start();
    prepare_import(&cloud);
    let sandbox = cloud.sandbox();
    let post = format!(
        r#"post-processor "amazon-import" {{
      s3_bucket_name      = "{BUCKET}"
      license_type        = "BYOL"
      ami_name            = "web"
      ami_description     = "made here"
      tags                = {{ Name = "web" }}
      keep_input_artifact = true
    }}
    post-processor "manifest" {{ output = "manifest.json" }}"#
    );
    sandbox.write("t.pkr.hcl", &template(&post));
    sandbox.run(&["validate", "t.pkr.hcl"]).ok();
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    assert!(made.stdout.contains("Importing by image: only this way sets a licence"), "{}", made.all());
    let state = cloud.state();
    assert_eq!(kinds(&state), ["buckets", "images", "roles", "snapshots"], "{state:#}");
    assert_eq!(state["images"][0]["name"], "web", "{state:#}");
    let manifest: Value = serde_json::from_str(&sandbox.read("manifest.json")).unwrap();
    let id = manifest["builds"][0]["artifact_id"].as_str().unwrap();
    assert_eq!(id, format!("us-east-1:{}", state["images"][0]["id"].as_str().unwrap()));
    assert_holds(&cloud, state["images"][0]["snapshots"][0].as_str().unwrap(), &tiny());
    assert!(tiny().exists());
    sandbox.assert_nothing_left();
}

#[test]
fn a_box_and_its_catalog_lie_in_a_bucket() {
    let cloud = Cloud::start();
    prepare_import(&cloud);
    for version in ["1.0.0", "1.1.0"] {
        let sandbox = cloud.sandbox();
        let post = format!(
            r#"post-processor "vagrant" {{
      provider_override   = "libvirt"
      output              = "web-{version}.box"
      keep_input_artifact = true
    }}
    post-processor "s3" {{
      bucket    = "{BUCKET}"
      prefix    = "boxes/"
      metadata  = {{ made-by = "a test" }}
      tags      = {{ Name = "web" }}
      part_size = 5
    }}
    post-processor "vagrant-catalog" {{
      output  = "s3://{BUCKET}/web.json"
      box_tag = "org/web"
      version = "{version}"
    }}"#
        );
        sandbox.write("t.pkr.hcl", &template(&post));
        sandbox.run(&["validate", "t.pkr.hcl"]).ok();
        sandbox.run(&["build", "t.pkr.hcl"]).ok();
        let there = object(&cloud, &format!("boxes/web-{version}.box"));
        assert!(there == std::fs::read(sandbox.path(&format!("web-{version}.box"))).unwrap());
        sandbox.assert_nothing_left();
    }
    let catalog: Value = serde_json::from_slice(&object(&cloud, "web.json")).unwrap();
    let versions: Vec<&str> =
        catalog["versions"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0"], "{catalog:#}");
    let url = catalog["versions"][1]["providers"][0]["url"].as_str().unwrap();
    assert_eq!(url, format!("{}/{BUCKET}/boxes/web-1.1.0.box", cloud.url));
    let state = cloud.state();
    assert_eq!(count(&state, "objects"), 3, "{state:#}");
    assert_eq!(state.get("uploads"), None, "{state:#}");
}
