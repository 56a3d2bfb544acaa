//! The drivers in an initramfs: cpio archives one after another, the first of them plain (processor microcode), the
//! last compressed.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// Both far beyond what a machine would unpack into its memory at boot.
const MOST: u64 = 2 << 30;
const MAX_NAME: usize = 4096;
const MAX_LIST: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    #[error("it is compressed by {0}, for which there is no reader here")]
    Compression(&'static str),
    #[error("it is no archive that a kernel would unpack")]
    Unknown,
    #[error("it is damaged: {0}")]
    Damaged(#[from] io::Error),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Names of modules, as [`module`] writes them.
    pub modules: BTreeSet<String>,
    /// What the kernel has built in, where the archive lists that.
    pub builtin: BTreeSet<String>,
}

/// `usr/lib/modules/6.1/kernel/drivers/nvme/host/nvme-core.ko.xz` is `nvme_core`.
pub fn module(path: &str) -> Option<String> {
    let (stem, ending) = path.rsplit('/').next()?.split_once(".ko")?;
    ["", ".gz", ".xz", ".zst"].contains(&ending).then(|| stem.replace('-', "_"))
}

pub fn read(bytes: &[u8]) -> Result<Contents, InitramfsError> {
    let mut contents = Contents::default();
    let mut rest = unpadded(bytes);
    while !rest.is_empty() {
        if rest.starts_with(b"0707") {
            let mut archive = Archive { from: rest, read: 0 };
            archive.entries(&mut contents)?;
            rest = unpadded(archive.from);
        } else {
            let mut unpacked = Archive { from: decompressed(rest)?.take(MOST), read: 0 };
            while unpacked.entries(&mut contents)? {}
            break; // a decompressor takes all that follows
        }
    }
    Ok(contents)
}

fn unpadded(bytes: &[u8]) -> &[u8] {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeroes..]
}

fn decompressed(bytes: &[u8]) -> Result<Box<dyn Read + '_>, InitramfsError> {
    let is = |magic: &[u8]| bytes.starts_with(magic);
    Ok(match () {
        () if is(b"\x1f\x8b") => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        () if is(b"\xfd7zXZ\0") => Box::new(liblzma::read::XzDecoder::new_multi_decoder(bytes)),
        () if is(b"\x5d\0\0") => {
            let stream = liblzma::stream::Stream::new_lzma_decoder(256 << 20).map_err(io::Error::other)?;
            Box::new(liblzma::read::XzDecoder::new_stream(bytes, stream))
        }
        () if is(b"\x28\xb5\x2f\xfd") => Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?),
        () if is(b"\x02\x21\x4c\x18") || is(b"\x04\x22\x4d\x18") => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
        () if is(b"BZh") => return Err(InitramfsError::Compression("bzip2")),
        () if is(b"\x89LZO") => return Err(InitramfsError::Compression("lzop")),
        () => return Err(InitramfsError::Unknown),
    })
}

/// A cpio in the "new ASCII" form.
struct Archive<R> {
    from: R,
    read: u64,
}

impl<R: Read> Archive<R> {
    /// Reads up to the trailer. False: there was nothing any more.
    fn entries(&mut self, contents: &mut Contents) -> Result<bool, InitramfsError> {
        let Some(mut header) = self.first_header()? else { return Ok(false) };
        loop {
            let name_size = field(&header, 11)? as usize;
            let size = field(&header, 6)?;
            if name_size > MAX_NAME {
                return Err(damaged("a name in it is too long"));
            }
            let mut name = vec![0; name_size];
            self.fill(&mut name)?;
            self.pad()?;
            let name = String::from_utf8_lossy(&name);
            let name = name.trim_end_matches('\0');
            if name == "TRAILER!!!" {
                return Ok(true);
            }
            self.entry(name, u64::from(size), contents)?;
            self.pad()?;
            self.fill(&mut header)?;
        }
    }

    fn entry(&mut self, name: &str, size: u64, contents: &mut Contents) -> Result<(), InitramfsError> {
        let in_modules = name.contains("lib/modules/");
        contents.modules.extend(in_modules.then(|| module(name)).flatten());
        let is_list = in_modules && name.ends_with("/modules.builtin") && size <= MAX_LIST as u64;
        if is_list {
            let mut list = vec![0; size as usize];
            self.fill(&mut list)?;
            contents.builtin.extend(String::from_utf8_lossy(&list).lines().filter_map(module));
            return Ok(());
        }
        let skipped = io::copy(&mut self.from.by_ref().take(size), &mut io::sink())?;
        self.read += skipped;
        if skipped < size { Err(damaged("it is cut short")) } else { Ok(()) }
    }

    /// Archives in one stream stand apart by zeroes.
    fn first_header(&mut self) -> Result<Option<[u8; 110]>, InitramfsError> {
        let mut header = [0; 110];
        loop {
            if self.from.read(&mut header[..1])? == 0 {
                return Ok(None);
            }
            self.read += 1;
            if header[0] != 0 {
                break;
            }
        }
        self.fill(&mut header[1..])?;
        Ok(Some(header))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), InitramfsError> {
        self.from.read_exact(buffer)?;
        self.read += buffer.len() as u64;
        Ok(())
    }

    /// Names and contents end at a multiple of four.
    fn pad(&mut self) -> Result<(), InitramfsError> {
        let mut zeroes = [0; 3];
        let length = (self.read.next_multiple_of(4) - self.read) as usize;
        self.fill(&mut zeroes[..length])
    }
}

/// Eight hexadecimal digits each, behind the magic number.
fn field(header: &[u8; 110], index: usize) -> Result<u32, InitramfsError> {
    let magic = header.starts_with(b"070701") || header.starts_with(b"070702");
    let digits = std::str::from_utf8(&header[6 + index * 8..14 + index * 8]).ok().filter(|_| magic);
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(|| damaged("a header in it is none"))
}

fn damaged(why: &str) -> InitramfsError {
    InitramfsError::Damaged(io::Error::other(why))
}

#[cfg(test)]
mod tests;
