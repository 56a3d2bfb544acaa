use std::process::Command;

use bakehouse_api::{Settings, Value, testing};

use super::*;
use crate::script::testing::{body, findings, list, map};

/// A build's disk and where its box goes.
struct Bench {
    dir: tempfile::TempDir,
    artifact: Artifact,
}

impl Bench {
    fn new(disks: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = |name: &&str| {
            let path = dir.path().join(name);
            let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&path).arg("3G").status();
            assert!(made.unwrap().success());
            path
        };
        let facts = [("architecture", "x86_64"), ("firmware", "bios"), ("disk_name", "debian"), ("cpus", "2")];
        let artifact = Artifact {
            builder_id: "transcend.qemu".into(),
            id: "VM".into(),
            files: disks.iter().map(disk).collect(),
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Artifact::default()
        };
        Self { dir, artifact }
    }

    fn cx(&self, env: &[(&str, &str)]) -> Cx {
        let (_, recorder) = testing::cx(self.dir.path(), vec![]);
        let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let settings = Settings { env, ..Settings::default() };
        let (events, undos, prompts) = (recorder.clone(), recorder.clone(), recorder);
        let temp = self.dir.path().into();
        Cx::new("test", temp, settings.into(), events, undos, prompts, Default::default(), Default::default())
    }

    fn output(&self) -> Value {
        Value::from(format!(
            "{}/{{{{.BuildName}}}}_{{{{.Provider}}}}_{{{{.Architecture}}}}.box",
            self.dir.path().display()
        ))
    }

    async fn pack(&self, more: &[(&str, Value)]) -> Result<Artifact> {
        let mut entries = vec![("output", self.output())];
        entries.extend_from_slice(more);
        let mut diagnostics = Diagnostics::default();
        let vagrant = prepare(&body("vagrant", &entries), &mut diagnostics);
        let vagrant = vagrant.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
        let outcome = vagrant.run(&self.cx(&[]), &self.artifact).await?;
        assert!(!outcome.keep_by_default);
        Ok(outcome.artifact.unwrap())
    }
}

