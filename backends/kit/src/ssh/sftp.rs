//! Files by SFTP, with many requests in flight.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::CommError;
use futures::{StreamExt, TryStreamExt, stream};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::exec::PERMISSION_HINT;
use super::progress::Meter;
use super::session::{SshSession, Upload, local_error};
use super::tree::{Entry, What, text};
use super::{landing, tree};

/// The server has to start a process for the subsystem.
const START: Duration = Duration::from_secs(30);
/// A guest's disk may stall for long; a dead connection is noticed by keep-alives, not by this.
const REQUEST: u64 = 180;
/// Requests of one file in flight: 2 MiB at 32 KiB each.
const REQUESTS: usize = 64;
/// Files in flight.
const FILES: usize = 32;
const CHUNK: usize = 256 * 1024;

pub async fn open(session: &SshSession) -> Result<SftpSession, CommError> {
    let mut channel = session.open_channel().await?;
    if let Err(error) = channel.request_subsystem(true, "sftp").await {
        return Err(session.fault(error).await);
    }
    match timeout(START, answer(&mut channel)).await {
        Ok(Some(true)) => {}
        Ok(Some(false)) => return Err(CommError::Other("its sshd refuses the subsystem".into())),
        Ok(None) => return Err(session.lost().await),
        Err(_) => return Err(CommError::Other(format!("no answer within {START:?}"))),
    }
    let config = Config {
        max_concurrent_reads: REQUESTS,
        max_concurrent_writes: REQUESTS,
        request_timeout_secs: REQUEST,
        ..Config::default()
    };
    match timeout(START, SftpSession::new_with_config(channel.into_stream(), config)).await {
        Ok(Ok(sftp)) => Ok(sftp),
        _ if session.handle().is_closed() => Err(session.lost().await),
        Ok(Err(error)) => Err(CommError::Other(error.to_string())),
        Err(_) => Err(CommError::Other(format!("no answer within {START:?}"))),
    }
}

