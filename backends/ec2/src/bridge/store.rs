//! Objects in buckets: large ones in parts, many under way at once, each with its digest; an upload that was cut off
//! goes on with the parts that are there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectCannedAcl, ServerSideEncryption, StorageClass,
};
use bakehouse_api::bridge::{Object, ObjectEncryption, Stored, Upload};
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

use super::lanes::{Lanes, lock, persist};
use super::ledger::{FileState, Ledger, Piece, Sum};
use super::meter::Meter;
use super::parts::{Input, PART, Part, size_of_part};
use crate::client::{ApiError, Ec2, Reason};
use crate::held::{self, RUN_TAG, Thing, acquire};

/// Parts under way at once, of at least 8 MiB each.
pub const LANES: usize = 8;

/// What is put, besides what the upload says.
pub struct Cargo {
    pub input: Input,
    /// Of the file that the input is made of.
    pub state: FileState,
    /// Marks the object as ours to remove; none: it is the user's.
    pub token: Option<String>,
    pub lanes: usize,
}

/// An object of ours has its undo.
pub struct Put {
    pub stored: Stored,
    pub undo: Option<UndoId>,
}

/// Everything that decides which bytes go where.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a FileState,
    region: &'a str,
    endpoint: Option<&'a str>,
    bucket: &'a str,
    /// None where each run makes up one of its own.
    key: Option<&'a str>,
    part: u64,
    input: &'a str,
}

#[derive(Clone, Serialize, Deserialize)]
struct Target {
    key: String,
    id: String,
    token: Option<String>,
}

/// An object that is being put.
struct Putting<'a> {
    cx: &'a Cx,
    ec2: &'a Ec2,
    upload: &'a Upload,
    lanes: usize,
}

/// Where a bucket is; none where the server does not tell.
pub async fn region_of(ec2: &Ec2, bucket: &str) -> Result<Option<String>> {
    const HEADER: &str = "x-amz-bucket-region";
    let error = match ec2.s3().head_bucket().bucket(bucket).send().await {
        Ok(answer) => return Ok(answer.bucket_region),
        Err(error) => error,
    };
    let answer = error.raw_response();
    if let Some(region) = answer.and_then(|answer| answer.headers().get(HEADER)) {
        return Ok(Some(region.to_owned()));
    }
    let doing = format!("looking for the bucket {bucket}");
    match answer.map(|answer| answer.status().as_u16()) {
        Some(404) => Err(Error::new(Kind::Input, format!("there is no bucket `{bucket}`"))
            .hint(format!("make it: aws s3 mb s3://{bucket} --region {}", ec2.region))),
        Some(403) => Err(Error::new(Kind::Missing, format!("the bucket `{bucket}` may not be used by this account"))
            .hint("bucket names are everybody's: check the name; or ask for s3:ListBucket on it")),
        _ => Err(ec2.explain(doing, error).await),
    }
}

/// The same account where the bucket is.
pub async fn beside(ec2: &Ec2, bucket: &str) -> Result<Ec2> {
    let region = region_of(ec2, bucket).await?;
    Ok(region.filter(|region| *region != ec2.region).map_or_else(|| ec2.clone(), |region| ec2.in_region(&region)))
}

/// Puts an object. `fixed_key`: the key is the user's, not one of this run.
pub async fn put(cx: &Cx, ec2: &Ec2, upload: &Upload, fixed_key: bool, cargo: Cargo) -> Result<Put> {
    let total = cargo.input.size()?;
    let part = upload.part_size.unwrap_or_else(|| size_of_part(total));
    if !PART.contains(&part) {
        return Err(Error::new(Kind::Config, "a part of an object has 5 MiB to 5 GiB"));
    }
    let place = Ledger::place(
        cx,
        &Place {
            file: &cargo.state,
            region: &ec2.region,
            endpoint: ec2.session.store_endpoint(),
            bucket: &upload.object.bucket,
            key: fixed_key.then_some(upload.object.key.as_str()),
            part,
            input: match &cargo.input {
                Input::File(_) => "file",
                Input::Vmdk(..) => "vmdk",
            },
        },
    );
    let (to, mut parts) = channel(2);
    let input = cargo.input.clone();
    let maker = tokio::task::spawn_blocking(move || input.cut(part, to));
    let mut meter = Meter::new(cx, format!("upload {}", upload.object), total, Unit::Bytes);
    let putting = Putting { cx, ec2, upload, lanes: cargo.lanes };
    let first = parts.recv().await;
    let Some(first) = first else {
        return Err(ended(maker.await).err().unwrap_or_else(|| Error::new(Kind::Internal, "nothing was read")));
    };
    let second = parts.recv().await;
    let put = match second {
        None => {
            ended(maker.await)?;
            putting.whole(first, cargo.token).await?
        }
        Some(second) => {
            let (undo, ledger, target) = putting.begin(&place, cargo.token).await?;
            let early = [first, second];
            let made = putting.parts(early, parts, &target, ledger, &mut meter).await?;
            ended(maker.await)?;
            putting.complete(undo, target, made).await?
        }
    };
    meter.finish();
    Ok(put)
}

