//! The key pair of a build: made here, so that its private half never travels.

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::ResourceType;
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_kit::ssh::{GeneratedKey, SshOptions};

use crate::client::{ApiError, Ec2, Reason, tagged};
use crate::held::{Thing, acquire};

pub struct KeyPair {
    pub name: String,
    pub key: GeneratedKey,
}

pub async fn create(cx: &Cx, ec2: &Ec2, ssh: &SshOptions, name: &str, tags: &[(String, String)]) -> Result<KeyPair> {
    cx.say(format!("Creating temporary keypair: {name}"));
    let options = ssh.clone();
    // An RSA key takes seconds of a processor.
    let made = tokio::task::spawn_blocking(move || options.generate_key()).await;
    let made = made.map_err(|error| Error::new(Kind::Internal, error))?;
    let key = made.map_err(|error| Error::new(Kind::Internal, error).context("making the key pair of this build"))?;
    let request = ec2
        .api
        .import_key_pair()
        .key_name(name)
        .public_key_material(Blob::new(key.public_openssh.as_bytes()))
        .set_tag_specifications(tagged([(ResourceType::KeyPair, tags)]));
    let thing = Thing::KeyPair { name: name.to_owned() };
    acquire(cx, ec2, &format!("importing the key pair {name}"), thing.clone(), async {
        match request.send().await.map_err(ApiError::from) {
            // Nobody else has this name: it was our own request, whose answer was lost.
            Err(error) if error.is(Reason::Duplicate) => Ok(((), thing)),
            answer => answer.map(|_| ((), thing)),
        }
    })
    .await?;
    Ok(KeyPair { name: name.to_owned(), key })
}
