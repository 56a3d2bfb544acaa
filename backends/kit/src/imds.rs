//! A metadata service like EC2's for one guest of this machine: version 2 with its tokens, version 1 where that is
//! allowed. It listens on a Unix socket; how the guest's 169.254.169.254 leads there is the hypervisor's business.

mod tree;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bakehouse_api::{Cx, Error, Kind, Result};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rand::RngExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

pub use tree::Identity;
use tree::{Found, Tree};

const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Six hours.
const LONGEST: u64 = 21_600;

/// Serves until it is dropped.
pub struct Service {
    task: JoinHandle<()>,
}

impl Service {
    /// The socket lies in a folder of the caller's, which goes with everything in it.
    pub fn start(cx: &Cx, socket: &Path, identity: &Identity, token_required: bool) -> Result<Self> {
        let listener = UnixListener::bind(socket)
            .map_err(|error| Error::io(format!("listening on {}", socket.display()), &error))?;
        let known = Arc::new(Known { tree: Tree::of(identity), token_required, tokens: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(known);
        let cx = cx.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(serve(stream, router.clone()))),
                    Err(error) => return cx.warn(format!("the metadata service for the guest stopped: {error}")),
                }
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Clients that have said all that they will say still want their answer: `nc` closes its side at once.
async fn serve(stream: UnixStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    let _ = connection.await; // a guest that hangs up in the middle is nothing to report
}

struct Known {
    tree: Tree,
    token_required: bool,
    /// Tokens, and when each ends.
    tokens: Mutex<HashMap<String, Instant>>,
}

async fn answer(State(known): State<Arc<Known>>, request: Request) -> Response {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    // What a proxy passed on is what tokens protect from.
    if headers.contains_key(FORWARDED) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match *method {
        Method::PUT => known.token(path, headers),
        Method::GET | Method::HEAD => known.value(path, headers),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

impl Known {
    fn token(&self, path: &str, headers: &HeaderMap) -> Response {
        let ttl = headers.get(TTL).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let (Some(ttl @ 1..=LONGEST), "/latest/api/token") = (ttl, path) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let token = hex::encode(rand::rng().random::<[u8; 28]>());
        let end = Instant::now() + Duration::from_secs(ttl);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), end);
        ([(TTL, ttl.to_string())], token).into_response()
    }

    fn value(&self, path: &str, headers: &HeaderMap) -> Response {
        let allowed = match headers.get(TOKEN) {
            None => !self.token_required,
            Some(token) => self.is_valid(token.to_str().unwrap_or_default()),
        };
        if !allowed {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match self.tree.find(path) {
            Some(Found::Text(text)) => text.into_response(),
            Some(Found::Bytes(bytes)) => bytes.to_vec().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn is_valid(&self, token: &str) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|end| *end > Instant::now())
    }
}

/// Joins standard input and output with the socket: one request of a guest. For a hidden command of the program, which
/// hypervisors run once for each connection.
pub fn relay(
    socket: &Path,
    mut input: impl std::io::Read + Send + 'static,
    mut output: impl std::io::Write,
) -> Result<()> {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    let failed =
        |error: std::io::Error| Error::new(Kind::Host, error).context("relaying a request to the metadata service");
    let mut service = UnixStream::connect(socket).map_err(failed)?;
    let mut requests = service.try_clone().map_err(failed)?;
    // Ends with the program: the guest may keep its side open.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut requests);
        let _ = requests.shutdown(Shutdown::Write);
    });
    let mut piece = [0; 8192];
    loop {
        match std::io::Read::read(&mut service, &mut piece).map_err(failed)? {
            0 => return Ok(()),
            read => output.write_all(&piece[..read]).and_then(|()| output.flush()).map_err(failed)?,
        }
    }
}

#[cfg(test)]
mod tests;