fn ended(joined: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    joined.map_err(|error| Error::new(Kind::Internal, error))?
}

/// Sets on a request what both ways of putting an object have.
macro_rules! described {
    ($request:expr, $upload:expr, $token:expr) => {{
        let upload: &Upload = $upload;
        let mut metadata = upload.metadata.clone();
        metadata.extend($token.iter().map(|token: &String| (RUN_TAG.to_owned(), token.clone())));
        $request
            .set_content_type(upload.content_type.clone())
            .set_cache_control(upload.cache_control.clone())
            .set_storage_class(upload.storage_class.as_deref().map(StorageClass::from))
            .set_acl(upload.acl.as_deref().map(ObjectCannedAcl::from))
            .set_metadata(Some(metadata.into_iter().collect()))
            .set_tagging(tagging(&upload.tags))
            .set_server_side_encryption(upload.encryption.map(|kind| match kind {
                ObjectEncryption::Aes256 => ServerSideEncryption::Aes256,
                ObjectEncryption::Kms => ServerSideEncryption::AwsKms,
            }))
            .set_ssekms_key_id(upload.encryption_key.clone())
    }};
}

fn tagging(tags: &BTreeMap<String, String>) -> Option<String> {
    let pair = |(key, value): (&String, &String)| format!("{}={}", escaped(key), escaped(value));
    (!tags.is_empty()).then(|| tags.iter().map(pair).collect::<Vec<_>>().join("&"))
}

/// As a part of a URL; slashes too.
pub fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let one = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

