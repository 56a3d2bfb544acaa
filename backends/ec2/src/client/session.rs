//! Credentials, region and endpoint of a build, kept for its undos too.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_http_client::{Builder as HttpBuilder, tls};
use bakehouse_api::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use super::{Ec2, login};
use crate::options::AccessOptions;

/// Together about a minute of growing pauses: throttling for half of that is survived.
const ATTEMPTS: u32 = 12;
const CONNECT: Duration = Duration::from_secs(10);
/// For one attempt: no call of ours takes AWS longer than a few seconds.
const ATTEMPT: Duration = Duration::from_secs(45);

/// Where a session is, as the undo journal keeps it: no secrets. A later run logs in by the same profile or the
/// environment; credentials of the template itself are known to their own run only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Which session of this process.
    pub session: String,
    pub region: String,
    pub endpoint: Option<String>,
    pub profile: Option<String>,
    pub credentials_file: Option<PathBuf>,
    pub role: Option<Role>,
    /// Of the object store.
    #[serde(default)]
    pub store: Store,
}

/// Another object store than the region's own, and how it is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    pub endpoint: Option<String>,
    pub path_style: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub web_identity_token_file: Option<PathBuf>,
}

/// A login.
pub struct Session {
    pub place: Place,
    pub config: SdkConfig,
    pub decodes_refusals: bool,
}

/// The logins of this process, by their ids: undos find the one of their build, with its credentials.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// Those of builders and bridge alike: one undoer serves both.
    pub fn of_process() -> Arc<Self> {
        static ALL: LazyLock<Arc<Sessions>> = LazyLock::new(Arc::default);
        ALL.clone()
    }

    /// Logs in as a template asks for it.
    pub async fn open(&self, access: &AccessOptions, id: &str) -> Result<Arc<Session>> {
        self.open_with_store(access, Store::default(), id).await
    }

    pub async fn open_with_store(&self, access: &AccessOptions, store: Store, id: &str) -> Result<Arc<Session>> {
        if let Some(session) = self.known(id) {
            return Ok(session);
        }
        let mut session = Session::open(access, id).await?;
        session.place.store = store;
        let session = Arc::new(session);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), session.clone());
        Ok(session)
    }

    /// The session that something was acquired in, or one like it in another run.
    pub async fn again(&self, place: &Place) -> Result<Arc<Session>> {
        match self.known(&place.session) {
            Some(session) => Ok(session),
            None => Ok(Arc::new(Session::again(place).await?)),
        }
    }

    fn known(&self, id: &str) -> Option<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

impl Session {
    async fn open(access: &AccessOptions, id: &str) -> Result<Self> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut place = Place {
            session: id.to_owned(),
            region: given(&access.region).unwrap_or_default(),
            endpoint: given(&access.custom_endpoint_ec2),
            profile: given(&access.profile),
            credentials_file: access.shared_credentials_file.clone().filter(|path| !path.as_os_str().is_empty()),
            role: login::role(access),
            store: Store::default(),
        };
        let attempts = access.max_retries.map_or(ATTEMPTS, |retries| retries + 1);
        let config = login::log_in(base(&place, attempts), &place, Some(access)).await?;
        place.region = region(&config)?;
        Ok(Self { place, config, decodes_refusals: access.decode_authorization_messages })
    }

    async fn again(place: &Place) -> Result<Self> {
        let config = login::log_in(base(place, ATTEMPTS), place, None).await?;
        Ok(Self { place: place.clone(), config, decodes_refusals: false })
    }

    pub fn ec2(self: Arc<Self>, region: &str) -> Ec2 {
        let mut config = aws_sdk_ec2::config::Builder::from(&self.config).region(Region::new(region.to_owned()));
        if let Some(endpoint) = self.ec2_endpoint(region) {
            config = config.endpoint_url(endpoint);
        }
        let api = aws_sdk_ec2::Client::from_conf(config.build());
        Ec2 { session: self, region: region.to_owned(), api }
    }

    /// An endpoint of Amazon's own belongs to one region, and that region's neighbours have theirs. Any other one
    /// is the whole cloud.
    fn ec2_endpoint(&self, region: &str) -> Option<&str> {
        let endpoint = self.place.endpoint.as_deref()?;
        (!is_amazons(endpoint) || region == self.place.region).then_some(endpoint)
    }

    pub fn is_loopback(&self) -> bool {
        let endpoint = self.place.endpoint.as_deref().or(self.config.endpoint_url()).unwrap_or_default();
        let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
    }
}

pub fn is_amazons(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|suffix| host.ends_with(suffix))
}

fn region(config: &SdkConfig) -> Result<String> {
    config.region().map(ToString::to_string).ok_or_else(|| {
        Error::new(Kind::Config, "no AWS region is known").hint("set `region`, AWS_REGION, or `region` in the profile")
    })
}

fn base(place: &Place, attempts: u32) -> aws_config::ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(place.endpoint.as_deref()))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts.max(1)))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build());
    if let Ok(name) = AppName::new("bakehouse") {
        loader = loader.app_name(name);
    }
    if !place.region.is_empty() {
        loader = loader.region(Region::new(place.region.clone()));
    }
    if let Some(endpoint) = place.endpoint.as_deref().filter(|endpoint| !is_amazons(endpoint)) {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &place.profile {
        loader = loader.profile_name(profile);
    }
    loader
}

/// Without TLS no certificate authorities are needed, and a small machine may have none.
fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let builder = HttpBuilder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    if !plain {
        return builder.build_https();
    }
    match tls::TlsContext::builder().with_trust_store(tls::TrustStore::empty()).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(_) => builder.build_https(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_amazon_serves_its_region_only() {
        for (endpoint, amazons) in [
            ("https://ec2.eu-west-1.amazonaws.com", true),
            ("https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com:443/x", true),
            ("http://127.0.0.1:5005", false),
            ("https://amazonaws.com.example.org", false),
        ] {
            assert_eq!(is_amazons(endpoint), amazons, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn other_regions_keep_a_custom_endpoint() {
        let session = |endpoint: &str| Session {
            place: Place { region: "eu-west-1".into(), endpoint: Some(endpoint.into()), ..Place::default() },
            config: SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build(),
            decodes_refusals: false,
        };
        let local = session("http://127.0.0.1:1");
        assert_eq!(local.ec2_endpoint("us-east-1"), Some("http://127.0.0.1:1"));
        assert!(local.is_loopback());
        let amazons = session("https://ec2.eu-west-1.amazonaws.com");
        assert_eq!(amazons.ec2_endpoint("us-east-1"), None);
        assert!(amazons.ec2_endpoint("eu-west-1").is_some() && !amazons.is_loopback());
    }
}
