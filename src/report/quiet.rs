//! For commands whose result alone goes to standard output: warnings and errors on standard error.

use std::io::Write;

use bakehouse_api::{Event, EventKind};

use super::Reporter;
use super::ui;

pub struct Quiet;

impl Reporter for Quiet {
    fn event(&mut self, event: &Event) {
        let shown =
            matches!(event.kind, EventKind::Warning { .. } | EventKind::Error { .. } | EventKind::UndoFailed { .. });
        if shown {
            for line in ui::lines(event) {
                let _ = writeln!(std::io::stderr().lock(), "{}", line.text);
            }
        }
    }

    fn finish(&mut self) {}
}
