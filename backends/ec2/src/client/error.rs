//! What AWS answers when it does not do what was asked.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use bakehouse_api::{Error, Kind};

/// The kinds of refusal that we act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No such thing, or not yet.
    NotFound,
    /// The name is taken.
    Duplicate,
    /// Something else still uses it.
    InUse,
    /// These credentials may not do it.
    Denied,
    /// These credentials hold no longer, or never did.
    Credentials,
    /// There is no room for such an instance.
    Capacity,
    /// The account's quota is used up.
    Quota,
    /// Too many requests.
    Throttled,
    /// A dry run that would have succeeded.
    WouldSucceed,
    /// Any other answer that another try would not change.
    Refused,
    /// No answer, or one that does not say whether it was done.
    Unclear,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct ApiError {
    pub reason: Reason,
    /// `InvalidAMIID.NotFound`; empty where no answer came.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

impl ApiError {
    fn text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{message} ({code})"),
        }
    }

    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason
    }

    /// Could the same request succeed a moment later?
    pub fn passes(&self) -> bool {
        matches!(self.reason, Reason::Throttled | Reason::Unclear)
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.reason {
            Reason::Credentials => {
                "log in again (`aws sso login`), or check AWS_PROFILE, AWS_ACCESS_KEY_ID and the clock of this machine"
            }
            Reason::Denied => {
                "give the role or user this permission; docs/guides/aws.md has the policy that a build needs"
            }
            Reason::Capacity => "choose another instance_type, availability_zone or subnet_id, or try again later",
            Reason::Quota => "remove what is not needed or ask for a higher quota",
            Reason::Throttled => "other programs use up the account's requests: raise `max_retries`",
            Reason::Unclear => "check the network, the region and `custom_endpoint_ec2`",
            _ => return None,
        })
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let kind = match error.reason {
            Reason::Refused | Reason::NotFound | Reason::Duplicate | Reason::WouldSucceed => Kind::Input,
            Reason::Credentials | Reason::Denied => Kind::Missing,
            _ => Kind::Host,
        };
        let shown = match &error.request_id {
            Some(id) if error.reason == Reason::Unclear => format!("{error}, request {id}"),
            _ => error.to_string(),
        };
        let made = Error::new(kind, shown);
        match error.hint() {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

impl<E, R> From<SdkError<E, R>> for ApiError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let message = whole_story(&error);
        match error.as_service_error() {
            Some(answer) if answer.code().is_some() => {
                let code = answer.code().unwrap_or_default().to_owned();
                let request_id = answer.meta().request_id().map(str::to_owned);
                let reason = reason(&code);
                Self { reason, code, message: answer.message().unwrap_or_default().to_owned(), request_id }
            }
            _ => Self { reason: unanswered(&error, &message), code: String::new(), message, request_id: None },
        }
    }
}

/// A request that never left for want of credentials is told apart from one that was lost.
fn unanswered<E, R>(error: &SdkError<E, R>, message: &str) -> Reason {
    let unsigned = matches!(error, SdkError::DispatchFailure(failure) if failure.is_other())
        || matches!(error, SdkError::ConstructionFailure(_));
    if unsigned && message.contains("credentials") { Reason::Credentials } else { Reason::Unclear }
}

/// The SDK's own words say "dispatch failure"; the causes below it say what happened.
fn whole_story(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

pub fn reason(code: &str) -> Reason {
    match code {
        "DryRunOperation" => Reason::WouldSucceed,
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "Client.UnauthorizedOperation" => {
            Reason::Denied
        }
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "RequestTimeTooSkewed"
        | "OptInRequired" => Reason::Credentials,
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "InsufficientReservedInstanceCapacity"
        | "SpotMaxPriceTooLow"
        | "Unsupported" => Reason::Capacity,
        "InstanceLimitExceeded"
        | "VcpuLimitExceeded"
        | "MaxSpotInstanceCountExceeded"
        | "VolumeLimitExceeded"
        | "SnapshotLimitExceeded"
        | "SecurityGroupLimitExceeded"
        | "ResourceLimitExceeded"
        | "ConcurrentLimitExceededException"
        | "ServiceQuotaExceededException"
        | "AMIQuotaExceeded" => Reason::Quota,
        "DependencyViolation" | "InvalidGroup.InUse" | "InvalidSnapshot.InUse" | "VolumeInUse" | "DeleteConflict" => {
            Reason::InUse
        }
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "SlowDown"
        | "SnapshotCreationPerVolumeRateExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException" => Reason::Throttled,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServerException"
        | "OperationAborted"
        | "RequestTimeout"
        | "ServiceUnavailable"
        | "Unavailable" => Reason::Unclear,
        "NoSuchBucket"
        | "NoSuchKey"
        | "NoSuchUpload"
        | "NoSuchEntity"
        | "ResourceNotFoundException"
        | "ParameterNotFound"
        | "InvalidAMIID.Unavailable" => Reason::NotFound,
        "EntityAlreadyExists" => Reason::Duplicate,
        code if code.contains("NotFound") => Reason::NotFound,
        code if code.ends_with(".Duplicate") => Reason::Duplicate,
        _ => Reason::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_reasons() {
        for (code, expected) in [
            ("InvalidAMIID.NotFound", Reason::NotFound),
            ("InvalidKeyPair.Duplicate", Reason::Duplicate),
            ("UnauthorizedOperation", Reason::Denied),
            ("RequestExpired", Reason::Credentials),
            ("RequestLimitExceeded", Reason::Throttled),
            ("InternalError", Reason::Unclear),
            ("InvalidParameterValue", Reason::Refused),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
    }

    #[test]
    fn an_error_says_what_to_try() {
        let error = ApiError {
            reason: Reason::Credentials,
            code: "RequestExpired".into(),
            message: "Request has expired.".into(),
            request_id: None,
        };
        let error = Error::from(error);
        assert_eq!(error.message(), "Request has expired. (RequestExpired)");
        assert!(error.hints()[0].contains("aws sso login"), "{:?}", error.hints());
    }
}
