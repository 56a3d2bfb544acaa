//! The index's protocol, version 2 of Vagrant Cloud's API.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bakehouse_api::{Error, Kind, Secret};
use serde_json::{Value, json};
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::TlsConfig;
use ureq::{Agent, SendBody};

use super::super::reading::{Meter, Metered};

pub const AUTH_URL: &str = "https://auth.idp.hashicorp.com";
const AUDIENCE: &str = "https://api.hashicorp.cloud";
const CONNECT: Duration = Duration::from_secs(30);
/// An index that says nothing for so long is given up; it may take its time to look at an upload.
const ANSWER: Duration = Duration::from_secs(120);
/// Tokens of a principal hold for an hour, and an upload may take long.
const TOKEN_LIFE: Duration = Duration::from_secs(20 * 60);
const TRIES: u32 = 4;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Answers are some kilobytes of JSON.
const MAX_ANSWER: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{doing}: {reason}")]
    Http { doing: String, reason: String },
    #[error("{doing}: the server answered {status}{}", said(text))]
    Status { doing: String, status: StatusCode, text: String },
    #[error("{doing}: the server's answer has no `{field}`")]
    Answer { doing: String, field: &'static str },
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the box {0} does not exist")]
    NoBox(String),
    #[error("version {version} of {tag} is released and has a box for {provider} on {architecture}")]
    Exists { tag: String, version: String, provider: String, architecture: String },
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match &error {
            ApiError::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
                Error::new(Kind::Config, &error).hint("check the token, and that it may write to this organisation")
            }
            ApiError::NoBox(_) => Error::new(Kind::Config, &error).hint("make it on the web site first"),
            ApiError::Exists { .. } => {
                Error::new(Kind::Config, &error).hint("choose another version, or replace it with -force")
            }
            ApiError::Read { path, source } => Error::io(format!("reading {}", path.display()), source),
            _ => Error::new(Kind::Host, &error),
        }
    }
}

pub enum Login {
    Token(Secret),
    Principal { url: String, id: Secret, secret: Secret },
}

/// One box file of a version.
pub struct Target<'a> {
    pub tag: &'a str,
    pub version: &'a str,
    pub provider: &'a str,
    pub architecture: &'a str,
}

impl Target<'_> {
    fn path(&self) -> String {
        let Target { tag, version, provider, architecture } = self;
        format!("box/{tag}/version/{version}/provider/{provider}/{architecture}")
    }
}

pub struct Api {
    agent: Agent,
    url: String,
    login: Login,
    /// With the time it was given.
    token: Option<(Secret, Instant)>,
}

