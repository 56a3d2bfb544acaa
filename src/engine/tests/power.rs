//! How the machine is switched off at the end, and builders that have none.

use bakehouse_api::backend::Shutdown;

use super::*;

fn shutdown(command: Option<&str>, by_itself: bool) -> Shutdown {
    Shutdown { command: command.map(str::to_owned), timeout: Duration::from_secs(60), by_itself }
}

#[tokio::test(start_paused = true)]
async fn a_guest_is_switched_off_by_its_command() {
    // (exit of the command, does the guest go off, what happens)
    let cases = [
        (None, true, Ok(())),
        (Some(0), true, Ok(())),
        (Some(1), true, Ok(())),
        (Some(0), false, Err("the guest is still running after 60s")),
        (Some(1), false, Err("shutdown_command ended with status 1")),
    ];
    for (exit, goes, result) in cases {
        let kitchen = Kitchen::new();
        let mut fake = kitchen.fake();
        fake.shutdown = shutdown(Some("poweroff"), false);
        fake.shutdown_exit = exit;
        fake.hangs = if goes { "" } else { "wait_off" };
        let report = kitchen.bake_one(fake.build("fake.x")).await;
        assert_eq!(report.errors.first().map_or(Ok(()), |error| Err(error.message())), result, "{exit:?}");
        assert!(kitchen.asked().contains(&"run poweroff".to_owned()));
        assert!(!kitchen.asked().contains(&"force_off".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_without_a_command_is_asked_and_then_forced() {
    let off = |change: fn(&mut Fake)| async move {
        let kitchen = Kitchen::new();
        let mut fake = kitchen.fake();
        fake.shutdown = shutdown(None, false);
        change(&mut fake);
        assert_eq!(kitchen.bake_one(fake.build("fake.x")).await.outcome, Outcome::Done);
        kitchen.asked().into_iter().filter(|asked| asked.ends_with("_off")).collect::<Vec<_>>()
    };
    assert_eq!(off(|_| {}).await, ["ask_off", "wait_off"]);
    assert_eq!(off(|fake| fake.asks_off = false).await, ["ask_off", "force_off"]);
    assert_eq!(off(|fake| fake.hangs = "wait_off").await, ["ask_off", "wait_off", "force_off"]);
    assert_eq!(off(|fake| fake.shutdown.by_itself = true).await, ["wait_off"]);
    let unreachable = |fake: &mut Fake| {
        fake.communicator = false;
        fake.shutdown.command = Some("poweroff".into());
    };
    assert_eq!(off(unreachable).await, ["ask_off", "wait_off"]);
}

#[tokio::test(start_paused = true)]
async fn a_builder_without_machine_has_its_provisioners_all_the_same() {
    let kitchen = Kitchen::new();
    let mut fake = kitchen.fake();
    fake.has_machine = false;
    let mut build = fake.build("file.x");
    build.provisioners = vec![step(&[])];
    assert_eq!(kitchen.bake_one(build).await.outcome, Outcome::Done);
    assert_eq!(kitchen.asked(), ["resolve", "start", "provision", "capture"]);
}
