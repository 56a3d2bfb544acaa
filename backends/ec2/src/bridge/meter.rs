//! How far something is, told at most ten times a second.

use std::time::{Duration, Instant};

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Progress};

const SHOW_EVERY: Duration = Duration::from_millis(100);

pub struct Meter {
    cx: Cx,
    what: String,
    done: u64,
    total: u64,
    unit: Unit,
    shown: Instant,
}

impl Meter {
    pub fn new(cx: &Cx, what: impl Into<String>, total: u64, unit: Unit) -> Self {
        Self { cx: cx.clone(), what: what.into(), done: 0, total, unit, shown: Instant::now() }
    }

    pub fn add(&mut self, amount: u64) {
        self.done = (self.done + amount).min(self.total);
        if self.shown.elapsed() >= SHOW_EVERY {
            self.shown = Instant::now();
            self.show(false);
        }
    }

    pub fn finish(self) {
        self.show(true);
    }

    fn show(&self, finished: bool) {
        let (what, done, total, unit) = (self.what.clone(), self.done, Some(self.total), self.unit);
        self.cx.progress(Progress { what, done, total, unit, finished });
    }
}
