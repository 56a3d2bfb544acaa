//! Options of commands that look into an account at AWS.

use bakehouse_api::account::Login;
use bakehouse_api::{Account, Result};

#[derive(clap::Args, Clone)]
pub struct LoginArgs {
    /// A region to look into; may be repeated. Unset: the one of the environment or the profile.
    #[arg(long = "region", value_name = "REGION", value_delimiter = ',')]
    regions: Vec<String>,
    /// Profile of AWS's configuration files. Unset: AWS_PROFILE.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// URL of another EC2 endpoint. Unset: AWS_ENDPOINT_URL.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

impl LoginArgs {
    pub fn is_set(&self) -> bool {
        !self.regions.is_empty() || self.profile.is_some() || self.endpoint_url.is_some()
    }

    pub fn account(&self) -> Result<Box<dyn Account>> {
        let Self { profile, endpoint_url, regions } = self.clone();
        crate::registry::aws_account(Login { profile, endpoint: endpoint_url, regions })
    }
}
