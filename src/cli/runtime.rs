//! The async runtime, for the commands that wait for something, and the signals that end them.

use bakehouse_api::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs `work`. Threads that still compute something nobody waits for do not hold up the end.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Error::io("starting the async runtime", &error))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// The first Ctrl-C, SIGTERM or SIGHUP cancels `cancel`, the next one `stop`.
pub fn on_signals(cancel: CancellationToken, stop: CancellationToken) -> Result<()> {
    let listen = |kind| signal(kind).map_err(|error| Error::io("listening for signals", &error));
    let mut signals = vec![listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?];
    if !ignores_hangup() {
        signals.push(listen(SignalKind::hangup())?);
    }
    tokio::spawn(async move {
        for token in [cancel, stop] {
            any(&mut signals).await;
            token.cancel();
        }
    });
    Ok(())
}

async fn any(signals: &mut [Signal]) {
    let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(received).await;
}

/// Under `nohup` the closing of the terminal is none of our business.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
