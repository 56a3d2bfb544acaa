//! Bastion, proxy, tunnels, and what happens when a connection dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bakehouse_api::{CommError, Command, Connector, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::sshd::{Sshd, cx, free_port, path_value, sh, texts, write_key};

#[tokio::test]
async fn through_a_bastion() {
    let (bastion, guest) = (Sshd::start(), Sshd::start());
    let (cx, _) = cx(guest.dir.path(), &[]);
    write_key(&bastion.path("id"), &bastion.login);
    let options = [
        ("ssh_bastion_host", Value::from("127.0.0.1")),
        ("ssh_bastion_port", Value::from(i64::from(bastion.port))),
        ("ssh_bastion_username", Value::from("root")),
        ("ssh_bastion_private_key_file", path_value(&bastion.path("id"))),
    ];
    let comm = guest.connect(&cx, &options).await;
    let (_, connection, _) = sh(&comm, &cx, "echo $SSH_CONNECTION").await;
    assert!(connection.trim().ends_with(&guest.port.to_string()), "{connection}");
    let log = std::fs::read_to_string(bastion.path("log")).expect("reads");
    assert!(log.contains("Accepted publickey for root"), "{log}");
}

#[tokio::test]
async fn a_bastion_that_does_not_forward_is_said_at_once() {
    let (bastion, guest) = (Sshd::with("AllowTcpForwarding no\n"), Sshd::start());
    let (cx, _) = cx(guest.dir.path(), &[]);
    write_key(&bastion.path("id"), &bastion.login);
    let options = [
        ("ssh_bastion_host", Value::from("127.0.0.1")),
        ("ssh_bastion_port", Value::from(i64::from(bastion.port))),
        ("ssh_bastion_username", Value::from("root")),
        ("ssh_bastion_private_key_file", path_value(&bastion.path("id"))),
    ];
    let began = Instant::now();
    let error = guest.connector(&options).connect(&cx).await.err().expect("fails");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(error.message().starts_with("the bastion does not forward connections to 127.0.0.1:"), "{error}");
}

/// A SOCKS5 proxy that wants this user and password, and counts whom it served.
async fn proxy(served: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, served.clone()));
        }
    });
    port
}

async fn serve(mut client: TcpStream, served: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).await?;
    assert_eq!(greeting, [5, 2, 0, 2]);
    client.write_all(&[5, 2]).await?;
    let mut login = [0; 10];
    client.read_exact(&mut login).await?;
    let right = &login == b"\x01\x03who\x04what";
    client.write_all(&[1, u8::from(!right)]).await?;
    if !right {
        return Ok(());
    }
    let mut request = [0; 10];
    client.read_exact(&mut request).await?;
    let port = u16::from_be_bytes([request[8], request[9]]);
    assert_eq!(request[..8], [5, 1, 0, 1, 127, 0, 0, 1]);
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    served.fetch_add(1, Ordering::Relaxed);
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test]
async fn through_a_socks_proxy() {
    let guest = Sshd::start();
    let (cx, _) = cx(guest.dir.path(), &[]);
    let served = Arc::new(AtomicUsize::new(0));
    let port = proxy(served.clone()).await;
    let options = |password: &str| {
        [
            ("ssh_proxy_host", Value::from("127.0.0.1")),
            ("ssh_proxy_port", Value::from(i64::from(port))),
            ("ssh_proxy_username", Value::from("who")),
            ("ssh_proxy_password", Value::from(password)),
        ]
    };
    let comm = guest.connect(&cx, &options("what")).await;
    assert_eq!(sh(&comm, &cx, "echo hello").await.1, "hello\n");
    assert_eq!(served.load(Ordering::Relaxed), 1);
    let error = guest.connector(&options("that")).connect(&cx).await.err().expect("is refused");
    assert!(error.to_string().contains("the proxy refused the user and password"), "{error}");
}

/// Answers every connection with one word.
async fn word_server(word: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.write_all(word.as_bytes()).await.expect("writes");
        }
    });
    port
}

