//! The SDK's chain of credentials, and what a template puts in its place.

use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{ConfigLoader, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use bakehouse_api::{Error, Kind, Result, Secret};

use super::error::ApiError;
use super::session::{Place, Role};
use crate::options::AccessOptions;

const SESSION_NAME: &str = "bakehouse";

/// The role that the template asks for.
pub fn role(access: &AccessOptions) -> Option<Role> {
    if let Some(web) = &access.assume_role_with_web_identity {
        return Some(Role {
            arn: web.role_arn.clone(),
            session_name: web.session_name.clone(),
            external_id: None,
            web_identity_token_file: web.web_identity_token_file.clone(),
        });
    }
    let role = access.assume_role.as_ref()?;
    let arn = role.role_arn.clone().filter(|arn| !arn.is_empty())?;
    let (session_name, external_id) = (role.session_name.clone(), role.external_id.clone());
    Some(Role { arn, session_name, external_id, web_identity_token_file: None })
}

/// `access` is none in a later run, which knows the place only.
pub async fn log_in(loader: ConfigLoader, place: &Place, access: Option<&AccessOptions>) -> Result<SdkConfig> {
    let mut loader = loader;
    if place.credentials_file.is_some() {
        loader = loader.profile_files(files(place));
    }
    if let Some(keys) = access.and_then(keys) {
        loader = loader.credentials_provider(keys);
    } else if access.is_some_and(|access| access.skip_metadata_api_check) {
        loader = loader.credentials_provider(without_metadata(place));
    }
    let mut config = loader.load().await;
    if let Some(code) = access.and_then(|access| access.mfa_code.as_deref()).filter(|code| !code.is_empty()) {
        config = with_mfa(config, place, code).await?;
    }
    match &place.role {
        Some(role) => Ok(with_role(config, role, access).await),
        None => Ok(config),
    }
}

fn keys(access: &AccessOptions) -> Option<Credentials> {
    let id = access.access_key.as_deref().filter(|id| !id.is_empty())?;
    let secret = access.secret_key.as_ref().map(Secret::reveal).unwrap_or_default();
    let token = access.token.as_ref().map(Secret::reveal).filter(|token| !token.is_empty());
    Some(Credentials::new(id, secret, token.map(str::to_owned), None, "template"))
}

fn without_metadata(place: &Place) -> CredentialsProviderChain {
    let mut profile = ProfileFileCredentialsProvider::builder().profile_files(files(place));
    if let Some(name) = &place.profile {
        profile = profile.profile_name(name);
    }
    CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("profile", profile.build())
        .or_else("web identity", WebIdentityTokenCredentialsProvider::builder().build())
        .or_else("container", EcsCredentialsProvider::builder().build())
}

async fn with_role(config: SdkConfig, role: &Role, access: Option<&AccessOptions>) -> SdkConfig {
    let session = role.session_name.clone().unwrap_or_else(|| SESSION_NAME.into());
    let provider = match &role.web_identity_token_file {
        Some(file) => SharedCredentialsProvider::new(
            WebIdentityTokenCredentialsProvider::builder()
                .static_configuration(StaticConfiguration {
                    web_identity_token_file: file.clone(),
                    role_arn: role.arn.clone(),
                    session_name: session,
                })
                .build(),
        ),
        None => {
            let mut builder = AssumeRoleProvider::builder(&role.arn).session_name(session).configure(&config);
            if let Some(id) = &role.external_id {
                builder = builder.external_id(id);
            }
            if let Some(asked) = access.and_then(|access| access.assume_role.as_ref()) {
                if let Some(seconds) = asked.duration_seconds {
                    builder = builder.session_length(Duration::from_secs(seconds.into()));
                }
                if let Some(policy) = &asked.policy {
                    builder = builder.policy(policy);
                }
                if !asked.policy_arns.is_empty() {
                    builder = builder.policy_arns(asked.policy_arns.clone());
                }
                if !asked.tags.is_empty() {
                    builder = builder.tags(asked.tags.clone());
                }
            }
            SharedCredentialsProvider::new(builder.build().await)
        }
    };
    config.into_builder().credentials_provider(provider).build()
}

/// The SDK takes on no role of a profile that wants a code, so this does: with the keys of its source profile.
async fn with_mfa(config: SdkConfig, place: &Place, code: &str) -> Result<SdkConfig> {
    let profiles =
        aws_config::profile::load(&Default::default(), &Default::default(), &files(place), profile_name(place))
            .await
            .map_err(|error| Error::new(Kind::Config, error).context("reading the AWS profiles"))?;
    let name = profiles.selected_profile().to_owned();
    let get = |key: &str| profiles.get(key).map(str::to_owned);
    let serial = get("mfa_serial").ok_or_else(|| {
        Error::new(Kind::Config, format!("`mfa_code` is set, and the profile `{name}` names no device"))
            .hint("set `mfa_serial` in the profile")
    })?;
    let source = get("source_profile").unwrap_or(name);
    let source = ProfileFileCredentialsProvider::builder().profile_name(source).profile_files(files(place)).build();
    let base = config.clone().into_builder().credentials_provider(SharedCredentialsProvider::new(source)).build();
    let sts = aws_sdk_sts::Client::new(&base);
    let failed = |error: ApiError| Error::from(error).context("logging in with an MFA code");
    let given = match get("role_arn") {
        Some(role) => {
            let asked = sts.assume_role().role_arn(role).role_session_name(SESSION_NAME).serial_number(serial);
            asked.token_code(code).send().await.map_err(|error| failed(error.into()))?.credentials
        }
        None => {
            let asked = sts.get_session_token().serial_number(serial).token_code(code);
            asked.send().await.map_err(|error| failed(error.into()))?.credentials
        }
    };
    let given = given.ok_or_else(|| Error::new(Kind::Host, "AWS answered a login with no credentials"))?;
    let keys = Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), None, "mfa");
    Ok(config.into_builder().credentials_provider(SharedCredentialsProvider::new(keys)).build())
}

fn profile_name(place: &Place) -> Option<std::borrow::Cow<'static, str>> {
    place.profile.clone().map(Into::into)
}

fn files(place: &Place) -> EnvConfigFiles {
    match &place.credentials_file {
        Some(file) => EnvConfigFiles::builder()
            .with_file(EnvConfigFileKind::Credentials, file)
            .include_default_config_file(true)
            .build(),
        None => EnvConfigFiles::default(),
    }
}
