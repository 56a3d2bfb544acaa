//! The endpoint asked directly: what an image says of itself, and what its snapshots hold.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Outcome, Sandbox, tiny};

pub const BLOCK: usize = 512 << 10;
pub const BUCKET: &str = "disks";

/// One request, signed as far as the endpoint looks.
fn ask(cloud: &Cloud, service: &str, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    in_region(cloud, "us-east-1", service, method, path, body)
}

fn in_region(cloud: &Cloud, region: &str, service: &str, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(120)))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let login = format!("AWS4-HMAC-SHA256 Credential=x/20260101/{region}/{service}/aws4_request, Signature=0");
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", cloud.url))
        .header("Authorization", login)
        .header("Content-Type", if service == "s3" { "application/xml" } else { "application/x-www-form-urlencoded" });
    let mut answer = agent.run(request.body(body).unwrap()).unwrap();
    let bytes = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    (answer.status().as_u16(), bytes)
}

/// EC2's answer to a query, as XML.
pub fn query(cloud: &Cloud, service: &str, form: &str) -> String {
    let (status, body) = ask(cloud, service, "POST", "/", form.as_bytes());
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 200, "{form}: {text}");
    text
}

/// The text of the first element of that name.
pub fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |(text, _)| text)
}

pub fn image(cloud: &Cloud, id: &str) -> String {
    query(cloud, "ec2", &format!("Action=DescribeImages&Version=2016-11-15&ImageId.1={id}"))
}

/// A bucket, and the role that the import service takes on.
pub fn prepare_import(cloud: &Cloud) {
    make_bucket(cloud, "us-east-1", BUCKET);
    let trust = r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "vmie.amazonaws.com"},
        "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}}}}"#;
    let trust: String = trust.bytes().map(|byte| format!("%{byte:02X}")).collect();
    query(
        cloud,
        "iam",
        &format!("Action=CreateRole&Version=2010-05-08&RoleName=vmimport&AssumeRolePolicyDocument={trust}"),
    );
}

pub fn make_bucket(cloud: &Cloud, region: &str, name: &str) {
    let place = match region {
        "us-east-1" => String::new(),
        region => format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
             </LocationConstraint></CreateBucketConfiguration>"
        ),
    };
    let (status, body) = in_region(cloud, region, "s3", "PUT", &format!("/{name}"), place.as_bytes());
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}

pub fn object(cloud: &Cloud, key: &str) -> Vec<u8> {
    let (status, body) = ask(cloud, "s3", "GET", &format!("/{BUCKET}/{key}"), b"");
    assert_eq!(status, 200, "{key}: {}", String::from_utf8_lossy(&body));
    body
}

/// The blocks of a snapshot that somebody wrote.
pub fn blocks(cloud: &Cloud, snapshot: &str) -> BTreeMap<usize, Vec<u8>> {
    let (status, body) = ask(cloud, "ebs", "GET", &format!("/snapshots/{snapshot}/blocks"), b"");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let listed: Value = serde_json::from_slice(&body).unwrap();
    let read = |block: &Value| {
        let (index, token) = (block["BlockIndex"].as_u64().unwrap(), block["BlockToken"].as_str().unwrap());
        let token: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/snapshots/{snapshot}/blocks/{index}?blockToken={token}");
        let (status, data) = ask(cloud, "ebs", "GET", &path, b"");
        assert_eq!((status, data.len()), (200, BLOCK), "block {index}");
        (index as usize, data)
    };
    listed["Blocks"].as_array().unwrap().iter().map(read).collect()
}

/// The snapshot holds that disk and nothing else, block for block.
#[track_caller]
pub fn assert_holds(cloud: &Cloud, snapshot: &str, disk: &Path) {
    let raw = tempfile::NamedTempFile::new().unwrap();
    qemu_img(&["convert", "-O", "raw", disk.to_str().unwrap(), raw.path().to_str().unwrap()]);
    let mut expected = std::fs::read(raw.path()).unwrap();
    expected.resize(expected.len().next_multiple_of(BLOCK), 0);
    let found = blocks(cloud, snapshot);
    let zeroes = vec![0; BLOCK];
    for (index, block) in expected.chunks(BLOCK).enumerate() {
        let there = found.get(&index).unwrap_or(&zeroes);
        assert!(there == block, "block {index} differs");
    }
    let last = found.keys().next_back().copied().unwrap_or(0);
    assert!(last < expected.len() / BLOCK, "block {last} is beyond the end");
}

pub fn qemu_img(args: &[&str]) {
    let out = Command::new("qemu-img").args(args).output().unwrap();
    assert!(out.status.success(), "qemu-img {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The small guest in another format.
pub fn tiny_as(sandbox: &Sandbox, format: &str, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    qemu_img(&["convert", "-O", format, tiny().to_str().unwrap(), path.to_str().unwrap()]);
    path
}

/// A disk that nothing boots from, with enough data for several parts: quick to compare as a whole.
pub fn small(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("small.raw");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 * BLOCK as u64).unwrap();
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for index in (0..100).step_by(2) {
        let block: Vec<u8> = (0..BLOCK).map(|_| noise()).collect();
        file.write_all_at(&block, index * BLOCK as u64).unwrap();
    }
    file.write_all_at(&[0; BLOCK], 33 * BLOCK as u64).unwrap();
    file.write_all_at(&[0x55, 0xaa], 510).unwrap();
    path
}

/// The command line of an import of a disk under the name `web`.
pub fn command<'a>(disk: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["import", disk.to_str().unwrap(), "--name", "web", "--json"];
    if disk.ends_with("small.raw") {
        args.extend(["--architecture", "x86_64", "--force"]);
    }
    args.extend(more);
    args
}

/// An import, with its result.
pub fn import(sandbox: &Sandbox, disk: &Path, more: &[&str]) -> (Outcome, Value) {
    let done = sandbox.run(&command(disk, more));
    let made = serde_json::from_str(&done.stdout).unwrap_or(Value::Null);
    (done, made)
}

pub fn kinds(state: &Value) -> Vec<String> {
    state.as_object().unwrap().keys().cloned().collect()
}

pub fn count(state: &Value, kind: &str) -> usize {
    state[kind].as_array().map_or(0, Vec::len)
}

/// How often a call was made.
pub fn calls(cloud: &Cloud, name: &str) -> u64 {
    let (_, body) = ask(cloud, "", "GET", "/_cloud/calls", b"");
    let all: Value = serde_json::from_slice(&body).unwrap_or(json!({}));
    all.get(name).and_then(Value::as_u64).unwrap_or(0)
}

pub fn all_calls(cloud: &Cloud) -> u64 {
    let (_, body) = ask(cloud, "", "GET", "/_cloud/calls", b"");
    let all: BTreeMap<String, u64> = serde_json::from_slice(&body).unwrap_or_default();
    all.values().sum()
}

/// An instance of the image answers to SSH.
pub fn assert_boots(cloud: &Cloud, sandbox: &Sandbox, image: &str) {
    let template = cloud
        .template("skip_create_ami = true", r#"provisioner "shell" { inline = ["echo it is alive"] }"#)
        .replace(&cloud.image, image);
    sandbox.write("boot.pkr.hcl", &template);
    let booted = sandbox.run(&["build", "boot.pkr.hcl"]).ok();
    assert!(booted.stdout.contains("it is alive"), "{}", booted.all());
}
