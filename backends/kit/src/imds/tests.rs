use std::io::{Cursor, Write};
use std::sync::Arc;

use bakehouse_api::testing;

use super::*;

fn identity() -> Identity {
    Identity {
        instance_id: "i-1".into(),
        instance_type: "t3.micro".into(),
        image_id: "ami-1".into(),
        hostname: "web".into(),
        address: "169.254.2.15".into(),
        mac: "02:00:00:00:00:01".into(),
        region: "eu-west-1".into(),
        public_key: Some("ssh-ed25519 AAAA me".into()),
        user_data: Some(b"#!/bin/sh\n\xff".to_vec()),
    }
}

/// What the service says to a request that closes the connection, through the relay.
async fn asked(socket: &Path, request: &str) -> String {
    let (socket, request) = (socket.to_owned(), request.replace('\n', "\r\n"));
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink(said.clone());
    tokio::task::spawn_blocking(move || relay(&socket, Cursor::new(request.into_bytes()), sink))
        .await
        .unwrap()
        .unwrap();
    let said = said.lock().unwrap().clone();
    String::from_utf8_lossy(&said).into_owned()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\nHost: 169.254.169.254\nConnection: close\n{more}\n")
}

#[tokio::test]
async fn a_token_opens_what_is_closed_without() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), vec![]);
    let socket = dir.path().join("imds");
    let _service = Service::start(&cx, &socket, &identity(), true).unwrap();
    let path = "/latest/meta-data/instance-id";
    assert!(asked(&socket, &get(path, "")).await.starts_with("HTTP/1.1 401"));
    assert!(asked(&socket, &get(path, "X-aws-ec2-metadata-token: made-up\n")).await.starts_with("HTTP/1.1 401"));
    let put = |ttl: &str| {
        format!(
            "PUT /latest/api/token HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 0\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}\n\n"
        )
    };
    for ttl in ["0", "21601", "long"] {
        assert!(asked(&socket, &put(ttl)).await.starts_with("HTTP/1.1 400"), "{ttl}");
    }
    let given = asked(&socket, &put("60")).await;
    let token = format!("X-aws-ec2-metadata-token: {}\n", given.rsplit("\r\n").next().unwrap());
    let answer = asked(&socket, &get(path, &token)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\ni-1"), "{answer}");
    let forwarded = format!("{token}X-Forwarded-For: 1.2.3.4\n");
    assert!(asked(&socket, &get(path, &forwarded)).await.starts_with("HTTP/1.1 403"));
    assert!(asked(&socket, &get("/latest/none", &token)).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn version_one_answers_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), vec![]);
    let socket = dir.path().join("imds");
    let _service = Service::start(&cx, &socket, &identity(), false).unwrap();
    assert!(asked(&socket, &get("/latest/user-data", "")).await.contains("#!/bin/sh\n"));
}

#[test]
fn folders_list_their_names_as_ec2_does() {
    let tree = Tree::of(&identity());
    let text = |path: &str| match tree.find(path) {
        Some(Found::Text(text)) => text,
        other => panic!("{path}: {other:?}"),
    };
    assert!(text("/").ends_with("latest"));
    assert_eq!(text("/latest/"), "dynamic/\nmeta-data/\nuser-data");
    assert!(text("/2021-03-23/meta-data/").lines().any(|line| line == "placement/"));
    assert_eq!(text("/latest/meta-data/public-keys/"), "0=bakehouse");
    assert_eq!(text("/latest/meta-data/public-keys/0/openssh-key"), "ssh-ed25519 AAAA me\n");
    assert_eq!(text("/latest/meta-data/placement/availability-zone"), "eu-west-1a");
    assert_eq!(text("/latest//meta-data/network/interfaces/macs/02:00:00:00:00:01/local-ipv4s"), "169.254.2.15");
    let document: serde_json::Value =
        serde_json::from_str(&text("/latest/dynamic/instance-identity/document")).unwrap();
    assert_eq!(document["instanceId"], "i-1");
    assert_eq!(tree.find("/latest/user-data"), Some(Found::Bytes(b"#!/bin/sh\n\xff")));
    assert_eq!(tree.find("/2000-01-01/meta-data"), None);
    assert_eq!(tree.find("/latest/meta-data/instance-id/more"), None);
    let bare = Tree::of(&Identity { user_data: None, public_key: None, ..identity() });
    assert_eq!(bare.find("/latest/user-data"), None);
    assert_eq!(bare.find("/latest/meta-data/public-keys"), None);
}
