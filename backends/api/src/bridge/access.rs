//! Who asks, and where: credentials, region, endpoint, patience.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Secret, options};

options! {
    /// A role to take on before anything else is asked.
    pub struct AssumeRole {
        /// The role's ARN.
        role_arn: Option<String>,
        /// How the session is called in logs.
        session_name: Option<String>,
        /// What the role's owner asks others to say.
        external_id: Option<String>,
        /// How long the credentials hold, in seconds: 900 to 43200.
        duration_seconds: Option<u32>,
        /// A policy in JSON that narrows the role.
        policy: Option<String>,
        /// ARNs of policies that narrow the role.
        policy_arns: Vec<String>,
        /// Tags of the session.
        tags: BTreeMap<String, String>,
        /// Not supported: the SDK passes no tags on.
        transitive_tag_keys: Vec<String>,
    }
}

options! {
    /// A role to take on with the token of an identity provider.
    pub struct WebIdentity {
        /// The role's ARN. Required.
        role_arn: String,
        /// How the session is called in logs.
        session_name: Option<String>,
        /// The file that holds the token. Required.
        web_identity_token_file: Option<PathBuf>,
        /// Not supported: a token in a template would be kept with it. Use `web_identity_token_file`.
        web_identity_token: Option<Secret>,
        /// Not supported: the SDK narrows no web identity.
        policy: Option<String>,
        /// Not supported: the SDK narrows no web identity.
        policy_arns: Vec<String>,
        /// Not supported: the SDK takes the longest that the role allows.
        duration_seconds: Option<u32>,
    }
}

options! {
    /// Credentials that Vault hands out. Not supported.
    pub struct VaultEngine {
        /// Not supported: let Vault's agent write the credentials into a profile.
        name: Option<String>,
        /// Not supported: let Vault's agent write the credentials into a profile.
        engine_name: Option<String>,
        /// Not supported: let Vault's agent write the credentials into a profile.
        role_arn: Option<String>,
        /// Not supported: let Vault's agent write the credentials into a profile.
        ttl: Option<String>,
    }
}

options! {
    /// How long the waits for instances, images and snapshots may take.
    pub struct Polling {
        /// How often to look at most: with `delay_seconds` the longest wait. Unset: 30 minutes for an instance, two
        /// hours for an image.
        max_attempts: Option<u32>,
        /// The longest pause between two looks. The first ones are shorter.
        delay_seconds: Option<u32>,
    }
}

options! {
    /// Reaching AWS.
    pub struct AccessOptions {
        /// Key id. Unset: the usual chain of environment, profiles, SSO, web identity and the machine's own role.
        access_key: Option<String>,
        /// Secret key that belongs to `access_key`.
        secret_key: Option<Secret>,
        /// Session token that belongs to `access_key`.
        token: Option<Secret>,
        /// Region to build in. Unset: what the environment or the profile says.
        region: Option<String>,
        /// Profile of the configuration files. Unset: `AWS_PROFILE`.
        profile: Option<String>,
        /// File of credentials. Unset: `~/.aws/credentials`.
        shared_credentials_file: Option<PathBuf>,
        /// URL of another EC2 endpoint. One that is not of amazonaws.com answers for every region and service.
        custom_endpoint_ec2: Option<String>,
        /// A role to take on.
        assume_role: Option<AssumeRole>,
        /// A role to take on with the token of an identity provider.
        assume_role_with_web_identity: Option<WebIdentity>,
        /// Not supported: let Vault's agent write the credentials into a profile.
        vault_aws_engine: Option<VaultEngine>,
        /// Code of the MFA device that the profile names (`mfa_serial`).
        mfa_code: Option<String>,
        /// How often a request that failed for a passing reason is made anew. Unset: 11 times, about a minute.
        max_retries: Option<u32>,
        /// Not supported: name the certificate authority of your endpoint in `SSL_CERT_FILE`.
        insecure_skip_tls_verify: bool = false,
        /// Do not ask who the credentials belong to before the build begins.
        skip_credential_validation: bool = false,
        /// Do not ask this machine's metadata service for credentials.
        skip_metadata_api_check: bool = false,
        /// Ask what an encoded refusal means, where that is allowed.
        decode_authorization_messages: bool = true,
        /// Patience.
        aws_polling: Option<Polling>,
    }
}

impl AccessOptions {
    /// As a template that says nothing of it.
    pub fn plain() -> Self {
        Self {
            access_key: None,
            secret_key: None,
            token: None,
            region: None,
            profile: None,
            shared_credentials_file: None,
            custom_endpoint_ec2: None,
            assume_role: None,
            assume_role_with_web_identity: None,
            vault_aws_engine: None,
            mfa_code: None,
            max_retries: None,
            insecure_skip_tls_verify: false,
            skip_credential_validation: false,
            skip_metadata_api_check: false,
            decode_authorization_messages: true,
            aws_polling: None,
            spans: Default::default(),
        }
    }
}
