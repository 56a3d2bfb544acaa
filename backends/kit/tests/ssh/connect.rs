//! Logging in, waiting for the guest, host keys, commands.

use std::time::{Duration, Instant};

use bakehouse_api::{Command, Connector, Cx, Exit, Kind, Value};
use bakehouse_kit::ssh::{SshConnector, Target};
use sha2::{Digest, Sha256};

use crate::sshd::{Agent, Sshd, code, cx, free_port, new_key, path_value, run, sh, ssh_options, tool, write_key};

#[tokio::test]
async fn commands_report_their_output_and_end() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let comm = sshd.connect(&cx, &[]).await;
    assert_eq!(sh(&comm, &cx, "echo out; echo err >&2; exit 3").await, (code(3), "out\n".into(), "err\n".into()));
    assert_eq!(sh(&comm, &cx, "kill -TERM $$").await.0, Exit { code: None, signal: Some("TERM".into()) });
    assert_eq!(sh(&comm, &cx, "tty").await, (code(1), "not a tty\n".into(), String::new()));
    let input: Vec<u8> = (0..300_000u32).flat_map(|n| n.to_le_bytes()).collect();
    let digest = hex::encode(Sha256::digest(&input));
    let sum = Command { line: "sha256sum".into(), stdin: Some(input), pty: false };
    assert_eq!(run(&comm, &cx, &sum).await.1, format!("{digest}  -\n"));
    let in_terminal = Command { pty: true, ..Command::new("tty; stty -a | grep -o -e ' -echo '") };
    let (exit, out, _) = run(&comm, &cx, &in_terminal).await;
    assert_eq!((exit, out.starts_with("/dev/pts/"), out.contains("-echo")), (code(0), true, true), "{out}");
}

#[tokio::test]
async fn output_comes_while_the_command_runs() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let comm = sshd.connect(&cx, &[]).await;
    let heard = sshd.path("heard");
    // It ends well only when its first line was heard while it runs.
    let line = Command::new(format!(
        "echo now; for i in $(seq 300); do [ -e {0} ] && exit 0; sleep 0.1; done; exit 1",
        heard.display()
    ));
    let exit = comm.run(&cx, &line, &mut |_, _| std::fs::write(&heard, "").expect("writes")).await.expect("runs");
    assert!(exit.success(), "{exit:?}");
}

#[tokio::test]
async fn a_dropped_command_ends_in_the_guest() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let comm = sshd.connect(&cx, &[]).await;
    let mark = sshd.path("ended");
    let line = Command::new(format!(
        "trap 'touch {0}; exit' HUP PIPE; while echo; do sleep 0.1; done; touch {0}",
        mark.display()
    ));
    let stopped = tokio::time::timeout(Duration::from_millis(500), comm.run(&cx, &line, &mut |_, _| ())).await;
    assert!(stopped.is_err());
    assert_eq!(sh(&comm, &cx, "echo still here").await.1, "still here\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !mark.exists() {
        assert!(Instant::now() < deadline, "the command goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Logs in with these options and no key of the build.
async fn logs_in(sshd: &Sshd, cx: &Cx, options: &[(&str, Value)]) {
    let target = Target { generated_key: None, ..sshd.target() };
    let comm = SshConnector::new(ssh_options(options), target).connect(cx).await.expect("logs in");
    assert_eq!(sh(&comm, cx, "echo hello").await.1, "hello\n");
}

#[tokio::test]
async fn keys_of_every_kind_log_in() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[("HOME", sshd.dir.path().to_str().expect("is text"))]);
    let dir = sshd.path("keys");
    std::fs::create_dir(&dir).expect("makes");
    for (kind, format) in
        [("ed25519", "RFC4716"), ("rsa", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "PEM"), ("ecdsa", "PKCS8")]
    {
        let key = dir.join(format!("{kind}-{format}"));
        tool("ssh-keygen", &["-q", "-N", "", "-t", kind, "-m", format, "-f", key.to_str().expect("is text")]);
        let public = std::fs::read(key.with_extension("pub")).expect("reads");
        std::fs::write(sshd.path("authorized_keys"), public).expect("writes");
        logs_in(&sshd, &cx, &[("ssh_private_key_file", path_value(&key))]).await;
        let from_home = format!("~/keys/{kind}-{format}");
        logs_in(&sshd, &cx, &[("ssh_private_key_file", Value::from(from_home))]).await;
    }
}