fn tar(args: &[&str], path: &Path) -> String {
    let out = Command::new("bsdtar").args(args).arg(path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn member(path: &Path, name: &str) -> String {
    let out = Command::new("bsdtar").arg("-xOf").arg(path).arg(name).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[tokio::test]
async fn a_build_of_qemu_becomes_a_libvirt_box() {
    let bench = Bench::new(&["debian"]);
    let made = bench.pack(&[]).await.unwrap();
    assert_eq!(made.files, [bench.dir.path().join("debian_libvirt_amd64.box")]);
    assert_eq!((made.id.as_str(), made.facts["architecture"].as_str()), ("libvirt", "amd64"));
    assert_eq!(tar(&["-tf"], &made.files[0]), "metadata.json\nVagrantfile\nbox.img\n");
    let metadata: serde_json::Value = serde_json::from_str(&member(&made.files[0], "metadata.json")).unwrap();
    assert_eq!((&metadata["provider"], &metadata["virtual_size"]), (&"libvirt".into(), &3.into()));
    assert!(bench.artifact.files[0].exists());
}

#[tokio::test]
async fn additional_disks_go_into_the_box_and_other_files_do_not() {
    let mut bench = Bench::new(&["debian-2", "debian-1", "debian"]);
    std::fs::write(bench.dir.path().join("efivars.fd"), "x").unwrap();
    bench.artifact.files.push(bench.dir.path().join("efivars.fd"));
    let made = bench.pack(&[]).await.unwrap();
    assert_eq!(tar(&["-tf"], &made.files[0]), "metadata.json\nVagrantfile\nbox_1.img\nbox_2.img\nbox_3.img\n");
}

#[tokio::test]
async fn a_virtualbox_box_is_made_without_virtualbox() {
    let bench = Bench::new(&["debian"]);
    let made = bench.pack(&[("provider_override", "virtualbox".into())]).await.unwrap();
    assert_eq!(tar(&["-tf"], &made.files[0]), "metadata.json\nVagrantfile\nbox.ovf\nbox-disk001.vmdk\n");
    let ovf = bakehouse_boxes::ovf::parse(member(&made.files[0], "box.ovf").as_bytes()).unwrap();
    assert_eq!((ovf.cpus, ovf.disks[0].capacity), (2, 3 << 30));
    let mac = ovf.base_mac().unwrap();
    assert!(member(&made.files[0], "Vagrantfile").contains(&format!("config.vm.base_mac = \"{mac}\"")));
}

#[tokio::test]
async fn the_template_adds_files_and_a_vagrantfile() {
    let bench = Bench::new(&["debian"]);
    let note = bench.dir.path().join("note.txt");
    let vagrantfile = bench.dir.path().join("more.rb");
    std::fs::write(&note, "hello").unwrap();
    std::fs::write(&vagrantfile, "# more\n").unwrap();
    let more = [
        ("include", list(&[note.to_str().unwrap()])),
        ("vagrantfile_template", vagrantfile.to_str().unwrap().into()),
        ("architecture", "arm64".into()),
        ("override", Value::object([("libvirt".into(), map(&[("compression_level", "0")]))].into())),
    ];
    let made = bench.pack(&more).await.unwrap();
    assert_eq!(made.facts["architecture"], "arm64");
    assert_eq!(member(&made.files[0], "note.txt"), "hello");
    assert!(member(&made.files[0], "Vagrantfile").ends_with("end\n\n# From the template:\n# more\n"));
    let bytes = std::fs::read(&made.files[0]).unwrap();
    assert_eq!(&bytes[..13], b"metadata.json", "level 0 for libvirt is a plain tar");
}

#[tokio::test]
async fn the_date_of_the_sources_makes_boxes_equal() {
    let bench = Bench::new(&["debian"]);
    let vagrant = prepare(&body("vagrant", &[("output", bench.output())]), &mut Diagnostics::default()).unwrap();
    let mut boxes = Vec::new();
    for _ in 0..2 {
        let cx = bench.cx(&[("SOURCE_DATE_EPOCH", "1000000000")]);
        let made = vagrant.run(&cx, &bench.artifact).await.unwrap().artifact.unwrap();
        boxes.push(std::fs::read(&made.files[0]).unwrap());
    }
    assert!(boxes[0] == boxes[1]);
    let error = vagrant.run(&bench.cx(&[("SOURCE_DATE_EPOCH", "today")]), &bench.artifact).await.unwrap_err();
    assert_eq!(error.to_string(), "SOURCE_DATE_EPOCH is `today`, which is no number of seconds since 1970");
}

#[tokio::test]
async fn an_artifact_of_an_unknown_maker_needs_a_provider() {
    let mut bench = Bench::new(&["debian"]);
    bench.artifact.builder_id = "packer.post-processor.artifice".into();
    bench.artifact.facts.clear();
    let error = bench.pack(&[]).await.unwrap_err();
    assert_eq!(error.to_string(), "no Vagrant provider is known for an artifact of `packer.post-processor.artifice`");
    let made = bench.pack(&[("provider_override", "libvirt".into())]).await.unwrap();
    assert_eq!(made.files, [bench.dir.path().join("debian_libvirt_unknown.box")]);
}

#[tokio::test]
async fn an_interrupt_leaves_no_box() {
    let bench = Bench::new(&["debian"]);
    let cx = bench.cx(&[]);
    cx.cancel().cancel();
    let vagrant = prepare(&body("vagrant", &[("output", bench.output())]), &mut Diagnostics::default()).unwrap();
    let error = vagrant.run(&cx, &bench.artifact).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(bench.dir.path().read_dir().unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count(), 1);
}

#[test]
fn mistakes_are_found_without_an_artifact() {
    let mut diagnostics = Diagnostics::default();
    let wrong = Value::object([("libvrt".into(), map(&[("compression_level", "12")]))].into());
    let entries = [
        ("provider_override", "libvrt".into()),
        ("compression_level", 10.into()),
        ("vagrantfile_template", "/no/such/file".into()),
        ("override", wrong),
        ("output", "{{.Nonsense}}".into()),
    ];
    assert!(prepare(&body("vagrant", &entries), &mut diagnostics).is_none());
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    `libvrt` is not one of libvirt, qemu, virtualbox, aws (did you mean `libvirt`?)
    `compression_level` must lie between -1 and 9, and it is 10
    `libvrt` is no provider that boxes are made for (did you mean `libvirt`?)
    `compression_level` must lie between -1 and 9, and it is 12
    there is no file `/no/such/file` (paths are relative to the working directory; `vagrantfile_template_generated`: the build makes it)
    rendering `{{.Nonsense}}`: there is no field `.Nonsense`
    ");
}
