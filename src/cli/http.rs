//! How `data "http"` reaches the world.

use std::collections::BTreeMap;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;

use crate::template::load::{Fetch, HttpAnswer, HttpRequest};

/// One request with its answer; a build should not hang on a server that is silent.
const DEADLINE: Duration = Duration::from_secs(60);
/// An answer becomes a value of the template: what is longer is no answer that anyone meant.
const LONGEST: u64 = 64 * 1024 * 1024;

pub struct Http(Agent);

impl Default for Http {
    fn default() -> Self {
        let config = Agent::config_builder().timeout_global(Some(DEADLINE)).allow_non_standard_methods(true);
        Self(config.build().into())
    }
}

impl Fetch for Http {
    fn fetch(&self, request: &HttpRequest) -> Result<HttpAnswer, String> {
        let mut built = Request::builder().method(request.method.as_str()).uri(request.url.as_str());
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        let answer = if request.body.is_empty() {
            self.0.run(built.body(()).map_err(|error| error.to_string())?)
        } else {
            self.0.run(built.body(request.body.as_str()).map_err(|error| error.to_string())?)
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in answer.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            let joined = headers.entry(name.as_str().to_owned()).or_default();
            if !joined.is_empty() {
                joined.push_str(", ");
            }
            joined.push_str(&value);
        }
        let body = answer.body_mut().with_config().limit(LONGEST).read_to_string();
        Ok(HttpAnswer { headers, body: body.map_err(|error| format!("reading the answer: {error}"))? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and returns what was asked.
    fn serve(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            let mut buffer = [0; 4096];
            while !asked.ends_with("\r\n\r\n") && !asked.ends_with("ping") {
                let read = stream.read(&mut buffer).unwrap();
                asked.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            stream.write_all(answer.as_bytes()).unwrap();
            asked
        });
        (url, served)
    }

    fn request(url: String, method: &str, body: &str) -> HttpRequest {
        let headers = [("X-Test".to_owned(), "yes".to_owned())].into();
        HttpRequest { url, method: method.into(), headers, body: body.into() }
    }

    #[test]
    fn the_answer_is_read_with_its_headers() {
        let (url, served) = serve("HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 4\r\n\r\npong");
        let answer = Http::default().fetch(&request(url, "POST", "ping")).unwrap();
        assert_eq!((answer.body.as_str(), answer.headers["x-a"].as_str()), ("pong", "1, 2"));
        let asked = served.join().unwrap().to_lowercase();
        assert!(asked.starts_with("post /x http/1.1") && asked.contains("x-test: yes"), "{asked}");
    }

    #[test]
    fn a_refusal_is_an_error() {
        let (url, served) = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let reason = Http::default().fetch(&request(url, "GET", "")).unwrap_err();
        assert!(reason.contains("404"), "{reason}");
        served.join().unwrap();
    }
}
