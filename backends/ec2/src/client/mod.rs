//! Our narrow way into AWS: sessions, clients of a region, waits, and errors that are ours.

mod account;
pub mod error;
mod login;
pub mod pace;
mod retry;
mod services;
pub mod session;

use std::sync::Arc;

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use bakehouse_api::{Error, Result};

pub use crate::mark::token;
pub use error::{ApiError, Reason};
pub use pace::{Ended, Look, Pace, Stop, look_until, poll, settled, wait};
pub use retry::Launching;
pub use session::{Place, Session, Sessions, Store};

/// EC2 in one region.
#[derive(Clone)]
pub struct Ec2 {
    pub session: Arc<Session>,
    pub region: String,
    pub api: aws_sdk_ec2::Client,
}

impl Ec2 {
    /// The same account in another region.
    pub fn in_region(&self, region: &str) -> Self {
        self.session.clone().ec2(region)
    }

    /// What went wrong, with an encoded refusal decoded where that is allowed.
    pub async fn explain(&self, doing: impl std::fmt::Display, error: impl Into<ApiError>) -> Error {
        let mut error: ApiError = error.into();
        if error.is(Reason::Denied)
            && let Some(decoded) = self.session.decoded(&error.message).await
        {
            error.message = decoded;
        }
        Error::from(error).context(doing)
    }

    /// Asks whether a request would be allowed; every other answer than a refusal for want of permission or
    /// credentials lets the build go on, for a dry run knows little else.
    pub async fn rehearsed(&self, doing: &str, answer: Result<(), ApiError>) -> Result<()> {
        match answer {
            Err(error) if matches!(error.reason, Reason::Denied | Reason::Credentials | Reason::Quota) => {
                Err(self.explain(doing, error).await)
            }
            _ => Ok(()),
        }
    }
}

/// What is tagged in the very call that makes it: policies refuse resources without tags.
pub fn tagged<'a>(
    kinds: impl IntoIterator<Item = (ResourceType, &'a [(String, String)])>,
) -> Option<Vec<TagSpecification>> {
    let specification = |(kind, tags): (ResourceType, &[(String, String)])| {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
    };
    let made: Vec<TagSpecification> =
        kinds.into_iter().filter(|(_, tags)| !tags.is_empty()).map(specification).collect();
    (!made.is_empty()).then_some(made)
}
