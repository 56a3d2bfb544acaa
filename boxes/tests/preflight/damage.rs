//! Disks that are cut short or damaged: findings, never a panic, and an end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use bakehouse_boxes::preflight::{Severity, examine};

use crate::made::{ESP, Made, ROOT, SIZE, examined, troubles};

#[test]
fn a_disk_that_is_cut_short_says_so_wherever_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = Made::good().write(dir.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for length in [SIZE - (2 << 20), ROOT + (8 << 20), ROOT + 2048, ESP + 4096, ESP, 1 << 20, 1536, 1024, 513, 1, 0] {
        file.set_len(length).unwrap();
        let report = examined(&path);
        let found = troubles(&report);
        assert_eq!(report.worst(), Severity::Error, "{length}: {found:#?}");
        assert!(found[0].starts_with("partition-table: error"), "{length}: {found:#?}");
    }
}

#[test]
fn the_second_copy_of_a_partition_table_stands_in_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = Made::good().write(dir.path());
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"damage", 512 + 60).unwrap();
    assert_eq!(
        troubles(&examined(&path)),
        ["partition-table: warning: the first copy of the GPT is damaged, the second one is whole"]
    );
    file.write_all_at(b"damage", SIZE - 512 + 60).unwrap();
    let found = troubles(&examined(&path));
    assert!(found.len() == 1 && found[0].contains("both copies"), "{found:#?}");
}

#[test]
fn what_is_no_disk_has_no_partition_table() {
    for bytes in [vec![], vec![0; 1 << 20], b"hello".repeat(1000)] {
        let report = examine(Cursor::new(bytes));
        assert_eq!(troubles(&report), ["partition-table: error: there is no partition table"]);
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A disk with some bytes changed, which shares the others.
struct Damaged {
    whole: Rc<[u8]>,
    changes: Vec<(usize, u8)>,
    at: u64,
}

impl Read for Damaged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at as usize;
        let read = (&self.whole[at..]).read(buffer)?;
        for (place, byte) in &self.changes {
            if (at..at + read).contains(place) {
                buffer[place - at] = *byte;
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Damaged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(0) => self.whole.len() as u64,
            other => panic!("{other:?} is of no use to it"),
        };
        Ok(self.at)
    }
}

/// The places whose bytes mean something: tables, superblocks, FATs, folders, inodes.
const STRUCTURES: [(u64, u64); 6] = [
    (0, 34 * 512),
    (ESP, 1024),
    (ESP + 32 * 512, 64 * 1024),
    (ESP + 1280 * 512, 32 * 1024),
    (ROOT + 1024, 8192),
    (ROOT + (64 << 10), 2 << 20),
];

#[test]
fn no_damage_makes_it_panic_or_go_on_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Made::good();
    made.compress = |plain| plain;
    let whole: Rc<[u8]> = fs::read(made.write(dir.path())).unwrap().into();
    let mut dice = Dice(42);
    let mut bad = 0;
    for _ in 0..300 {
        let mut changes = Vec::new();
        for _ in 0..=dice.below(8) {
            let (start, length) = STRUCTURES[dice.below(STRUCTURES.len() as u64) as usize];
            let at = (start + dice.below(length)) as usize;
            let byte = [0, 0xff, dice.below(256) as u8][dice.below(3) as usize];
            changes.extend((at..=at + dice.below(8) as usize).map(|place| (place, byte)));
        }
        let report = examine(Damaged { whole: whole.clone(), changes, at: 0 });
        bad += u32::from(report.worst() != Severity::Ok);
    }
    assert!(bad > 50, "only {bad} of the damaged disks were noticed");
}
