//! `sleep`: waits because the template says so.

use std::time::Duration;

use bakehouse_api::{Body, Cx, Diagnostics, Guest, Input, Options, Result, async_trait, options};

use super::{Provisioner, Row};

options! {
    /// Waits for a while.
    pub struct SleepOptions {
        /// How long to wait.
        duration: Duration,
    }
}

pub const ROW: Row = Row { kind: "sleep", schema: || SleepOptions::schema("sleep"), prepare };

struct Sleep(Duration);

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Provisioner>> {
    let options = SleepOptions::from_body(body, diagnostics)?;
    Some(Box::new(Sleep(options.duration)))
}

#[async_trait]
impl Provisioner for Sleep {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::new("option duration", format!("{:?}", self.0))]
    }

    fn needs_guest(&self) -> bool {
        false
    }

    async fn run(&self, cx: &Cx, _guest: &Guest) -> Result<()> {
        cx.say(format!("Sleeping for {:?}", self.0));
        cx.interruptible(async {
            tokio::time::sleep(self.0).await;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Kind, testing};

    use super::*;
    use crate::script::testing::{body, findings};

    #[tokio::test(start_paused = true)]
    async fn it_lasts_as_long_as_asked_and_not_beyond_an_interrupt() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let guest = Guest::new(None, None, Default::default());
        let sleep = prepare(&body("sleep", &[("duration", "1h30m".into())]), &mut Diagnostics::default()).unwrap();
        let began = tokio::time::Instant::now();
        sleep.run(&cx, &guest).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 5400);
        cx.cancel().cancel();
        assert_eq!(sleep.run(&cx, &guest).await.unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn the_duration_is_required() {
        let mut diagnostics = Diagnostics::default();
        assert!(prepare(&body("sleep", &[]), &mut diagnostics).is_none());
        assert_eq!(findings(&diagnostics), ["sleep `sleep` needs the option `duration`"]);
    }
}
