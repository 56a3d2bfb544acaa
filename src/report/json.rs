//! `--events json`: one event a line on stdout.

use std::io::Write;

use bakehouse_api::Event;

use super::Reporter;

pub struct Json;

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        let mut out = std::io::stdout().lock();
        if serde_json::to_writer(&mut out, event).is_ok() {
            let _ = out.write_all(b"\n"); // a reader that went away does not stop the build
        }
    }

    fn finish(&mut self) {
        let _ = std::io::stdout().flush();
    }
}
