//! A snapshot becomes a disk of this machine: many blocks at once, each checked as it arrives and written where it
//! belongs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Result};
use bakehouse_kit::disks::blocking;
use tokio::task::JoinSet;

use super::blocks::BLOCK;
use super::ledger::Sum;
use super::meter::Meter;
use super::reader::{Listing, Reader};
use super::received::{self, Received};
use crate::client::{ApiError, Ec2, Reason};

pub struct Fetched {
    pub path: PathBuf,
    /// Of the volume.
    pub size: u64,
    pub received: u64,
}

/// What went wrong with one block.
enum Failure {
    Api(ApiError),
    Disk(std::io::Error),
}

pub async fn snapshot(cx: &Cx, ec2: &Ec2, id: &str, path: &Path, most: usize) -> Result<Fetched> {
    let reader = Arc::new(Reader::new(ec2, id, most));
    let listing = match reader.list().await {
        Ok(listing) => listing,
        Err(error) => return Err(explained(ec2, id, error).await),
    };
    let size = listing.gib << 30;
    let beyond = listing.blocks.iter().find(|(index, _)| (u64::from(*index) + 1) * BLOCK > size);
    if let Some((index, _)) = beyond {
        let error = format!("{id} is said to have {} GiB, and lists the block {index}, which lies beyond", listing.gib);
        return Err(Error::new(Kind::Host, error));
    }
    let (to, of) = (path.to_owned(), id.to_owned());
    let mut received = blocking(cx, move || Received::open(&to, &of, size)).await?;
    let fetched = blocks(cx, ec2, reader, id, listing, &mut received).await?;
    let path = blocking(cx, move || received.finish()).await?;
    Ok(Fetched { path, size, received: fetched })
}

/// Receives every block that is missing; gives their bytes.
async fn blocks(
    cx: &Cx,
    ec2: &Ec2,
    reader: Arc<Reader>,
    id: &str,
    listing: Listing,
    received: &mut Received,
) -> Result<u64> {
    let all = listing.blocks.len() as u64;
    let mut waiting = listing.blocks;
    waiting.retain(|(index, _)| !received.there.contains_key(index));
    waiting.reverse(); // taken from the end, so that they come in the order of the disk
    let missing = waiting.len() as u64;
    if missing < all {
        cx.say(format!(
            "Going on with {}: {} of {all} blocks are there already",
            received.path.display(),
            all - missing
        ));
    }
    let mut meter = Meter::new(cx, format!("read {id}"), all * BLOCK, Unit::Bytes);
    meter.add((all - missing) * BLOCK);
    let mut reads: JoinSet<Result<(u32, Sum), Failure>> = JoinSet::new();
    while !waiting.is_empty() || !reads.is_empty() {
        while reads.len() < reader.room()
            && let Some((index, token)) = waiting.pop()
        {
            let (reader, disk) = (reader.clone(), received.disk());
            reads.spawn(async move {
                let block = reader.block(index, &token).await.map_err(Failure::Api)?;
                let written = tokio::task::spawn_blocking(move || received::write(&disk, index, &block.data)).await;
                written.map_err(std::io::Error::other).flatten().map_err(Failure::Disk)?;
                Ok((index, block.sum))
            });
        }
        let Some(read) = reads.join_next().await else { continue };
        match read.map_err(|error| Error::new(Kind::Internal, error))? {
            Ok((index, sum)) => received.add(index, sum)?,
            Err(Failure::Api(error)) => return Err(explained(ec2, id, error).await),
            Err(Failure::Disk(error)) => {
                return Err(Error::io(format!("writing {}", received.path.display()), &error));
            }
        }
        meter.add(BLOCK);
    }
    meter.finish();
    Ok(missing * BLOCK)
}

async fn explained(ec2: &Ec2, id: &str, error: ApiError) -> Error {
    let reason = error.reason;
    let error = ec2.explain(format!("reading the snapshot {id}"), error).await;
    match reason {
        Reason::Denied => error.hint(
            "this way needs ebs:ListSnapshotBlocks and ebs:GetSnapshotBlock, kms:Decrypt where the snapshot is encrypted, \
             and a snapshot of this account: copy an image of somebody else's first, or take --via image",
        ),
        Reason::NotFound => error.hint("look whether the image is of this account and region: a snapshot that others share cannot be read"),
        _ => error,
    }
}
