//! The flags of commands that reach AWS.

use bakehouse_api::Body;
use bakehouse_api::body::Verbatim;
use bakehouse_api::bridge::{AccountOptions, AssumeRole};
use bakehouse_api::{Diagnostics, Error, Result, Span};

#[derive(clap::Args)]
#[command(next_help_heading = "AWS")]
pub struct AccountArgs {
    /// The region; else what the environment or the profile says.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// A profile of the configuration files.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// A role to take on.
    #[arg(long, value_name = "ARN")]
    pub assume_role: Option<String>,
    /// Another endpoint than Amazon's, for every service.
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Another object store.
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Write the bucket into the path of URLs (true) or into the host's name (false).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = super::switch)]
    pub s3_path_style: Option<bool>,
}

impl AccountArgs {
    pub fn options(&self) -> AccountOptions {
        let mut options = AccountOptions::plain();
        options.s3_endpoint = self.s3_endpoint.clone();
        options.s3_path_style = self.s3_path_style;
        options.access.region = self.region.clone();
        options.access.profile = self.profile.clone();
        options.access.custom_endpoint_ec2 = self.endpoint_url.clone();
        options.access.assume_role = self.assume_role.clone().map(|arn| AssumeRole {
            role_arn: Some(arn),
            session_name: None,
            external_id: None,
            duration_seconds: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Default::default(),
            transitive_tag_keys: Vec::new(),
            spans: Default::default(),
        });
        options
    }
}

/// Runs the checks of options where there is no template that they could point into.
pub fn checked(command: &str, check: impl FnOnce(&Body, &mut Diagnostics)) -> Result<()> {
    let body = Body {
        kind: command.into(),
        name: command.into(),
        build: command.into(),
        build_name: command.into(),
        builder_type: command.into(),
        root: ".".into(),
        span: Span::default(),
        entries: Vec::new(),
        engine: std::sync::Arc::new(Verbatim),
        secrets: Default::default(),
    };
    let mut found = Diagnostics::default();
    check(&body, &mut found);
    let mut errors = found.0.iter().filter(|finding| finding.severity == bakehouse_api::Severity::Error);
    let Some(first) = errors.next() else { return Ok(()) };
    let texts = std::iter::once(first).chain(errors).map(|finding| finding.summary.as_str());
    let error = Error::new(bakehouse_api::Kind::Config, texts.collect::<Vec<_>>().join("\n"));
    Err(match &first.hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}