impl Api {
    pub fn new(url: &str, login: Login, insecure: bool) -> Result<Self, ApiError> {
        let agent = Agent::config_builder()
            .user_agent(concat!("bakehouse/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .tls_config(TlsConfig::builder().disable_verification(insecure).build())
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .build()
            .new_agent();
        Ok(Self { agent, url: url.trim_end_matches('/').to_owned(), login, token: None })
    }

    /// A token that still holds for a while.
    fn token(&mut self) -> Result<Secret, ApiError> {
        if let Some((token, given)) = &self.token
            && given.elapsed() < TOKEN_LIFE
        {
            return Ok(token.clone());
        }
        let token = match &self.login {
            Login::Token(token) => token.clone(),
            Login::Principal { url, id, secret } => {
                let doing = "getting a token of HCP";
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", id.reveal()),
                    ("client_secret", secret.reveal()),
                    ("audience", AUDIENCE),
                ];
                let url = format!("{}/oauth2/token", url.trim_end_matches('/'));
                let answer = self.agent.post(url).send_form(form).map_err(|error| http(doing, &error))?;
                Secret::new(text_of(&accepted(doing, answer)?, doing, "access_token")?)
            }
        };
        self.token = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    /// One request of the protocol. What fails on the way or is the server's fault is tried again; none of
    /// the requests does harm when it is done twice.
    fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        doing: &str,
    ) -> Result<Option<Value>, ApiError> {
        let url = if path.contains("://") { path.to_owned() } else { format!("{}/{path}", self.url) };
        let mut pause = RETRY_AFTER;
        for attempt in 1.. {
            let answer = self.once(&method, &url, body, doing);
            let again = match &answer {
                Ok(answer) => answer.status().is_server_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS,
                Err(ApiError::Http { .. }) => true,
                Err(_) => false,
            };
            if again && attempt < TRIES {
                std::thread::sleep(pause);
                pause *= 2;
                continue;
            }
            let answer = answer?;
            return if answer.status() == StatusCode::NOT_FOUND { Ok(None) } else { accepted(doing, answer).map(Some) };
        }
        Ok(None)
    }

    fn once(
        &mut self,
        method: &Method,
        url: &str,
        body: Option<&Value>,
        doing: &str,
    ) -> Result<ureq::http::Response<ureq::Body>, ApiError> {
        let token = self.token()?;
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", token.reveal()))
            .header("accept", "application/json");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let wrong = |reason: String| ApiError::Http { doing: doing.to_owned(), reason };
        if *method == Method::GET {
            let request = request.body(()).map_err(|error| wrong(error.to_string()))?;
            return self.agent.run(request).map_err(|error| http(doing, &error));
        }
        let request = request.body(bytes).map_err(|error| wrong(error.to_string()))?;
        self.agent.run(request).map_err(|error| http(doing, &error))
    }

    pub fn authenticate(&mut self) -> Result<(), ApiError> {
        self.call(Method::GET, "authenticate", None, "logging in").map(|_| ())
    }

    /// `new`: what a box that is not there is made of; none: it must be there.
    pub fn need_box(&mut self, tag: &str, new: Option<Value>) -> Result<(), ApiError> {
        if self.call(Method::GET, &format!("box/{tag}"), None, "looking for the box")?.is_some() {
            return Ok(());
        }
        let Some(new) = new else { return Err(ApiError::NoBox(tag.to_owned())) };
        self.must(Method::POST, "boxes", &json!({ "box": new }), "making the box").map(|_| ())
    }

    /// Is the version released already?
    pub fn need_version(&mut self, tag: &str, version: &str, description: &str) -> Result<bool, ApiError> {
        let path = format!("box/{tag}/version/{version}");
        if let Some(found) = self.call(Method::GET, &path, None, "looking for the version")? {
            return Ok(found["status"] == "active");
        }
        let body = json!({"version": {"version": version, "description": description}});
        self.must(Method::POST, &format!("box/{tag}/versions"), &body, "making the version")?;
        Ok(false)
    }

    pub fn need_provider(&mut self, target: &Target<'_>, body: &Value, replace: bool) -> Result<(), ApiError> {
        let body = json!({ "provider": body });
        if self.call(Method::GET, &target.path(), None, "looking for the provider")?.is_none() {
            let path = format!("box/{}/version/{}/providers", target.tag, target.version);
            return self.must(Method::POST, &path, &body, "making the provider").map(|_| ());
        }
        if !replace {
            return Err(ApiError::Exists {
                tag: target.tag.to_owned(),
                version: target.version.to_owned(),
                provider: target.provider.to_owned(),
                architecture: target.architecture.to_owned(),
            });
        }
        self.must(Method::PUT, &target.path(), &body, "changing the provider").map(|_| ())
    }

    pub fn upload(
        &mut self,
        target: &Target<'_>,
        file: &Path,
        size: u64,
        direct: bool,
        meter: &mut Meter,
    ) -> Result<(), ApiError> {
        let doing = "asking where to upload to";
        let path = format!("{}/upload{}", target.path(), if direct { "/direct" } else { "" });
        let place = self.call(Method::GET, &path, None, doing)?;
        let place = place.ok_or_else(|| gone(doing))?;
        send(&self.agent, &text_of(&place, doing, "upload_path")?, file, size, meter)?;
        if direct {
            let callback = text_of(&place, doing, "callback")?;
            self.call(Method::PUT, &callback, None, "finishing the upload")?
                .ok_or_else(|| gone("finishing the upload"))?;
        }
        Ok(())
    }

    pub fn release(&mut self, tag: &str, version: &str) -> Result<(), ApiError> {
        let path = format!("box/{tag}/version/{version}/release");
        self.must(Method::PUT, &path, &json!({}), "releasing the version").map(|_| ())
    }

    fn must(&mut self, method: Method, path: &str, body: &Value, doing: &str) -> Result<Value, ApiError> {
        self.call(method, path, Some(body), doing)?.ok_or_else(|| gone(doing))
    }
}

/// The bytes themselves, to an address that carries its own permission.
fn send(agent: &Agent, url: &str, file: &Path, size: u64, meter: &mut Meter) -> Result<(), ApiError> {
    let doing = "uploading the box";
    let unreadable = |source| ApiError::Read { path: file.to_owned(), source };
    let mut reader = Metered::open(file, meter).map_err(unreadable)?;
    let request = agent.put(url).header("content-length", size.to_string());
    let answer = request.send(SendBody::from_reader(&mut reader)).map_err(|error| http(doing, &error))?;
    accepted(doing, answer).map(|_| ())
}

fn gone(doing: &str) -> ApiError {
    ApiError::Status { doing: doing.to_owned(), status: StatusCode::NOT_FOUND, text: String::new() }
}

fn http(doing: &str, error: &ureq::Error) -> ApiError {
    ApiError::Http { doing: doing.to_owned(), reason: error.to_string() }
}

fn text_of(answer: &Value, doing: &str, field: &'static str) -> Result<String, ApiError> {
    let text = answer[field].as_str().map(str::to_owned);
    text.ok_or_else(|| ApiError::Answer { doing: doing.to_owned(), field })
}

/// The JSON of a good answer; null where it has none.
fn accepted(doing: &str, answer: ureq::http::Response<ureq::Body>) -> Result<Value, ApiError> {
    let status = answer.status();
    let text = answer.into_body().into_with_config().limit(MAX_ANSWER).read_to_string();
    let text = text.map_err(|error| http(doing, &error))?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(json);
    }
    let list = json["errors"].as_array().into_iter().flatten();
    let said: Vec<&str> = list.filter_map(|error| error.as_str().or_else(|| error["message"].as_str())).collect();
    Err(ApiError::Status { doing: doing.to_owned(), status, text: said.join("; ") })
}