/// Whether the last request was granted; none when the channel ended.
async fn answer(channel: &mut Channel<Msg>) -> Option<bool> {
    loop {
        match channel.wait().await? {
            ChannelMsg::Success => return Some(true),
            ChannelMsg::Failure => return Some(false),
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

async fn fault(session: &SshSession, path: &str, error: SftpError) -> CommError {
    let reason = match &error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => "no such file or directory".to_owned(),
            StatusCode::PermissionDenied => format!("permission denied{PERMISSION_HINT}"),
            _ if status.error_message.is_empty() => status.status_code.to_string(),
            _ => status.error_message.clone(),
        },
        _ if session.handle().is_closed() => return session.lost().await,
        other => other.to_string(),
    };
    CommError::Remote { path: path.to_owned(), reason }
}

async fn io_fault(session: &SshSession, path: &str, error: std::io::Error) -> CommError {
    if session.handle().is_closed() {
        return session.lost().await;
    }
    let mut reason = error.to_string();
    // SFTP has no word for a full disk.
    if reason == "Failure" {
        reason.push_str(" (is the guest's disk full?)");
    }
    CommError::Remote { path: path.to_owned(), reason }
}

fn with_mode(mode: Option<u32>) -> FileAttributes {
    FileAttributes { permissions: mode, ..FileAttributes::default() }
}

pub async fn put(session: &SshSession, sftp: &SftpSession, mut upload: Upload<'_>, to: &str) -> Result<(), CommError> {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
    let mut file = match sftp.open_with_flags_and_attributes(to, flags, with_mode(upload.mode)).await {
        Ok(file) => file,
        Err(error) => return Err(not_opened(session, sftp, to, error).await),
    };
    // The mode of an open is subject to the umask and means nothing for a file that was there.
    if upload.mode.is_some()
        && let Err(error) = file.set_metadata(with_mode(upload.mode)).await
    {
        return Err(fault(session, to, error).await);
    }
    let mut buffer = vec![0; CHUNK.min(upload.size as usize + 1)];
    loop {
        let got = upload.source.read(&mut buffer).await.map_err(|error| local_error(&upload.from, error))?;
        if got == 0 {
            break;
        }
        if let Err(error) = file.write_all(&buffer[..got]).await {
            return Err(io_fault(session, to, error).await);
        }
        upload.meter.iter_mut().for_each(|meter| meter.add(got as u64));
    }
    if let Err(error) = file.shutdown().await {
        return Err(io_fault(session, to, error).await);
    }
    upload.meter.into_iter().for_each(Meter::finish);
    Ok(())
}

async fn not_opened(session: &SshSession, sftp: &SftpSession, to: &str, error: SftpError) -> CommError {
    let failed = matches!(&error, SftpError::Status(status) if status.status_code == StatusCode::Failure);
    if failed && sftp.metadata(to).await.is_ok_and(|meta| meta.is_dir()) {
        return CommError::Remote { path: to.to_owned(), reason: "it is a directory: name the file in it".into() };
    }
    fault(session, to, error).await
}

/// The remote name of an entry.
fn below(to: &str, name: &Path) -> Result<String, CommError> {
    Ok(format!("{}/{}", to.trim_end_matches('/'), text(name)?))
}

pub async fn put_dir(
    session: &SshSession,
    sftp: &SftpSession,
    entries: Vec<Entry>,
    to: &str,
    meter: Meter,
) -> Result<(), CommError> {
    make_root(session, sftp, to).await?;
    let mut made = Vec::new();
    for entry in entries.iter().filter(|entry| matches!(entry.what, What::Dir { .. })) {
        let path = below(to, &entry.name)?;
        if make_dir(session, sftp, &path).await? {
            made.push((path, entry.mode));
        }
    }
    let meter = std::sync::Mutex::new(meter);
    let done = |bytes: u64| meter.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).add(bytes);
    let one = async |entry: &Entry| {
        let path = below(to, &entry.name)?;
        match &entry.what {
            What::Dir { .. } => {}
            What::Link { target } => put_link(session, sftp, &path, text(target)?).await?,
            What::File { size } => {
                let from = entry.path.display().to_string();
                let file = File::open(&entry.path).await.map_err(|error| local_error(&from, error))?;
                let (source, size) = (Box::new(file), *size);
                put(session, sftp, Upload { source, size, mode: Some(entry.mode), from, meter: None }, &path).await?;
                done(size);
            }
        }
        Ok::<_, CommError>(())
    };
    stream::iter(&entries).map(one).buffer_unordered(FILES).try_collect::<()>().await?;
    // Modes last, innermost first: one that forbids writing would stop what belongs inside.
    for (path, mode) in made.into_iter().rev() {
        if let Err(error) = sftp.set_metadata(path.as_str(), with_mode(Some(mode))).await {
            return Err(fault(session, &path, error).await);
        }
    }
    meter.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).finish();
    Ok(())
}

/// Makes `to` and the directories above it.
async fn make_root(session: &SshSession, sftp: &SftpSession, to: &str) -> Result<(), CommError> {
    if sftp.metadata(to).await.is_ok_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    let mut path = if to.starts_with('/') { "/".to_owned() } else { String::new() };
    for part in to.split('/').filter(|part| !part.is_empty() && *part != ".") {
        path.push_str(part);
        make_dir(session, sftp, &path).await?;
        path.push('/');
    }
    Ok(())
}

/// Returns false when it was there.
async fn make_dir(session: &SshSession, sftp: &SftpSession, path: &str) -> Result<bool, CommError> {
    match sftp.create_dir(path).await {
        Ok(()) => Ok(true),
        Err(_) if sftp.metadata(path).await.is_ok_and(|meta| meta.is_dir()) => Ok(false),
        Err(error) => Err(fault(session, path, error).await),
    }
}

