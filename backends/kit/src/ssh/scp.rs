//! Files by the scp protocol, and by `cat` where a guest has neither sftp nor scp.

use std::path::Path;

use bakehouse_api::{CommError, Stream};
use bytes::BytesMut;
use futures::{StreamExt, stream};
use russh::ChannelStream;
use russh::client::Msg;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::exec::{Input, PERMISSION_HINT, all_of, complaint, no_input};
use super::landing::Landing;
use super::progress::Meter;
use super::session::{SshSession, Upload, local_error, quote};
use super::tree::{Entry, What, text};

const CHUNK: usize = 64 * 1024;
/// Arguments of one command line stay well below what a guest takes.
const LINE: usize = 30_000;

/// One conversation with `scp` in the guest.
struct Talk<'a> {
    session: &'a SshSession,
    path: &'a str,
    stream: BufReader<ChannelStream<Msg>>,
}

impl<'a> Talk<'a> {
    async fn start(session: &'a SshSession, flags: &str, path: &'a str) -> Result<Self, CommError> {
        let channel = session.open_channel().await?;
        if let Err(error) = channel.exec(true, format!("scp {flags} {}", quote(path))).await {
            return Err(session.fault(error).await);
        }
        Ok(Self { session, path, stream: BufReader::new(channel.into_stream()) })
    }

    fn remote(&self, reason: impl Into<String>) -> CommError {
        let mut reason = reason.into();
        if reason.contains("ermission denied") {
            reason.push_str(PERMISSION_HINT);
        }
        CommError::Remote { path: self.path.to_owned(), reason }
    }

    async fn broken(&self) -> CommError {
        if self.session.handle().is_closed() {
            return self.session.lost().await;
        }
        self.remote(
            "scp ended early in the guest: is it installed there? (`ssh_file_transfer_method` unset finds another way)",
        )
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), CommError> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.broken().await),
        }
    }

    async fn line(&mut self) -> Result<String, CommError> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line).await {
            Ok(got) if got > 0 => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            _ => Err(self.broken().await),
        }
    }

    /// Zero is good; anything else begins a line that says what is not.
    async fn acknowledged(&mut self) -> Result<(), CommError> {
        match self.stream.read_u8().await {
            Ok(0) => Ok(()),
            Ok(1 | 2) => {
                let said = self.line().await?;
                Err(self.remote(said.trim_start_matches("scp: ")))
            }
            Ok(other) => Err(self.remote(format!("scp answered out of turn (byte {other})"))),
            Err(_) => Err(self.broken().await),
        }
    }
}

pub async fn put(session: &SshSession, mut upload: Upload<'_>, to: &str) -> Result<(), CommError> {
    // Given the directory, scp refuses to put the file below an existing directory of its name.
    let (dir, name) = to.rsplit_once('/').unwrap_or((".", to));
    let mut talk = Talk::start(session, "-qdt", if dir.is_empty() { "/" } else { dir }).await?;
    talk.path = to;
    talk.acknowledged().await?;
    if name.is_empty() || name.contains('\n') {
        return Err(talk.remote("scp cannot carry this file name"));
    }
    let mode = upload.mode.unwrap_or(0o644) & 0o7777;
    talk.say(format!("C{mode:04o} {} {name}\n", upload.size).as_bytes()).await?;
    talk.acknowledged().await?;
    let mut left = upload.size;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let most = left.min(CHUNK as u64) as usize;
        let got = upload.source.read(&mut buffer[..most]).await.map_err(|error| local_error(&upload.from, error))?;
        if got == 0 {
            return Err(local_error(&upload.from, std::io::Error::other("it became shorter while it was copied")));
        }
        talk.say(&buffer[..got]).await?;
        left -= got as u64;
        upload.meter.iter_mut().for_each(|meter| meter.add(got as u64));
    }
    talk.say(&[0]).await?;
    talk.acknowledged().await?;
    drop(talk);
    // scp leaves the mode of a file that was there as it is.
    if let Some(mode) = upload.mode {
        session.helper(&format!("chmod {mode:o} {}", quote(to)), to, no_input()).await?;
    }
    upload.meter.into_iter().for_each(Meter::finish);
    Ok(())
}

