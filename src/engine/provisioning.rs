//! One provisioner: evaluated right before it runs, with its pause, deadline and retries.

use std::future::Future;
use std::time::Duration;

use bakehouse_api::{Cx, Diagnostics, Error, Facts, Guest, Kind, Result};

use super::prepare::Step;
use crate::provision::Provisioner;
use crate::template::plan;

pub async fn provision(cx: &Cx, step: &Step, guest: &Guest) -> Result<()> {
    let named = |error: Error| error.context(format!("provisioner `{}`", step.plan.name)).at(step.plan.span);
    pause(cx, &step.plan).await;
    let provisioner = realise(step, &guest.facts).map_err(named)?;
    let retries = step.plan.max_retries;
    let mut retry = 0;
    loop {
        let done = once(cx, &step.plan, provisioner.as_ref(), guest).await;
        let Err(error) = done else { return Ok(()) };
        if retry == retries || error.kind() == Kind::Interrupted {
            return Err(named(error));
        }
        retry += 1;
        cx.warn(format!("provisioner `{}`: {error}; trying again, retry {retry} of {retries}", step.plan.name));
        if matches!(error.kind(), Kind::Guest | Kind::Timeout) {
            // The connection may be dead, or still carry the command that was given up.
            close(guest).await;
        }
    }
}

/// Ends the connection; the guest may no longer be there to answer the farewell.
pub async fn close(guest: &Guest) {
    const FAREWELL: Duration = Duration::from_secs(2);
    let _ = tokio::time::timeout(FAREWELL, guest.close()).await;
}

async fn pause(cx: &Cx, step: &plan::Step) {
    if !step.pause_before.is_zero() {
        cx.say(format!("Pausing for {:?} before the provisioner `{}` (pause_before)", step.pause_before, step.name));
        tokio::time::sleep(step.pause_before).await;
    }
}

async fn once(cx: &Cx, step: &plan::Step, provisioner: &dyn Provisioner, guest: &Guest) -> Result<()> {
    let work = provisioner.run(cx, guest);
    match step.timeout {
        Some(limit) => within(limit, work).await,
        None => work.await,
    }
}

async fn within(limit: Duration, work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::Timeout, format!("it did not end within {limit:?}")).hint("raise its `timeout`"))
    })
}

fn realise(step: &Step, facts: &Facts) -> Result<Box<dyn Provisioner>> {
    let body = step.plan.config.body(facts).map_err(Error::diagnostics)?;
    let mut found = Diagnostics::default();
    (step.row.prepare)(&body, &mut found).ok_or_else(|| Error::diagnostics(found))
}
