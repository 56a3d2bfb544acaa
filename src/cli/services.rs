//! Vault and Consul over HTTP, where the environment says they are, as their own programs have it; secrets of AWS
//! by its backend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::template::services::Services;

/// A secret is small and near: a server that takes longer does not answer at all.
const DEADLINE: Duration = Duration::from_secs(30);
const LONGEST: u64 = 4 * 1024 * 1024;

pub struct HttpServices {
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

impl HttpServices {
    pub fn new(env: BTreeMap<String, String>, cwd: PathBuf) -> Self {
        Self { env, cwd }
    }

    fn set(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, String> {
        self.set(name).map(|text| super::switch(text).map_err(|reason| format!("{name}: {reason}"))).transpose()
    }

    fn read(&self, name: &str, path: &Path) -> Result<Vec<u8>, String> {
        let path = self.cwd.join(path);
        std::fs::read(&path).map_err(|error| format!("{name}: cannot read {}: {error}", path.display()))
    }

    /// `service` is the beginning of its variables' names. `trusting` accepts any certificate.
    fn agent(&self, service: &str, trusting: bool) -> Result<Agent, String> {
        let tls = TlsConfig::builder()
            .root_certs(self.roots(service)?)
            .client_cert(self.client_cert(service)?)
            .disable_verification(trusting);
        let config = Agent::config_builder()
            .timeout_global(Some(DEADLINE))
            .http_status_as_error(false)
            .user_agent(concat!("bakehouse/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        Ok(config.build().into())
    }

    fn roots(&self, service: &str) -> Result<RootCerts, String> {
        let (file, folder) = (format!("{service}_CACERT"), format!("{service}_CAPATH"));
        let mut certificates = Vec::new();
        if let Some(path) = self.set(&file) {
            certificates = certificates_in(&file, &self.read(&file, Path::new(path))?)?;
        } else if let Some(path) = self.set(&folder) {
            let failed = |error: std::io::Error| format!("{folder}: cannot read {path}: {error}");
            for entry in std::fs::read_dir(self.cwd.join(path)).map_err(failed)? {
                let entry = entry.map_err(failed)?.path();
                if entry.is_file() {
                    certificates.extend(certificates_in(&folder, &self.read(&folder, &entry)?)?);
                }
            }
        }
        Ok(if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&certificates) })
    }

    fn client_cert(&self, service: &str) -> Result<Option<ClientCert>, String> {
        let (certificate, key) = (format!("{service}_CLIENT_CERT"), format!("{service}_CLIENT_KEY"));
        let (cert_path, key_path) = match (self.set(&certificate), self.set(&key)) {
            (Some(cert_path), Some(key_path)) => (cert_path, key_path),
            (None, None) => return Ok(None),
            _ => return Err(format!("{certificate} and {key} belong together, and only one of them is set")),
        };
        let chain = certificates_in(&certificate, &self.read(&certificate, Path::new(cert_path))?)?;
        let private = PrivateKey::from_pem(&self.read(&key, Path::new(key_path))?);
        let private = private.map_err(|error| format!("{key}: {error}"))?;
        Ok(Some(ClientCert::new_with_certs(&chain, private)))
    }

    /// Status and JSON of the answer. Vault and Consul both answer with JSON, errors too.
    fn get(&self, agent: &Agent, url: &str, headers: &[(&str, &str)]) -> Result<(u16, Value), String> {
        let mut request = agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().map_err(|error| format!("asking {url}: {error}"))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LONGEST).read_to_string();
        let body = body.map_err(|error| format!("reading the answer of {url}: {error}"))?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
    }

    fn vault_address(&self) -> &str {
        self.set("VAULT_ADDR").unwrap_or("https://127.0.0.1:8200").trim_end_matches('/')
    }

    /// With its scheme; a bare host is one without TLS unless CONSUL_HTTP_SSL says otherwise.
    fn consul_address(&self) -> Result<String, String> {
        let address = self.set("CONSUL_HTTP_ADDR").unwrap_or("127.0.0.1:8500").trim_end_matches('/');
        if address.starts_with("unix://") {
            return Err("CONSUL_HTTP_ADDR is a Unix socket, which is not supported; give it a host and a port".into());
        }
        let tls = self.switch("CONSUL_HTTP_SSL")?.unwrap_or(false);
        Ok(match address.split_once("://") {
            Some((scheme, host)) if scheme == "https" || tls => format!("https://{host}"),
            Some(_) => address.to_owned(),
            None => format!("http{}://{address}", if tls { "s" } else { "" }),
        })
    }

