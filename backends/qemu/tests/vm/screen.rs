//! The screen over VNC, as a viewer meets it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bakehouse_api::Value;

use crate::bench::{Bench, tiny};

/// The security types that the server offers (RFC 6143, 7.1.2): 1 lets everybody in, 2 asks for a password.
fn security_types(display: &str) -> Vec<u8> {
    let (host, number) = display.split_once(':').unwrap();
    let port = 5900 + number.split(',').next().unwrap().parse::<u16>().unwrap();
    let mut viewer = TcpStream::connect((host, port)).unwrap();
    viewer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut version = [0; 12];
    viewer.read_exact(&mut version).unwrap();
    assert!(version.starts_with(b"RFB 003."), "{version:?}");
    viewer.write_all(b"RFB 003.008\n").unwrap();
    let mut count = [0];
    viewer.read_exact(&mut count).unwrap();
    let mut types = vec![0; usize::from(count[0])];
    viewer.read_exact(&mut types).unwrap();
    types
}

#[tokio::test]
async fn a_vnc_password_is_asked_for_where_one_is_set() {
    for (options, offered) in [(vec![], [1]), (vec![("vnc_password", Value::from("s3cret"))], [2])] {
        let bench = Bench::new();
        let quiet = [("communicator", Value::from("none"))];
        let options: Vec<_> = quiet.into_iter().chain(options).collect();
        let booted = bench.boot(&tiny(), &options).await;
        let command = bench.command();
        let display = command.split("-vnc ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let types = tokio::task::spawn_blocking(move || security_types(&display)).await.unwrap();
        assert_eq!(types, offered, "{command}");
        assert!(!command.contains("s3cret"));
        booted.drop_all().await;
    }
}
