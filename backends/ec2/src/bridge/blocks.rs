//! A disk in blocks of 512 KiB: which are to be sent, read once and in order, on a thread of their own.

use std::collections::BTreeMap;
use std::path::Path;

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::disk::{self, Disk};
use bakehouse_boxes::gzip::is_zero;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use super::ledger::Sum;

/// EBS direct takes no other size.
pub const BLOCK: u64 = 512 << 10;

/// What becomes of blocks of zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeroes {
    /// What is left out reads back as zeroes.
    LeftOut,
    /// What is left out reads back as anything.
    Sent,
    /// The same, but what was never written may read back as anything.
    SentIfWritten,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub index: u32,
    pub sum: Sum,
    /// None: it is there already.
    pub data: Option<Bytes>,
}

/// What decides which blocks are sent.
#[derive(Debug)]
pub struct Choice {
    pub zeroes: Zeroes,
    /// Blocks of the parent snapshot.
    pub parent: BTreeMap<u32, Sum>,
    /// Blocks that an earlier run has put.
    pub there: BTreeMap<u32, Sum>,
}

/// One message: a block, or how many blocks in a row are passed over.
#[derive(Debug)]
pub enum Step {
    Block(Block),
    Passed(u32),
}

pub fn count(size: u64) -> u64 {
    size.div_ceil(BLOCK)
}

/// Reads the whole disk. Ends early when nobody listens any more.
pub fn read(path: &Path, choice: &Choice, to: &Sender<Step>) -> Result<()> {
    let mut disk = disk::open(path)?;
    let blocks = u32::try_from(count(disk.size()))
        .map_err(|_| Error::new(Kind::Input, "the disk is larger than a volume can be: 64 TiB"))?;
    let zero: Sum = Sha256::digest(vec![0; BLOCK as usize]).into();
    let zero = Zero { data: Bytes::from(vec![0; BLOCK as usize]), sum: zero };
    let mut passed = 0;
    // Empty, or all zeroes.
    let mut buffer = Vec::new();
    for index in 0..blocks {
        let step = choice.step(index, &mut *disk, &mut buffer, &zero)?;
        match step {
            None => passed += 1,
            Some(block) => {
                if passed > 0 && to.blocking_send(Step::Passed(std::mem::take(&mut passed))).is_err() {
                    return Ok(());
                }
                if to.blocking_send(Step::Block(block)).is_err() {
                    return Ok(());
                }
            }
        }
        // So that a long hole shows as progress.
        if passed >= 1024 && to.blocking_send(Step::Passed(std::mem::take(&mut passed))).is_err() {
            return Ok(());
        }
    }
    let _ = to.blocking_send(Step::Passed(passed)); // whoever does not listen needs no progress either
    Ok(())
}

/// A block of zeroes is made once.
struct Zero {
    data: Bytes,
    sum: Sum,
}

impl Choice {
    fn step(&self, index: u32, disk: &mut dyn Disk, buffer: &mut Vec<u8>, zero: &Zero) -> Result<Option<Block>> {
        let offset = u64::from(index) * BLOCK;
        buffer.resize(BLOCK as usize, 0);
        if !disk.read(offset, buffer)? || is_zero(buffer) {
            buffer.clear();
            return self.zeroes(index, disk, zero);
        }
        let sum: Sum = Sha256::digest(&buffer).into();
        let data = Bytes::from(std::mem::take(buffer));
        Ok(self.block(index, sum, data))
    }

    fn zeroes(&self, index: u32, disk: &mut dyn Disk, zero: &Zero) -> Result<Option<Block>> {
        // What the parent or an earlier run has there would show through.
        let covered = self.parent.contains_key(&index) || self.there.contains_key(&index);
        let wanted = match self.zeroes {
            _ if covered => true,
            Zeroes::LeftOut => false,
            Zeroes::Sent => true,
            Zeroes::SentIfWritten => disk.written(u64::from(index) * BLOCK, BLOCK)?,
        };
        Ok(if wanted { self.block(index, zero.sum, zero.data.clone()) } else { None })
    }

