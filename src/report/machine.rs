//! Packer's `-machine-readable`: `unixts,target,type,data...` on stdout.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use bakehouse_api::event::Outcome;
use bakehouse_api::{Artifact, Event, EventKind};

use super::Reporter;
use super::summary::Summary;
use super::ui::{self, Level};

#[derive(Default)]
pub struct Machine {
    summary: Summary,
}

impl Reporter for Machine {
    fn event(&mut self, event: &Event) {
        self.summary.event(event);
        if let EventKind::RunStarted { version, .. } = &event.kind {
            print(event.time, "", &["version", version]);
        }
        for line in ui::lines(event) {
            let level = match line.level {
                Level::Say => "say",
                Level::Message => "message",
                Level::Error => "error",
            };
            print(event.time, "", &["ui", level, &line.text]);
        }
    }

    fn finish(&mut self) {
        let now = SystemTime::now();
        let failed: Vec<_> = self.summary.builds.iter().filter(|build| build.outcome != Some(Outcome::Done)).collect();
        if !failed.is_empty() {
            print(now, "", &["error-count", &failed.len().to_string()]);
        }
        for build in failed {
            print(now, &build.name, &["error", build.error.as_deref().unwrap_or("did not finish")]);
        }
        for build in self.summary.builds.iter().filter(|build| build.outcome == Some(Outcome::Done)) {
            print(now, &build.name, &["artifact-count", &build.artifacts.len().to_string()]);
            for (index, artifact) in build.artifacts.iter().enumerate() {
                print_artifact(now, &build.name, &index.to_string(), artifact);
            }
        }
    }
}

fn print_artifact(now: SystemTime, build: &str, index: &str, artifact: &Artifact) {
    let say = |data: &[&str]| print(now, build, &[&["artifact", index], data].concat());
    say(&["builder-id", &artifact.builder_id]);
    say(&["id", &artifact.id]);
    say(&["string", &artifact.text]);
    say(&["files-count", &artifact.files.len().to_string()]);
    for (at, file) in artifact.files.iter().enumerate() {
        say(&["file", &at.to_string(), &file.to_string_lossy()]);
    }
    say(&["end"]);
}

fn print(time: SystemTime, target: &str, data: &[&str]) {
    let _ = writeln!(std::io::stdout().lock(), "{}", machine_line(time, target, data));
}

/// One line of the format.
pub fn machine_line(time: SystemTime, target: &str, data: &[&str]) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let escape = |text: &&str| text.replace(',', "%!(PACKER_COMMA)").replace('\r', "\\r").replace('\n', "\\n");
    let data: Vec<String> = data.iter().map(escape).collect();
    format!("{seconds},{target},{}", data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_line_ends_are_escaped_as_packer_does() {
        let line = machine_line(UNIX_EPOCH, "null.a", &["error", "one, two\r\nthree"]);
        assert_eq!(line, r"0,null.a,error,one%!(PACKER_COMMA) two\r\nthree");
    }
}
