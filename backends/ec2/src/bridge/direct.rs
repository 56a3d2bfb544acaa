//! A disk becomes a snapshot block by block, by EBS direct: no bucket, no role, nothing sent that need not be. Many puts
//! are under way at once, of which each has its digest; the digest over all of them closes the snapshot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::SnapshotState;
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::channel;
use tokio::task::JoinSet;

use super::blocks::{self, BLOCK, Block, Choice, Step, Zeroes, linear};
use super::lanes::{Lanes, lock, persist};
use super::ledger::{FileState, Ledger, Piece, Sum};
use super::meter::Meter;
use super::source::Source;
use super::{parent, undo};
use crate::client::{ApiError, Ec2, Pace, Reason, token};
use crate::held::{self, RUN_TAG, Thing, acquire};
use crate::volumes::{self, Shot};

/// Minutes for which a snapshot waits for the next block: an upload that was cut off may go on so long after.
const TIMEOUT: i32 = 12 * 60;
/// What the service takes of one snapshot: a thousand puts a second, of a tenth of a second each.
pub const LANES: usize = 64;
/// Read ahead of the puts.
const AHEAD: usize = 8;

/// How a snapshot is to be made.
pub struct Order<'a> {
    /// The account's number.
    pub account: &'a str,
    pub gib: u32,
    pub description: &'a str,
    pub tags: &'a [(String, String)],
    pub encrypted: bool,
    /// ARN of the key; none: the account's own.
    pub key: Option<String>,
    pub parent: Option<&'a str>,
    /// Blocks that were never written may read back as anything.
    pub skip_unwritten: bool,
    pub lanes: usize,
    pub pace: Pace,
}

pub struct Filled {
    pub shot: Shot,
    /// Bytes that were sent in this run.
    pub sent: u64,
}

/// Everything that decides which blocks go where.
#[derive(Serialize)]
struct Place<'a> {
    file: FileState,
    account: &'a str,
    region: &'a str,
    endpoint: Option<&'a str>,
    gib: u32,
    encrypted: bool,
    key: &'a Option<String>,
    parent: Option<&'a str>,
    skip_unwritten: bool,
}

/// What the ledger says of the snapshot.
#[derive(Clone, Serialize, Deserialize)]
struct Target {
    snapshot: String,
    encrypted: bool,
}

/// A snapshot that takes blocks.
struct Pending {
    target: Target,
    undo: UndoId,
    /// None where another process sends the same disk to the same place.
    ledger: Option<Ledger>,
}

/// A snapshot of the disk, complete.
pub async fn snapshot(cx: &Cx, ec2: &Ec2, source: &Source, order: &Order<'_>) -> Result<Filled> {
    let parent = match order.parent {
        Some(id) => parent::sums(cx, ec2, id, order.lanes).await?,
        None => BTreeMap::new(),
    };
    let mut pending = begin(cx, ec2, source, order).await?;
    let there = pending.ledger.iter().flat_map(|ledger| &ledger.pieces);
    let there: BTreeMap<u32, Sum> = there.map(|(index, piece)| (*index, piece.sum)).collect();
    let choice = Choice { zeroes: zeroes(cx, &pending.target, source, order), parent, there };
    let id = pending.target.snapshot.clone();
    let doing = format!("sending {} to {id}", source.label());
    let parent = choice.parent.clone();
    let (sums, sent) =
        fill(cx, ec2, &mut pending, source, choice, order.lanes).await.map_err(|error| error.context(&doing))?;
    close(cx, ec2, &id, &sums).await?;
    cx.say(format!("Waiting for the snapshot {id} to complete"));
    volumes::complete(cx, ec2, &id, order.pace).await?;
    parent::remember(cx, &id, parent.into_iter().chain(sums).collect());
    if let Some(ledger) = pending.ledger {
        ledger.remove(cx).await?;
    }
    Ok(Filled { shot: Shot { id, undo: pending.undo }, sent })
}

fn zeroes(cx: &Cx, target: &Target, source: &Source, order: &Order<'_>) -> Zeroes {
    match (target.encrypted, order.skip_unwritten && !source.rewritten) {
        (false, _) => Zeroes::LeftOut,
        (true, true) => Zeroes::SentIfWritten,
        (true, false) => {
            cx.message("Sending zeroes too: what is left out of an encrypted snapshot reads back as anything");
            Zeroes::Sent
        }
    }
}

