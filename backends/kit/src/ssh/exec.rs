//! One command in the guest: its output as it comes, its input as fast as the guest takes it.

use std::time::Duration;

use bakehouse_api::comm::OutputFn;
use bakehouse_api::{CommError, Exit, Stream};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tokio::time::timeout;

use super::session::SshSession;

/// Opening a channel takes a round trip; a guest that needs longer does not answer at all.
const OPEN: Duration = Duration::from_secs(30);
/// A connection that breaks says so on its own channel a moment after its channels ended.
const AFTERMATH: Duration = Duration::from_millis(500);

pub type Input<'a> = BoxStream<'a, Result<Bytes, CommError>>;

pub fn no_input<'a>() -> Input<'a> {
    stream::empty().boxed()
}

pub fn all_of<'a>(bytes: Vec<u8>) -> Input<'a> {
    stream::once(async move { Ok(Bytes::from(bytes)) }).boxed()
}

pub struct Running<'a> {
    session: &'a SshSession,
    reader: ChannelReadHalf,
    exit: Option<Exit>,
    refused: bool,
}

impl SshSession {
    pub(super) async fn open_channel(&self) -> Result<russh::Channel<Msg>, CommError> {
        match timeout(OPEN, self.handle().channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(CommError::Other(format!(
                "the guest's sshd refused another session ({reason:?}): see its MaxSessions"
            ))),
            Ok(Err(error)) => Err(self.fault(error).await),
            Err(_) => Err(CommError::Lost(format!("no answer within {OPEN:?}"))),
        }
    }

    /// The command's output and end, and its input.
    pub(super) async fn start(&self, line: &str, pty: bool) -> Result<(Running<'_>, Writer), CommError> {
        let mut channel = self.open_channel().await?;
        if self.forwards_agent() {
            self.sound(channel.agent_forward(false).await).await?;
        }
        if pty {
            self.sound(channel.request_pty(true, "xterm", 80, 40, 0, 0, &[(Pty::ECHO, 0)]).await).await?;
            match channel.wait().await {
                Some(ChannelMsg::Success) => {}
                Some(_) => {
                    return Err(CommError::Other("the guest's sshd refused a terminal: see its PermitTTY".into()));
                }
                None => return Err(self.lost().await),
            }
        }
        self.sound(channel.exec(true, line).await).await?;
        let (reader, writer) = channel.split();
        Ok((Running { session: self, reader, exit: None, refused: false }, Writer(Some(writer))))
    }

    /// Runs `line` to its end. A connection that is lost before the guest took it is told apart.
    pub(super) async fn execute(
        &self,
        line: &str,
        pty: bool,
        input: Input<'_>,
        output: &mut OutputFn<'_>,
    ) -> Result<Exit, CommError> {
        let (mut running, writer) = self.start(line, pty).await.map_err(not_started)?;
        let mut feeding = Box::pin(writer.feed(input));
        let mut fed = false;
        loop {
            tokio::select! {
                result = &mut feeding, if !fed => { fed = true; result? }
                piece = running.next() => match piece {
                    Some((stream, bytes)) => output(stream, &bytes),
                    // Lost from here on, the guest may have run it: only an exec never sent is safe to repeat.
                    None => return running.exit().await,
                }
            }
        }
    }

    /// Like [`Self::execute`] for a helper of ours: standard output comes back as text, anything
    /// but success is an error about `path`.
    pub(super) async fn helper(&self, line: &str, path: &str, input: Input<'_>) -> Result<String, CommError> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = self
            .execute(line, false, input, &mut |stream, bytes| match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            })
            .await
            .map_err(|error| match error {
                CommError::NotStarted(reason) => CommError::Lost(reason),
                other => other,
            })?;
        if exit.success() {
            return Ok(String::from_utf8_lossy(&out).into_owned());
        }
        Err(complaint(path, &exit, &err))
    }

    /// The connection is over, or this channel was closed under us.
    pub(super) async fn lost(&self) -> CommError {
        let line = self.line();
        match timeout(AFTERMATH, line.over.cancelled()).await {
            Ok(()) => CommError::Lost(line.reason().unwrap_or_else(|| "the other side closed it".into())),
            Err(_) => CommError::Lost("the guest closed the channel of a command that had not ended".into()),
        }
    }

    /// A failure of the library while the connection should be up.
    pub(super) async fn fault(&self, error: russh::Error) -> CommError {
        match error {
            russh::Error::SendError | russh::Error::Disconnect | russh::Error::HUP | russh::Error::RecvError => {
                self.lost().await
            }
            other => CommError::Other(other.to_string()),
        }
    }

    async fn sound<T>(&self, result: Result<T, russh::Error>) -> Result<T, CommError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.fault(error).await),
        }
    }
}

fn not_started(error: CommError) -> CommError {
    match error {
        CommError::Lost(reason) => CommError::NotStarted(reason),
        other => other,
    }
}

/// What a helper of ours said when it failed.
pub fn complaint(path: &str, exit: &Exit, stderr: &[u8]) -> CommError {
    let said = String::from_utf8_lossy(stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    let said = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    let mut reason = match (said.is_empty(), &exit.signal, exit.code) {
        (false, ..) => said,
        (true, Some(signal), _) => format!("ended by signal {signal}"),
        (true, None, Some(code)) => format!("exit status {code}"),
        (true, None, None) => "ended without an exit status".into(),
    };
    if reason.contains("ermission denied") {
        reason.push_str(PERMISSION_HINT);
    }
    CommError::Remote { path: path.to_owned(), reason }
}

pub const PERMISSION_HINT: &str = " (the login user may not write there: upload to a place of its own, then move it with sudo in a shell provisioner)";

/// A command's input. Dropping it ends the command, if it still runs: sshd hangs up on it.
pub struct Writer(Option<ChannelWriteHalf<Msg>>);

impl Drop for Writer {
    fn drop(&mut self) {
        let (Some(writer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            // A connection that is gone has closed the channel by itself.
            let _ = writer.close().await;
        });
    }
}

impl Writer {
    /// Only a failure to get the input is an error: a guest that stops reading says why by its exit.
    pub async fn feed(&self, mut input: Input<'_>) -> Result<(), CommError> {
        let Some(writer) = &self.0 else { return Ok(()) };
        while let Some(bytes) = input.next().await {
            if writer.data_bytes(bytes?).await.is_err() {
                return Ok(());
            }
        }
        let _ = writer.eof().await;
        Ok(())
    }
}

impl Running<'_> {
    /// The next piece of output; none at the end.
    pub async fn next(&mut self) -> Option<(Stream, Bytes)> {
        loop {
            match self.reader.wait().await? {
                ChannelMsg::Data { data } => return Some((Stream::Stdout, data)),
                ChannelMsg::ExtendedData { data, .. } => return Some((Stream::Stderr, data)),
                ChannelMsg::ExitStatus { exit_status } => {
                    // Statuses are bytes; a server may send the upper ones for a negative number.
                    self.exit = Some(Exit { code: Some(exit_status as i32), signal: None });
                }
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    self.exit = Some(Exit { code: None, signal: Some(signal(signal_name)) });
                }
                ChannelMsg::Failure => {
                    self.refused = true;
                    return None;
                }
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// How it ended, after [`Self::next`] gave none.
    pub async fn exit(&mut self) -> Result<Exit, CommError> {
        match self.exit.take() {
            Some(exit) => Ok(exit),
            None if self.refused => Err(CommError::Other("the guest's sshd refused to run a command".into())),
            None => Err(self.session.lost().await),
        }
    }
}

fn signal(name: Sig) -> String {
    match name {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}
