//! An instance profile for one build: a role of the same name with the template's policy.

use aws_sdk_iam::types::Tag;
use bakehouse_api::{Cx, Error, Result};
use serde_json::{Value, json};

use crate::client::{ApiError, Ec2, Reason};
use crate::held::{Thing, acquire, gone};
use crate::options::policy::PolicyDocument;

const POLICY: &str = "bakehouse";
/// Of the name of every such role; the rest is the mark of its build.
pub const PREFIX: &str = "packer-";

pub async fn create(
    cx: &Cx,
    ec2: &Ec2,
    name: &str,
    policy: &PolicyDocument,
    tags: &[(String, String)],
) -> Result<String> {
    cx.say(format!("Creating temporary instance profile: {name}"));
    let iam = aws_sdk_iam::Client::new(&ec2.session.config);
    let thing = Thing::Profile { name: name.to_owned() };
    acquire(cx, ec2, &format!("creating the instance profile {name}"), thing.clone(), async {
        let tags = iam_tags(tags);
        let role = iam.create_role().role_name(name).assume_role_policy_document(trust().to_string());
        again(role.set_tags(tags.clone()).send().await)?;
        let document = document(policy).to_string();
        iam.put_role_policy().role_name(name).policy_name(POLICY).policy_document(document).send().await?;
        again(iam.create_instance_profile().instance_profile_name(name).set_tags(tags).send().await)?;
        let joined = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name).send().await;
        match joined.map_err(ApiError::from) {
            // Our own request, whose answer was lost: a profile takes one role only.
            Err(error) if error.code == "LimitExceeded" => {}
            answer => drop(answer?),
        }
        Ok(((), thing))
    })
    .await?;
    Ok(name.to_owned())
}

/// Nobody else has this name: what is there already is our own, of a request whose answer was lost.
fn again<T, E: Into<ApiError>>(answer: Result<T, E>) -> Result<(), ApiError> {
    match answer.map_err(Into::into) {
        Err(error) if !error.is(Reason::Duplicate) => Err(error),
        _ => Ok(()),
    }
}

fn iam_tags(tags: &[(String, String)]) -> Option<Vec<Tag>> {
    // The builder fails only without a key or a value.
    let made: Vec<Tag> =
        tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect();
    Some(made).filter(|made| !made.is_empty())
}

pub async fn remove(ec2: &Ec2, name: &str) -> Result<()> {
    let iam = aws_sdk_iam::Client::new(&ec2.session.config);
    let work = async {
        gone(iam.remove_role_from_instance_profile().instance_profile_name(name).role_name(name).send().await)?;
        gone(iam.delete_instance_profile().instance_profile_name(name).send().await)?;
        gone(iam.delete_role_policy().role_name(name).policy_name(POLICY).send().await)?;
        gone(iam.delete_role().role_name(name).send().await)
    };
    work.await.map_err(|error: ApiError| Error::from(error).context(format!("removing the instance profile {name}")))
}

fn trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }],
    })
}

fn document(policy: &PolicyDocument) -> Value {
    let statements = policy.Statement.iter().map(|statement| {
        let mut made = json!({
            "Effect": statement.Effect,
            "Action": statement.Action,
            "Resource": statement.Resource,
        });
        if let Some(sid) = &statement.Sid {
            made["Sid"] = sid.as_str().into();
        }
        made
    });
    json!({ "Version": policy.Version, "Statement": statements.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::policy::Statement;

    #[test]
    fn a_policy_is_written_as_aws_reads_it() {
        let statement = Statement {
            Sid: None,
            Effect: "Allow".into(),
            Action: vec!["s3:GetObject".into()],
            Resource: vec!["*".into()],
            spans: Default::default(),
        };
        let policy =
            PolicyDocument { Version: "2012-10-17".into(), Statement: vec![statement], spans: Default::default() };
        let expected = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"] }],
        });
        assert_eq!(document(&policy), expected);
    }
}
