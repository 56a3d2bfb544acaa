//! Data sources: which are read, and what they are when nothing is.

use super::super::{Fetch, HttpAnswer, HttpRequest};
use super::*;

/// A world in which every address answers with itself, and which counts.
struct Echo(std::sync::Mutex<Vec<String>>);

impl Fetch for Echo {
    fn fetch(&self, request: &HttpRequest) -> Result<HttpAnswer, String> {
        self.0.lock().expect("not poisoned").push(format!("{} {}", request.method, request.url));
        if request.url.ends_with("/gone") {
            return Err("404 Not Found".into());
        }
        let headers = [("content-type".to_owned(), "text/plain".to_owned())].into();
        Ok(HttpAnswer { headers, body: format!(" {} ", request.url) })
    }
}

const DATA: &str = r#"
data "http" "a" { url = "http://one" }
data "http" "b" {
  url    = "http://two"
  method = "head"
}
data "http" "unused" { url = "http://three" }
data "amazon-ami" "ami" { most_recent = true }
locals {
  body = trimspace(data.http.a.body)
  type = data.http.a.request_headers["content-type"]
  ami  = data.amazon-ami.ami.id
}
source "null" "a" { v = "${local.body} ${local.type}" }
source "null" "b" { v = data.http.b.body }
source "null" "c" { v = local.ami }
build { sources = ["null.a", "null.b", "null.c"] }
"#;

#[test]
fn data_sources_of_the_selected_builds_are_read() {
    let mut case = Case::hcl(DATA);
    let world = Arc::new(Echo(Default::default()));
    case.request.fetch = Some(world.clone());
    case.request.only = vec!["null.a".into()];
    let plan = case.sound().plan.expect("is sound");
    assert_eq!(text(&entry(&plan.builds[0].source, "v")), "http://one text/plain");
    case.request.only = vec!["null.b".into()];
    assert_eq!(case.names(), ["null.b"]);
    assert_eq!(*world.0.lock().expect("not poisoned"), ["GET http://one", "HEAD http://two"]);
    case.request.only = vec!["null.c".into()];
    assert_eq!(case.errors(), ["the data source `amazon-ami` is not built in"]);
}

#[test]
fn without_a_world_data_is_unknown() {
    let case = Case::hcl(DATA);
    let loaded = case.sound();
    let warnings: Vec<&str> = loaded.diagnostics.0.iter().map(|d| d.summary.as_str()).collect();
    assert_eq!(warnings, ["the data source `amazon-ami` is not built in: its values are unknown"]);
    assert!(loaded.plan.expect("is sound").builds.iter().all(|build| entry(&build.source, "v").has_unknown()));
}

#[test]
fn an_unknown_for_each_makes_no_blocks_yet() {
    let case = Case::hcl(
        r#"
data "http" "list" { url = "http://list" }
locals { names = split(",", data.http.list.body) }
source "null" "a" {
  dynamic "disk" {
    for_each = local.names
    content { name = disk.value }
  }
}
build {
  sources = ["null.a"]
  dynamic "provisioner" {
    for_each = local.names
    labels   = [provisioner.value]
    content {}
  }
}
"#,
    );
    let plan = case.sound().plan.expect("is sound");
    assert!(plan.builds[0].provisioners.is_empty());
    assert!(entry(&plan.builds[0].source, "disk").has_unknown());
}

#[test]
fn what_is_wrong_with_a_request_is_told_with_its_place() {
    let mut case = Case::hcl(&DATA.replace("//one", "//one/gone"));
    case.request.fetch = Some(Arc::new(Echo(Default::default())));
    case.request.only = vec!["null.a".into()];
    let shown = case.shown();
    assert!(shown.contains("GET http://one/gone failed: 404 Not Found") && shown.contains("a.pkr.hcl:2:"), "{shown}");
}
