//! The blocks of a snapshot, read by EBS direct: what there is, and each with its digest.

use std::sync::Mutex;

use aws_sdk_ebs::types::ChecksumAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::blocks::BLOCK;
use super::lanes::{Lanes, lock, persist};
use super::ledger::Sum;
use crate::client::{ApiError, Ec2, Reason};

pub struct Reader {
    ebs: aws_sdk_ebs::Client,
    id: String,
    lanes: Mutex<Lanes>,
}

pub struct Listing {
    /// Indexes with the tokens by which the blocks are read. What is not listed was never written.
    pub blocks: Vec<(u32, String)>,
    /// Of the volume.
    pub gib: u64,
}

pub struct Block {
    pub data: Bytes,
    pub sum: Sum,
}

impl Reader {
    pub fn new(ec2: &Ec2, id: &str, most: usize) -> Self {
        Self { ebs: ec2.ebs(), id: id.to_owned(), lanes: Mutex::new(Lanes::new(most)) }
    }

    /// How many requests may be under way.
    pub fn room(&self) -> usize {
        lock(&self.lanes).open()
    }

    pub async fn list(&self) -> Result<Listing, ApiError> {
        let mut listing = Listing { blocks: Vec::new(), gib: 0 };
        let mut next: Option<String> = None;
        loop {
            let page = persist(&self.lanes, || {
                let request = self.ebs.list_snapshot_blocks().snapshot_id(&self.id).set_next_token(next.clone());
                async move { request.send().await.map_err(ApiError::from) }
            })
            .await?;
            if page.block_size().is_some_and(|size| u64::try_from(size) != Ok(BLOCK)) {
                return Err(strange(format!("the blocks of {} have {:?} bytes", self.id, page.block_size())));
            }
            listing.gib = page.volume_size().and_then(|gib| u64::try_from(gib).ok()).unwrap_or(listing.gib);
            let listed = page.blocks().iter().filter_map(|block| {
                let index = u32::try_from(block.block_index()?).ok()?;
                Some((index, block.block_token()?.to_owned()))
            });
            listing.blocks.extend(listed);
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(listing);
            }
        }
    }

    /// One that does not have the digest it is said to have is asked for again.
    pub async fn block(&self, index: u32, token: &str) -> Result<Block, ApiError> {
        persist(&self.lanes, || {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            let request = self.ebs.get_snapshot_block().snapshot_id(&self.id).block_index(index).block_token(token);
            async move {
                let answer = request.send().await?;
                let said = answer.checksum().map(str::to_owned);
                let sha256 =
                    answer.checksum_algorithm().is_none_or(|it| *it == ChecksumAlgorithm::ChecksumAlgorithmSha256);
                let data = answer.block_data.collect().await.map_err(|error| unclear(error.to_string()))?.into_bytes();
                let sum: Sum = Sha256::digest(&data).into();
                let whole =
                    data.len() as u64 == BLOCK && said.is_none_or(|said| !sha256 || said == STANDARD.encode(sum));
                if whole { Ok(Block { data, sum }) } else { Err(unclear(format!("block {index} arrived damaged"))) }
            }
        })
        .await
    }
}

/// Worth another try.
fn unclear(message: String) -> ApiError {
    ApiError { reason: Reason::Unclear, code: String::new(), message, request_id: None }
}

fn strange(message: String) -> ApiError {
    ApiError { reason: Reason::Refused, code: String::new(), message, request_id: None }
}