#[tokio::test]
async fn the_agent_logs_in_and_is_forwarded() {
    let sshd = Sshd::start();
    let (other, key) = (sshd.path("other"), sshd.path("id"));
    write_key(&other, &new_key());
    write_key(&key, &sshd.login);
    let agent = Agent::start(&sshd);
    agent.add(&other);
    agent.add(&key);
    let (cx, _) = cx(sshd.dir.path(), &[("SSH_AUTH_SOCK", &agent.1)]);
    logs_in(&sshd, &cx, &[("ssh_agent_auth", Value::from(true))]).await;

    let comm = sshd.connect(&cx, &[]).await;
    let (exit, listed, _) = sh(&comm, &cx, "ssh-add -l").await;
    assert_eq!((exit, listed.lines().count()), (code(0), 2), "the guest sees both keys");
    let comm = sshd.connect(&cx, &[("ssh_disable_agent_forwarding", Value::from(true))]).await;
    assert_eq!(sh(&comm, &cx, "echo \"[$SSH_AUTH_SOCK]\"").await.1, "[]\n");
}

#[tokio::test]
async fn an_absent_agent_is_said_at_once() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let error = sshd.connector(&[("ssh_agent_auth", Value::from(true))]).connect(&cx).await.err().expect("fails");
    assert_eq!((error.kind(), error.message().contains("SSH_AUTH_SOCK")), (Kind::Missing, true), "{error}");
}

#[tokio::test]
async fn a_certificate_logs_in() {
    let sshd = Sshd::with("Subsystem sftp internal-sftp\nTrustedUserCAKeys /dev/null\n");
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let (ca, id) = (sshd.path("ca"), sshd.path("id"));
    write_key(&ca, &new_key());
    write_key(&id, &new_key());
    let text = |path: &std::path::Path| path.to_str().expect("is text").to_owned();
    tool("ssh-keygen", &["-q", "-s", &text(&ca), "-I", "test", "-n", "root", &text(&id.with_extension("pub"))]);
    let authority = std::fs::read_to_string(ca.with_extension("pub")).expect("reads");
    std::fs::write(sshd.path("authorized_keys"), format!("cert-authority {authority}\n")).expect("writes");
    let options =
        [("ssh_private_key_file", path_value(&id)), ("ssh_certificate_file", path_value(&sshd.path("id-cert.pub")))];
    logs_in(&sshd, &cx, &options).await;
}

#[tokio::test]
async fn a_refused_login_says_what_was_tried() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let target = Target { generated_key: Some(new_key()), ..sshd.target() };
    let options = [("ssh_handshake_attempts", Value::from(2)), ("ssh_username", Value::from("root"))];
    let error = SshConnector::new(ssh_options(&options), target).connect(&cx).await.err().expect("is refused");
    let text = error.to_string().replace(&sshd.port.to_string(), "PORT");
    let banner = text.split('"').nth(1).expect("names the banner").to_owned();
    assert!(banner.starts_with("SSH-2.0-OpenSSH"), "{text}");
    assert_eq!(
        text.replace(&banner, "BANNER"),
        "gave up on SSH at 127.0.0.1:PORT after 2 attempts: \"BANNER\" answered, but the login of \"root\" failed \
         (tried: the key made for this build; the server takes: publickey)"
    );
}

#[tokio::test]
async fn a_key_that_comes_late_is_waited_for() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let keys = sshd.path("authorized_keys");
    std::fs::write(&keys, "").expect("writes");
    let connector = sshd.connector(&[]);
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::fs::write(&keys, &sshd.login.public_openssh).expect("writes");
    };
    let (connected, ()) = tokio::join!(connector.connect(&cx), late);
    connected.expect("connects");
}

#[tokio::test]
async fn a_server_without_a_banner_times_out_with_an_explanation() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(client) = listener.accept().await {
            held.push(client);
        }
    });
    let target = Target { host: "127.0.0.1".into(), port, generated_key: Some(new_key()), known_host_keys: vec![] };
    let dir = tempfile::tempdir().expect("makes a directory");
    let (cx, _) = cx(dir.path(), &[]);
    let connector = SshConnector::new(ssh_options(&[("ssh_timeout", Value::from("2s"))]), target);
    let began = Instant::now();
    let error = connector.connect(&cx).await.err().expect("times out");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(
        error.to_string(),
        format!(
            "gave up waiting for SSH on 127.0.0.1:{port} after 2s: the port accepts connections but sends no SSH banner"
        )
    );
    assert!(error.hints()[0].contains("serial log"), "{:?}", error.hints());
    held.abort();
}

