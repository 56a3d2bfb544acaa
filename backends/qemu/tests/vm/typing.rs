//! Keys typed over QMP, proved by a boot sector that echoes what the keyboard gives to the serial line.

use std::time::Duration;

use bakehouse_api::keyboard::BootStep;

use crate::bench::{Bench, list};

/// `int 16h` waits for a key, then its character goes to COM1 when the line is free.
#[rustfmt::skip]
const ECHO: &[u8] = &[
    0xb4, 0x00, 0xcd, 0x16,       // ah = 0; int 16h: al = character
    0x88, 0xc3,                   // mov bl, al
    0xba, 0xfd, 0x03, 0xec,       // in al, 0x3fd: line status
    0xa8, 0x20, 0x74, 0xf8,       // until it takes a byte
    0xba, 0xf8, 0x03,             // COM1
    0x88, 0xd8, 0xee,             // mov al, bl; out
    0xeb, 0xea,                   // again
];

const TEXT: &str = "Hello, World! ~`|\\{}[]\"'<>?/ 0123456789 @#$%^&*()_+-= http://10.0.2.2:8000/pre_seed.cfg";

#[tokio::test]
async fn every_typed_character_arrives_in_order() {
    let bench = Bench::new();
    let mut sector = [0u8; 512];
    sector[..ECHO.len()].copy_from_slice(ECHO);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let image = bench.dir.path().join("echo.img");
    std::fs::write(&image, [sector.as_slice(), &[0; 1 << 20]].concat()).unwrap();
    let typed = TEXT.replace('<', "<leftShiftOn>,<leftShiftOff>");
    let options = [
        ("communicator", "none".into()),
        ("disk_interface", "ide".into()),
        ("boot_command", list(&[&typed, "<bs><tab><enter>"])),
        ("boot_wait", "2s".into()),
        ("disk_size", "8M".into()),
    ];
    let mut booted = bench.boot(&image, &options).await;
    let mut typing = bench.done(booted.machine.typing(&bench.cx).await).expect("there is something to type");
    tokio::time::sleep(typing.wait).await;
    for step in &typing.steps {
        match step {
            BootStep::Wait(time) => tokio::time::sleep(*time).await,
            step => bench.done(typing.keyboard.send(&bench.cx, step, typing.interval).await),
        }
    }
    let wanted = format!("{TEXT}\u{8}\t\r");
    let into = bench.dir.path().join("evidence");
    std::fs::create_dir(&into).unwrap();
    let mut seen = String::new();
    for _ in 0..50 {
        booted.machine.evidence(&bench.cx, &into).await;
        seen = std::fs::read_to_string(into.join("serial.log")).unwrap_or_default();
        if seen.len() >= wanted.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen, wanted);
    booted.drop_all().await;
}
