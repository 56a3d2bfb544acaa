//! Waiting for AWS: often at first, more seldom later, never in step with others, with one deadline.

use std::future::Future;
use std::time::Duration;

use bakehouse_api::bridge::Polling;
use bakehouse_api::{Cx, Error, Kind, Result};
use tokio::time::{Instant, sleep, sleep_until};

use super::error::{ApiError, Reason};

const FIRST: Duration = Duration::from_secs(1);
const GROWTH: f64 = 1.25;
/// What was just made may be "not found" for so long.
const SETTLES: Duration = Duration::from_secs(60);

/// How long one wait may take, and how seldom it looks in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub deadline: Duration,
    pub longest: Duration,
}

impl Pace {
    /// For an instance to start or stop.
    pub fn instance(polling: Option<&Polling>) -> Self {
        Self { deadline: Duration::from_secs(30 * 60), longest: Duration::from_secs(5) }.with(polling)
    }

    /// For an image or a snapshot: many gigabytes are copied.
    pub fn image(polling: Option<&Polling>) -> Self {
        Self { deadline: Duration::from_secs(2 * 3600), longest: Duration::from_secs(15) }.with(polling)
    }

    fn with(mut self, polling: Option<&Polling>) -> Self {
        let Some(polling) = polling else { return self };
        let delay = polling.delay_seconds.filter(|seconds| *seconds > 0);
        if let Some(seconds) = delay {
            self.longest = Duration::from_secs(seconds.into());
        }
        if let Some(attempts) = polling.max_attempts.filter(|attempts| *attempts > 0) {
            self.deadline = Duration::from_secs(delay.unwrap_or(15).into()) * attempts;
        }
        self
    }

    /// The pause after the `n`th look, without what chance adds or takes.
    fn pause(&self, n: u32) -> Duration {
        FIRST.mul_f64(GROWTH.powi(n.min(40) as i32)).min(self.longest.max(FIRST))
    }
}

/// A fifth more or less, so that builds side by side do not ask all at once.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

/// What a look at AWS showed.
pub enum Look<T> {
    Done(T),
    /// In what state it is.
    Yet(String),
}

/// Looks until it is done. Failures that pass, and "not found" of what was just made, are no end.
pub async fn wait<T, F, Fut>(cx: &Cx, what: &str, pace: Pace, look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look<T>, Stop>>,
{
    cx.interruptible(poll(what, pace, look)).await
}

/// Why a look ends the wait.
pub enum Stop {
    Api(ApiError),
    Final(Error),
}

impl<E: Into<ApiError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Api(error.into())
    }
}

/// How a wait ended without what it waited for.
pub enum Ended {
    Late {
        waited: Duration,
        /// What was last seen, or why nothing was.
        last: String,
        /// AWS did answer the last look.
        answered: bool,
    },
    Failed(Error),
}

impl Ended {
    pub fn waiting_for(self, what: &str) -> Error {
        match self {
            Ended::Failed(error) => error.context(format!("waiting for {what}")),
            Ended::Late { waited, last, .. } => {
                let error =
                    format!("gave up waiting for {what} after {} s; the last seen was {last}", waited.as_secs());
                Error::new(Kind::Timeout, error).hint("raise `max_attempts` and `delay_seconds` in `aws_polling`")
            }
        }
    }
}

