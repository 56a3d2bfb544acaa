use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bakehouse_api::{Settings, Value, testing};
use bakehouse_boxes::pack::{self, Compression, Contents};

use super::*;
use crate::script::testing::{body, findings};

/// An index of our own on loopback: it keeps what it is told, and every request line.
#[derive(Default)]
struct Index {
    url: String,
    log: Vec<String>,
    boxes: BTreeSet<String>,
    /// Paths of versions, with their status.
    versions: BTreeMap<String, String>,
    providers: BTreeMap<String, serde_json::Value>,
    stored: BTreeMap<String, Vec<u8>>,
    /// So many more requests fail with 503.
    busy: usize,
}

type Shared = Arc<Mutex<Index>>;

async fn serve() -> (Shared, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let index = Arc::new(Mutex::new(Index { url: url.clone(), ..Index::default() }));
    let app = Router::new().fallback(answer).with_state(index.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (index, url)
}

async fn answer(State(index): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut index = index.lock().unwrap();
    let path = uri.path().to_owned();
    index.log.push(format!("{method} {path}"));
    if index.busy > 0 {
        index.busy -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(place) = path.strip_prefix("/store/") {
        assert!(headers.get("authorization").is_none(), "the token is none of the storage's business");
        assert_eq!(headers["content-length"].to_str().unwrap(), body.len().to_string());
        index.stored.insert(place.to_owned(), body.to_vec());
        return StatusCode::OK.into_response();
    }
    if path == "/oauth2/token" {
        let form = String::from_utf8(body.to_vec()).unwrap();
        assert!(form.contains("client_id=me&client_secret=s3cret"), "{form}");
        return json(serde_json::json!({"access_token": "good"}));
    }
    if headers.get("authorization").is_none_or(|token| token != "Bearer good") {
        let errors = serde_json::json!({"success": false, "errors": ["Invalid token"]});
        return (StatusCode::UNAUTHORIZED, errors.to_string()).into_response();
    }
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    index.act(&method, path.strip_prefix("/api/v2/").unwrap_or_default(), &told)
}

fn json(value: serde_json::Value) -> Response {
    (StatusCode::OK, value.to_string()).into_response()
}

impl Index {
    fn act(&mut self, method: &Method, path: &str, told: &serde_json::Value) -> Response {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let none = StatusCode::NOT_FOUND.into_response();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["authenticate"]) => StatusCode::OK.into_response(),
            ("POST", ["boxes"]) => {
                self.boxes.insert(format!("{}/{}", text(&told["box"]["username"]), text(&told["box"]["name"])));
                json(told.clone())
            }
            ("GET", ["box", org, name]) if self.boxes.contains(&format!("{org}/{name}")) => json(serde_json::json!({})),
            ("POST", ["box", org, name, "versions"]) => {
                self.versions
                    .insert(format!("{org}/{name}/{}", text(&told["version"]["version"])), "unreleased".into());
                json(told.clone())
            }
            ("GET", ["box", org, name, "version", version]) => {
                let status = self.versions.get(&format!("{org}/{name}/{version}"));
                status.map_or(none, |status| json(serde_json::json!({ "status": status })))
            }
            ("PUT", ["box", org, name, "version", version, "release"]) => {
                self.versions.insert(format!("{org}/{name}/{version}"), "active".into());
                json(serde_json::json!({}))
            }
            ("POST", ["box", org, name, "version", version, "providers"]) => {
                let (provider, arch) = (text(&told["provider"]["name"]), text(&told["provider"]["architecture"]));
                let key = format!("box/{org}/{name}/version/{version}/provider/{provider}/{arch}");
                self.providers.insert(key, told["provider"].clone());
                json(told.clone())
            }
            ("GET", [.., "upload"]) => json(serde_json::json!({"upload_path": format!("{}/store/plain", self.url)})),
            ("GET", [.., "upload", "direct"]) => json(serde_json::json!({
                "upload_path": format!("{}/store/direct", self.url),
                "callback": format!("{}/api/v2/{path}/done", self.url)})),
            ("PUT", [.., "direct", "done"]) => json(serde_json::json!({})),
            ("GET", [.., "provider", _, _]) => self.providers.get(path).map_or(none, |one| json(one.clone())),
            ("PUT", [.., "provider", _, _]) => {
                self.providers.insert(path.to_owned(), told["provider"].clone());
                json(told.clone())
            }
            _ => none,
        }
    }
}

