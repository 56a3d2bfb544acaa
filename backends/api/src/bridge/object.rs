//! Files in a bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::ObjectEncryption;

/// `s3://bucket/key`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    pub bucket: String,
    pub key: String,
}

impl Object {
    /// None where `url` is not of the form `s3://bucket/key`.
    pub fn parse(url: &str) -> Option<Self> {
        let (bucket, key) = url.strip_prefix("s3://")?.split_once('/')?;
        let whole = !bucket.is_empty() && !key.is_empty() && !key.ends_with('/');
        whole.then(|| Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A file that is to become an object.
#[derive(Clone, Debug)]
pub struct Upload {
    pub file: PathBuf,
    pub object: Object,
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub storage_class: Option<String>,
    /// One of S3's canned ones.
    pub acl: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub encryption: Option<ObjectEncryption>,
    pub encryption_key: Option<String>,
    /// Bytes of a part; none: what suits the file.
    pub part_size: Option<u64>,
}

impl Upload {
    pub fn new(file: PathBuf, object: Object) -> Self {
        Self {
            file,
            object,
            content_type: None,
            cache_control: None,
            storage_class: None,
            acl: None,
            metadata: BTreeMap::new(),
            tags: BTreeMap::new(),
            encryption: None,
            encryption_key: None,
            part_size: None,
        }
    }
}

/// An object that is complete.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    pub object: Object,
    /// Where clients fetch it, if they may.
    pub url: String,
    pub bytes: u64,
    pub etag: String,
}

/// A small object.
#[derive(Clone, Debug)]
pub struct Found {
    pub bytes: Vec<u8>,
    pub etag: String,
}

/// What an object is believed to be while it is written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    Absent,
    Etag(String),
}

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn an_object_has_a_bucket_and_a_key() {
        let object = Object::parse("s3://boxes/org/web.json").unwrap();
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("boxes", "org/web.json"));
        assert_eq!(object.to_string(), "s3://boxes/org/web.json");
        for wrong in ["boxes/web.json", "s3://boxes", "s3://boxes/", "s3:///key", "s3://boxes/folder/"] {
            assert_eq!(Object::parse(wrong), None, "{wrong}");
        }
    }
}
