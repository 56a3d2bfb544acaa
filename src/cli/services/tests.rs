use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// Answers one request and returns what was asked, in lower case.
fn serve(status: u16, body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        let mut buffer = [0; 4096];
        while !asked.ends_with("\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            asked.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        asked.to_lowercase()
    });
    (address, served)
}

fn services(vars: &[(&str, &str)]) -> HttpServices {
    let env = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpServices::new(env, "/".into())
}

fn vault(status: u16, body: &'static str, path: &str, key: &str) -> (Result<String, String>, String) {
    let (address, served) = serve(status, body);
    let address = format!("http://{address}/");
    let vars = [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "s.token"), ("VAULT_NAMESPACE", "team")];
    let answer = services(&vars).vault(path, key);
    (answer, served.join().unwrap())
}

fn consul(status: u16, body: &'static str, key: &str) -> (Result<String, String>, String) {
    let (address, served) = serve(status, body);
    let vars = [("CONSUL_HTTP_ADDR", address.as_str()), ("CONSUL_HTTP_TOKEN", "tok"), ("CONSUL_HTTP_AUTH", "a:b")];
    let answer = services(&vars).consul_key(key);
    (answer, served.join().unwrap())
}

#[test]
fn a_secret_of_version_1_and_who_asks() {
    let (answer, asked) = vault(200, r#"{"data":{"foo":"bar"}}"#, "/secret/my app", "foo");
    assert_eq!(answer.unwrap(), "bar");
    assert!(asked.starts_with("get /v1/secret/my%20app http/1.1"), "{asked}");
    for header in ["x-vault-token: s.token", "x-vault-namespace: team", "x-vault-request: true"] {
        assert!(asked.contains(header), "{asked}");
    }
}

#[test]
fn a_secret_of_version_2() {
    let body = r#"{"data":{"data":{"foo":"bar","n":7},"metadata":{"version":1}}}"#;
    assert_eq!(vault(200, body, "secret/data/app", "foo").0.unwrap(), "bar");
    assert_eq!(vault(200, body, "secret/data/app", "n").0.unwrap(), "7");
    let missing = vault(200, body, "secret/data/app", "nope").0.unwrap_err();
    assert_eq!(missing, "Vault's secret at `secret/data/app` has no key `nope`");
}

#[test]
fn a_field_called_data_is_no_second_version() {
    assert_eq!(vault(200, r#"{"data":{"data":"x"}}"#, "secret/app", "data").0.unwrap(), "x");
}

#[test]
fn vault_says_why_not() {
    let (denied, _) = vault(403, r#"{"errors":["permission denied"]}"#, "secret/x", "k");
    assert_eq!(denied.unwrap_err(), "Vault refuses `secret/x` with status 403: permission denied");
    let (missing, _) = vault(404, r#"{"errors":[],"warnings":["Invalid path for a versioned K/V"]}"#, "secret/x", "k");
    assert_eq!(missing.unwrap_err(), "Vault has no secret at `secret/x`; Invalid path for a versioned K/V");
    let no_token = services(&[]).vault("a", "b").unwrap_err();
    assert!(no_token.contains("VAULT_TOKEN"), "{no_token}");
}

#[test]
fn a_key_of_consul_and_who_asks() {
    let (answer, asked) = consul(200, r#"[{"Key":"a/b","Value":"aGk="}]"#, "a/b");
    assert_eq!(answer.unwrap(), "hi");
    assert!(asked.starts_with("get /v1/kv/a/b http/1.1"), "{asked}");
    assert!(asked.contains("x-consul-token: tok") && asked.contains("authorization: basic ytpi"), "{asked}");
}

#[test]
fn consul_says_why_not() {
    assert_eq!(consul(404, "", "a").0.unwrap_err(), "Consul has no key `a`");
    assert_eq!(consul(200, r#"[{"Key":"a","Value":null}]"#, "a").0.unwrap_err(), "Consul's key `a` is empty");
    let denied = consul(403, "Permission denied", "a").0.unwrap_err();
    assert_eq!(denied, "Consul refuses `a` with status 403: Permission denied");
}

#[test]
fn the_scheme_of_consul() {
    for (vars, address) in [
        (&[][..], "http://127.0.0.1:8500"),
        (&[("CONSUL_HTTP_ADDR", "c:1")], "http://c:1"),
        (&[("CONSUL_HTTP_ADDR", "c:1"), ("CONSUL_HTTP_SSL", "true")], "https://c:1"),
        (&[("CONSUL_HTTP_ADDR", "http://c:1/"), ("CONSUL_HTTP_SSL", "1")], "https://c:1"),
        (&[("CONSUL_HTTP_ADDR", "https://c:1")], "https://c:1"),
    ] {
        assert_eq!(services(vars).consul_address().unwrap(), address, "{vars:?}");
    }
    let vague = services(&[("CONSUL_HTTP_SSL", "perhaps")]).consul_address().unwrap_err();
    assert_eq!(vague, "CONSUL_HTTP_SSL: it must be true or false");
}

#[test]
fn certificates_that_cannot_be_read_are_errors() {
    let missing = services(&[("VAULT_TOKEN", "t"), ("VAULT_CACERT", "/nowhere.pem")]).vault("a", "b").unwrap_err();
    assert!(missing.starts_with("VAULT_CACERT: cannot read /nowhere.pem"), "{missing}");
    let half = services(&[("VAULT_TOKEN", "t"), ("VAULT_CLIENT_CERT", "/c.pem")]).vault("a", "b").unwrap_err();
    assert!(half.contains("belong together"), "{half}");
}
