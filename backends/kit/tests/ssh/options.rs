//! What validation says.

use bakehouse_api::Value;

use crate::sshd::{findings, new_key, path_value, texts, tool, write_key};

fn user() -> (&'static str, Value) {
    ("ssh_username", Value::from("root"))
}

#[test]
fn the_user_is_required_only_by_ssh() {
    assert_eq!(findings(&[]), ["the communicator ssh needs the option `ssh_username`"]);
    assert_eq!(findings(&[("communicator", Value::from("none"))]), [""; 0]);
    assert_eq!(findings(&[user()]), [""; 0]);
}

#[test]
fn winrm_is_refused() {
    assert_eq!(findings(&[("communicator", Value::from("winrm"))]), ["the communicator `winrm` is not supported"]);
    let findings = findings(&[user(), ("winrm_use_ssl", Value::from(true))]);
    assert_eq!(findings, ["`winrm_use_ssl` is not supported: there is no winrm communicator"]);
}

#[test]
fn options_that_contradict_each_other() {
    let given = [
        ("ssh_bastion_host", Value::from("b")),
        ("ssh_proxy_host", Value::from("p")),
        ("ssh_proxy_username", Value::from("u")),
        ("ssh_bastion_interactive", Value::from(true)),
    ];
    let mut all = vec![user()];
    all.extend(given);
    assert_eq!(
        findings(&all),
        [
            "`ssh_bastion_interactive` is not supported: nobody is asked during a build",
            "`ssh_bastion_host` and `ssh_proxy_host` exclude each other",
            "`ssh_bastion_host` needs `ssh_bastion_username`",
            "there is no way to log in to the bastion",
            "`ssh_proxy_username` and `ssh_proxy_password` go together",
        ]
    );
    let lonely = [user(), ("ssh_proxy_username", Value::from("u")), ("ssh_bastion_port", Value::from(22))];
    assert_eq!(findings(&lonely), ["`ssh_proxy_username` has no effect without `ssh_proxy_host`"]);
}

#[test]
fn words_that_nobody_knows() {
    let given = [
        user(),
        ("ssh_ciphers", texts(&["aes128-crt"])),
        ("ssh_key_exchange_algorithms", texts(&["none"])),
        ("ssh_local_tunnels", texts(&["80"])),
        ("temporary_key_pair_type", Value::from("dsa")),
    ];
    let findings = findings(&given);
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert!(findings[0].starts_with("dsa keys are not supported"), "{findings:?}");
    assert_eq!(findings[1], "`aes128-crt` is not an algorithm this program knows");
    assert_eq!(findings[2], "`none` is not an algorithm this program knows");
    assert!(findings[3].starts_with("`80` is not a tunnel"), "{findings:?}");
}

#[test]
fn key_files_are_read() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let path = |name: &str| dir.path().join(name);
    let key = |name: &str| findings(&[user(), ("ssh_private_key_file", path_value(&path(name)))]);
    let text = |name: &str| path(name).display().to_string();

    assert!(key("absent")[0].starts_with(&format!("cannot read the key file {}", text("absent"))));
    std::fs::write(path("junk"), "junk").expect("writes");
    assert!(key("junk")[0].starts_with(&format!("{} is not a private key", text("junk"))));
    for (name, format) in [("new", "RFC4716"), ("pem", "PEM"), ("pkcs8", "PKCS8")] {
        tool("ssh-keygen", &["-q", "-t", "rsa", "-m", format, "-N", "secret", "-f", &text(name)]);
        assert_eq!(key(name), [format!("the key file {} is encrypted", text(name))]);
    }

    write_key(&path("one"), &new_key());
    write_key(&path("two"), &new_key());
    assert_eq!(key("one"), [""; 0]);
    tool("ssh-keygen", &["-q", "-s", &text("two"), "-I", "x", &text("two.pub")]);
    let both = |key: &str| {
        let certificate = ("ssh_certificate_file", path_value(&path("two-cert.pub")));
        findings(&[user(), ("ssh_private_key_file", path_value(&path(key))), certificate])
    };
    assert_eq!(both("two"), [""; 0]);
    assert!(both("one")[0].ends_with(&format!("was made for another key than {}", text("one"))));
    let alone = findings(&[user(), ("ssh_certificate_file", path_value(&path("two-cert.pub")))]);
    assert_eq!(alone, ["`ssh_certificate_file` needs `ssh_private_key_file`"]);
}
