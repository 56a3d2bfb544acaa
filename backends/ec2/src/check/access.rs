//! Credentials and endpoint.

use bakehouse_api::Diagnostic;
use bakehouse_api::bridge::AccountOptions;

use super::Check;
use crate::network::given;
use crate::options::AccessOptions;

/// Seconds that a role's session may last.
const SESSION: std::ops::RangeInclusive<u32> = 900..=43_200;

impl Check<'_> {
    pub fn access(&mut self, access: &AccessOptions) {
        let secret = access.secret_key.as_ref().is_some_and(|key| !key.reveal().is_empty());
        let both_known = self.known("access_key") && self.known("secret_key");
        if both_known && given(&access.access_key).is_some() != secret {
            self.error("access_key", "`access_key` and `secret_key` belong together, and only one of them is set");
        }
        if access.insecure_skip_tls_verify {
            self.unsupported(
                "insecure_skip_tls_verify",
                "put the endpoint's certificate authority into a file and name it in SSL_CERT_FILE",
            );
        }
        if access.vault_aws_engine.is_some() {
            self.unsupported("vault_aws_engine", "let Vault's agent write the credentials into a profile");
        }
        self.endpoint("custom_endpoint_ec2", &access.custom_endpoint_ec2);
        self.roles(access);
    }

    pub fn store(&mut self, account: &AccountOptions) {
        self.endpoint("s3_endpoint", &account.s3_endpoint);
    }

    fn endpoint(&mut self, option: &str, endpoint: &Option<String>) {
        let Some(endpoint) = given(endpoint).filter(|_| self.known(option)) else { return };
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let error = format!("`{endpoint}` is no URL of an endpoint");
            self.push(option, Diagnostic::error(error).hint("write it as https://host"));
        }
    }

    fn roles(&mut self, access: &AccessOptions) {
        if let Some(role) = &access.assume_role {
            if !role.transitive_tag_keys.is_empty() {
                self.unsupported("assume_role", "remove `transitive_tag_keys`");
            }
            if let Some(seconds) = role.duration_seconds.filter(|seconds| !SESSION.contains(seconds)) {
                self.error(
                    "assume_role",
                    format!("`duration_seconds` must lie between 900 and 43200, and it is {seconds}"),
                );
            }
        }
        let Some(web) = &access.assume_role_with_web_identity else { return };
        self.exclude("assume_role", access.assume_role.is_some(), "assume_role_with_web_identity", true);
        if web.web_identity_token.is_some() {
            self.unsupported("assume_role_with_web_identity", "name a file: `web_identity_token_file`");
        } else if web.web_identity_token_file.is_none() {
            self.error("assume_role_with_web_identity", "this block needs the option `web_identity_token_file`");
        }
        if web.policy.is_some() || !web.policy_arns.is_empty() || web.duration_seconds.is_some() {
            self.unsupported("assume_role_with_web_identity", "remove `policy`, `policy_arns` and `duration_seconds`");
        }
    }
}