impl Putting<'_> {
    fn object(&self) -> (&str, &str) {
        (&self.upload.object.bucket, &self.upload.object.key)
    }

    fn doing(&self) -> String {
        format!("putting {}", self.upload.object)
    }

    fn thing(&self, key: &str, token: &Option<String>) -> Option<Thing> {
        let bucket = self.upload.object.bucket.clone();
        token.clone().map(|token| Thing::Object { bucket, key: key.to_owned(), token })
    }

    /// A small one, in one request.
    async fn whole(&self, part: Part, token: Option<String>) -> Result<Put> {
        let (bucket, key) = self.object();
        let s3 = self.ec2.s3();
        let lanes = Mutex::new(Lanes::new(1));
        let bytes = part.data.len() as u64;
        let send = || {
            let request = described!(s3.put_object().bucket(bucket).key(key), self.upload, token)
                .checksum_sha256(STANDARD.encode(part.sum))
                .body(ByteStream::from(part.data.clone()));
            async move { request.send().await.map_err(ApiError::from) }
        };
        let undo = self.thing(key, &token).map(|thing| self.cx.hold(held::undo(self.ec2, &thing, true))).transpose()?;
        let answer = self.cx.interruptible(async { Ok(persist(&lanes, send).await) }).await?;
        let etag = match answer {
            Ok(answer) => answer.e_tag.unwrap_or_default(),
            Err(error) => return Err(self.explain(error).await),
        };
        Ok(Put { stored: self.stored(key, bytes, etag), undo })
    }

    async fn explain(&self, error: ApiError) -> Error {
        let region = matches!(error.code.as_str(), "PermanentRedirect" | "AuthorizationHeaderMalformed");
        let missing = error.code == "NoSuchBucket";
        let error = self.ec2.explain(self.doing(), error).await;
        match () {
            () if region => error.hint(format!("the bucket is in another region than {}", self.ec2.region)),
            () if missing => error.hint(format!("make it: aws s3 mb s3://{}", self.upload.object.bucket)),
            () => error,
        }
    }

    /// A new upload, or one that was cut off. The undo of its parts comes first.
    async fn begin(&self, place: &std::path::Path, token: Option<String>) -> Result<(UndoId, Option<Ledger>, Target)> {
        let (bucket, key) = self.object();
        if let Some((target, ledger)) = Ledger::resume::<Target>(self.cx, place)? {
            let known = self.ec2.s3().list_parts().bucket(bucket).key(&target.key).upload_id(&target.id).max_parts(1);
            if known.send().await.is_ok() {
                let parts =
                    Thing::Parts { bucket: bucket.into(), key: target.key.clone(), id: Some(target.id.clone()) };
                let undo = self.cx.hold(held::undo(self.ec2, &parts, true))?;
                let count = ledger.pieces.len();
                self.cx.say(format!("Going on with s3://{bucket}/{}: {count} parts are there already", target.key));
                return Ok((undo, Some(ledger), target));
            }
            ledger.remove(self.cx).await?;
        }
        let s3 = self.ec2.s3();
        let request = described!(s3.create_multipart_upload().bucket(bucket).key(key), self.upload, token)
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        let thing = |id| Thing::Parts { bucket: bucket.into(), key: key.into(), id };
        let (id, undo) = acquire(self.cx, self.ec2, &self.doing(), thing(None), async {
            let id = request.send().await.map_err(ApiError::from)?.upload_id;
            Ok((id.clone(), thing(id)))
        })
        .await?;
        let id = id.ok_or_else(|| Error::new(Kind::Host, "the store began an upload and did not say which"))?;
        let target = Target { key: key.to_owned(), id, token };
        let ledger = Ledger::create(self.cx, place, &target)?;
        Ok((undo, ledger, target))
    }

    /// Sends the parts that are missing; gives all of them.
    async fn parts(
        &self,
        early: [Part; 2],
        mut rest: Receiver<Part>,
        target: &Target,
        ledger: Option<Ledger>,
        meter: &mut Meter,
    ) -> Result<Sent> {
        let sender = Arc::new(Sender {
            s3: self.ec2.s3(),
            bucket: self.upload.object.bucket.clone(),
            target: target.clone(),
            lanes: Mutex::new(Lanes::new(self.lanes)),
        });
        let mut sent = Sent { parts: BTreeMap::new(), bytes: 0, ledger };
        let mut early = early.into_iter();
        let mut puts: JoinSet<Result<(u32, Piece, u64), ApiError>> = JoinSet::new();
        let mut more = true;
        while more || !puts.is_empty() {
            let room = puts.len() < lock(&sender.lanes).open();
            let next = async {
                match early.next() {
                    Some(part) => Some(part),
                    None => rest.recv().await,
                }
            };
            tokio::select! {
                part = next, if more && room => match part {
                    None => more = false,
                    Some(part) => {
                        sent.bytes += part.data.len() as u64;
                        let there = sent.ledger.as_ref().and_then(|ledger| ledger.pieces.get(&part.number));
                        match there.filter(|piece| piece.sum == part.sum).cloned() {
                            Some(piece) => {
                                sent.parts.insert(part.number, piece);
                                meter.add(part.read);
                            }
                            None => {
                                let sender = sender.clone();
                                puts.spawn(async move { sender.put(part).await });
                            }
                        }
                    }
                },
                Some(put) = puts.join_next(), if !puts.is_empty() => {
                    match put.map_err(|error| Error::new(Kind::Internal, error))? {
                        Ok((number, piece, read)) => {
                            sent.note(number, piece)?;
                            meter.add(read);
                        }
                        Err(error) => return Err(self.explain(error).await),
                    }
                },
            }
        }
        Ok(sent)
    }

    /// A request whose answer was lost may have been carried out: the object tells.
    async fn complete(&self, parts: UndoId, target: Target, sent: Sent) -> Result<Put> {
        let bucket = &self.upload.object.bucket;
        let thing = self.thing(&target.key, &target.token);
        let undo = thing.map(|thing| self.cx.hold(held::undo(self.ec2, &thing, true))).transpose()?;
        let s3 = self.ec2.s3();
        let once = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        let lanes = Mutex::new(Lanes::new(1));
        let unclear = AtomicBool::new(false);
        let send = || {
            let request = s3
                .complete_multipart_upload()
                .bucket(bucket)
                .key(&target.key)
                .upload_id(&target.id)
                .multipart_upload(sent.completed())
                .customize()
                .config_override(once.clone());
            let head = s3.head_object().bucket(bucket).key(&target.key);
            let (unclear, bytes) = (&unclear, sent.bytes);
            async move {
                match request.send().await.map_err(ApiError::from) {
                    Ok(answer) => Ok(answer.e_tag),
                    Err(error) if error.is(Reason::NotFound) && unclear.load(Ordering::Relaxed) => {
                        let head = head.send().await.map_err(ApiError::from)?;
                        let ours = head.content_length() == i64::try_from(bytes).ok();
                        if ours { Ok(head.e_tag) } else { Err(error) }
                    }
                    Err(error) => {
                        unclear.fetch_or(error.is(Reason::Unclear), Ordering::Relaxed);
                        Err(error)
                    }
                }
            }
        };
        let answer = self.cx.interruptible(async { Ok(persist(&lanes, send).await) }).await?;
        let etag = match answer {
            Ok(etag) => etag.unwrap_or_default(),
            Err(error) => return Err(self.explain(error).await),
        };
        self.cx.forget(parts);
        if let Some(ledger) = sent.ledger {
            ledger.remove(self.cx).await?;
        }
        Ok(Put { stored: self.stored(&target.key, sent.bytes, etag), undo })
    }

    fn stored(&self, key: &str, bytes: u64, etag: String) -> Stored {
        let object = Object { bucket: self.upload.object.bucket.clone(), key: key.to_owned() };
        Stored { url: url(self.ec2, &object), object, bytes, etag }
    }
}

