//! What a snapshot holds already that another one starts from: the digests of its blocks. Those of snapshots that were
//! made here are kept; of others the blocks have to be read once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_ec2::types::Image;
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Result};
use tokio::task::JoinSet;

use super::blocks::BLOCK;
use super::ledger::Sum;
use super::meter::Meter;
use super::reader::Reader;
use crate::client::{ApiError, Ec2, Reason};

const RECORD: usize = 4 + 32;

pub type Sums = BTreeMap<u32, Sum>;

pub async fn sums(cx: &Cx, ec2: &Ec2, id: &str, lanes: usize) -> Result<Sums> {
    if let Some(known) = recall(cx, id) {
        return Ok(known);
    }
    cx.say(format!("Reading the parent snapshot {id}"));
    let read = cx.interruptible(read(cx, ec2, id, lanes)).await?;
    remember(cx, id, read.clone());
    Ok(read)
}

/// The snapshot of an image's root, where its digests are known and a snapshot of so many GiB may start from it.
pub fn of_image(cx: &Cx, image: &Image, gib: u32) -> Option<String> {
    let root = image.root_device_name()?;
    let device = image.block_device_mappings().iter().find(|device| device.device_name() == Some(root))?;
    let ebs = device.ebs().filter(|ebs| ebs.encrypted() != Some(true))?;
    let fits = ebs.volume_size().is_some_and(|size| u32::try_from(size).is_ok_and(|size| size <= gib));
    let id = ebs.snapshot_id().filter(|id| fits && recall(cx, id).is_some())?;
    cx.message(format!("Starting from {id}, the snapshot of the image that is replaced"));
    Some(id.to_owned())
}

async fn read(cx: &Cx, ec2: &Ec2, id: &str, most: usize) -> Result<Sums> {
    let reader = Arc::new(Reader::new(ec2, id, most));
    let mut waiting = match reader.list().await {
        Ok(listing) => listing.blocks,
        Err(error) => return Err(explained(ec2, id, error).await),
    };
    let mut meter = Meter::new(cx, "read the parent", waiting.len() as u64 * BLOCK, Unit::Bytes);
    let mut reads: JoinSet<Result<(u32, Sum), ApiError>> = JoinSet::new();
    let mut sums = Sums::new();
    while !waiting.is_empty() || !reads.is_empty() {
        while reads.len() < reader.room()
            && let Some((index, token)) = waiting.pop()
        {
            let reader = reader.clone();
            reads.spawn(async move { reader.block(index, &token).await.map(|block| (index, block.sum)) });
        }
        let Some(read) = reads.join_next().await else { continue };
        match read.map_err(|error| Error::new(Kind::Internal, error))? {
            Ok((index, sum)) => sums.insert(index, sum),
            Err(error) => return Err(explained(ec2, id, error).await),
        };
        meter.add(BLOCK);
    }
    meter.finish();
    Ok(sums)
}

async fn explained(ec2: &Ec2, id: &str, error: ApiError) -> Error {
    let missing = error.is(Reason::NotFound);
    let error = ec2.explain(format!("reading the parent snapshot {id}"), error).await;
    if missing {
        error.hint("a parent is a completed snapshot of this account, in the region of the import")
    } else {
        error
    }
}

fn place(cx: &Cx, id: &str) -> PathBuf {
    cx.settings().cache.join("snapshots").join(id)
}

/// Without a note the blocks are only read again: a cache that cannot be written is no failure.
pub fn remember(cx: &Cx, id: &str, sums: Sums) {
    let write = || -> std::io::Result<()> {
        let path = place(cx, id);
        let folder = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(folder)?;
        let records: Vec<u8> =
            sums.iter().flat_map(|(index, sum)| index.to_le_bytes().into_iter().chain(sum.iter().copied())).collect();
        let mut made = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut made, &records)?;
        made.persist(&path)?;
        Ok(())
    };
    let _ = write();
}

/// A snapshot never changes, nor is its id used again.
fn recall(cx: &Cx, id: &str) -> Option<Sums> {
    let bytes = std::fs::read(place(cx, id)).ok()?;
    let record = |record: &[u8]| Some((u32::from_le_bytes(record[..4].try_into().ok()?), record[4..].try_into().ok()?));
    (bytes.len() % RECORD == 0).then(|| bytes.chunks_exact(RECORD).map(record).collect())?
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    #[test]
    fn the_digests_of_a_snapshot_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        assert_eq!(recall(&cx, "snap-1"), None);
        let sums: Sums = [(3, [3; 32]), (70_000, [7; 32])].into();
        remember(&cx, "snap-1", sums.clone());
        assert_eq!(recall(&cx, "snap-1"), Some(sums));
        std::fs::write(place(&cx, "snap-2"), [0; 35]).unwrap();
        assert_eq!(recall(&cx, "snap-2"), None);
    }
}