/// The same where nobody interrupts: while cleaning up.
pub async fn poll<T, F, Fut>(what: &str, pace: Pace, look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look<T>, Stop>>,
{
    look_until(pace, look).await.map_err(|ended| ended.waiting_for(what))
}

pub async fn look_until<T, F, Fut>(pace: Pace, mut look: F) -> Result<T, Ended>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look<T>, Stop>>,
{
    let started = Instant::now();
    let end = started + pace.deadline;
    let (mut last, mut answered) = (String::from("nothing"), false);
    for n in 0.. {
        let looked = tokio::select! {
            looked = look() => looked,
            () = sleep_until(end) => break,
        };
        match looked {
            Ok(Look::Done(found)) => return Ok(found),
            Ok(Look::Yet(state)) => (last, answered) = (format!("`{state}`"), true),
            Err(Stop::Final(error)) => return Err(Ended::Failed(error)),
            Err(Stop::Api(error)) => {
                let settling = error.is(Reason::NotFound) && started.elapsed() < SETTLES;
                if !error.passes() && !settling {
                    return Err(Ended::Failed(error.into()));
                }
                (last, answered) = (error.to_string(), settling);
            }
        }
        let pause = jitter(pace.pause(n));
        if Instant::now() + pause >= end {
            sleep_until(end).await;
            break;
        }
        sleep(pause).await;
    }
    Err(Ended::Late { waited: started.elapsed(), last, answered })
}

/// Makes a call that names something just made, which EC2 may not know everywhere yet.
pub async fn settled<T, F, Fut>(mut call: F) -> Result<T, ApiError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    let end = Instant::now() + SETTLES;
    let mut n = 0;
    loop {
        match call().await {
            Err(error) if error.is(Reason::NotFound) && Instant::now() < end => sleep(jitter(BRIEF.pause(n))).await,
            answer => return answer,
        }
        n += 1;
    }
}

const BRIEF: Pace = Pace { deadline: SETTLES, longest: Duration::from_secs(3) };

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { deadline: Duration::from_secs(100), longest: Duration::from_secs(10) };

    fn api(reason: Reason) -> Stop {
        Stop::Api(ApiError { reason, code: "X".into(), message: "m".into(), request_id: None })
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let pauses: Vec<u128> = (0..14).map(|n| PACE.pause(n).as_millis()).collect();
        assert_eq!(pauses[..3], [1000, 1250, 1562]);
        assert_eq!(pauses[13], 10_000);
        assert!(pauses.is_sorted());
        assert!((0..100).map(|_| jitter(FIRST)).all(|pause| (800..=1200).contains(&pause.as_millis())));
    }

    #[test]
    fn the_template_sets_the_deadline() {
        let polling = Polling { max_attempts: Some(10), delay_seconds: Some(3), spans: Default::default() };
        let pace = Pace::image(Some(&polling));
        assert_eq!(pace, Pace { deadline: Duration::from_secs(30), longest: Duration::from_secs(3) });
    }

    #[tokio::test(start_paused = true)]
    async fn passing_failures_are_survived_and_others_are_not() {
        let mut answers = vec![
            Ok(Look::Done(7)),
            Ok(Look::Yet("pending".into())),
            Err(api(Reason::NotFound)),
            Err(api(Reason::Unclear)),
            Err(api(Reason::Throttled)),
        ];
        let found = poll("it", PACE, || std::future::ready(answers.pop().unwrap())).await.unwrap();
        assert_eq!(found, 7);
        let denied = poll::<(), _, _>("it", PACE, || std::future::ready(Err(api(Reason::Denied)))).await.unwrap_err();
        assert_eq!(denied.to_string(), "waiting for it: m (X)");
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_says_what_was_last_seen() {
        let look = || std::future::ready(Ok(Look::<()>::Yet("pending".into())));
        let error = poll("the image ami-1", PACE, look).await.unwrap_err();
        let said = "gave up waiting for the image ami-1 after 100 s; the last seen was `pending`";
        assert_eq!((error.kind(), error.message()), (Kind::Timeout, said));
        let gone = || std::future::ready(Err::<Look<()>, _>(api(Reason::NotFound)));
        assert_eq!(poll("it", PACE, gone).await.unwrap_err().kind(), Kind::Input);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_just_made_is_waited_for_but_not_for_ever() {
        let missing = || ApiError { reason: Reason::NotFound, code: "X".into(), message: "m".into(), request_id: None };
        let mut answers = vec![Ok(1), Err(missing()), Err(missing())];
        assert_eq!(settled(|| std::future::ready(answers.pop().unwrap())).await.unwrap(), 1);
        let never = settled(|| std::future::ready(Err::<(), _>(missing()))).await.unwrap_err();
        assert_eq!(never.reason, Reason::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_ends_at_the_deadline() {
        let error = poll::<(), _, _>("it", PACE, std::future::pending).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
    }
}
