//! Images from URLs and paths: checked, kept in a cache, shared between builds. A local file is used
//! where it is.

mod checksum;
mod lock;
mod options;
mod transfer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::{Cx, Error, Kind};
use tokio::sync::oneshot;
use url::Url;

pub use checksum::Checksum;
pub use options::IsoOptions;

use crate::digest::{self, Algorithm, Digest, Hasher};
use lock::Lock;
use transfer::{Transfer, with_suffix};

const LOCK_POLL: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("`{text}` is not a checksum: {reason}")]
    Checksum { text: String, reason: String },
    #[error("`{url}` cannot be fetched: {reason}")]
    Unsupported { url: String, reason: String },
    #[error("{url}: {reason}")]
    Http { url: String, reason: String },
    #[error("{url}: the server answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{what} has the wrong checksum: expected {expected}, got {got}")]
    Mismatch { what: String, expected: Digest, got: Digest },
    #[error("{file} has no checksum of `{name}`")]
    NotListed { file: String, name: String },
    #[error("{url} is not here yet")]
    NotHere { url: String },
    #[error("none of the URLs could be used:{}", lines(failures))]
    All { failures: Vec<DownloadError> },
    #[error("the thread that worked on {url} ended early")]
    Thread { url: String },
    #[error("interrupted")]
    Interrupted,
}

fn lines(failures: &[DownloadError]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

impl From<DownloadError> for Error {
    fn from(error: DownloadError) -> Self {
        use DownloadError as E;
        match &error {
            E::Interrupted => Error::interrupted(),
            E::Checksum { .. } | E::Unsupported { .. } => Error::new(Kind::Config, &error),
            E::Mismatch { .. } => Error::new(Kind::Input, &error)
                .hint("the file is damaged or a newer one: compare with the checksum that its publisher names"),
            E::NotListed { .. } => {
                Error::new(Kind::Input, &error).hint("the last part of the URL must be the file's name in that list")
            }
            E::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                Error::new(Kind::Input, format!("there is no file {}", path.display()))
            }
            E::Io { path, source } => Error::io(path.display(), source),
            E::Http { .. } | E::Status { .. } => Error::new(Kind::Host, &error)
                .hint("check the URL and the network; a new run goes on where this one stopped"),
            E::NotHere { .. } => Error::new(Kind::Missing, &error).hint("`bakehouse build` fetches it"),
            E::All { .. } => Error::new(Kind::Input, &error).hint("check `iso_urls` and `iso_checksum`"),
            E::Thread { .. } => Error::new(Kind::Internal, &error),
        }
    }
}

/// Where a URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Local(PathBuf),
    Remote(Url),
}

impl Location {
    /// A relative path begins at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, DownloadError> {
        let unsupported = |reason: String| DownloadError::Unsupported { url: text.into(), reason };
        if !text.contains("://") {
            return Ok(Self::Local(base.join(text)));
        }
        let url = Url::parse(text).map_err(|error| unsupported(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Remote(url)),
            "file" => {
                // `file://dir/disk.img` is no URL by the book, but templates have it for relative paths.
                let path = url.to_file_path().unwrap_or_else(|()| base.join(text.trim_start_matches("file://")));
                Ok(Self::Local(path))
            }
            other => Err(unsupported(format!("only http, https and file are known, not `{other}`"))),
        }
    }

    fn name(&self) -> String {
        let name = match self {
            Self::Local(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            Self::Remote(url) => url.path_segments().and_then(|mut parts| parts.next_back()).map(str::to_owned),
        };
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| "file".into())
    }
}

/// What to get.
#[derive(Clone, Debug)]
pub struct Request {
    /// Tried in order.
    pub urls: Vec<String>,
    pub checksum: Checksum,
    /// Where to put it, instead of the cache; a local file is then copied.
    pub target: Option<PathBuf>,
    /// Of the file in the cache.
    pub extension: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub path: PathBuf,
    /// By the algorithm of the checksum; sha256 where there was none.
    pub digest: Digest,
    /// The one that worked.
    pub url: String,
}

/// Gets the file by the first URL that works.
pub async fn fetch(cx: &Cx, request: &Request) -> Result<Fetched, DownloadError> {
    let mut failures = Vec::new();
    for url in &request.urls {
        match fetch_one(cx, request, url).await {
            Ok(fetched) => return Ok(fetched),
            Err(DownloadError::Interrupted) => return Err(DownloadError::Interrupted),
            Err(failure) => {
                if request.urls.len() > 1 {
                    cx.message(failure.to_string());
                }
                failures.push(failure);
            }
        }
    }
    Err(if failures.len() == 1 { failures.remove(0) } else { DownloadError::All { failures } })
}

async fn fetch_one(cx: &Cx, request: &Request, url: &str) -> Result<Fetched, DownloadError> {
    let base = &cx.settings().cwd;
    let from = Location::parse(url, base)?;
    let expected = expected(cx, &request.checksum, &from).await?;
    let job = Job { cx: cx.clone(), expected, url: url.into(), name: from.name() };
    let target = request.target.as_ref().map(|target| base.join(target));
    match from {
        Location::Local(path) => blocking(cx, url, move || job.local(path, target)).await,
        Location::Remote(_) => {
            let to = target.unwrap_or_else(|| job.cache_path(&request.extension));
            if cx.settings().offline && !to.is_file() {
                return Err(DownloadError::NotHere { url: url.into() });
            }
            let lock = job.lock(&to).await?;
            blocking(cx, url, move || {
                let fetched = job.remote(&to);
                drop(lock);
                fetched
            })
            .await
        }
    }
}

