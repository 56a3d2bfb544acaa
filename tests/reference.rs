//! docs/reference/ is written from the option structs. `UPDATE_REFERENCE=1 cargo test --test reference` writes
//! it anew.
#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bakehouse::reference::{components, pages};

const UPDATE: &str = "UPDATE_REFERENCE=1 cargo test --test reference";

#[test]
fn the_pages_say_what_the_structs_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let pages = pages::pages();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        stale(&root, &pages.keys().collect()).iter().for_each(|path| std::fs::remove_file(path).unwrap());
        for (path, text) in &pages {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    for (path, text) in &pages {
        let found = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(found == *text, "docs/reference/{path} is out of date: {UPDATE}");
    }
    let stale = stale(&root, &pages.keys().collect());
    assert!(stale.is_empty(), "pages of nothing: {stale:?}: {UPDATE}");
}

/// Pages of components that are no more.
fn stale(root: &Path, pages: &BTreeSet<&String>) -> Vec<PathBuf> {
    let folders = ["builders", "provisioners", "post-processors", "data-sources"].into_iter();
    let files = folders.flat_map(|folder| std::fs::read_dir(root.join(folder)).into_iter().flatten());
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| !pages.contains(&path.strip_prefix(root).unwrap().display().to_string())).collect()
}

#[test]
fn every_option_is_documented_in_sentences() {
    let mut poor = Vec::new();
    for component in components() {
        for field in component.all_fields() {
            if !field.doc.ends_with(['.', ')']) {
                poor.push(format!("{}.{}: {:?}", component.path(), field.name, field.doc));
            }
        }
    }
    assert!(poor.is_empty(), "{poor:#?}");
}
