//! Switching the guest off once the provisioners are done.

use std::time::Duration;

use bakehouse_api::backend::Shutdown;
use bakehouse_api::{CommError, Command, Cx, Error, Exit, Guest, Kind, Machine, Result, Stream};

/// How long a guest may still take whose shutdown command failed.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

pub async fn power_off(cx: &Cx, machine: &mut dyn Machine, guest: &Guest, shutdown: &Shutdown) -> Result<()> {
    if shutdown.by_itself {
        cx.say("Waiting for the guest to switch itself off");
        return machine.wait_off(cx, shutdown.timeout).await.map_err(|error| too_slow(error, shutdown));
    }
    match &shutdown.command {
        Some(line) if guest.has_communicator() => command(cx, machine, guest, line, shutdown).await,
        Some(_) => {
            cx.message("There is no communicator to run shutdown_command with: asking the guest another way");
            ask(cx, machine, shutdown.timeout).await
        }
        None => ask(cx, machine, shutdown.timeout).await,
    }
}

async fn ask(cx: &Cx, machine: &mut dyn Machine, timeout: Duration) -> Result<()> {
    if !machine.ask_off(cx).await? {
        return machine.force_off(cx).await;
    }
    cx.say("Asked the guest to switch itself off");
    match machine.wait_off(cx, timeout).await {
        Err(error) if error.kind() == Kind::Timeout => {
            cx.warn(format!(
                "the guest is still running after {timeout:?} (shutdown_timeout): cutting its power; \
                 a shutdown_command would be safer"
            ));
            machine.force_off(cx).await
        }
        done => done,
    }
}

/// The machine may be off before the command's end is heard of, or long after it.
async fn command(cx: &Cx, machine: &mut dyn Machine, guest: &Guest, line: &str, shutdown: &Shutdown) -> Result<()> {
    cx.say("Shutting the guest down with shutdown_command");
    let off = machine.wait_off(cx, shutdown.timeout);
    tokio::pin!(off);
    let run = run(cx, guest, line);
    let ran = tokio::select! {
        done = &mut off => return done.map_err(|error| too_slow(error, shutdown)),
        ran = run => ran?,
    };
    let Some(failure) = ran else {
        return off.await.map_err(|error| too_slow(error, shutdown));
    };
    cx.warn(format!("{failure}; waiting whether the guest goes off all the same"));
    match tokio::time::timeout(AFTER_FAILURE, off).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::new(Kind::Script, failure)
            .context("switching the guest off")
            .hint("run the shutdown_command by hand in the guest, as the same user")),
    }
}

/// None when the command worked or took the connection with it; else what it said.
async fn run(cx: &Cx, guest: &Guest, line: &str) -> Result<Option<String>> {
    const KEPT: usize = 2000;
    let mut said = Vec::new();
    let mut keep = |_: Stream, bytes: &[u8]| said.extend(bytes.iter().take(KEPT.saturating_sub(said.len())));
    let comm = guest.comm(cx).await?;
    let exit = match comm.run(cx, &Command::new(line), &mut keep).await {
        Ok(exit) => exit,
        Err(CommError::Lost(_) | CommError::NotStarted(_)) => return Ok(None),
        Err(error) => return Err(Error::from(error).context("running shutdown_command")),
    };
    let Exit { code: Some(code @ 1..), .. } = exit else { return Ok(None) };
    let said = String::from_utf8_lossy(&said);
    let tail = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
    Ok(Some(format!("shutdown_command ended with status {code}{tail}")))
}

fn too_slow(error: Error, shutdown: &Shutdown) -> Error {
    if error.kind() != Kind::Timeout {
        return error;
    }
    let error = Error::new(Kind::Timeout, format!("the guest is still running after {:?}", shutdown.timeout));
    if shutdown.by_itself {
        return error
            .context("waiting for the guest to switch itself off")
            .hint("let its installer or its first boot end with poweroff, or raise shutdown_timeout");
    }
    error
        .context("switching the guest off")
        .hint("check that shutdown_command really powers the guest off, or raise shutdown_timeout")
}
