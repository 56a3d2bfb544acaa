//! The folder of checkpoints: what counts, what is damaged, what goes first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bakehouse_kit::shelf;

use super::*;

pub fn key(name: &str) -> Key {
    Recipe::default().key(&Salt::fixed(), None, name)
}

pub fn ran(ages: &[u64]) -> Vec<Ran> {
    ages.iter().map(|age| Ran { leg: String::new(), at: now() - age }).collect()
}

/// A folder `c-name` with a disk and a memory of `bytes` each, as a machine leaves it.
pub fn folder(store: &Store, name: &str, parent: Option<&str>, bytes: usize) -> PathBuf {
    let dir = store.dir.join(format!("c-{name}"));
    std::fs::create_dir(&dir).unwrap();
    File::create(dir.join("lock")).unwrap();
    if let Some(parent) = parent {
        std::fs::write(dir.join("parent"), format!("c-{parent}")).unwrap();
    }
    for file in ["disk0", "memory"] {
        std::fs::write(dir.join(file), vec![b'x'; bytes]).unwrap();
    }
    dir
}

/// A checkpoint that was last used `age` seconds ago.
pub fn checkpoint(store: &Store, name: &str, parent: Option<&str>, bytes: usize, age: u64) -> Entry {
    let dir = folder(store, name, parent, bytes);
    Note::take(&dir, key(name), Kind::Machine, "qemu.x", name, ran(&[age])).unwrap().write(&dir).unwrap();
    let note = File::options().write(true).open(dir.join("checkpoint.json")).unwrap();
    note.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    find(store, name).unwrap()
}

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("checkpoints")).unwrap()
}

fn find(store: &Store, name: &str) -> Option<Entry> {
    store.entries().unwrap().into_iter().find(|entry| entry.note.key == key(name))
}

fn names(store: &Store) -> Vec<String> {
    store.entries().unwrap().iter().map(|entry| entry.note.after.clone()).collect()
}

#[test]
fn only_what_has_its_note_is_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let half = folder(&store, "half", None, 10);
    assert_eq!(store.entries().unwrap().len(), 0);
    std::fs::write(half.join("checkpoint.json"), "{\"key\":").unwrap();
    assert_eq!(store.entries().unwrap().len(), 0, "a note that is cut short");
}

#[test]
fn a_file_that_is_not_as_it_was_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    checkpoint(&store, "below", None, 100, 0);
    let whole = |entry: &Entry| entry.clone().damage(Care::Quick);
    let entry = checkpoint(&store, "above", Some("below"), 100, 0);
    assert_eq!(whole(&entry), None);

    let memory = entry.dir.join("memory");
    std::fs::write(&memory, vec![b'x'; 99]).unwrap();
    assert_eq!(whole(&entry).unwrap(), "memory: it has 99 bytes and should have 100");
    std::fs::write(&memory, vec![b'y'; 100]).unwrap();
    assert_eq!(whole(&entry).unwrap(), "memory: its contents changed");
    std::fs::write(&memory, vec![b'x'; 100]).unwrap();
    assert_eq!(whole(&entry), None, "another time and the same contents: a copy");

    let below = store.dir.join("c-below/disk0");
    std::fs::write(&below, vec![b'y'; 100]).unwrap();
    assert_eq!(whole(&entry).unwrap(), "../c-below/disk0: its contents changed");
    std::fs::remove_file(&below).unwrap();
    assert!(whole(&entry).unwrap().starts_with("../c-below/disk0: "));
}

#[test]
fn a_quick_look_trusts_a_file_that_was_not_touched_and_a_whole_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let entry = checkpoint(&store, "a", None, 100, 0);
    let memory = entry.dir.join("memory");
    let time = memory.metadata().unwrap().modified().unwrap();
    let file = File::options().write(true).open(&memory).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"rot", 50).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(entry.clone().damage(Care::Quick), None);
    assert_eq!(entry.clone().damage(Care::Whole).unwrap(), "memory: its contents changed");
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_leaves_what_others_build_upon() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    checkpoint(&store, "old", None, 1 << 20, 300);
    checkpoint(&store, "child", Some("old"), 1 << 20, 100);
    checkpoint(&store, "new", None, 1 << 20, 10);
    let pruned = store.prune(Some((11 << 20) / 2), None).unwrap();
    assert_eq!(names(&store), ["new", "child"]);
    assert_eq!(pruned.checkpoints, 1);
    assert!(!store.dir.join("c-old/memory").exists() && store.dir.join("c-old/disk0").exists());
    assert_eq!(find(&store, "child").unwrap().damage(Care::Whole), None);

    store.prune(None, Some(Duration::from_secs(50))).unwrap();
    assert_eq!(names(&store), ["new"]);
    assert!(!store.dir.join("c-old").exists(), "nothing builds upon it any more");
}

#[test]
fn what_a_build_uses_stays_and_what_a_dead_one_left_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let entry = checkpoint(&store, "used", None, 10, 100);
    let living = folder(&store, "living", Some("used"), 10);
    let dead = folder(&store, "dead", None, 10);
    let locks = [store.hold(&entry).unwrap(), shelf::share(&living).unwrap()];
    assert!(!store.remove(&entry).unwrap());
    store.prune(Some(0), None).unwrap();
    assert_eq!(names(&store), ["used"]);
    assert!(living.exists() && !dead.exists());

    drop(locks);
    store.prune(Some(0), None).unwrap();
    assert_eq!(store.folders().unwrap(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_new_one_stands_for_the_old_one_of_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    checkpoint(&store, "same", None, 10, 100);
    let new = folder(&store, "new", None, 10);
    Note::take(&new, key("same"), Kind::Machine, "qemu.x", "new", ran(&[0])).unwrap().write(&new).unwrap();
    store.supersede(&new).unwrap();
    assert_eq!(names(&store), ["new"]);
}

#[test]
fn using_it_makes_it_young_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let old = checkpoint(&store, "old", None, 10, 300);
    checkpoint(&store, "new", None, 10, 100);
    store.touch(&old);
    assert_eq!(names(&store), ["old", "new"]);
}

#[test]
fn ages_are_told_in_one_unit() {
    let told = |seconds| age(Duration::from_secs(seconds));
    assert_eq!([told(5), told(180), told(7300), told(400_000)], ["5 s", "3 min", "2 h", "4 days"]);
}