/// OpenSSH's server takes the two names of a link in the order opposite to the standard's, and
/// every other server follows it.
async fn put_link(session: &SshSession, sftp: &SftpSession, path: &str, target: &str) -> Result<(), CommError> {
    if sftp.symlink_metadata(path).await.is_ok() {
        let _ = sftp.remove_file(path).await; // the link's own failure says more
    }
    match sftp.symlink(target, path).await {
        Ok(()) => Ok(()),
        Err(error) => Err(fault(session, path, error).await),
    }
}

pub async fn get(
    session: &SshSession,
    sftp: &Arc<SftpSession>,
    from: &str,
    to: &Path,
    mut meter: Meter,
) -> Result<(), CommError> {
    get_metered(session, sftp, from, to, &mut meter).await?;
    meter.finish();
    Ok(())
}

async fn get_metered(
    session: &SshSession,
    sftp: &SftpSession,
    from: &str,
    to: &Path,
    meter: &mut Meter,
) -> Result<(), CommError> {
    let opened = async {
        let meta = sftp.metadata(from).await?;
        Ok((sftp.open(from).await?, meta))
    };
    let (mut file, meta) = match opened.await {
        Ok(both) => both,
        Err(error) => return Err(fault(session, from, error).await),
    };
    if meta.is_dir() {
        return Err(CommError::Remote {
            path: from.to_owned(),
            reason: "it is a directory: end its name with `/`".into(),
        });
    }
    let mode = meta.permissions.map_or(0o644, |mode| mode & 0o777);
    let mut landing = landing::Landing::new(to)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let got = match file.read(&mut buffer).await {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) => return Err(io_fault(session, from, error).await),
        };
        landing.write(&buffer[..got])?;
        meter.add(got as u64);
    }
    landing.keep(mode)
}

/// Directories one after the other, the files of each side by side.
pub async fn get_dir(
    session: &SshSession,
    sftp: &Arc<SftpSession>,
    from: &str,
    to: &Path,
    meter: &mut Meter,
) -> Result<(), CommError> {
    let mut left = vec![(from.trim_end_matches('/').to_owned(), to.to_owned())];
    let mut links: Vec<(String, PathBuf)> = Vec::new();
    while let Some((remote, local)) = left.pop() {
        std::fs::create_dir_all(&local).map_err(|error| local_error(local.display(), error))?;
        let listed = match sftp.read_dir(if remote.is_empty() { "/" } else { remote.as_str() }).await {
            Ok(listed) => listed,
            Err(error) => return Err(fault(session, &remote, error).await),
        };
        let mut files = Vec::new();
        for entry in listed {
            let name = entry.file_name();
            // The guest's answer must not choose a place outside of `to`.
            if name.contains('/') || name == ".." || name == "." {
                return Err(CommError::Remote {
                    path: remote,
                    reason: format!("it lists the impossible name {name:?}"),
                });
            }
            let (theirs, ours) = (format!("{remote}/{name}"), local.join(&name));
            let kind = entry.file_type();
            if kind.is_dir() {
                left.push((theirs, ours));
            } else if kind.is_symlink() {
                links.push((theirs, ours));
            } else if kind.is_file() {
                files.push((theirs, ours, entry.metadata().size.unwrap_or(0)));
            }
        }
        get_files(session, sftp, files, meter).await?;
    }
    for (theirs, ours) in links {
        let target = match sftp.read_link(theirs.as_str()).await {
            Ok(target) => target,
            Err(error) => return Err(fault(session, &theirs, error).await),
        };
        tree::make_link(&target, &ours)?;
    }
    Ok(())
}

async fn get_files(
    session: &SshSession,
    sftp: &SftpSession,
    files: Vec<(String, PathBuf, u64)>,
    meter: &mut Meter,
) -> Result<(), CommError> {
    let one = async |(theirs, ours, size): (String, PathBuf, u64)| {
        get_metered(session, sftp, &theirs, &ours, &mut Meter::silent()).await?;
        Ok::<_, CommError>(size)
    };
    let mut arriving = stream::iter(files).map(one).buffer_unordered(FILES);
    while let Some(size) = arriving.next().await {
        meter.add(size?);
    }
    Ok(())
}
