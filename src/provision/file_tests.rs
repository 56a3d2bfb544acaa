use std::fs;
use std::path::PathBuf;

use bakehouse_api::{Value, testing};
use bakehouse_kit::undo;

use super::super::fake::{Fake, Trouble};
use super::*;
use crate::script::testing::{body, findings, list};

/// `site/{index.html,css/a.css}` and `note.txt` here; an empty guest with /srv and /tmp.
struct House {
    dir: tempfile::TempDir,
    fake: Fake,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::new(&dir.path().join("guest"));
        fs::create_dir_all(dir.path().join("site/css")).unwrap();
        fs::create_dir(fake.at("/srv")).unwrap();
        for (name, text) in [("site/index.html", "<p>"), ("site/css/a.css", "a {}"), ("note.txt", "note")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir, fake }
    }

    /// A path on this machine.
    fn here(&self, name: &str) -> String {
        format!("{}/{name}", self.dir.path().display())
    }

    /// As the fake guest's shell names a path.
    fn there(&self, path: &str) -> String {
        format!("{}{path}", self.fake.dir.display())
    }

    async fn run(&self, entries: &[(&str, Value)]) -> Result<()> {
        let (cx, _) = testing::cx(self.dir.path(), undo::undoers());
        let mut diagnostics = Diagnostics::default();
        let file = prepare(&body("file", entries), &mut diagnostics);
        let file = file.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
        file.run(&cx, &self.fake.guest()).await
    }

    async fn upload(&self, source: &str, destination: &str) -> Vec<String> {
        let source = self.here(source);
        self.run(&[("source", source.into()), ("destination", self.there(destination).into())]).await.unwrap();
        self.guest_files()
    }

    fn guest_files(&self) -> Vec<String> {
        files(&self.fake.dir)
    }
}

fn files(root: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in dir.read_dir().unwrap() {
            let path: PathBuf = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, root, found),
                false => found.push(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    let mut found = vec![];
    walk(root, root, &mut found);
    found.sort();
    found
}

#[tokio::test]
async fn a_file_goes_to_a_path_or_into_a_directory() {
    for (destination, expected) in [("/srv/x", "srv/x"), ("/srv/", "srv/note.txt"), ("/srv", "srv/note.txt")] {
        assert_eq!(House::new().upload("note.txt", destination).await, [expected]);
    }
}

#[tokio::test]
async fn the_slash_of_a_directory_decides_whether_its_name_goes_along() {
    let with_name = ["srv/site/css/a.css", "srv/site/index.html"];
    let without = ["srv/css/a.css", "srv/index.html"];
    for (source, destination, expected) in [
        ("site", "/srv", with_name),
        ("site", "/srv/", with_name),
        ("site/", "/srv", without),
        ("site/", "/srv/", without),
        ("site/.", "/srv", without),
        ("site/css/..", "/srv", without),
    ] {
        assert_eq!(House::new().upload(source, destination).await, expected, "{source} => {destination}");
    }
}

#[tokio::test]
async fn content_becomes_a_file() {
    for (destination, expected) in
        [("/srv/motd", "srv/motd"), ("/srv/", "srv/pkr-file-content"), ("/srv", "srv/pkr-file-content")]
    {
        let house = House::new();
        house.run(&[("content", "hello\n".into()), ("destination", house.there(destination).into())]).await.unwrap();
        assert_eq!(house.guest_files(), [expected]);
        assert_eq!(fs::read_to_string(house.fake.dir.join(expected)).unwrap(), "hello\n");
    }
}

#[tokio::test]
async fn several_sources_and_a_lost_connection() {
    let house = House::new();
    house.fake.trouble(&[Trouble::Stopping, Trouble::LoseUpload]);
    let sources = [house.here("note.txt"), house.here("site")];
    let sources = list(&[&sources[0], &sources[1]]);
    house.run(&[("sources", sources), ("destination", house.there("/srv/").into())]).await.unwrap();
    assert_eq!(house.guest_files(), ["srv/note.txt", "srv/site/css/a.css", "srv/site/index.html"]);
}

#[tokio::test]
async fn downloads_make_the_directories_they_need() {
    let house = House::new();
    house.upload("site", "/srv").await;
    for (source, destination, expected) in [
        ("/srv/site/index.html", "out/a/page.html", "a/page.html"),
        ("/srv/site/index.html", "out/b/", "b/index.html"),
        ("/srv/site/css/", "out/c", "c/a.css"),
        ("/srv/site/css", "out/d/", "d/css/a.css"),
    ] {
        let entries = [
            ("direction", "download".into()),
            ("source", house.there(source).into()),
            ("destination", house.here(destination).into()),
        ];
        house.run(&entries).await.unwrap();
        let found = files(&house.dir.path().join("out"));
        assert_eq!(found, [expected], "{source} => {destination}");
        fs::remove_dir_all(house.dir.path().join("out")).unwrap();
    }
}

#[tokio::test]
async fn a_missing_place_is_explained() {
    let house = House::new();
    let entries = [("content", "x".into()), ("destination", "/no/such/file".into())];
    let error = house.run(&entries).await.unwrap_err();
    assert_eq!(error.to_string(), "uploading to /no/such/file: /no/such/file: Failure");
    assert_eq!(error.hints().len(), 1);
}

#[test]
fn mistakes_are_found_without_a_guest() {
    let mut diagnostics = Diagnostics::default();
    let to = ("destination", Value::from("/tmp/x"));
    for entries in [
        vec![to.clone()],
        vec![to.clone(), ("content", "a".into()), ("source", "Cargo.toml".into())],
        vec![to.clone(), ("source", "no-such-file".into()), ("sources", list(&["no-such-dir/"]))],
        vec![to.clone(), ("content", "a".into()), ("direction", "download".into())],
        vec![to.clone(), ("source", "a".into()), ("direction", "sideways".into())],
        vec![("content", "a".into())],
    ] {
        assert!(prepare(&body("file", &entries), &mut diagnostics).is_none());
    }
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    file needs `source`, `sources` or `content`
    `content` and a source exclude each other
    `no-such-file` does not exist (set `generated = true` when an earlier step makes it)
    `no-such-dir/` does not exist (set `generated = true` when an earlier step makes it)
    `content` cannot be downloaded
    `sideways` is not one of upload, download
    file `file` needs the option `destination`
    ");
    let later = [to, ("source", "no-such-file".into()), ("generated", true.into())];
    assert!(prepare(&body("file", &later), &mut Diagnostics::default()).is_some());
}