pub async fn get(session: &SshSession, from: &str, to: &Path, mut meter: Meter) -> Result<(), CommError> {
    let mut talk = Talk::start(session, "-qf", from).await?;
    talk.say(&[0]).await?;
    let head = talk.line().await?;
    let (mode, size) = match parse_head(&head) {
        Some(both) => both,
        None => return Err(talk.remote(head.trim_start_matches(['\u{1}', '\u{2}']).trim_start_matches("scp: "))),
    };
    meter.expect(size);
    talk.say(&[0]).await?;
    let mut landing = Landing::new(to)?;
    let mut left = size;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let most = left.min(CHUNK as u64) as usize;
        let got = match talk.stream.read(&mut buffer[..most]).await {
            Ok(got) if got > 0 => got,
            _ => return Err(talk.broken().await),
        };
        landing.write(&buffer[..got])?;
        left -= got as u64;
        meter.add(got as u64);
    }
    talk.acknowledged().await?;
    talk.say(&[0]).await?;
    landing.keep(mode & 0o777)?;
    meter.finish();
    Ok(())
}

/// `C0644 12 name`.
fn parse_head(line: &str) -> Option<(u32, u64)> {
    let mut words = line.strip_prefix('C')?.splitn(3, ' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let size = words.next()?.parse().ok()?;
    words.next()?;
    Some((mode, size))
}

fn chunks<'a>(upload: &'a mut Upload<'_>) -> Input<'a> {
    stream::unfold(upload, async |upload| {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        match upload.source.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(got) => {
                upload.meter.iter_mut().for_each(|meter| meter.add(got as u64));
                Some((Ok(buffer.freeze()), upload))
            }
            Err(error) => Some((Err(local_error(&upload.from, error)), upload)),
        }
    })
    .boxed()
}

pub async fn put_by_cat(session: &SshSession, mut upload: Upload<'_>, to: &str) -> Result<(), CommError> {
    let place = quote(to);
    let mode = upload.mode.map(|mode| format!(" && chmod {mode:o} {place}")).unwrap_or_default();
    session.helper(&format!("cat > {place}{mode}"), to, chunks(&mut upload)).await?;
    upload.meter.into_iter().for_each(Meter::finish);
    Ok(())
}

pub async fn get_by_cat(session: &SshSession, from: &str, to: &Path, mut meter: Meter) -> Result<(), CommError> {
    let mut landing = Landing::new(to)?;
    let mut stderr = Vec::new();
    let (mut running, _writer) = session.start(&format!("cat {}", quote(from)), false).await?;
    while let Some((stream, bytes)) = running.next().await {
        match stream {
            Stream::Stdout => {
                landing.write(&bytes)?;
                meter.add(bytes.len() as u64);
            }
            Stream::Stderr => stderr.extend_from_slice(&bytes),
        }
    }
    let exit = running.exit().await?;
    if !exit.success() {
        return Err(complaint(from, &exit, &stderr));
    }
    landing.keep(0o644)?;
    meter.finish();
    Ok(())
}

/// A directory in a guest without tar and sftp: a round trip per file, which nothing can spare.
pub async fn put_dir(session: &SshSession, entries: Vec<Entry>, to: &str, mut meter: Meter) -> Result<(), CommError> {
    let below = |entry: &Entry| Ok::<_, CommError>(format!("{}/{}", to.trim_end_matches('/'), text(&entry.name)?));
    let mut script = Script { session, to, line: String::new() };
    script.push(&format!("mkdir -p {}", quote(to))).await?;
    for entry in &entries {
        let place = quote(&below(entry)?);
        match &entry.what {
            What::Dir { .. } => script.push(&format!("mkdir -p {place}")).await?,
            What::Link { target } => script.push(&format!("ln -sfn {} {place}", quote(text(target)?))).await?,
            What::File { .. } => {}
        }
    }
    script.flush().await?;
    for entry in &entries {
        let What::File { size } = entry.what else { continue };
        let from = entry.path.display().to_string();
        let file = File::open(&entry.path).await.map_err(|error| local_error(&from, error))?;
        let upload = Upload { source: Box::new(file), size, mode: Some(entry.mode), from, meter: None };
        session.put(upload, &below(entry)?).await?;
        meter.add(size);
    }
    meter.finish();
    Ok(())
}

/// Commands that travel together.
struct Script<'a> {
    session: &'a SshSession,
    to: &'a str,
    line: String,
}

impl Script<'_> {
    async fn push(&mut self, command: &str) -> Result<(), CommError> {
        if self.line.len() + command.len() > LINE {
            self.flush().await?;
        }
        self.line.push_str(command);
        self.line.push('\n');
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), CommError> {
        let script = std::mem::take(&mut self.line);
        self.session.helper("sh -e", self.to, all_of(script.into_bytes())).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::parse_head;

    #[test]
    fn heads() {
        assert_eq!(parse_head("C0755 12 a b"), Some((0o755, 12)));
        assert_eq!(parse_head("\u{1}scp: no"), None);
        assert_eq!(parse_head("C0755 x a"), None);
    }
}
