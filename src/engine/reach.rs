//! Reaching a machine: typing into it, and connecting to it.

use bakehouse_api::event::Outcome;
use bakehouse_api::keyboard::BootStep;
use bakehouse_api::{Cx, Guest, Machine, Result, Value};

pub async fn type_in(cx: &Cx, machine: &mut dyn Machine) -> Result<Outcome> {
    let Some(mut typing) = machine.typing(cx).await?.filter(|typing| !typing.steps.is_empty()) else {
        return Ok(Outcome::Skipped);
    };
    if !typing.wait.is_zero() {
        cx.say(format!("Waiting {:?} for the machine to boot (boot_wait)", typing.wait));
        tokio::time::sleep(typing.wait).await;
    }
    cx.say("Typing the boot command");
    let waits = |step: &BootStep| matches!(step, BootStep::Wait(_));
    for steps in typing.steps.chunk_by(|step, next| !waits(step) && !waits(next)) {
        match steps {
            [BootStep::Wait(time)] => tokio::time::sleep(*time).await,
            keys => typing.keyboard.send_all(cx, keys, typing.interval).await?,
        }
    }
    Ok(Outcome::Done)
}

/// Waits until the guest answers, or the machine ends by itself.
pub async fn connect(cx: &Cx, machine: &mut dyn Machine) -> Result<Guest> {
    let connector = machine.connector(cx).await?;
    let kind = connector.as_ref().map_or("none", |connector| connector.kind());
    let mut facts = machine.facts();
    facts.insert("PackerRunUUID".into(), Value::from(cx.settings().run_uuid.as_str()));
    facts.insert("ConnType".into(), Value::from(kind));
    facts.extend(connector.iter().flat_map(|connector| connector.facts()));
    let guest = Guest::new(connector, machine.wrap(), facts);
    if guest.has_communicator() {
        cx.say(format!("Waiting for the guest to answer by {kind}"));
        tokio::select! {
            biased;
            connected = guest.comm(cx) => connected.map(|_| ())?,
            error = machine.gone(cx) => return Err(error.context(format!("waiting for {kind}"))),
        }
        cx.say(format!("Connected by {kind}"));
        machine.connected(cx, &guest).await?;
    }
    Ok(guest)
}