async fn word_from(port: u16) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    let mut word = String::new();
    client.read_to_string(&mut word).await.expect("reads");
    word
}

#[tokio::test]
async fn tunnels_lead_both_ways_and_end_with_the_session() {
    let guest = Sshd::start();
    let (cx, _) = cx(guest.dir.path(), &[]);
    let server = word_server("word").await;
    let (local, remote) = (free_port(), free_port());
    let options = [
        ("ssh_local_tunnels", texts(&[&format!("{local}:127.0.0.1:{server}")])),
        ("ssh_remote_tunnels", texts(&[&format!("{remote}:127.0.0.1:{server}")])),
    ];
    let connector = guest.connector(&options);
    let comm = connector.connect(&cx).await.expect("connects");
    assert_eq!(word_from(local).await, "word");
    assert_eq!(word_from(remote).await, "word");
    comm.close().await;
    assert!(TcpStream::connect(("127.0.0.1", local)).await.is_err());
    let comm = connector.connect(&cx).await.expect("connects again");
    assert_eq!(word_from(local).await, "word");
    comm.close().await;
}

/// Carries connections to `to` until it is frozen: then they stay open and nothing moves.
async fn freezer(to: u16) -> (u16, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let freeze = CancellationToken::new();
    let frozen = freeze.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let frozen = frozen.clone();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    () = frozen.cancelled() => std::future::pending().await,
                }
            });
        }
    });
    (port, freeze)
}

#[tokio::test]
async fn a_dead_guest_is_noticed_by_keep_alives() {
    let guest = Sshd::start();
    let (cx, _) = cx(guest.dir.path(), &[]);
    let (port, freeze) = freezer(guest.port).await;
    let target = bakehouse_kit::ssh::Target { port, ..guest.target() };
    let options = crate::sshd::ssh_options(&[("ssh_keep_alive_interval", Value::from("300ms"))]);
    let comm = bakehouse_kit::ssh::SshConnector::new(options, target).connect(&cx).await.expect("connects");
    assert_eq!(sh(&comm, &cx, "sleep 2; echo alive").await.1, "alive\n");
    freeze.cancel();
    let began = Instant::now();
    let error = comm.run(&cx, &Command::new("echo never"), &mut |_, _| ()).await.expect_err("is lost");
    assert!(matches!(error, CommError::NotStarted(_)), "{error}");
    assert!(error.to_string().contains("keep-alive"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_ends_is_lost_and_not_a_failed_command() {
    let guest = Sshd::start();
    let (cx, _) = cx(guest.dir.path(), &[]);
    let connector = guest.connector(&[]);
    let comm = connector.connect(&cx).await.expect("connects");
    // The shell's parent is the process that serves this connection: what a reboot does to it.
    let error = comm.run(&cx, &Command::new("kill -9 $PPID; sleep 5"), &mut |_, _| ()).await.expect_err("is lost");
    assert!(matches!(error, CommError::Lost(_)), "{error}");
    let error = comm.run(&cx, &Command::new("true"), &mut |_, _| ()).await.expect_err("stays lost");
    assert!(matches!(error, CommError::NotStarted(_)), "{error}");
    let comm = connector.connect(&cx).await.expect("connects again");
    assert_eq!(sh(&comm, &cx, "echo again").await.1, "again\n");
}

#[tokio::test]
async fn silence_longer_than_the_read_write_timeout_loses_the_connection() {
    let guest = Sshd::start();
    let (cx, _) = cx(guest.dir.path(), &[]);
    let options = [("ssh_read_write_timeout", Value::from("1s")), ("ssh_keep_alive_interval", Value::from("-1s"))];
    let comm = guest.connect(&cx, &options).await;
    let began = Instant::now();
    let error = comm.run(&cx, &Command::new("sleep 20"), &mut |_, _| ()).await.expect_err("is lost");
    assert!(error.to_string().contains("ssh_read_write_timeout"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
