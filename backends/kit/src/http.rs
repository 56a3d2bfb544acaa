//! The web server that an installer fetches its answers from.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bakehouse_api::{Cx, Diagnostic, Diagnostics, Error, Facts, Kind, Value, options};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::services::ServeDir;

/// How long requests that are under way may still take when the server stops.
const GRACE: Duration = Duration::from_secs(2);

options! {
    /// A web server on this machine for the guest.
    pub struct HttpOptions {
        /// Directory that the web server serves to the guest.
        http_directory: Option<PathBuf>,
        /// Files to serve by their path, instead of a directory.
        http_content: BTreeMap<String, String>,
        /// First port that the web server tries.
        http_port_min: u16 = 8000,
        /// Last port that the web server tries.
        http_port_max: u16 = 9000,
        /// Address that the web server listens on.
        http_bind_address: String = "0.0.0.0".into(),
        /// Network interface that the web server listens on, instead of an address.
        http_interface: Option<String>,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no free port between {min} and {max} on {address}")]
    NoPort { address: IpAddr, min: u16, max: u16 },
    #[error("listening on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("`{address}` is not an IP address")]
    Address { address: String },
    #[error("the network interface `{name}` does not exist or has no IPv4 address")]
    Interface { name: String },
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match &error {
            HttpError::NoPort { .. } => Error::new(Kind::Host, &error)
                .hint("end what listens there or widen the range with `http_port_min` and `http_port_max`"),
            HttpError::Listen { .. } => Error::new(Kind::Host, &error).hint("check `http_bind_address`"),
            HttpError::Address { .. } => Error::new(Kind::Config, &error).hint("write one like \"0.0.0.0\""),
            HttpError::Interface { .. } => {
                Error::new(Kind::Host, &error).hint("`ip address` lists the interfaces of this machine")
            }
        }
    }
}

impl HttpOptions {
    /// Is anything to be served?
    pub fn is_enabled(&self) -> bool {
        self.http_directory.is_some() || !self.http_content.is_empty()
    }

    /// A relative directory begins at `base`.
    pub fn check(&self, base: &Path, diagnostics: &mut Diagnostics) {
        let mut report = |option: &str, finding: Diagnostic| diagnostics.push(finding.at(self.spans.at(option)));
        if let Some(dir) = &self.http_directory {
            if !self.http_content.is_empty() {
                let finding = Diagnostic::error("`http_directory` and `http_content` exclude each other");
                let there = self.spans.at("http_directory");
                report("http_content", finding.related(there, "`http_directory` is set here"));
            }
            let dir = base.join(dir);
            if !dir.is_dir() {
                let finding = Diagnostic::error(format!("there is no directory {}", dir.display()));
                report("http_directory", finding.only_to_build());
            }
        }
        if self.http_port_min > self.http_port_max || self.http_port_min == 0 {
            let (min, max) = (self.http_port_min, self.http_port_max);
            report("http_port_min", Diagnostic::error(format!("{min} to {max} is no range of ports")));
        }
        if self.http_bind_address.parse::<IpAddr>().is_err() {
            let error = HttpError::Address { address: self.http_bind_address.clone() };
            report("http_bind_address", Diagnostic::error(error.to_string()).hint("write one like \"0.0.0.0\""));
        }
        if self.http_interface.is_some() && self.spans.has("http_bind_address") {
            let finding = Diagnostic::error("`http_interface` and `http_bind_address` exclude each other");
            report("http_interface", finding);
        }
    }

    fn address(&self) -> Result<IpAddr, HttpError> {
        match &self.http_interface {
            Some(name) => interface_address(name).ok_or_else(|| HttpError::Interface { name: name.clone() }),
            None => {
                let address = &self.http_bind_address;
                address.parse().map_err(|_| HttpError::Address { address: address.clone() })
            }
        }
    }
}

fn interface_address(name: &str) -> Option<IpAddr> {
    let mut interfaces = nix::ifaddrs::getifaddrs().ok()?;
    interfaces.find_map(|interface| {
        let address = interface.address.filter(|_| interface.interface_name == name)?;
        Some(IpAddr::V4(address.as_sockaddr_in()?.ip()))
    })
}

/// Serves until it is stopped, dropped, or the run is interrupted.
pub struct HttpServer {
    address: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// A relative directory begins at the working directory of the run.
    pub async fn start(cx: &Cx, options: &HttpOptions) -> Result<Self, HttpError> {
        let (min, max) = (options.http_port_min, options.http_port_max);
        let (listener, address) = listen(options.address()?, min, max).await?;
        let stop = cx.cancel().child_token();
        let stopped = stop.clone().cancelled_owned();
        let serve = axum::serve(listener, router(cx, options)).with_graceful_shutdown(stopped);
        let cx = cx.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                cx.warn(format!("the web server for the guest stopped: {error}"));
            }
        });
        Ok(Self { address, stop, task: Some(task) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What `build.*` says of it to a guest that reaches this machine at `ip`.
    pub fn facts(&self, ip: &str) -> Facts {
        let port = self.port();
        let facts = [
            ("PackerHTTPIP", ip.to_owned()),
            ("PackerHTTPPort", port.to_string()),
            ("PackerHTTPAddr", format!("{ip}:{port}")),
        ];
        facts.map(|(name, value)| (name.to_owned(), Value::from(value))).into()
    }

    /// Lets requests that are under way end, but not for long.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(GRACE, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn listen(address: IpAddr, min: u16, max: u16) -> Result<(TcpListener, SocketAddr), HttpError> {
    for port in min..=max {
        let address = SocketAddr::new(address, port);
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok((listener, address)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(HttpError::Listen { address, source }),
        }
    }
    Err(HttpError::NoPort { address, min, max })
}

fn router(cx: &Cx, options: &HttpOptions) -> Router {
    let router = match &options.http_directory {
        Some(dir) => Router::new().fallback_service(ServeDir::new(cx.settings().cwd.join(dir))),
        None => Router::new().fallback(content).with_state(Arc::new(options.http_content.clone())),
    };
    router.layer(middleware::from_fn_with_state(cx.clone(), report))
}

type Content = Arc<BTreeMap<String, String>>;

async fn content(State(files): State<Content>, method: Method, uri: Uri) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path();
    let found = files.get(path).or_else(|| files.get(path.trim_start_matches('/')));
    match found {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Every request is shown, so that a file that is not found is seen at once.
async fn report(State(cx): State<Cx>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    cx.message(format!("{method} {path} {}", response.status().as_u16()));
    response
}