struct Bench {
    dir: tempfile::TempDir,
    index: Shared,
    url: String,
    file: PathBuf,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("debian.box");
        let contents = Contents {
            metadata: json!({"provider": "aws", "architecture": "amd64"}).as_object().unwrap().clone(),
            vagrantfile: String::new(),
            members: vec![],
        };
        let options = pack::Options { compression: Compression::Gzip(6), mtime: 0 };
        pack::write(File::create(&file).unwrap(), &contents, &options, &mut |_| Ok(())).unwrap();
        let (index, url) = serve().await;
        index.lock().unwrap().boxes.insert("org/debian".into());
        Self { dir, index, url, file }
    }

    async fn publish(&self, row: &Row, force: bool, env: &[(&str, &str)], more: &[(&str, Value)]) -> Result<Outcome> {
        let api = format!("{}/api/v2", self.url);
        let mut entries = vec![
            ("box_tag", "org/debian".into()),
            ("version", "1.0".into()),
            ("vagrant_cloud_url", api.as_str().into()),
        ];
        for entry in more {
            entries.retain(|(name, _)| *name != entry.0);
            entries.push(entry.clone());
        }
        let mut diagnostics = Diagnostics::default();
        let publish = (row.prepare)(&body(row.kind, &entries), &mut diagnostics);
        let publish = publish.unwrap_or_else(|| panic!("{:?}", findings(&diagnostics)));
        let (_, recorder) = testing::cx(self.dir.path(), vec![]);
        let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let settings = Settings { force, env, ..Settings::default() };
        let (events, undos, prompts) = (recorder.clone(), recorder.clone(), recorder.clone());
        let temp = self.dir.path().into();
        let cx = Cx::new("t", temp, settings.into(), events, undos, prompts, Default::default(), Default::default());
        let done = publish.run(&cx, &Artifact { files: vec![self.file.clone()], ..Artifact::default() }).await;
        for secret in cx.secrets().all() {
            assert!(recorder.lines().iter().all(|line| !line.contains(secret.reveal())));
        }
        done
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.index.lock().unwrap().log)
    }
}