#[tokio::test]
async fn a_closed_port_times_out_with_an_explanation() {
    let target =
        Target { host: "127.0.0.1".into(), port: free_port(), generated_key: Some(new_key()), known_host_keys: vec![] };
    let dir = tempfile::tempdir().expect("makes a directory");
    let (cx, _) = cx(dir.path(), &[]);
    let connector = SshConnector::new(ssh_options(&[("ssh_timeout", Value::from("500ms"))]), target);
    let error = connector.connect(&cx).await.err().expect("times out");
    assert!(error.to_string().ends_with("connections are refused"), "{error}");
}

#[tokio::test]
async fn a_guest_that_comes_up_is_found_at_once() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let connector = sshd.connector(&[]);
    let late = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sshd.run();
        Instant::now()
    };
    let (connected, started) = tokio::join!(connector.connect(&cx), late);
    connected.expect("connects");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_interrupt_ends_the_wait() {
    let target =
        Target { host: "127.0.0.1".into(), port: free_port(), generated_key: Some(new_key()), known_host_keys: vec![] };
    let dir = tempfile::tempdir().expect("makes a directory");
    let (cx, _) = cx(dir.path(), &[]);
    let connector = SshConnector::new(ssh_options(&[]), target);
    let interrupt = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cx.cancel().cancel();
    };
    let began = Instant::now();
    let (connected, ()) = tokio::join!(connector.connect(&cx), interrupt);
    assert_eq!(connected.err().expect("is interrupted").kind(), Kind::Interrupted);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn another_host_key_than_the_seeded_one_is_refused() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let target = Target { known_host_keys: vec![new_key().public_openssh], ..sshd.target() };
    let options = ssh_options(&[("ssh_timeout", Value::from("2s"))]);
    let error = SshConnector::new(options, target).connect(&cx).await.err().expect("is refused");
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.to_string().matches("ssh-ed25519 SHA256:").count(), 2, "{error}");
}

#[tokio::test]
async fn a_host_key_that_changes_within_a_build_is_refused() {
    let mut sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let target = Target { known_host_keys: vec![], ..sshd.target() };
    let connector = SshConnector::new(ssh_options(&[]), target);
    let comm = connector.connect(&cx).await.expect("trusts the first key");
    comm.close().await;
    sshd.stop();
    sshd.run();
    connector.connect(&cx).await.expect("knows the key again").close().await;
    sshd.stop();
    sshd.new_host_key();
    sshd.run();
    let began = Instant::now();
    let error = connector.connect(&cx).await.err().expect("is refused");
    assert!(began.elapsed() < Duration::from_secs(5), "refused without a second try");
    let fingerprints: Vec<&str> = error.message().matches("ssh-ed25519 SHA256:").collect();
    assert_eq!((error.kind(), fingerprints.len()), (Kind::Guest, 2), "{error}");
    assert!(error.message().starts_with("the host key changed within this build"), "{error}");
}

#[tokio::test]
async fn the_builds_key_is_taken_out_at_the_end() {
    // A home of its own: the test must not touch the one of this machine's root.
    let sshd = Sshd::with("SetEnv HOME={dir}/home\n");
    let (cx, recorder) = cx(sshd.dir.path(), &[]);
    let (home, other) = (sshd.path("home"), new_key().public_openssh);
    let file = home.join(".ssh/authorized_keys");
    std::fs::create_dir_all(home.join(".ssh")).expect("makes");
    for (before, after) in [
        (format!("{other}\n{}\n", sshd.login.public_openssh), format!("{other}\n")),
        (format!("{}\n", sshd.login.public_openssh), String::new()),
        (format!("{other}\n"), format!("{other}\n")),
    ] {
        std::fs::write(&file, before).expect("writes");
        let connector = sshd.connector(&[("ssh_clear_authorized_keys", Value::from(true))]);
        let comm = connector.connect(&cx).await.expect("connects");
        connector.finish(&cx, &*comm).await.expect("finishes");
        assert_eq!(std::fs::read_to_string(&file).expect("reads"), after);
    }
    assert_eq!(recorder.lines(), [""; 0]);
}
