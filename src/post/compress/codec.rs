//! The compressors, behind one writer. All bound their memory.

use std::io::{self, Write};

use bakehouse_boxes::gzip::{self, deflater};
use bakehouse_boxes::parallel::{Encode, Parallel, threads};
use bzip2::write::BzEncoder;
use libdeflater::crc32;
use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;

use super::format::Codec;

/// What BGZF allows, with room for a block that does not compress.
const BGZF_BLOCK: usize = 0xff00;
/// An empty block, which tells a complete file from a cut one.
const BGZF_END: [u8; 28] = [31, 139, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0, 66, 67, 2, 0, 27, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const DEFAULT_LEVEL: u32 = 6;

pub enum Encoder<W: Write> {
    Plain(W),
    Gzip(Parallel<W>),
    Bgzf(Parallel<W>),
    Bzip2(Parallel<W>),
    Lz4(lz4::Encoder<W>),
    Xz(XzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    pub fn new(codec: Codec, level: Option<u32>, inner: W) -> io::Result<Self> {
        let usual = level.unwrap_or(DEFAULT_LEVEL);
        Ok(match codec {
            Codec::None => Self::Plain(inner),
            Codec::Gzip => Self::Gzip(Parallel::new(inner, gzip::BLOCK, || gzip::encoder(usual))?),
            Codec::Bgzf => Self::Bgzf(Parallel::new(inner, BGZF_BLOCK, || bgzf(usual))?),
            // One stream is one block of bzip2 itself, whose size is the level.
            Codec::Bzip2 => Self::Bzip2(Parallel::new(inner, usual as usize * 100_000 - 1_000, || Ok(bzip2(usual)))?),
            Codec::Lz4 => Self::Lz4(lz4::EncoderBuilder::new().level(level.unwrap_or(1)).build(inner)?),
            Codec::Xz => {
                let stream = MtStreamBuilder::new()
                    .threads(threads() as u32)
                    .preset(usual)
                    .check(Check::Crc64)
                    .encoder()
                    .map_err(io::Error::other)?;
                Self::Xz(XzEncoder::new_stream(inner, stream))
            }
        })
    }

    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) => Ok(inner),
            Self::Gzip(encoder) | Self::Bzip2(encoder) => encoder.finish(),
            Self::Bgzf(encoder) => {
                let mut inner = encoder.finish()?;
                inner.write_all(&BGZF_END)?;
                Ok(inner)
            }
            Self::Lz4(encoder) => {
                let (inner, done) = encoder.finish();
                done.map(|()| inner)
            }
            Self::Xz(encoder) => encoder.finish(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(inner) => inner,
            Self::Gzip(encoder) | Self::Bgzf(encoder) | Self::Bzip2(encoder) => encoder,
            Self::Lz4(encoder) => encoder,
            Self::Xz(encoder) => encoder,
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

fn overflow(error: libdeflater::CompressionError) -> io::Error {
    io::Error::other(error.to_string())
}

/// gzip members that carry their own compressed size, so that a reader can jump between them.
fn bgzf(level: u32) -> io::Result<Encode> {
    let mut compressor = deflater(level)?;
    let mut store = deflater(0)?;
    Ok(Box::new(move |block| {
        if block.is_empty() {
            return Ok(Vec::new()); // the end block alone is an empty file
        }
        let mut deflated = vec![0; compressor.deflate_compress_bound(block.len())];
        let mut size = compressor.deflate_compress(block, &mut deflated).map_err(overflow)?;
        if size + 26 > 1 << 16 {
            deflated.resize(store.deflate_compress_bound(block.len()), 0);
            size = store.deflate_compress(block, &mut deflated).map_err(overflow)?;
        }
        let last = u16::try_from(size + 25).map_err(io::Error::other)?;
        let mut out = BGZF_END[..16].to_vec();
        out.extend(last.to_le_bytes());
        out.extend(&deflated[..size]);
        out.extend(crc32(block).to_le_bytes());
        out.extend((block.len() as u32).to_le_bytes());
        Ok(out)
    }))
}

fn bzip2(level: u32) -> Encode {
    Box::new(move |block| {
        let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
        encoder.write_all(block)?;
        encoder.finish()
    })
}