#[tokio::test]
async fn a_box_is_uploaded_directly_and_released() {
    let bench = Bench::new().await;
    let outcome = bench.publish(&CLOUD, false, &[], &[("access_token", "good".into())]).await.unwrap();
    assert!(outcome.keep_by_default);
    insta::assert_snapshot!(bench.log().join("\n"), @r"
    GET /api/v2/authenticate
    GET /api/v2/box/org/debian
    GET /api/v2/box/org/debian/version/1.0
    POST /api/v2/box/org/debian/versions
    GET /api/v2/box/org/debian/version/1.0/provider/aws/amd64
    POST /api/v2/box/org/debian/version/1.0/providers
    GET /api/v2/box/org/debian/version/1.0/provider/aws/amd64/upload/direct
    PUT /store/direct
    PUT /api/v2/box/org/debian/version/1.0/provider/aws/amd64/upload/direct/done
    PUT /api/v2/box/org/debian/version/1.0/release
    ");
    let index = bench.index.lock().unwrap();
    let content = std::fs::read(&bench.file).unwrap();
    assert_eq!(index.stored["direct"], content);
    let provider = index.providers.values().next().unwrap();
    let sum = bakehouse_boxes::checksum::of(content.as_slice(), Algorithm::Sha256, &mut |_| Ok(())).unwrap();
    assert_eq!((&provider["checksum"], &provider["checksum_type"]), (&sum.into(), &"sha256".into()));
}

#[tokio::test]
async fn options_lead_other_ways() {
    let bench = Bench::new().await;
    let hex = "a".repeat(32);
    let sum = format!("md5:{hex}");
    let more = [
        ("box_download_url", "https://example.com/x.box".into()),
        ("box_checksum", sum.as_str().into()),
        ("no_release", true.into()),
        ("architecture", "aarch64".into()),
        ("default_architecture", "amd64".into()),
    ];
    bench.publish(&CLOUD, false, &[("VAGRANT_CLOUD_TOKEN", "good")], &more).await.unwrap();
    assert!(bench.log().iter().all(|line| !line.contains("upload") && !line.contains("release")));
    let provider = bench.index.lock().unwrap().providers.values().next().unwrap().clone();
    assert_eq!(
        provider,
        json!({"name": "aws", "url": "https://example.com/x.box", "checksum_type": "md5", "checksum": hex,
            "architecture": "arm64", "default_architecture": false})
    );
    let plain = [("no_direct_upload", true.into()), ("version", "1.1".into())];
    bench.publish(&CLOUD, false, &[("ATLAS_TOKEN", "good")], &plain).await.unwrap();
    assert!(bench.index.lock().unwrap().stored.contains_key("plain"));
}

#[tokio::test]
async fn the_registry_logs_in_as_a_principal_and_makes_the_box() {
    let bench = Bench::new().await;
    let more = [("box_tag", "org/new".into()), ("auth_url", bench.url.as_str().into()), ("box_private", true.into())];
    let env = [("HCP_CLIENT_ID", "me"), ("HCP_CLIENT_SECRET", "s3cret")];
    bench.publish(&REGISTRY, false, &env, &more).await.unwrap();
    let log = bench.log();
    assert_eq!(log[0], "POST /oauth2/token");
    assert!(log.contains(&"POST /api/v2/boxes".to_owned()), "{log:?}");
    assert_eq!(bench.index.lock().unwrap().versions["org/new/1.0"], "active");
}

#[tokio::test]
async fn a_released_box_is_replaced_only_by_force() {
    let bench = Bench::new().await;
    let token = [("access_token", "good".into())];
    bench.publish(&CLOUD, false, &[], &token).await.unwrap();
    let error = bench.publish(&CLOUD, false, &[], &token).await.unwrap_err();
    insta::assert_snapshot!(error, @"version 1.0 of org/debian is released and has a box for aws on amd64");
    bench.publish(&CLOUD, true, &[], &token).await.unwrap();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_wrong_token_is_not() {
    let bench = Bench::new().await;
    bench.index.lock().unwrap().busy = 1;
    bench.publish(&CLOUD, false, &[], &[("access_token", "good".into())]).await.unwrap();
    bench.log();
    let error = bench.publish(&CLOUD, false, &[], &[("access_token", "bad".into())]).await.unwrap_err();
    insta::assert_snapshot!(error, @"logging in: the server answered 401 Unauthorized: Invalid token");
    assert_eq!(bench.log().len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let bench = Bench::new().await;
    let error = bench.publish(&CLOUD, false, &[], &[]).await.unwrap_err();
    insta::assert_snapshot!(error, @"vagrant-cloud has no `access_token` to log in with");
    assert_eq!(error.hints(), ["set VAGRANT_CLOUD_TOKEN or ATLAS_TOKEN in the environment, or the option"]);
    let other = [("access_token", "good".into()), ("box_tag", "org/other".into())];
    let error = bench.publish(&CLOUD, false, &[], &other).await.unwrap_err();
    insta::assert_snapshot!(error, @"the box org/other does not exist");
}

#[test]
fn mistakes_are_found_without_a_server() {
    let mut diagnostics = Diagnostics::default();
    let entries = [
        ("box_tag", "debian".into()),
        ("version", "1.x-".into()),
        ("box_checksum", "sha256:12".into()),
        ("vagrant_cloud_url", "example.com".into()),
    ];
    assert!((CLOUD.prepare)(&body("vagrant-cloud", &entries), &mut diagnostics).is_none());
    insta::assert_snapshot!(findings(&diagnostics).join("\n"), @r"
    `debian` is no name of a box: write it like org/box
    `1.x-` is not a version: write numbers with dots, like 1.2.0 or 1.2.0.rc1
    `sha256:12` is no checksum: write it like sha256:0123...
    `vagrant_cloud_url` must begin with https://
    ");
}
