//! The flags that say how checkpoints are used.

use std::time::Duration;

use bakehouse_api::decode::parse_duration;
use bakehouse_api::{Result, Settings};

use super::environment::Environment;
use super::switch;
use crate::engine::cache::Policy;

#[derive(clap::Args)]
pub struct CacheArgs {
    /// Neither go on from a checkpoint nor take one.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL", help_heading = "Checkpoints")]
    pub no_cache: bool,
    /// How long the checkpoint of a provisioner counts, whatever the template says.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Checkpoints")]
    pub cache_ttl: Option<Duration>,
}

impl CacheArgs {
    pub fn settings(&self, environment: &Environment, settings: Settings) -> Result<Settings> {
        let checkpoints = if self.no_cache { None } else { Some(environment.checkpoints()?) };
        Ok(Settings { checkpoints, ..settings })
    }

    pub fn policy(&self, environment: &Environment) -> Result<Policy> {
        Ok(Policy { ttl: self.cache_ttl, limit: environment.cache_limit()? })
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let days = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    days.or_else(|| parse_duration(text)).ok_or_else(|| "write a number with a unit, like 30m, 1h30m or 14d".into())
}