    fn consul_token(&self) -> Result<Option<String>, String> {
        if let Some(token) = self.set("CONSUL_HTTP_TOKEN") {
            return Ok(Some(token.to_owned()));
        }
        let Some(path) = self.set("CONSUL_HTTP_TOKEN_FILE") else { return Ok(None) };
        let token = self.read("CONSUL_HTTP_TOKEN_FILE", Path::new(path))?;
        Ok(Some(String::from_utf8_lossy(&token).trim().to_owned()))
    }
}

impl Services for HttpServices {
    fn vault(&self, path: &str, key: &str) -> Result<String, String> {
        let token = self.set("VAULT_TOKEN").ok_or("`vault` needs a token in the environment variable VAULT_TOKEN")?;
        let agent = self.agent("VAULT", self.switch("VAULT_SKIP_VERIFY")?.unwrap_or(false))?;
        let mut headers = vec![("X-Vault-Token", token), ("X-Vault-Request", "true")];
        headers.extend(self.set("VAULT_NAMESPACE").map(|namespace| ("X-Vault-Namespace", namespace)));
        let url = format!("{}/v1/{}", self.vault_address(), escaped(path.trim_matches('/')));
        let (status, answer) = self.get(&agent, &url, &headers)?;
        match status {
            200 => vault_secret(&answer, path, key),
            404 => Err(format!("Vault has no secret at `{path}`{}", warnings(&answer))),
            _ => Err(format!("Vault refuses `{path}` with status {status}: {}", reason(&answer))),
        }
    }

    fn consul_key(&self, key: &str) -> Result<String, String> {
        let trusting = self.switch("CONSUL_HTTP_SSL_VERIFY")? == Some(false);
        let agent = self.agent("CONSUL", trusting)?;
        let token = self.consul_token()?;
        let login = self.set("CONSUL_HTTP_AUTH").map(|login| format!("Basic {}", STANDARD.encode(login)));
        let mut headers = Vec::new();
        headers.extend(token.as_deref().map(|token| ("X-Consul-Token", token)));
        headers.extend(login.as_deref().map(|login| ("Authorization", login)));
        let namespace = self.set("CONSUL_NAMESPACE").map(|name| format!("?ns={}", escaped(name))).unwrap_or_default();
        let url = format!("{}/v1/kv/{}{namespace}", self.consul_address()?, escaped(key.trim_start_matches('/')));
        let (status, answer) = self.get(&agent, &url, &headers)?;
        match status {
            200 => consul_value(&answer, key),
            404 => Err(format!("Consul has no key `{key}`")),
            _ => Err(format!("Consul refuses `{key}` with status {status}: {}", reason(&answer))),
        }
    }

    fn aws_secret(&self, name: &str, key: Option<&str>) -> Result<String, String> {
        crate::registry::aws_secret(name, key)
    }

    fn aws_secret_raw(&self, name: &str) -> Result<String, String> {
        crate::registry::aws_secret_raw(name)
    }
}

/// Version 2 of the key-value engine wraps the fields once more, next to their metadata.
fn vault_secret(answer: &Value, path: &str, key: &str) -> Result<String, String> {
    let fields = answer.get("data").and_then(Value::as_object);
    let fields = fields.ok_or_else(|| format!("Vault's secret at `{path}` is empty{}", warnings(answer)))?;
    let inner = fields.get("data").and_then(Value::as_object).filter(|_| fields.contains_key("metadata"));
    match inner.unwrap_or(fields).get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) | None => Err(format!("Vault's secret at `{path}` has no key `{key}`{}", warnings(answer))),
        Some(other) => Ok(other.to_string()),
    }
}

fn consul_value(answer: &Value, key: &str) -> Result<String, String> {
    let value = answer.get(0).and_then(|entry| entry.get("Value")).and_then(Value::as_str);
    let value = value.filter(|value| !value.is_empty()).ok_or_else(|| format!("Consul's key `{key}` is empty"))?;
    let bytes = STANDARD.decode(value).map_err(|error| format!("Consul's answer for `{key}` is no Base64: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("Consul's key `{key}` holds no UTF-8 text"))
}

/// Vault explains an empty answer with warnings: a path of the other version, for one.
fn warnings(answer: &Value) -> String {
    let warnings = answer.get("warnings").and_then(Value::as_array).into_iter().flatten();
    warnings.filter_map(Value::as_str).map(|warning| format!("; {warning}")).collect()
}

fn reason(answer: &Value) -> String {
    let errors = answer.get("errors").and_then(Value::as_array);
    match (errors, answer) {
        (Some(errors), _) if !errors.is_empty() => {
            errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
        }
        (_, Value::String(text)) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "it gives no reason".into(),
    }
}

fn certificates_in(name: &str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| format!("{name}: {error}"))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(format!("{name}: there is no certificate in PEM form"));
    }
    Ok(certificates)
}

/// As a path of a URL: slashes stay.
fn escaped(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => text.push(byte as char),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests;
