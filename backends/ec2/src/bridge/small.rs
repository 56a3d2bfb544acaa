//! Objects that are read and written as a whole, by several writers: catalogs.

use aws_sdk_s3::primitives::ByteStream;
use bakehouse_api::bridge::{Current, Found, Object};
use bakehouse_api::{Error, Kind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::client::{ApiError, Ec2};

/// Longer ones are no catalogs.
const SMALL: i64 = 20 << 20;

/// A small object; none when there is no such.
pub async fn read(ec2: &Ec2, object: &Object) -> Result<Option<Found>> {
    let doing = format!("reading {object}");
    let answer = ec2.s3().get_object().bucket(&object.bucket).key(&object.key).send().await.map_err(ApiError::from);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.code == "NoSuchKey" => return Ok(None),
        Err(error) => return Err(ec2.explain(doing, error).await),
    };
    if answer.content_length().is_some_and(|length| length > SMALL) {
        return Err(Error::new(Kind::Input, format!("{object} is longer than {} MiB", SMALL >> 20)).context(doing));
    }
    let etag = answer.e_tag.clone().unwrap_or_default();
    let bytes = answer.body.collect().await.map_err(|error| Error::new(Kind::Host, error).context(doing))?;
    Ok(Some(Found { bytes: bytes.to_vec(), etag }))
}

/// False: it is not any more what `current` says.
pub async fn write(ec2: &Ec2, object: &Object, content_type: &str, bytes: Vec<u8>, current: &Current) -> Result<bool> {
    let request = ec2
        .s3()
        .put_object()
        .bucket(&object.bucket)
        .key(&object.key)
        .content_type(content_type)
        .checksum_sha256(STANDARD.encode(Sha256::digest(&bytes)))
        .body(ByteStream::from(bytes));
    let request = match current {
        Current::Absent => request.if_none_match("*"),
        Current::Etag(etag) => request.if_match(etag),
    };
    match request.send().await.map_err(ApiError::from) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code.as_str(), "PreconditionFailed" | "ConditionalRequestConflict") => Ok(false),
        Err(error) => Err(ec2.explain(format!("writing {object}"), error).await),
    }
}
