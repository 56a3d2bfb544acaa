//! Whose credentials these are, and what an encoded refusal means.

use bakehouse_api::{Error, Kind, Result};

use super::error::ApiError;
use super::session::Session;

const ENCODED: &str = "Encoded authorization failure message: ";

impl Session {
    /// The account's number.
    pub async fn account(&self) -> Result<String> {
        let answer = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let answer = answer
            .map_err(|error| Error::from(ApiError::from(error)).context("asking AWS whose credentials these are"))?;
        answer.account.ok_or_else(|| Error::new(Kind::Host, "AWS did not say whose credentials these are"))
    }

    /// What a refusal says once it is decoded; none where there is nothing to decode or it is not allowed.
    pub async fn decoded(&self, message: &str) -> Option<String> {
        let (shown, encoded) = message.split_once(ENCODED).filter(|_| self.decodes_refusals)?;
        let sts = aws_sdk_sts::Client::new(&self.config);
        let answer = sts.decode_authorization_message().encoded_message(encoded.trim()).send().await.ok()?;
        let decoded = answer.decoded_message?;
        let shown = shown.trim_end();
        // Newer refusals say it in clear as well.
        match told(&decoded) {
            Some((action, _)) if shown.contains(&action) => Some(shown.to_owned()),
            Some((_, told)) => Some(format!("{shown} {told}")),
            None => Some(format!("{shown} {decoded}")),
        }
    }
}

/// The action, and the few words that matter of several kilobytes.
fn told(decoded: &str) -> Option<(String, String)> {
    let json: serde_json::Value = serde_json::from_str(decoded).ok()?;
    let context = json.get("context")?;
    let (action, resource) = (context.get("action")?.as_str()?, context.get("resource")?.as_str()?);
    let explicit = json.get("explicitDeny").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let why = if explicit { "a policy denies" } else { "no policy allows" };
    Some((action.to_owned(), format!("{why} {action} on {resource}.")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_decoded_refusal_names_action_and_resource() {
        let decoded = r#"{"allowed":false,"explicitDeny":false,
            "context":{"action":"ec2:RunInstances","resource":"arn:aws:ec2:eu-west-1:1:instance/*"}}"#;
        let (_, told) = super::told(decoded).unwrap();
        assert_eq!(told, "no policy allows ec2:RunInstances on arn:aws:ec2:eu-west-1:1:instance/*.");
        assert_eq!(super::told("{}"), None);
    }
}
