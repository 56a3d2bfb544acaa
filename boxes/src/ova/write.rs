//! Writes appliances.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ovf::{self, Descriptor};
use crate::pack::{self, PackError};
use crate::{disk, vmdk};

/// Writes an appliance of disks: descriptor, disks as stream-optimised VMDKs, manifest. One pass.
pub fn write<W: Write + Seek>(
    out: W,
    descriptor: &Descriptor,
    disks: &[PathBuf],
    mtime: u64,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<W, PackError> {
    let mut writer = Writer { out: BufWriter::with_capacity(1 << 20, out), mtime, manifest: String::new() };
    let name = &descriptor.name;
    writer.bytes(&format!("{name}.ovf"), &ovf::to_xml(descriptor)?, true)?;
    let files = descriptor.disks.iter().filter_map(|disk| descriptor.file_of(disk));
    for (file, path) in files.zip(disks) {
        writer.disk(&file.href, path, progress)?;
    }
    let manifest = std::mem::take(&mut writer.manifest);
    writer.bytes(&format!("{name}.mf"), manifest.as_bytes(), false)?;
    writer.out.write_all(&[0; 1024])?; // the end of a tar
    Ok(writer.out.into_inner().map_err(io::IntoInnerError::into_error)?)
}

struct Writer<W: Write + Seek> {
    out: BufWriter<W>,
    mtime: u64,
    manifest: String,
}

impl<W: Write + Seek> Writer<W> {
    fn bytes(&mut self, name: &str, bytes: &[u8], listed: bool) -> Result<(), PackError> {
        let header = pack::header(name, bytes.len() as u64, self.mtime)?;
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len() as u64)?;
        if listed {
            self.list(name, &hex::encode(Sha256::digest(bytes)));
        }
        Ok(())
    }

    fn list(&mut self, name: &str, hex: &str) {
        self.manifest += &format!("SHA256 ({name}) = {hex}\n");
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.out.write_all(&[0; 512][..(size.next_multiple_of(512) - size) as usize])
    }

    /// The size is known when all is written: the header comes last.
    fn disk(
        &mut self,
        name: &str,
        path: &Path,
        progress: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<(), PackError> {
        let mut disk = disk::open(path)?;
        let at = self.out.stream_position()?;
        self.out.write_all(&[0; 512])?;
        let mut hashed = Hashed { out: &mut self.out, hasher: Sha256::new(), size: 0 };
        vmdk::write(&mut *disk, name, libdeflater::crc32(name.as_bytes()), &mut hashed, progress)?;
        let (size, hex) = (hashed.size, hex::encode(hashed.hasher.finalize()));
        self.pad(size)?;
        self.list(name, &hex);
        self.out.seek(SeekFrom::Start(at))?;
        self.out.write_all(pack::header(name, size, self.mtime)?.as_bytes())?;
        self.out.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

struct Hashed<'a, W> {
    out: &'a mut W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
