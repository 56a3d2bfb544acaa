//! gzip by blocks: each block is a member of its own, which readers put together.

use std::io;

use libdeflater::{CompressionLvl, Compressor, crc32};

use crate::parallel::Encode;

/// Blocks of this size cost no more than a thousandth in ratio.
pub const BLOCK: usize = 1024 * 1024;
const HEADER: [u8; 10] = [31, 139, 8, 0, 0, 0, 0, 0, 0, 255];

pub fn deflater(level: u32) -> io::Result<Compressor> {
    let level = CompressionLvl::new(level as i32).map_err(|error| io::Error::other(format!("{error:?}")))?;
    Ok(Compressor::new(level))
}

/// One member of each block. Disks are full of zeroes: a block of them is compressed once.
pub fn encoder(level: u32) -> io::Result<Encode> {
    let mut compressor = deflater(level)?;
    let mut zeroes: Option<(usize, Vec<u8>)> = None;
    Ok(Box::new(move |block| {
        let zero = is_zero(block);
        if let Some((size, known)) = zeroes.as_ref().filter(|_| zero)
            && *size == block.len()
        {
            return Ok(known.clone());
        }
        let mut out = vec![0; compressor.gzip_compress_bound(block.len())];
        let size = compressor.gzip_compress(block, &mut out).map_err(io::Error::other)?;
        out.truncate(size);
        if zero {
            zeroes = Some((block.len(), out.clone()));
        }
        Ok(out)
    }))
}

/// A member that is not compressed, so that bytes of the same number can replace its own.
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u16;
    debug_assert_eq!(usize::from(len), bytes.len(), "a stored block holds less than 64 KiB");
    let mut member = HEADER.to_vec();
    member.push(1); // the last block, stored
    member.extend(len.to_le_bytes());
    member.extend((!len).to_le_bytes());
    member.extend(bytes);
    member.extend(crc32(bytes).to_le_bytes());
    member.extend(u32::from(len).to_le_bytes());
    member
}

pub fn is_zero(bytes: &[u8]) -> bool {
    let (head, middle, tail) = (&bytes[..bytes.len() % 64], &bytes[bytes.len() % 64..], 0u8);
    head.iter().all(|byte| *byte == tail) && middle.chunks_exact(64).all(|chunk| chunk == [0; 64])
}
