//! A boot sector says on the serial line what the keyboard gives.

use std::time::{Duration, Instant};

use crate::bench::{Bench, list, serial, type_all};
use crate::machines::new_machine;

/// `int 16h` waits for a key, then its character goes to COM1 when the line is free.
#[rustfmt::skip]
pub const ECHO: &[u8] = &[
    0xb4, 0x00, 0xcd, 0x16,       // ah = 0; int 16h: al = character
    0x88, 0xc3,                   // mov bl, al
    0xba, 0xfd, 0x03, 0xec,       // in al, 0x3fd: line status
    0xa8, 0x20, 0x74, 0xf8,       // until it takes a byte
    0xba, 0xf8, 0x03,             // COM1
    0x88, 0xd8, 0xee,             // mov al, bl; out
    0xeb, 0xea,                   // again
];

/// The least that El Torito asks for: a boot record that names a catalog that names one sector.
pub fn bootable_cd(code: &[u8]) -> Vec<u8> {
    const SECTOR: usize = 2048;
    let mut cd = vec![0; 21 * SECTOR + (1 << 20)];
    let mut put = |sector: usize, at: usize, bytes: &[u8]| {
        cd[sector * SECTOR + at..][..bytes.len()].copy_from_slice(bytes);
    };
    put(16, 0, b"\x01CD001\x01");
    put(17, 0, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17, 0x47, &19u32.to_le_bytes());
    put(18, 0, b"\xffCD001\x01");
    put(19, 0, &[1]);
    put(19, 28, &[0xaa, 0x55, 0x55, 0xaa]);
    // Bootable, without emulation, one sector of 512 bytes, found at sector 20.
    put(19, 32, &[0x88, 0, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0]);
    put(20, 0, code);
    cd
}

const TEXT: &str = "Hello, World! ~`|\\{}[]\"'?/ 0123456789 @#$%^&*()_+-= http://10.0.2.2:8000/pre_seed.cfg";

#[tokio::test]
async fn every_typed_character_arrives_in_order_and_the_screen_is_seen() {
    let Some(bench) = Bench::new() else { return };
    let options = new_machine(&bench, &[("boot_command", list(&["<wait1s>", TEXT, "<bs><tab><enter>"]))]);
    let mut machine = bench.start("virtualbox-iso", &options).await;
    let began = Instant::now();
    bench.echoes("small").await;
    type_all(&bench, &mut *machine).await;
    eprintln!("typed {} keys after {:?}", TEXT.len() + 3, began.elapsed());
    let wanted = format!("{TEXT}\u{8}\t\r");
    let seen = serial(&bench, |said| said.ends_with(&wanted)).await;
    assert_eq!(seen.trim_start_matches('.'), wanted);

    let into = bench.path("evidence");
    std::fs::create_dir(&into).unwrap();
    let kept = machine.evidence(&bench.cx, &into).await;
    let names: Vec<_> = kept.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["screen.png", "serial.log", "VBox.log"]);
    assert!(std::fs::read(&kept[0]).unwrap().starts_with(b"\x89PNG"));

    let gone = tokio::time::timeout(Duration::from_secs(30), machine.gone(&bench.cx));
    let (gone, ()) = tokio::join!(gone, async {
        bench.vbox(&["controlvm", "small", "poweroff"]);
    });
    assert!(gone.unwrap().to_string().contains("switched itself off"));
}