/// Runs `work` on a thread of its own, which an interrupted run does not wait for.
async fn blocking<T: Send + 'static>(
    cx: &Cx,
    url: &str,
    work: impl FnOnce() -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || send.send(work()));
    tokio::select! {
        biased;
        result = receive => result.unwrap_or_else(|_| Err(DownloadError::Thread { url: url.into() })),
        () = cx.cancel().cancelled() => Err(DownloadError::Interrupted),
    }
}

async fn expected(cx: &Cx, checksum: &Checksum, of: &Location) -> Result<Option<Digest>, DownloadError> {
    let file = match checksum {
        Checksum::None => return Ok(None),
        Checksum::Known(digest) => return Ok(Some(digest.clone())),
        Checksum::File(file) => file,
    };
    let text = match Location::parse(file, &cx.settings().cwd)? {
        Location::Local(path) => std::fs::read_to_string(&path).map_err(|source| DownloadError::Io { path, source })?,
        Location::Remote(url) => blocking(cx, file, move || transfer::text(&transfer::agent(), url.as_str())).await?,
    };
    let name = of.name();
    match checksum::find(&text, &name) {
        Some(digest) => Ok(Some(digest)),
        None => Err(DownloadError::NotListed { file: file.clone(), name }),
    }
}

/// One URL, with what is expected of it.
struct Job {
    cx: Cx,
    expected: Option<Digest>,
    url: String,
    name: String,
}

impl Job {
    fn algorithm(&self) -> Algorithm {
        self.expected.as_ref().map_or(Algorithm::Sha256, |digest| digest.algorithm)
    }

    fn downloads(&self) -> PathBuf {
        self.cx.settings().cache.join("downloads")
    }

    /// By its checksum, or by its URL where there is none.
    fn cache_path(&self, extension: &str) -> PathBuf {
        let key = match &self.expected {
            Some(digest) => format!("{}-{}", digest.algorithm.name(), digest.hex),
            None => {
                let mut hasher = Hasher::new(Algorithm::Sha256);
                hasher.update(self.url.as_bytes());
                format!("url-{}", hasher.finish().hex)
            }
        };
        let extension = extension.trim_start_matches('.');
        self.downloads().join(if extension.is_empty() { key } else { format!("{key}.{extension}") })
    }

    async fn lock(&self, to: &Path) -> Result<Lock, DownloadError> {
        let failed = |source| DownloadError::Io { path: to.into(), source };
        std::fs::create_dir_all(to.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let path = with_suffix(to, ".lock");
        let mut said = false;
        // The other one may take hours for good reasons; only an interruption ends this wait.
        loop {
            if let Some(lock) = Lock::try_take(&path).map_err(failed)? {
                return Ok(lock);
            }
            if !std::mem::replace(&mut said, true) {
                self.cx.message(format!("waiting for another build that downloads {}", self.name));
            }
            tokio::select! {
                () = self.cx.cancel().cancelled() => return Err(DownloadError::Interrupted),
                () = tokio::time::sleep(LOCK_POLL) => {}
            }
        }
    }

    fn local(&self, path: PathBuf, target: Option<PathBuf>) -> Result<Fetched, DownloadError> {
        let digest = self.digest_of(&path)?;
        self.verify(&digest, &path.display().to_string())?;
        let path = match target {
            Some(target) if !same_file(&path, &target) => {
                self.copy(&path, &target)?;
                target
            }
            _ => path,
        };
        Ok(Fetched { path, digest, url: self.url.clone() })
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), DownloadError> {
        let partial = with_suffix(to, ".partial");
        let copy = || -> io::Result<()> {
            std::fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
            std::fs::copy(from, &partial)?;
            std::fs::rename(&partial, to)
        };
        copy().map_err(|source| {
            let _ = std::fs::remove_file(&partial); // the error of the copy is the one to tell
            DownloadError::Io { path: to.into(), source }
        })
    }

    fn remote(&self, to: &Path) -> Result<Fetched, DownloadError> {
        let fetched = |digest| Fetched { path: to.into(), digest, url: self.url.clone() };
        if to.is_file() {
            let digest = self.digest_of(to)?;
            if self.verify(&digest, &self.name).is_ok() {
                self.cx.message(format!("{} is already here: {}", self.name, to.display()));
                return Ok(fetched(digest));
            }
        }
        let transfer = Transfer {
            cx: &self.cx,
            agent: &transfer::agent(),
            url: &self.url,
            name: &self.name,
            partial: with_suffix(to, ".partial"),
            algorithm: self.algorithm(),
        };
        let digest = transfer.run()?;
        if let Err(mismatch) = self.verify(&digest, &self.url) {
            transfer.discard();
            return Err(mismatch);
        }
        transfer.finish(to)?;
        Ok(fetched(digest))
    }

    fn verify(&self, got: &Digest, what: &str) -> Result<(), DownloadError> {
        match &self.expected {
            Some(expected) if expected != got => {
                Err(DownloadError::Mismatch { what: what.into(), expected: expected.clone(), got: got.clone() })
            }
            _ => Ok(()),
        }
    }

    fn digest_of(&self, path: &Path) -> Result<Digest, DownloadError> {
        let cancel = self.cx.cancel();
        let mut step = |_| if cancel.is_cancelled() { Err(io::Error::other("interrupted")) } else { Ok(()) };
        let digest = digest::of_file(&self.cx.settings().cache, path, self.algorithm(), &mut step);
        digest.map_err(|source| match cancel.is_cancelled() {
            true => DownloadError::Interrupted,
            false => DownloadError::Io { path: path.into(), source },
        })
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
