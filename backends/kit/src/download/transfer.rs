//! One file over HTTP into a `.partial` file, which a later try goes on with.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Progress};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use super::DownloadError;
use crate::digest::{self, Algorithm, Digest, Hasher};

const CONNECT: Duration = Duration::from_secs(30);
/// A server that sends nothing for so long is given up.
const STALL: Duration = Duration::from_secs(60);
/// Tries in a row that bring no new byte.
const FRUITLESS_TRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(500);
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Checksum files are small.
const MAX_TEXT: u64 = 4 << 20;

pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .user_agent(concat!("bakehouse/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity") // ranges and digests count the bytes of the file
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(STALL))
        .timeout_per_read(Some(STALL))
        .build()
        .new_agent()
}

/// The text of a checksum file.
pub(super) fn text(agent: &Agent, url: &str) -> Result<String, DownloadError> {
    let response = agent.get(url).call().map_err(|error| http_error(url, &error))?;
    if !response.status().is_success() {
        return Err(DownloadError::Status { url: url.into(), status: response.status().as_u16() });
    }
    let text = response.into_body().into_with_config().limit(MAX_TEXT).read_to_string();
    text.map_err(|error| http_error(url, &error))
}

fn http_error(url: &str, error: &ureq::Error) -> DownloadError {
    DownloadError::Http { url: url.into(), reason: error.to_string() }
}

/// What the `.partial` file is a part of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    url: String,
    /// ETag or Last-Modified: what `If-Range` compares.
    validator: String,
}

pub(super) struct Transfer<'a> {
    pub cx: &'a Cx,
    pub agent: &'a Agent,
    pub url: &'a str,
    /// For progress: the name of the file.
    pub name: &'a str,
    pub partial: PathBuf,
    pub algorithm: Algorithm,
}

