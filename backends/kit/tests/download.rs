//! Downloads over loopback, from a server that misbehaves as real ones do; and the web server for
//! installers.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bakehouse_api::{EventKind, options::Spans, testing};
use bakehouse_kit::digest::{Algorithm, Digest, Hasher};
use bakehouse_kit::download::{Checksum, DownloadError, Fetched, Request, fetch};
use bakehouse_kit::http::{HttpError, HttpOptions, HttpServer};

/// How a server treats one request.
#[derive(Clone, Copy)]
enum Manner {
    Whole,
    /// Sends the head and so many bytes of the body, then hangs up.
    CutAfter(usize),
    /// Sends so many bytes and then nothing.
    StallAfter(usize),
    Refuse,
}

struct Server {
    address: String,
    /// The `Range` of each request, or an empty string.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `body` under every path; the last manner holds for all further requests.
    fn start(body: Vec<u8>, manners: &'static [Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ranges: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = ranges.clone();
        std::thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let manner = manners[i.min(manners.len() - 1)];
                let (body, seen) = (body.clone(), seen.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &body, manner, &seen));
            }
        });
        Self { address, ranges }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, body: &[u8], manner: Manner, seen: &Mutex<Vec<String>>) {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = value.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    let start: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
    seen.lock().unwrap().push(range);
    let part = &body[start..];
    let status = match (manner, start) {
        (Manner::Refuse, _) => "404 Not Found".to_owned(),
        (_, 0) => "200 OK".to_owned(),
        _ => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", body.len() - 1, body.len()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nETag: \"v1\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", part.len());
    stream.write_all(head.as_bytes()).unwrap();
    match manner {
        Manner::Whole | Manner::Refuse => stream.write_all(part).unwrap(),
        Manner::CutAfter(bytes) => stream.write_all(&part[..bytes.min(part.len())]).unwrap(),
        Manner::StallAfter(bytes) => {
            stream.write_all(&part[..bytes]).unwrap();
            let _ = stream.read(&mut [0; 1]); // until the other side goes away
        }
    }
}

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn request(urls: &[String], checksum: Checksum) -> Request {
    Request { urls: urls.to_vec(), checksum, target: None, extension: "iso".into() }
}

/// What lies in the cache of downloads.
fn cached(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("cache/downloads")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_cut_connection_is_gone_on_with_and_the_cache_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, recorder) = testing::cx(dir.path(), Vec::new());
    let server = Server::start(body(), &[Manner::CutAfter(500_000), Manner::CutAfter(400_000), Manner::Whole]);
    let request = request(&[server.url("disk.iso")], Checksum::Known(sha256(&body())));
    let fetched = fetch(&cx, &request).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == body());
    assert_eq!(server.ranges(), ["", "bytes=500000-", "bytes=900000-"]);
    assert_eq!(cached(dir.path()), [format!("sha256-{}.iso", sha256(&body()).hex)]);
    let last = recorder.events.lock().unwrap().iter().rev().find_map(|event| match &event.kind {
        EventKind::Progress(progress) => Some((progress.what.clone(), progress.done, progress.total)),
        _ => None,
    });
    assert_eq!(last, Some(("download disk.iso".into(), 1_200_000, Some(1_200_000))));
    assert_eq!(fetch(&cx, &request).await.unwrap(), fetched);
    assert_eq!(server.ranges().len(), 3, "the second time comes from the cache");
}

#[tokio::test]
async fn a_wrong_checksum_says_both_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let server = Server::start(body(), &[Manner::Whole]);
    let wrong = Digest::new(Algorithm::Sha256, &"0".repeat(64)).unwrap();
    let error = fetch(&cx, &request(&[server.url("disk.iso")], Checksum::Known(wrong))).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("expected sha256:0000") && message.contains(&sha256(&body()).hex), "{message}");
    assert_eq!(cached(dir.path()), [""; 0]);
}

#[tokio::test]
async fn urls_are_tried_in_order_and_every_failure_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let bad = Server::start(Vec::new(), &[Manner::Refuse]);
    let good = Server::start(body(), &[Manner::Whole]);
    let missing = dir.path().join("missing.iso").display().to_string();
    let urls = [bad.url("a.iso"), missing, good.url("a.iso")];
    let fetched: Fetched = fetch(&cx, &request(&urls, Checksum::None)).await.unwrap();
    assert_eq!((fetched.url, fetched.digest), (good.url("a.iso"), sha256(&body())));
    let error = fetch(&cx, &request(&urls[..2], Checksum::None)).await.unwrap_err().to_string();
    assert!(error.contains("status 404") && error.contains("missing.iso"), "{error}");
}

