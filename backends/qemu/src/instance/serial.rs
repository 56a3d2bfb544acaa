//! What a guest says on its serial line, while it says it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::Cx;
use bakehouse_api::event::OutputStream;
use tokio::task::JoinHandle;

const POLL: Duration = Duration::from_millis(200);
/// Of one look.
const PIECE: u64 = 1 << 20;

/// Tells every line until it is dropped.
pub struct Follower(JoinHandle<()>);

impl Follower {
    pub fn start(cx: &Cx, path: &Path) -> Self {
        let (cx, mut log) = (cx.clone(), Log { path: path.to_owned(), at: 0, rest: Vec::new() });
        Self(tokio::spawn(async move {
            let mut look = tokio::time::interval(POLL);
            loop {
                look.tick().await;
                for line in log.fresh() {
                    cx.output(OutputStream::Stdout, line);
                }
            }
        }))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Log {
    path: PathBuf,
    at: u64,
    /// The beginning of a line that is still being written.
    rest: Vec<u8>,
}

impl Log {
    fn fresh(&mut self) -> Vec<String> {
        let Ok(bytes) = read(&self.path, self.at) else { return Vec::new() };
        self.at += bytes.len() as u64;
        self.rest.extend(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }
}

fn read(path: &Path, at: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last lines so far; none where it has said nothing.
pub fn tail(path: &Path, count: usize) -> Option<String> {
    let length = path.metadata().ok()?.len();
    let bytes = read(path, length.saturating_sub(PIECE)).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\r', "");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(count)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_once_they_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serial.log");
        let mut log = Log { path: path.clone(), at: 0, rest: Vec::new() };
        assert!(log.fresh().is_empty() && tail(&path, 2).is_none());
        std::fs::write(&path, "one\r\ntwo\r\nthr").unwrap();
        assert_eq!(log.fresh(), ["one", "two"]);
        assert!(log.fresh().is_empty());
        std::fs::write(&path, "one\r\ntwo\r\nthree\n").unwrap();
        assert_eq!(log.fresh(), ["three"]);
        assert_eq!(tail(&path, 2).as_deref(), Some("two\nthree"));
    }
}
