//! Zstandard by blocks: each block is a frame of its own, which readers put together.

use std::io;

use crate::parallel::Encode;

/// As long as the window of the usual levels: what lies further back is hardly found anyway.
pub const BLOCK: usize = 4 * 1024 * 1024;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub fn encoder(level: u32) -> io::Result<Encode> {
    let mut compressor = zstd::bulk::Compressor::new(level as i32)?;
    Ok(Box::new(move |block| compressor.compress(block)))
}

/// A frame of one raw block, so that bytes of the same number can replace its own. `bytes` are 256 to
/// 65,791, which is what a frame header with two bytes of size can say.
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    debug_assert!((256..256 + 65_536).contains(&bytes.len()));
    let mut frame = MAGIC.to_vec();
    frame.push(0b0110_0000); // a single segment, its size in two bytes
    frame.extend(((bytes.len() - 256) as u16).to_le_bytes());
    let block = (bytes.len() as u32) << 3 | 1; // the last block, raw
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}