#[tokio::test]
async fn checksum_files_are_fetched_too() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let list = format!("{}  other.iso\n{} *disk.iso\n", "0".repeat(64), sha256(&body()).hex);
    let sums = Server::start(list.into_bytes(), &[Manner::Whole]);
    let server = Server::start(body(), &[Manner::Whole]);
    let checksum = |text: String| text.parse::<Checksum>().unwrap();
    let from_list = checksum(format!("file:{}", sums.url("SHA256SUMS")));
    let fetched = fetch(&cx, &request(&[server.url("disk.iso")], from_list.clone())).await.unwrap();
    assert_eq!(fetched.digest, sha256(&body()));
    let other = fetch(&cx, &request(&[server.url("unlisted.iso")], from_list)).await;
    assert!(matches!(other, Err(DownloadError::NotListed { .. })), "{other:?}");
}

#[tokio::test]
async fn local_images_stay_where_they_are_unless_a_target_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    std::fs::write(dir.path().join("local.img"), body()).unwrap();
    let local = request(&["local.img".into()], Checksum::Known(sha256(&body())));
    assert_eq!(fetch(&cx, &local).await.unwrap().path, dir.path().join("local.img"));
    let url = format!("file://{}", dir.path().join("local.img").display());
    let copied = Request { urls: vec![url], target: Some("sub/copy.img".into()), ..local };
    let fetched = fetch(&cx, &copied).await.unwrap();
    assert_eq!(fetched.path, dir.path().join("sub/copy.img"));
    assert!(std::fs::read(fetched.path).unwrap() == body());
    assert!(!dir.path().join("cache/downloads").exists());
}

#[tokio::test]
async fn two_builds_share_one_download() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let server = Server::start(body(), &[Manner::Whole]);
    let request = request(&[server.url("disk.iso")], Checksum::Known(sha256(&body())));
    let (one, two) = tokio::join!(fetch(&cx, &request), fetch(&cx, &request));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(server.ranges().len(), 1);
}

#[tokio::test]
async fn an_interruption_ends_a_stalled_download_at_once_and_keeps_its_part() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let server = Server::start(body(), &[Manner::StallAfter(100_000)]);
    let request = request(&[server.url("disk.iso")], Checksum::Known(sha256(&body())));
    let cancel = cx.cancel().clone();
    let partial = dir.path().join(format!("cache/downloads/sha256-{}.iso.partial", sha256(&body()).hex));
    let has_part = async {
        while std::fs::metadata(&partial).map_or(0, |meta| meta.len()) < 100_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(fetch(&cx, &request), has_part) };
    let (fetched, ()) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    assert!(matches!(fetched, Err(DownloadError::Interrupted)), "{fetched:?}");
    assert!(partial.exists());
}

fn http_options(dir: Option<&Path>, content: &[(&str, &str)], ports: (u16, u16)) -> HttpOptions {
    HttpOptions {
        http_directory: dir.map(Path::to_owned),
        http_content: content
            .iter()
            .map(|(path, text)| (path.to_string(), text.to_string()))
            .collect::<BTreeMap<_, _>>(),
        http_port_min: ports.0,
        http_port_max: ports.1,
        http_bind_address: "127.0.0.1".into(),
        http_interface: None,
        spans: Spans::default(),
    }
}

/// Status and body; the path is sent as it is.
async fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_directory_is_served_with_ranges_and_nothing_outside_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, recorder) = testing::cx(dir.path(), Vec::new());
    std::fs::create_dir(dir.path().join("www")).unwrap();
    std::fs::write(dir.path().join("www/preseed.cfg"), "d-i answers").unwrap();
    std::fs::write(dir.path().join("secret"), "no").unwrap();
    let options = http_options(Some(Path::new("www")), &[], (18_100, 18_199));
    let server = HttpServer::start(&cx, &options).await.unwrap();
    let port = server.port();
    assert_eq!(get(port, "/preseed.cfg", "").await, (200, "d-i answers".into()));
    assert_eq!(get(port, "/preseed.cfg", "Range: bytes=4-\r\n").await, (206, "answers".into()));
    assert_eq!(get(port, "/missing.cfg", "").await.0, 404);
    for outside in ["/../secret", "/..%2fsecret", "/%2e%2e/secret"] {
        assert_eq!(get(port, outside, "").await.0, 404, "{outside}");
    }
    server.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let lines = recorder.lines();
    assert!(lines.contains(&"GET /missing.cfg 404".into()), "{lines:?}");
}

#[tokio::test]
async fn content_is_served_and_a_range_in_use_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = testing::cx(dir.path(), Vec::new());
    let options = http_options(None, &[("/a/b.cfg", "one"), ("c", "two")], (18_200, 18_299));
    let server = HttpServer::start(&cx, &options).await.unwrap();
    assert_eq!(get(server.port(), "/a/b.cfg?x=1", "").await, (200, "one".into()));
    assert_eq!(get(server.port(), "/c", "").await, (200, "two".into()));
    assert_eq!(get(server.port(), "/d", "").await.0, 404);
    let taken = HttpOptions { http_port_min: server.port(), http_port_max: server.port(), ..options };
    let Err(error) = HttpServer::start(&cx, &taken).await else { panic!("two servers on one port") };
    assert!(matches!(error, HttpError::NoPort { .. }));
    let port = server.port();
    assert_eq!(error.to_string(), format!("no free port between {port} and {port} on 127.0.0.1"));
}
