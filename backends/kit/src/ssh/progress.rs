//! How far a transfer is.

use std::time::{Duration, Instant};

use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Progress};

const EVERY: Duration = Duration::from_millis(100);

pub struct Meter {
    /// None counts without telling.
    cx: Option<Cx>,
    what: String,
    done: u64,
    total: Option<u64>,
    shown: Instant,
}

impl Meter {
    pub fn new(cx: &Cx, what: impl Into<String>, total: Option<u64>) -> Self {
        Self { cx: Some(cx.clone()), what: what.into(), done: 0, total, shown: Instant::now() }
    }

    pub fn silent() -> Self {
        Self { cx: None, what: String::new(), done: 0, total: None, shown: Instant::now() }
    }

    /// The size that will really travel, where packing changes it.
    pub fn expect(&mut self, total: u64) {
        self.total = Some(total);
    }

    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            self.emit(false);
        }
    }

    pub fn finish(self) {
        self.emit(true);
    }

    fn emit(&self, finished: bool) {
        let Some(cx) = &self.cx else { return };
        let done = self.total.map_or(self.done, |total| self.done.min(total));
        cx.progress(Progress { what: self.what.clone(), done, total: self.total, unit: Unit::Bytes, finished });
    }
}
