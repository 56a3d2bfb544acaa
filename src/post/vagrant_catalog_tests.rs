use std::fs::File;

use bakehouse_api::{Settings, Value, testing};
use bakehouse_boxes::checksum;
use bakehouse_boxes::pack::{self, Compression, Contents};

use super::*;
use crate::script::testing::{body, findings};

struct Bench {
    dir: tempfile::TempDir,
    artifact: Artifact,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("debian.box");
        let contents = Contents {
            metadata: serde_json::json!({"provider": "aws", "architecture": "arm64"}).as_object().unwrap().clone(),
            vagrantfile: String::new(),
            members: vec![],
        };
        let options = pack::Options { compression: Compression::Gzip(6), mtime: 0 };
        pack::write(File::create(&path).unwrap(), &contents, &options, &mut |_| Ok(())).unwrap();
        let artifact = Artifact { files: vec![path], ..Artifact::default() };
        Self { dir, artifact }
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("metadata.json")
    }

    fn catalog(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.output()).unwrap()).unwrap()
    }

    async fn list(&self, version: &str, force: bool, more: &[(&str, Value)]) -> Result<Vec<String>> {
        let output = Value::from(self.output().to_str().unwrap());
        let mut entries = vec![("output", output), ("box_tag", "org/debian".into()), ("version", version.into())];
        for entry in more {
            entries.retain(|(name, _)| *name != entry.0);
            entries.push(entry.clone());
        }
        let mut diagnostics = Diagnostics::default();
        let writer = prepare(&body("vagrant-catalog", &entries), &mut diagnostics);
        let writer = writer.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
        let (_, recorder) = testing::cx(self.dir.path(), vec![]);
        let settings = Settings { force, ..Settings::default() };
        let (events, undos, prompts) = (recorder.clone(), recorder.clone(), recorder.clone());
        let temp = self.dir.path().into();
        let cx = Cx::new("t", temp, settings.into(), events, undos, prompts, Default::default(), Default::default());
        writer.run(&cx, &self.artifact).await?;
        Ok(recorder.lines())
    }
}

#[tokio::test]
async fn a_box_is_listed_with_checksum_architecture_and_absolute_address() {
    let bench = Bench::new();
    let lines = bench.list("1.0", false, &[]).await.unwrap();
    let path = bench.artifact.files[0].display().to_string();
    let provider = &bench.catalog()["versions"][0]["providers"][0];
    let sum = checksum::of_file(&bench.artifact.files[0], Algorithm::Sha256, &mut |_| Ok(())).unwrap();
    let expected = serde_json::json!({"name": "aws", "url": format!("file://{path}"), "checksum_type": "sha256",
        "checksum": sum, "architecture": "arm64", "default_architecture": true});
    assert_eq!(*provider, expected);
    assert_eq!(lines.last().unwrap(), &format!("vagrant box add {}", bench.output().display()));
}

#[tokio::test]
async fn addresses_are_made_by_the_template_and_old_versions_go() {
    let bench = Bench::new();
    let url = "https://example.com/{{name}}/{{version}}/{{provider}}-{{architecture}}/{{file}}";
    let more = [("url_template", url.into()), ("keep_versions", 2.into()), ("checksum_type", "sha512".into())];
    for version in ["1.9", "1.10", "1.8"] {
        bench.list(version, false, &more).await.unwrap();
    }
    let catalog = bench.catalog();
    let versions: Vec<&str> =
        catalog["versions"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.9", "1.10"]);
    let provider = &catalog["versions"][1]["providers"][0];
    assert_eq!(provider["url"], "https://example.com/org/debian/1.10/aws-arm64/debian.box");
    assert_eq!(provider["checksum"].as_str().unwrap().len(), 128);
}

#[tokio::test]
async fn a_version_that_is_there_needs_force_and_stays_without() {
    let bench = Bench::new();
    bench.list("1.0", false, &[]).await.unwrap();
    let before = std::fs::read(bench.output()).unwrap();
    let error = bench.list("1.0", false, &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"version 1.0 already has a box for aws on arm64");
    assert_eq!(error.hints(), ["choose another version, or replace it with -force"]);
    assert_eq!(std::fs::read(bench.output()).unwrap(), before);
    bench.list("1.0", true, &[]).await.unwrap();
    bench.list("1.0", false, &[("replace", true.into())]).await.unwrap();
    let other = bench.list("1.1", false, &[("box_tag", "org/other".into())]).await.unwrap_err();
    insta::assert_snapshot!(other, @"the catalog is of the box `org/debian`, not of `org/other`");
}

#[tokio::test]
async fn an_artifact_without_a_box_says_what_is_missing() {
    let mut bench = Bench::new();
    bench.artifact.files.clear();
    let error = bench.list("1.0", false, &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"the artifact has no file that ends with .box");
    assert!(!bench.output().exists());
}

#[test]
fn mistakes_are_found_without_a_box() {
    let mut diagnostics = Diagnostics::default();
    let entries = [
        ("box_tag", "org/debian/12".into()),
        ("version", "v1".into()),
        ("url_template", "boxes/{{file}}".into()),
        ("output", "..".into()),
    ];
    assert!(prepare(&body("vagrant-catalog", &entries), &mut diagnostics).is_none());
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    `org/debian/12` is no name of a box: write it like org/box
    `v1` is not a version: write numbers with dots, like 1.2.0 or 1.2.0.rc1
    `boxes/{{file}}` is no absolute URL
    `output` must name a file
    ");
}
