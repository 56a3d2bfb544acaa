//! When a launch is tried again.

use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;

use super::error::{Reason, reason};

/// EC2 says with a status that the SDK tries again that there is no room: there is none a moment later. And it knows
/// a new instance profile only after a while.
#[derive(Debug)]
pub struct Launching {
    pub fresh_profile: bool,
}

impl ClassifyRetry for Launching {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let failure = context.output_or_error().and_then(|answer| answer.err());
        let failure = failure.and_then(|error| error.as_operation_error());
        match failure.and_then(|error| error.downcast_ref::<RunInstancesError>()) {
            Some(error) => self.judge(error.code().unwrap_or_default(), error.message().unwrap_or_default()),
            None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "launching"
    }
}

impl Launching {
    fn judge(&self, code: &str, message: &str) -> RetryAction {
        match reason(code) {
            Reason::Capacity | Reason::Quota => RetryAction::RetryForbidden,
            Reason::Refused if self.fresh_profile && message.to_lowercase().contains("instance profile") => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_zone_is_no_passing_failure_and_a_new_profile_is() {
        let launching = |fresh_profile| Launching { fresh_profile };
        let full = launching(true).judge("InsufficientInstanceCapacity", "");
        assert_eq!(full, RetryAction::RetryForbidden);
        let unknown = (
            "InvalidParameterValue",
            "Value (x) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        );
        assert_eq!(launching(true).judge(unknown.0, unknown.1), RetryAction::transient_error());
        assert_eq!(launching(false).judge(unknown.0, unknown.1), RetryAction::NoActionIndicated);
        assert_eq!(launching(true).judge("InternalError", ""), RetryAction::NoActionIndicated);
    }
}
