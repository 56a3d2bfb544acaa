//! How many requests are under way at once: more while they succeed, fewer when the service or the line has enough.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::client::{ApiError, Reason};

/// A request is tried again until nothing has arrived for so long.
const PATIENCE: Duration = Duration::from_secs(300);
/// What was just made may be unknown for so long.
const YOUTH: Duration = Duration::from_secs(60);
const FEWEST: f64 = 4.0;
/// All that fail at once count as one.
const BREATH: Duration = Duration::from_millis(500);

pub struct Lanes {
    open: f64,
    most: f64,
    /// When something last arrived, or the work began.
    arrived: Instant,
    narrowed: Instant,
    began: Instant,
}

impl Lanes {
    pub fn new(most: usize) -> Self {
        let (now, most) = (Instant::now(), (most as f64).max(1.0));
        Self { open: most, most, arrived: now, narrowed: now, began: now }
    }

    pub fn open(&self) -> usize {
        self.open as usize
    }

    pub fn success(&mut self) {
        self.arrived = Instant::now();
        self.open = (self.open + 1.0 / self.open).min(self.most);
    }

    /// The pause before the request is made again, or the error that ends the work.
    pub fn failure(&mut self, error: &ApiError, tries: u32) -> Option<Duration> {
        let young = error.is(Reason::NotFound) && self.began.elapsed() < YOUTH;
        if !(error.passes() || young) || self.arrived.elapsed() > PATIENCE {
            return None;
        }
        if self.narrowed.elapsed() > BREATH {
            self.narrowed = Instant::now();
            self.open = (self.open / 2.0).max(FEWEST.min(self.most));
        }
        let pause = Duration::from_millis(200).mul_f64(1.6_f64.powi(tries.min(8) as i32));
        Some(pause.mul_f64(0.5 + rand::random::<f64>()))
    }
}

/// Makes one request, again and again while that may help.
pub async fn persist<T, F, Fut>(lanes: &Mutex<Lanes>, mut call: F) -> Result<T, ApiError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(done) => {
                lock(lanes).success();
                return Ok(done);
            }
            Err(error) => error,
        };
        let pause = lock(lanes).failure(&error, tries);
        match pause {
            Some(pause) => sleep(pause).await,
            None => return Err(error),
        }
        tries += 1;
    }
}

pub fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reason: Reason) -> ApiError {
        ApiError { reason, code: "X".into(), message: String::new(), request_id: None }
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_close_when_there_is_too_much_and_open_again() {
        let mut lanes = Lanes::new(64);
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            assert!(lanes.failure(&error(Reason::Throttled), 0).is_some());
        }
        assert_eq!(lanes.open(), 32, "all that fail at once count as one");
        (0..3000).for_each(|_| lanes.success());
        assert_eq!(lanes.open(), 64);
        assert!(lanes.failure(&error(Reason::Denied), 0).is_none());
        assert!(lanes.failure(&error(Reason::NotFound), 0).is_some(), "a new snapshot may be unknown");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(lanes.failure(&error(Reason::NotFound), 0).is_none());
        assert!(lanes.failure(&error(Reason::Throttled), 0).is_some());
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(lanes.failure(&error(Reason::Throttled), 0).is_none(), "nothing has arrived for too long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_made_until_it_succeeds() {
        let lanes = Mutex::new(Lanes::new(8));
        let mut answers = vec![Ok(7), Err(error(Reason::Unclear)), Err(error(Reason::Throttled))];
        let done = persist(&lanes, || std::future::ready(answers.pop().unwrap())).await.unwrap();
        assert_eq!(done, 7);
        let denied = persist(&lanes, || std::future::ready(Err::<(), _>(error(Reason::Denied)))).await.unwrap_err();
        assert_eq!(denied.reason, Reason::Denied);
    }
}
