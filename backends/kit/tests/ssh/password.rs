//! Logging in with a password, against a server of the library: sshd would need a user of its own.

use std::sync::Arc;

use bakehouse_api::{Connector, Value};
use bakehouse_kit::ssh::{SshConnector, Target};
use russh::server::{Auth, Config, Handler, Response, run_stream};
use russh::{MethodKind, MethodSet};
use tokio::net::TcpListener;

use crate::sshd::{cx, new_key, ssh_options};

/// Takes the password "right" by one method.
struct Server(MethodKind);

impl Server {
    fn judge(&self, right: bool) -> Auth {
        if right { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.judge(self.0 == MethodKind::Password && user == "baker" && password == "right"))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response {
            None => Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            }),
            Some(mut answers) => Ok(self.judge(answers.next().is_some_and(|answer| &answer[..] == b"right"))),
        }
    }
}

async fn server(method: MethodKind) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let key = russh::keys::PrivateKey::from_openssh(new_key().private_openssh.reveal()).expect("reads");
    let config = Config { keys: vec![key], methods: MethodSet::from(&[method][..]), ..Config::default() };
    let config = Arc::new(Config { auth_rejection_time: std::time::Duration::ZERO, ..config });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let running = run_stream(config.clone(), client, Server(method));
            tokio::spawn(async move { running.await?.await });
        }
    });
    Target { host: "127.0.0.1".into(), port, generated_key: None, known_host_keys: vec![] }
}

#[tokio::test]
async fn a_password_logs_in_by_both_methods() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let (cx, _) = cx(dir.path(), &[]);
    for method in [MethodKind::Password, MethodKind::KeyboardInteractive] {
        let target = server(method).await;
        let options = |password: &str| {
            ssh_options(&[
                ("ssh_username", Value::from("baker")),
                ("ssh_password", Value::from(password)),
                ("ssh_handshake_attempts", Value::from(1)),
            ])
        };
        SshConnector::new(options("right"), target.clone()).connect(&cx).await.expect("logs in").close().await;
        let error = SshConnector::new(options("wrong"), target).connect(&cx).await.err().expect("is refused");
        let text = error.to_string();
        assert!(text.contains("the login of \"baker\" failed (tried: the password"), "{text}");
        assert!(!text.contains("wrong") && !text.contains("right"), "{text}");
    }
}

#[test]
fn facts_are_packers() {
    let key = new_key();
    let target =
        Target { host: "10.0.0.5".into(), port: 2222, generated_key: Some(key.clone()), known_host_keys: vec![] };
    let options = [("ssh_username", Value::from("baker")), ("ssh_password", Value::from("right"))];
    let facts = SshConnector::new(ssh_options(&options), target).facts();
    let expected = [
        ("ConnType", Value::from("ssh")),
        ("Host", Value::from("10.0.0.5")),
        ("Password", Value::from("right").sensitive(true)),
        ("Port", Value::from(2222)),
        ("SSHPrivateKey", Value::from(key.private_openssh.reveal()).sensitive(true)),
        ("SSHPublicKey", Value::from(key.public_openssh)),
        ("User", Value::from("baker")),
    ];
    assert_eq!(facts, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
}
