//! Clients of what the bridge needs besides EC2 itself: its blocks and its buckets.

use std::time::Duration;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use super::Ec2;
use super::session::{Session, is_amazons};

/// Many blocks share a line that may be slow.
const BLOCK: Duration = Duration::from_secs(90);
/// And parts of some megabytes.
const PART: Duration = Duration::from_secs(300);
/// Of one block or part. Who sends them tries again as long as others arrive.
const ATTEMPTS: u32 = 4;

impl Session {
    /// EBS direct in one region.
    pub fn ebs(&self, region: &str) -> aws_sdk_ebs::Client {
        let config = aws_sdk_ebs::config::Builder::from(&self.config)
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(self.patience(BLOCK));
        aws_sdk_ebs::Client::from_conf(config.build())
    }

    /// The object store in one region.
    pub fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        // We send digests of our own, as plain headers: not every server knows the trailers that the SDK would add.
        let mut config = aws_sdk_s3::config::Builder::from(&self.config)
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(self.patience(PART))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(self.path_style());
        if let Some(endpoint) = &self.place.store.endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    fn patience(&self, attempt: Duration) -> TimeoutConfig {
        let base = self.config.timeout_config().cloned();
        base.map_or_else(TimeoutConfig::builder, |base| base.to_builder()).operation_attempt_timeout(attempt).build()
    }

    /// Where the object store is, unless it is the region's own.
    pub fn store_endpoint(&self) -> Option<&str> {
        self.place.store.endpoint.as_deref().or(self.config.endpoint_url()).filter(|endpoint| !is_amazons(endpoint))
    }

    /// Only Amazon answers to the bucket's name in the host's.
    fn path_style(&self) -> bool {
        self.place.store.path_style.unwrap_or(self.store_endpoint().is_some())
    }
}

impl Ec2 {
    pub fn ebs(&self) -> aws_sdk_ebs::Client {
        self.session.ebs(&self.region)
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        self.session.s3(&self.region)
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, SdkConfig};

    use crate::client::{Place, Session, Store};

    #[test]
    fn another_store_is_asked_by_path_unless_it_is_told() {
        let session = |endpoint: Option<&str>, path_style| Session {
            place: Place { store: Store { endpoint: endpoint.map(str::to_owned), path_style }, ..Place::default() },
            config: SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build(),
            decodes_refusals: false,
        };
        assert!(session(Some("https://minio.example"), None).path_style());
        assert!(!session(Some("https://minio.example"), Some(false)).path_style());
        assert!(!session(Some("https://s3.eu-west-1.amazonaws.com"), None).path_style());
        assert!(!session(None, None).path_style() && session(None, Some(true)).path_style());
    }
}