    fn block(&self, index: u32, sum: Sum, data: Bytes) -> Option<Block> {
        if let Some(put) = self.there.get(&index) {
            let data = (*put != sum).then_some(data);
            return Some(Block { index, sum, data });
        }
        (self.parent.get(&index) != Some(&sum)).then_some(Block { index, sum, data: Some(data) })
    }
}

/// Over the digests in the order of the blocks.
pub fn linear(sums: &BTreeMap<u32, Sum>) -> Sum {
    let mut hasher = Sha256::new();
    sums.values().for_each(|sum| hasher.update(sum));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    /// Five blocks and a half: data, a hole, zeroes, data, a hole, data at the end.
    fn disk(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("disk");
        let file = File::create(&path).unwrap();
        file.set_len(5 * BLOCK + BLOCK / 2).unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        file.write_all_at(&vec![0; BLOCK as usize], 2 * BLOCK).unwrap();
        file.write_all_at(&[2; 100], 3 * BLOCK + 1000).unwrap();
        file.write_all_at(&[3; 512], 5 * BLOCK + BLOCK / 2 - 512).unwrap();
        path
    }

    fn sent(path: &Path, choice: &Choice) -> (Vec<(u32, bool)>, u32) {
        let (to, mut from) = tokio::sync::mpsc::channel(100);
        read(path, choice, &to).unwrap();
        drop(to);
        let (mut blocks, mut passed) = (Vec::new(), 0);
        while let Some(step) = from.blocking_recv() {
            match step {
                Step::Passed(count) => passed += count,
                Step::Block(block) => {
                    if let Some(data) = &block.data {
                        assert_eq!(data.len() as u64, BLOCK);
                        assert_eq!(<Sum>::from(Sha256::digest(data)), block.sum);
                    }
                    blocks.push((block.index, block.data.is_some()));
                }
            }
        }
        (blocks, passed)
    }

    fn choice(zeroes: Zeroes) -> Choice {
        Choice { zeroes, parent: BTreeMap::new(), there: BTreeMap::new() }
    }

    #[test]
    fn zeroes_are_sent_where_leaving_them_out_would_show() {
        let dir = tempfile::tempdir().unwrap();
        let path = disk(dir.path());
        let new = |indexes: &[u32]| indexes.iter().map(|index| (*index, true)).collect::<Vec<_>>();
        assert_eq!(sent(&path, &choice(Zeroes::LeftOut)), (new(&[0, 3, 5]), 3));
        assert_eq!(sent(&path, &choice(Zeroes::SentIfWritten)), (new(&[0, 2, 3, 5]), 2));
        assert_eq!(sent(&path, &choice(Zeroes::Sent)), (new(&[0, 1, 2, 3, 4, 5]), 0));
    }

    #[test]
    fn only_what_differs_from_the_parent_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = disk(dir.path());
        let mut first = vec![0; BLOCK as usize];
        first[..100].fill(1);
        let same: Sum = Sha256::digest(&first).into();
        let parent = [(0, same), (1, [9; 32]), (3, [9; 32])].into();
        let incremental = Choice { parent, ..choice(Zeroes::LeftOut) };
        assert_eq!(sent(&path, &incremental), (vec![(1, true), (3, true), (5, true)], 3));
    }

    #[test]
    fn what_an_earlier_run_has_put_counts_and_is_not_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = disk(dir.path());
        let mut first = vec![0; BLOCK as usize];
        first[..100].fill(1);
        let same: Sum = Sha256::digest(&first).into();
        let resumed = Choice { there: [(0, same), (4, [9; 32])].into(), ..choice(Zeroes::LeftOut) };
        assert_eq!(sent(&path, &resumed), (vec![(0, false), (3, true), (4, true), (5, true)], 2));
    }

    #[test]
    fn the_linear_sum_is_over_the_sums_in_order() {
        let sums = [(5, [2; 32]), (1, [1; 32])].into();
        let mut both = [1; 32].to_vec();
        both.extend([2; 32]);
        assert_eq!(linear(&sums), <Sum>::from(Sha256::digest(both)));
    }
}
