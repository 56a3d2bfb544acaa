//! A directory as one tar stream, packed here and unpacked there while it travels (and back).

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_api::{CommError, Stream};
use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream};
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::exec::{Input, complaint, no_input};
use super::progress::Meter;
use super::session::{SshSession, local_error, quote};
use super::tree::{Entry, What};

/// Bytes handed over at a time, and how many of them wait at most.
const CHUNK: usize = 128 * 1024;
const CHUNKS: usize = 8;
const BLOCK: u64 = 512;

/// The tar that a guest has. Others than these two unpack through links to directories in ways
/// that could take a system apart; those guests get SFTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestTar {
    Gnu,
    Busybox,
    None,
}

pub async fn find(session: &SshSession) -> Result<GuestTar, CommError> {
    let said = session.helper("tar --version 2>&1; true", "tar", no_input()).await;
    match said.map(|said| said.to_lowercase()) {
        Ok(said) if said.contains("gnu tar") => Ok(GuestTar::Gnu),
        Ok(said) if said.contains("busybox") => Ok(GuestTar::Busybox),
        Ok(_) => Ok(GuestTar::None),
        Err(error @ CommError::Lost(_)) => Err(error),
        Err(_) => Ok(GuestTar::None),
    }
}

/// Owner: the login user, time: now, as with every other way to upload. What is there keeps its
/// own mode, and a link to a directory stays one.
fn unpack_command(tar: GuestTar) -> &'static str {
    match tar {
        GuestTar::Gnu => {
            "tar --extract --preserve-permissions --no-same-owner --touch --no-overwrite-dir --keep-directory-symlink --file -"
        }
        _ => "tar -x -m -o -f -",
    }
}

pub async fn put_dir(session: &SshSession, entries: Vec<Entry>, to: &str, mut meter: Meter) -> Result<(), CommError> {
    let tar = session.guest_tar().await?;
    meter.expect(packed_size(&entries));
    let (sender, receiver) = mpsc::channel(CHUNKS);
    // busybox would give directories that are there the modes of ours; it makes the others itself.
    let all_dirs = tar == GuestTar::Gnu;
    let packing = tokio::task::spawn_blocking(move || pack(&entries, all_dirs, sender));
    let place = quote(to);
    let line = format!("mkdir -p {place} && cd {place} && {}", unpack_command(tar));
    session.helper(&line, to, metered(receiver, &mut meter)).await?;
    // Every failure to pack went through the channel already.
    let _ = packing.await;
    meter.finish();
    Ok(())
}

fn packed_size(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| BLOCK + entry.size().next_multiple_of(BLOCK)).sum::<u64>() + 2 * BLOCK
}

type Chunk = Result<Bytes, CommError>;

fn metered(receiver: mpsc::Receiver<Chunk>, meter: &mut Meter) -> Input<'_> {
    stream::unfold((receiver, meter), async |(mut receiver, meter)| {
        let chunk = receiver.recv().await?;
        meter.add(chunk.as_ref().map_or(0, |bytes| bytes.len() as u64));
        Some((chunk, (receiver, meter)))
    })
    .boxed()
}

fn pack(entries: &[Entry], all_dirs: bool, sender: mpsc::Sender<Chunk>) {
    let mut builder = Builder::new(Outlet { sender: sender.clone(), buffer: BytesMut::with_capacity(CHUNK) });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for entry in entries {
        if let Err(error) = pack_entry(&mut builder, entry, all_dirs, now) {
            let _ = sender.blocking_send(Err(local_error(entry.path.display(), error)));
            return;
        }
    }
    // Fails only when nobody listens any more, and then the guest's tar has said why.
    let _ = builder.into_inner().and_then(|mut outlet| outlet.flush());
}

