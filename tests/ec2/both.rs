//! One template, two images: the disk of the qemu build and the AMI hold the same files.

use std::path::{Path, PathBuf};

use crate::cloud::Cloud;
use crate::disk::{Files, files};
use crate::support::{Sandbox, debian, tiny_source};

/// A path that differs between any two machines, and why. What lies below it differs too.
type Own = (&'static str, &'static str);

/// Compares the disk of the qemu build with that of the only AMI: what differs and should not.
fn compare(cloud: &Cloud, sandbox: &Sandbox, disk: &Path, own: &[Own]) -> Vec<String> {
    let state = cloud.state();
    let snapshots = state["snapshots"].as_array().unwrap();
    assert_eq!(snapshots.len(), 1, "{state:#}");
    let ami = PathBuf::from(snapshots[0]["disk"].as_str().unwrap());
    let (here, there) = (files(disk, &sandbox.path("compare-disk")), files(&ami, &sandbox.path("compare-ami")));
    for (path, why) in own {
        let found = here.keys().chain(there.keys()).any(|known| known.starts_with(path));
        assert!(found, "`{path}` ({why}) is in neither of them");
    }
    let shared = |files: Files| -> Files {
        files.into_iter().filter(|(path, _)| !own.iter().any(|(own, _)| path.starts_with(own))).collect()
    };
    let (here, there) = (shared(here), shared(there));
    println!("{} files are compared", here.len());
    let paths = here.keys().chain(there.keys().filter(|path| !here.contains_key(*path)));
    let differs = paths.filter(|path| here.get(*path) != there.get(*path));
    differs.map(|path| format!("{}: {:?} here, {:?} there", path.display(), here.get(path), there.get(path))).collect()
}

#[test]
fn a_disk_and_an_ami_of_one_template_hold_the_same_files() {
    const OWN: [Own; 10] = [
        ("etc/hostname", "the platform names its machine"),
        ("etc/hosts", "holds that name"),
        ("etc/resolv.conf", "the name server of the platform's network"),
        ("etc/ssh/ssh_host_ed25519_key", "every machine makes its own"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "its other half; a seed brings the private one alone"),
        ("home/debian/.ssh/authorized_keys", "the key pair of the build"),
        ("home/plain/.ssh/authorized_keys", "the key pair of the build"),
        ("home/tiny/.ssh/authorized_keys", "the key pair of the build"),
        ("root/.ssh/authorized_keys", "the key pair of the build"),
        ("var/lib/instance-id", "only EC2 gives its machines one"),
    ];
    let cloud = Cloud::start();
    let sandbox = cloud.sandbox();
    sandbox.write("site/index.html", "<p>hello");
    sandbox.write(
        "t.pkr.hcl",
        &format!(
            r#"
{}source "amazon-ebs" "tiny" {{
  source_ami    = "{}"
  instance_type = "t3.micro"
  ssh_username  = "tiny"
  ssh_timeout   = "10m"
  ami_name      = "tiny"
}}
build {{
  sources = ["source.qemu.tiny", "source.amazon-ebs.tiny"]
  provisioner "file" {{
    source      = "site"
    destination = "/tmp"
  }}
  provisioner "shell" {{
    inline = [
      "sudo mkdir -p /srv/www",
      "sudo cp /tmp/site/index.html /srv/www/",
      "sudo rm -r /tmp/site",
      "echo user web | sudo tee /etc/web.conf",
      "sudo chmod 600 /etc/web.conf",
      "sync",
    ]
  }}
}}
"#,
            tiny_source("ssh_timeout = \"10m\""),
            cloud.image
        ),
    );
    let made = sandbox.run(&["build", "t.pkr.hcl"]).ok();
    for build in ["--> qemu.tiny:", "--> amazon-ebs.tiny:"] {
        assert!(made.stdout.contains(build), "{}", made.all());
    }
    let differences = compare(&cloud, &sandbox, &sandbox.path("out/tiny.qcow2"), &OWN);
    assert!(differences.is_empty(), "{differences:#?}");
    sandbox.assert_nothing_left();

    // And one at a time.
    cloud.reset();
    let made = sandbox.run(&["build", "-force", "-only=amazon-ebs.tiny", "t.pkr.hcl"]).ok();
    assert!(made.stdout.contains("--> amazon-ebs.tiny:") && !made.stdout.contains("qemu.tiny"), "{}", made.all());
}

/// The template that ships, from Debian's packages.
#[test]
#[ignore = "minutes of two processors: cargo test --features vm-tests --test ec2 -- --ignored debian"]
fn the_debian_template_bakes_the_same_files_into_a_disk_and_an_ami() {
    const OWN: [Own; 4] = [
        ("etc/hostname", "the platform names its machine"),
        ("etc/sudoers.d/90-cloud-init-users", "says when cloud-init wrote it"),
        ("var/lib/systemd/random-seed", "written anew at every power-off"),
        ("var/log", "what happened, and when"),
    ];
    let base = debian();
    let cloud = Cloud::of("debian", &base, 1024, &[]);
    let sandbox = cloud.sandbox();
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/debian");
    let var = |name: &str, value: &str| ["-var".to_owned(), format!("{name}={value}")];
    let args = [
        vec!["build".to_owned()],
        var("base_image", &base.display().to_string()).into(),
        var("source_ami", r#"{ name = "debian", owner = "amazon", user = "debian" }"#).into(),
        var("output_directory", &sandbox.path("out").display().to_string()).into(),
        vec![template.display().to_string()],
    ];
    let args = args.concat();
    let made = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    for build in ["--> qemu.debian:", "--> amazon-ebs.debian:"] {
        assert!(made.stdout.contains(build), "{}", made.all());
    }
    let differences = compare(&cloud, &sandbox, &sandbox.path("out/debian.qcow2"), &OWN);
    assert!(differences.is_empty(), "{differences:#?}");
    sandbox.assert_nothing_left();
}