async fn begin(cx: &Cx, ec2: &Ec2, source: &Source, order: &Order<'_>) -> Result<Pending> {
    let path = Ledger::place(
        cx,
        &Place {
            file: FileState::of(&source.origin, source.number)?,
            account: order.account,
            region: &ec2.region,
            endpoint: ec2.session.config.endpoint_url(),
            gib: order.gib,
            encrypted: order.encrypted,
            key: &order.key,
            parent: order.parent,
            skip_unwritten: order.skip_unwritten,
        },
    );
    if let Some((target, ledger)) = Ledger::resume::<Target>(cx, &path)? {
        if takes_blocks(ec2, &target.snapshot).await? {
            let undo = take_over(cx, ec2, &target.snapshot).await?;
            let count = ledger.pieces.len();
            cx.say(format!("Going on with {}: {count} blocks are there already", target.snapshot));
            return Ok(Pending { target, undo, ledger: Some(ledger) });
        }
        ledger.remove(cx).await?;
    }
    let (target, undo) = start(cx, ec2, order).await?;
    let ledger = Ledger::create(cx, &path, &target)?;
    Ok(Pending { target, undo, ledger })
}

async fn takes_blocks(ec2: &Ec2, id: &str) -> Result<bool> {
    let answer = match ec2.api.describe_snapshots().snapshot_ids(id).send().await.map_err(ApiError::from) {
        Ok(answer) => answer,
        Err(error) if error.is(Reason::NotFound) => return Ok(false),
        Err(error) => return Err(ec2.explain(format!("looking at the unfinished snapshot {id}"), error).await),
    };
    let snapshot = answer.snapshots().first();
    let pending = snapshot.is_some_and(|it| it.state() == Some(&SnapshotState::Pending));
    let ours = snapshot.is_some_and(|it| undo::value(it.tags(), RUN_TAG).is_some());
    Ok(pending && ours)
}

/// From here on it is this run's to remove, and no other's.
async fn take_over(cx: &Cx, ec2: &Ec2, id: &str) -> Result<UndoId> {
    let token = token(cx);
    let undo = cx.hold(held::undo(ec2, &Thing::Upload { token: token.clone(), id: Some(id.to_owned()) }, true))?;
    let mark = aws_sdk_ec2::types::Tag::builder().key(RUN_TAG).value(token).build();
    match ec2.api.create_tags().resources(id).tags(mark).send().await {
        Ok(_) => Ok(undo),
        Err(error) => Err(ec2.explain(format!("taking over the unfinished snapshot {id}"), error).await),
    }
}

async fn start(cx: &Cx, ec2: &Ec2, order: &Order<'_>) -> Result<(Target, UndoId)> {
    cx.say(format!("Starting a snapshot of {} GiB in {}", order.gib, ec2.region));
    let token = token(cx);
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let mut tags: Vec<Tag> = order.tags.iter().map(|(key, value)| tag(key, value)).collect();
    tags.push(tag(RUN_TAG, &token));
    let mut request = ec2
        .ebs()
        .start_snapshot()
        .volume_size(i64::from(order.gib))
        .description(order.description)
        .set_tags(Some(tags))
        .client_token(&token)
        .timeout(TIMEOUT);
    match order.parent {
        // It brings its own encryption.
        Some(parent) => request = request.parent_snapshot_id(parent),
        None if order.encrypted => request = request.encrypted(true).set_kms_key_arn(order.key.clone()),
        None => {}
    }
    let thing = |id| Thing::Upload { token: token.clone(), id };
    let (answer, undo) = acquire(cx, ec2, "starting a snapshot", thing(None), async {
        let answer = request.send().await.map_err(ApiError::from)?;
        let id = answer.snapshot_id.clone();
        Ok((answer, thing(id)))
    })
    .await?;
    // The account may encrypt everything, and a parent may be encrypted.
    let encrypted = answer.kms_key_arn().is_some();
    let id = answer.snapshot_id.ok_or_else(|| Error::new(Kind::Host, "AWS began a snapshot and did not say which"))?;
    cx.message(format!("Snapshot: {id}"));
    Ok((Target { snapshot: id, encrypted }, undo))
}