fn pack_entry(builder: &mut Builder<Outlet>, entry: &Entry, all_dirs: bool, now: u64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_mtime(now);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(entry.size());
    match &entry.what {
        What::Dir { empty } if !all_dirs && !empty => Ok(()),
        What::Dir { .. } => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, &entry.name, io::empty())
        }
        What::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, &entry.name, target)
        }
        What::File { size } => {
            header.set_entry_type(EntryType::Regular);
            let file = std::fs::File::open(&entry.path)?;
            builder.append_data(&mut header, &entry.name, Exactly { file, left: *size })
        }
    }
}

/// The header has promised a size: a file that grows is cut there, one that shrinks is an error.
struct Exactly {
    file: std::fs::File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(buffer.len() as u64) as usize;
        if most == 0 {
            return Ok(0);
        }
        let got = self.file.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(io::Error::other("it became shorter while it was copied"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

/// From a blocking writer into the channel.
struct Outlet {
    sender: mpsc::Sender<Chunk>,
    buffer: BytesMut,
}

impl Outlet {
    fn pass_on(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK)).freeze();
        self.sender.blocking_send(Ok(full)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..most]);
        if self.buffer.len() == CHUNK {
            self.pass_on()?;
        }
        Ok(most)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.pass_on() }
    }
}

pub async fn get_dir(session: &SshSession, from: &str, to: &Path, mut meter: Meter) -> Result<(), CommError> {
    let tar = session.guest_tar().await?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let into = to.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || unpack(Inlet { receiver, rest: Bytes::new() }, &into));
    let (mut running, writer) = session.start(&format!("cd {} || exit 2; tar -c -f - .", quote(from)), false).await?;
    let mut stderr = Vec::new();
    let mut sender = Some(sender);
    while let Some((stream, bytes)) = running.next().await {
        match (stream, &sender) {
            (Stream::Stderr, _) => stderr.extend_from_slice(&bytes),
            (Stream::Stdout, Some(open)) => {
                meter.add(bytes.len() as u64);
                if open.send(bytes).await.is_err() {
                    break; // the unpacking failed and says so below
                }
            }
            (Stream::Stdout, None) => {}
        }
    }
    sender.take();
    let unpacked = unpacking.await.map_err(|error| CommError::Other(error.to_string()))?;
    if let Err((path, error)) = unpacked
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        drop(writer);
        return Err(local_error(path.display(), error));
    }
    let exit = running.exit().await?;
    // GNU tar: 1 is "a file changed as it was read", as log files do.
    let fine = exit.success() || (tar == GuestTar::Gnu && exit.code == Some(1));
    if !fine {
        return Err(complaint(from, &exit, &stderr));
    }
    meter.finish();
    Ok(())
}

/// From the channel into a blocking reader.
struct Inlet {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let most = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..most]);
        Ok(most)
    }
}

/// The guest chose these names: the archive library keeps each of them below `to`, also through
/// links it unpacked before.
fn unpack(inlet: Inlet, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let mut archive = Archive::new(inlet);
    let mut dirs = Vec::new();
    for entry in archive.entries().map_err(at(to))? {
        let entry = entry.map_err(at(to))?;
        let name = entry.path().map_err(at(to))?.into_owned();
        let kind = entry.header().entry_type();
        if name.components().all(|part| part == Component::CurDir) {
            continue;
        }
        if kind.is_dir() {
            dirs.push((name, entry));
        } else if kind.is_file() || kind.is_symlink() || kind.is_hard_link() || kind.is_gnu_sparse() {
            place(entry, &name, to)?;
        } // devices, pipes and sockets stay where they are
    }
    // Directories last, innermost first: a mode that forbids writing would stop what belongs inside.
    dirs.sort_by(|(one, _), (other, _)| other.cmp(one));
    dirs.into_iter().try_for_each(|(name, entry)| place(entry, &name, to))
}

fn place(mut entry: tar::Entry<'_, Inlet>, name: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let outside = || io::Error::other("the guest named a place outside of the directory");
    match entry.unpack_in(to) {
        Ok(true) => Ok(()),
        Ok(false) => Err((to.join(name), outside())),
        Err(error) => Err((to.join(name), error)),
    }
}