/// Where clients fetch an object, if they may.
pub fn url(ec2: &Ec2, object: &Object) -> String {
    let path: Vec<String> = object.key.split('/').map(escaped).collect();
    let (bucket, path) = (&object.bucket, path.join("/"));
    match ec2.session.store_endpoint() {
        Some(endpoint) => format!("{}/{bucket}/{path}", endpoint.trim_end_matches('/')),
        None => {
            let region = &ec2.region;
            let end = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://{bucket}.s3.{region}.amazonaws.com{end}/{path}")
        }
    }
}

/// Parts that are there.
struct Sent {
    parts: BTreeMap<u32, Piece>,
    bytes: u64,
    ledger: Option<Ledger>,
}

impl Sent {
    fn note(&mut self, number: u32, piece: Piece) -> Result<()> {
        if let Some(ledger) = &mut self.ledger {
            ledger.add(number, piece.clone())?;
        }
        self.parts.insert(number, piece);
        Ok(())
    }

    fn completed(&self) -> CompletedMultipartUpload {
        let part = |(number, piece): (&u32, &Piece)| {
            CompletedPart::builder()
                .part_number(i32::try_from(*number).unwrap_or(i32::MAX))
                .e_tag(&piece.receipt)
                .checksum_sha256(STANDARD.encode(piece.sum))
                .build()
        };
        CompletedMultipartUpload::builder().set_parts(Some(self.parts.iter().map(part).collect())).build()
    }
}

struct Sender {
    s3: aws_sdk_s3::Client,
    bucket: String,
    target: Target,
    lanes: Mutex<Lanes>,
}

impl Sender {
    async fn put(&self, part: Part) -> Result<(u32, Piece, u64), ApiError> {
        let sum: Sum = part.sum;
        let answer = persist(&self.lanes, || {
            let request = self
                .s3
                .upload_part()
                .bucket(&self.bucket)
                .key(&self.target.key)
                .upload_id(&self.target.id)
                .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
                .checksum_sha256(STANDARD.encode(sum))
                .body(ByteStream::from(part.data.clone()));
            async move { request.send().await.map_err(ApiError::from) }
        })
        .await?;
        Ok((part.number, Piece { sum, receipt: answer.e_tag.unwrap_or_default() }, part.read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_addresses_are_escaped() {
        assert_eq!(tagging(&[("a b".to_owned(), "c&d".to_owned())].into()).unwrap(), "a%20b=c%26d");
        assert_eq!(tagging(&BTreeMap::new()), None);
        let object = Object { bucket: "boxes".into(), key: "org/my box".into() };
        let address = url(&crate::testing::ec2(), &object);
        assert_eq!(address, "https://boxes.s3.eu-west-1.amazonaws.com/org/my%20box");
    }
}