/// Puts every block that is missing; gives the digests of all that are put.
async fn fill(
    cx: &Cx,
    ec2: &Ec2,
    pending: &mut Pending,
    source: &Source,
    choice: Choice,
    most: usize,
) -> Result<(BTreeMap<u32, Sum>, u64)> {
    let (to, mut steps) = channel(AHEAD);
    let path = source.path.clone();
    let reader = tokio::task::spawn_blocking(move || blocks::read(&path, &choice, &to));
    let putter = Arc::new(Putter {
        ebs: ec2.ebs(),
        snapshot: pending.target.snapshot.clone(),
        lanes: Mutex::new(Lanes::new(most)),
    });
    let mut meter = Meter::new(cx, "upload", source.size, Unit::Bytes);
    let mut puts: JoinSet<Result<(u32, Sum), ApiError>> = JoinSet::new();
    let (mut sums, mut sent, mut more) = (BTreeMap::new(), 0, true);
    while more || !puts.is_empty() {
        let room = puts.len() < lock(&putter.lanes).open();
        tokio::select! {
            step = steps.recv(), if more && room => match step {
                None => more = false,
                Some(Step::Passed(count)) => meter.add(u64::from(count) * BLOCK),
                Some(Step::Block(Block { index, sum, data: None })) => {
                    sums.insert(index, sum);
                    meter.add(BLOCK);
                }
                Some(Step::Block(Block { index, sum, data: Some(data) })) => {
                    let putter = putter.clone();
                    puts.spawn(async move { putter.put(index, sum, data).await.map(|()| (index, sum)) });
                }
            },
            Some(put) = puts.join_next(), if !puts.is_empty() => {
                let put = put.map_err(|error| Error::new(Kind::Internal, error))?;
                let (index, sum) = match put {
                    Ok(put) => put,
                    Err(error) => return Err(ec2.explain("putting a block", error).await),
                };
                if let Some(ledger) = &mut pending.ledger {
                    ledger.add(index, Piece { sum, receipt: String::new() })?;
                }
                sums.insert(index, sum);
                sent += BLOCK;
                meter.add(BLOCK);
            },
        }
    }
    reader.await.map_err(|error| Error::new(Kind::Internal, error))??;
    meter.finish();
    Ok((sums, sent))
}

struct Putter {
    ebs: aws_sdk_ebs::Client,
    snapshot: String,
    lanes: Mutex<Lanes>,
}

impl Putter {
    async fn put(&self, index: u32, sum: Sum, data: bytes::Bytes) -> Result<(), ApiError> {
        persist(&self.lanes, || {
            // A volume of 64 TiB has 2^27 blocks.
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            let request = self
                .ebs
                .put_snapshot_block()
                .snapshot_id(&self.snapshot)
                .block_index(index)
                .data_length(BLOCK as i32)
                .checksum(STANDARD.encode(sum))
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
                .block_data(ByteStream::from(data.clone()));
            async move { request.send().await.map(drop).map_err(ApiError::from) }
        })
        .await
    }
}

/// Says that all blocks are there. A request whose answer was lost may have been carried out: then it is refused the
/// next time, and the state of the snapshot tells.
async fn close(cx: &Cx, ec2: &Ec2, id: &str, sums: &BTreeMap<u32, Sum>) -> Result<()> {
    let ebs = ec2.ebs();
    let count = i32::try_from(sums.len()).unwrap_or(i32::MAX);
    let once = aws_sdk_ebs::config::Builder::new().retry_config(RetryConfig::disabled());
    let lanes = Mutex::new(Lanes::new(1));
    let unclear = AtomicBool::new(false);
    let work = persist(&lanes, || {
        let request = ebs.complete_snapshot().snapshot_id(id).changed_blocks_count(count);
        // Of a disk that is as its parent there is nothing to sum up.
        let request = match sums.is_empty() {
            true => request,
            false => request
                .checksum(STANDARD.encode(linear(sums)))
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
                .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear),
        };
        let request = request.customize().config_override(once.clone());
        let unclear = &unclear;
        async move {
            match request.send().await.map_err(ApiError::from) {
                Err(error) if error.is(Reason::Refused) && unclear.load(Ordering::Relaxed) => Ok(()),
                Err(error) => {
                    unclear.fetch_or(error.is(Reason::Unclear), Ordering::Relaxed);
                    Err(error)
                }
                Ok(_) => Ok(()),
            }
        }
    });
    let closed = tokio::select! {
        closed = work => closed,
        () = cx.cancel().cancelled() => return Err(Error::interrupted()),
    };
    match closed {
        Ok(()) => Ok(()),
        Err(error) => Err(ec2.explain(format!("completing the snapshot {id}"), error).await),
    }
}