impl Transfer<'_> {
    /// Fetches the whole file, going on after interruptions for as long as bytes arrive.
    pub fn run(&self) -> Result<Digest, DownloadError> {
        let mut fruitless = 0;
        loop {
            let before = self.partial_len();
            match self.attempt() {
                Err(DownloadError::Http { .. }) if self.partial_len() > before && self.source().is_some() => {
                    fruitless = 0
                }
                Err(DownloadError::Http { .. }) if fruitless + 1 < FRUITLESS_TRIES => fruitless += 1,
                result => return result,
            }
            self.pause()?;
        }
    }

    /// One request. Bytes that arrived stay in the `.partial` file.
    fn attempt(&self) -> Result<Digest, DownloadError> {
        let source = self.source();
        let have = if source.is_some() { self.partial_len() } else { 0 };
        let mut request = self.agent.get(self.url);
        if let Some(source) = source.filter(|_| have > 0) {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            request = request.header(header::IF_RANGE, source.validator);
        }
        let response = request.call().map_err(|error| http_error(self.url, &error))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => self.receive(response, have),
            StatusCode::OK => self.receive(response, 0),
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if have > 0 => {
                self.discard();
                let reason = "the server does not go on where the download stopped".into();
                Err(DownloadError::Http { url: self.url.into(), reason })
            }
            status => Err(DownloadError::Status { url: self.url.into(), status: status.as_u16() }),
        }
    }

    fn receive(&self, response: Response<ureq::Body>, start: u64) -> Result<Digest, DownloadError> {
        let total = number(&response, header::CONTENT_LENGTH).map(|rest| start + rest);
        let mut hasher = Hasher::new(self.algorithm);
        let mut file = self.open(start, &mut hasher)?;
        if start == 0 {
            self.note_source(&response)?;
        }
        let mut body = response.into_body().into_reader();
        let mut progress = Meter::new(self.cx, self.name, total);
        let mut buffer = vec![0; 256 << 10];
        let mut done = start;
        loop {
            self.check_cancel()?;
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| DownloadError::Http { url: self.url.into(), reason: error.to_string() })?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(|error| self.write_error(error))?;
            hasher.update(&buffer[..read]);
            done += read as u64;
            progress.show(done);
        }
        if let Some(total) = total.filter(|total| *total != done) {
            let reason = format!("the connection ended after {done} of {total} bytes");
            return Err(DownloadError::Http { url: self.url.into(), reason });
        }
        file.sync_all().map_err(|error| self.write_error(error))?;
        progress.finish(done);
        Ok(hasher.finish())
    }

    /// The `.partial` file, cut to `start`; what it keeps goes into the digest.
    fn open(&self, start: u64, hasher: &mut Hasher) -> Result<File, DownloadError> {
        let mut open = || -> io::Result<File> {
            let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&self.partial)?;
            file.set_len(start)?;
            digest::feed(hasher, &mut file, &mut |_| self.check_cancel().map_err(io::Error::other))?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        open().map_err(|error| self.write_error(error))
    }

    fn source_path(&self) -> PathBuf {
        with_suffix(&self.partial, ".json")
    }

    /// What the `.partial` file came from, when that is this URL and can be gone on with.
    fn source(&self) -> Option<Source> {
        let source: Source = serde_json::from_slice(&fs::read(self.source_path()).ok()?).ok()?;
        (source.url == self.url).then_some(source)
    }

    fn note_source(&self, response: &Response<ureq::Body>) -> Result<(), DownloadError> {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        // A weak tag does not promise equal bytes.
        let validator = text(header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(header::LAST_MODIFIED));
        let Some(validator) = validator else {
            let _ = fs::remove_file(self.source_path()); // without it the next try begins anew
            return Ok(());
        };
        let source = Source { url: self.url.into(), validator: validator.into() };
        let written = serde_json::to_vec(&source).map_err(io::Error::other);
        let written = written.and_then(|bytes| fs::write(self.source_path(), bytes));
        written.map_err(|error| self.write_error(error))
    }

    /// Forgets what was fetched so far.
    pub fn discard(&self) {
        for path in [self.source_path(), self.partial.clone()] {
            let _ = fs::remove_file(path); // what stays is overwritten by the next try
        }
    }

    /// Moves the complete file to where it belongs.
    pub fn finish(&self, to: &Path) -> Result<(), DownloadError> {
        fs::rename(&self.partial, to).map_err(|error| self.write_error(error))?;
        let _ = fs::remove_file(self.source_path()); // only ever read together with its .partial
        Ok(())
    }

    fn partial_len(&self) -> u64 {
        self.partial.metadata().map_or(0, |meta| meta.len())
    }

    fn write_error(&self, source: io::Error) -> DownloadError {
        match self.check_cancel() {
            Err(interrupted) => interrupted,
            Ok(()) => DownloadError::Io { path: self.partial.clone(), source },
        }
    }

    fn check_cancel(&self) -> Result<(), DownloadError> {
        if self.cx.cancel().is_cancelled() { Err(DownloadError::Interrupted) } else { Ok(()) }
    }

    fn pause(&self) -> Result<(), DownloadError> {
        let until = Instant::now() + RETRY_AFTER;
        while Instant::now() < until {
            self.check_cancel()?;
            std::thread::sleep(PROGRESS_EVERY);
        }
        Ok(())
    }
}

fn number(response: &Response<ureq::Body>, name: header::HeaderName) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// Does the answer begin at that byte?
fn starts_at(response: &Response<ureq::Body>, start: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Progress of one file, not more often than reporters need it.
pub(super) struct Meter<'a> {
    cx: &'a Cx,
    what: String,
    total: Option<u64>,
    shown: Instant,
}

impl<'a> Meter<'a> {
    fn new(cx: &'a Cx, name: &str, total: Option<u64>) -> Self {
        Self { cx, what: format!("download {name}"), total, shown: Instant::now() }
    }

    fn show(&mut self, done: u64) {
        if self.shown.elapsed() >= PROGRESS_EVERY {
            self.shown = Instant::now();
            self.emit(done, false);
        }
    }

    fn finish(self, done: u64) {
        self.emit(done, true);
    }

    fn emit(&self, done: u64, finished: bool) {
        let (what, total) = (self.what.clone(), self.total);
        self.cx.progress(Progress { what, done, total, unit: Unit::Bytes, finished });
    }
}
