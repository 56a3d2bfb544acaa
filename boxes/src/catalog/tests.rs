use std::path::Path;

use proptest::prelude::*;

use super::*;

fn entry(version: &str, provider: &str) -> Entry {
    Entry {
        name: "org/box".into(),
        description: None,
        version: version.into(),
        provider: Provider {
            name: provider.into(),
            url: format!("file:///boxes/{version}-{provider}.box"),
            checksum_type: Some("sha256".into()),
            checksum: Some("0".repeat(64)),
            architecture: Some("amd64".into()),
            default_architecture: Some(true),
            more: Map::new(),
        },
    }
}

fn versions(catalog: &Catalog) -> Vec<&str> {
    catalog.versions.iter().map(|release| release.version.as_str()).collect()
}

#[test]
fn versions_stand_in_their_order_and_the_oldest_go_first() {
    let mut catalog = Catalog::new("org/box");
    for version in ["1.10.0", "1.2.0", "1.10.0.rc1", "2"] {
        catalog.add(entry(version, "libvirt"), false).unwrap();
    }
    assert_eq!(versions(&catalog), ["1.2.0", "1.10.0.rc1", "1.10.0", "2"]);
    let gone = catalog.keep(2);
    assert_eq!(gone.len(), 2);
    assert_eq!(versions(&catalog), ["1.10.0", "2"]);
    catalog.keep(0);
    assert_eq!(versions(&catalog), ["2"], "an empty catalog is nobody's wish");
}

#[test]
fn a_provider_that_is_there_is_replaced_only_by_force() {
    let mut catalog = Catalog::new("org/box");
    catalog.add(entry("1.0", "libvirt"), false).unwrap();
    catalog.add(entry("1.0", "virtualbox"), false).unwrap();
    let mut arm = entry("1.0", "libvirt");
    arm.provider.architecture = Some("arm64".into());
    catalog.add(arm, false).unwrap();
    let before = catalog.clone();
    let error = catalog.add(entry("1.0.0", "libvirt"), false).unwrap_err();
    assert_eq!(error.to_string(), "version 1.0.0 already has a box for libvirt on amd64");
    assert_eq!(catalog, before);
    let mut new = entry("1.0", "libvirt");
    new.provider.checksum = Some("1".repeat(64));
    catalog.add(new, true).unwrap();
    assert_eq!(catalog.versions.len(), 1);
    assert_eq!(catalog.versions[0].providers[0].checksum.as_deref(), Some("1".repeat(64).as_str()));
    assert_eq!(catalog.versions[0].providers.len(), 3);
}

#[test]
fn the_first_architecture_is_the_default_one() {
    let mut catalog = Catalog::new("org/box");
    for architecture in ["amd64", "arm64", "amd64"] {
        let mut one = entry("1.0", "libvirt");
        one.provider.architecture = Some(architecture.into());
        one.provider.default_architecture = None;
        catalog.add(one, true).unwrap();
    }
    let defaults: Vec<_> = catalog.versions[0].providers.iter().map(|one| one.default_architecture).collect();
    assert_eq!(defaults, [Some(true), Some(false)]);
}

#[test]
fn what_others_wrote_stays() {
    let text = br#"{"name":"org/box","short_description":"s","versions":[
        {"version":"1.0","status":"active","providers":[{"name":"libvirt","url":"file:///x","hosted":true}]}]}"#;
    let mut catalog = Catalog::parse(text, "c.json").unwrap();
    catalog.add(entry("1.1", "libvirt"), false).unwrap();
    let json: Value = serde_json::from_slice(&catalog.to_json()).unwrap();
    assert_eq!(json["short_description"], "s");
    assert_eq!(json["versions"][0]["status"], "active");
    assert_eq!(json["versions"][0]["providers"][0]["hosted"], true);
    assert_eq!(json["versions"][1]["providers"][0]["architecture"], "amd64");
}

#[test]
fn mistakes_are_refused() {
    let mut catalog = Catalog::new("org/box");
    let mut say = |change: &dyn Fn(&mut Entry)| {
        let mut wrong = entry("1.0", "libvirt");
        change(&mut wrong);
        catalog.add(wrong, true).unwrap_err().to_string()
    };
    assert_eq!(say(&|e| e.name = "other/box".into()), "the catalog is of the box `org/box`, not of `other/box`");
    assert_eq!(say(&|e| e.name = "a b".into()), "`a b` is no name of a box: write it like org/box");
    assert!(say(&|e| e.version = "1.x-".into()).starts_with("`1.x-` is not a version"));
    assert!(say(&|e| e.provider.url = "boxes/x.box".into()).contains("is no absolute URL"));
    assert!(catalog.versions.is_empty());
}

#[test]
fn the_old_catalog_stays_on_any_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/metadata.json");
    let add = |entry: Entry| update(&path, "org/box", |catalog| catalog.add(entry, false));
    add(entry("1.0", "libvirt")).unwrap();
    let before = std::fs::read(&path).unwrap();
    add(entry("1.0", "libvirt")).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    for broken in ["not json", "[]", "{\"name\":\"org/box\",\"versions\":[{\"version\":\"v1\"}]}"] {
        std::fs::write(&path, broken).unwrap();
        let error = add(entry("1.1", "libvirt")).unwrap_err().to_string();
        assert!(error.contains("metadata.json is not a catalog: "), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), broken);
    }
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn updates_side_by_side_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metadata.json");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                update(path, "org/box", |catalog| catalog.add(entry(&format!("1.{number}"), "libvirt"), false))
                    .unwrap();
            });
        }
    });
    assert_eq!(read(&path).unwrap().unwrap().versions.len(), 8);
}

#[test]
fn urls_are_filled_in() {
    let fields = [("name", "org/box"), ("version", "1.0"), ("file", "x.box")];
    assert_eq!(
        url_of("https://example.com/{{name}}/{{ .Version }}/{{file}}", &fields).unwrap(),
        "https://example.com/org/box/1.0/x.box"
    );
    assert!(url_of("https://{{host}}/", &fields).unwrap_err().to_string().starts_with("`host` is no field"));
    assert_eq!(file_url(Path::new("/a b/ü.box")), "file:///a%20b/%C3%BC.box");
    assert_eq!(local_file("file:///a%20b/%C3%BC%.box").as_deref(), Some(Path::new("/a b/ü%.box")));
    assert_eq!(local_file("https://example.com/x.box"), None);
}

proptest! {
    /// Whatever is in a file, reading it gives a catalog or an error, and a catalog survives a round trip.
    #[test]
    fn any_json_is_read_or_refused(text in "\\{\"name\":\"[a-z]{0,3}\",\"versions\":\\[[a-z0-9\"{}:,.\\[\\]]{0,40}\\]\\}|.{0,60}") {
        if let Ok(catalog) = Catalog::parse(text.as_bytes(), "c.json") {
            prop_assert_eq!(Catalog::parse(&catalog.to_json(), "c.json").unwrap(), catalog);
        }
    }

    #[test]
    fn any_order_of_adding_gives_the_same_order(mut numbers in proptest::collection::vec((0u32..30, 0u32..30), 1..12)) {
        let mut catalog = Catalog::new("org/box");
        for (major, minor) in &numbers {
            catalog.add(entry(&format!("{major}.{minor}.1"), "libvirt"), true).unwrap();
        }
        numbers.sort();
        numbers.dedup();
        let expected: Vec<String> = numbers.iter().map(|(major, minor)| format!("{major}.{minor}.1")).collect();
        prop_assert_eq!(versions(&catalog), expected);
    }
}
