//! Secrets from Vault and Consul, in both kinds of template, against a server on loopback.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

/// Answers as both services would, for as long as the test runs; gives its address.
fn services() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
            let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
                "/v1/secret/data/app" => ("200 OK", r#"{"data":{"data":{"password":"hunter-two"},"metadata":{}}}"#),
                "/v1/kv/app/name" => ("200 OK", r#"[{"Key":"app/name","Value":"Y29uc3VsLXZhbHVl"}]"#),
                _ => ("404 Not Found", r#"{"errors":[]}"#),
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        }
    });
    address
}

fn bakehouse(address: &str, command: &str, name: &str, template: &str) -> Output {
    let desk = tempfile::tempdir().unwrap();
    std::fs::write(desk.path().join(name), template).unwrap();
    Command::new(env!("CARGO_BIN_EXE_bakehouse"))
        .args([command, name])
        .current_dir(desk.path())
        .env("HOME", desk.path())
        .env("VAULT_ADDR", format!("http://{address}"))
        .env("VAULT_TOKEN", "token")
        .env("CONSUL_HTTP_ADDR", address)
        .output()
        .unwrap()
}

fn hcl(vault: &str, consul: &str) -> String {
    format!(
        "locals {{\n  a = vault({vault})\n  b = \"x${{consul_key({consul})}}\"\n}}\n\
         source \"null\" \"n\" {{\n  communicator = \"none\"\n}}\n\
         build {{\n  sources = [\"source.null.n\"]\n  provisioner \"shell-local\" {{\n    \
         inline = [\"echo got ${{local.a}} and ${{local.b}}\"]\n  }}\n}}\n"
    )
}

fn legacy(vault: &str) -> String {
    format!(
        r#"{{
  "variables": {{ "a": "{{{{ vault {vault} }}}}", "b": "{{{{ consul_key `app/name` }}}}" }},
  "builders": [{{ "type": "null", "communicator": "none" }}],
  "provisioners": [{{ "type": "shell-local", "inline": ["echo got {{{{user `a`}}}} and x{{{{user `b`}}}}"] }}]
}}"#
    )
}

#[test]
fn templates_of_both_kinds_use_secrets_and_never_show_them() {
    let address = services();
    let hcl = hcl("\"secret/data/app\", \"password\"", "\"app/name\"");
    let legacy = legacy("`secret/data/app` `password`");
    for (name, template) in [("t.pkr.hcl", &hcl), ("t.json", &legacy)] {
        let output = bakehouse(&address, "build", name, template);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(text.contains("got <sensitive> and "), "{name}: {text}");
        let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!all.contains("hunter-two") && !all.contains("consul-value"), "{name}: {all}");
    }
}

#[test]
fn validate_asks_and_says_what_is_missing() {
    let address = services();
    let hcl = hcl("\"secret/data/none\", \"x\"", "\"none\"");
    let legacy = legacy("`secret/data/none` `x`");
    for (name, template) in [("t.pkr.hcl", &hcl), ("t.json", &legacy)] {
        let output = bakehouse(&address, "validate", name, template);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("Vault has no secret at `secret/data/none`"), "{name}: {errors}");
    }
}
