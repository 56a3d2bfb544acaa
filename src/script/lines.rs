//! Output of commands as lines: live, with the last ones kept for an error.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bakehouse_api::event::OutputStream;
use bakehouse_api::{Cx, Stream};

/// How many lines an error shows.
const TAIL: usize = 20;
/// How often a progress display that redraws one line is shown.
const REDRAW: Duration = Duration::from_secs(1);
/// A line longer than this is cut: a command that writes no line ends must not fill the memory.
const LONGEST: usize = 64 * 1024;

/// Takes the raw output of a command and emits its lines.
pub struct Lines<'a> {
    cx: &'a Cx,
    stdout: Splitter,
    stderr: Splitter,
    tail: VecDeque<String>,
}

impl<'a> Lines<'a> {
    pub fn new(cx: &'a Cx) -> Self {
        Self { cx, stdout: Splitter::default(), stderr: Splitter::default(), tail: VecDeque::new() }
    }

    pub fn feed(&mut self, stream: Stream, bytes: &[u8]) {
        let splitter = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let mut lines = Vec::new();
        splitter.feed(bytes, &mut |line| lines.push(line));
        for line in lines {
            self.line(stream, line);
        }
    }

    /// Emits what has no line end. Call it when the command is over.
    pub fn finish(mut self) -> Tail {
        for (stream, rest) in [(Stream::Stdout, self.stdout.rest()), (Stream::Stderr, self.stderr.rest())] {
            if let Some(line) = rest {
                self.line(stream, line);
            }
        }
        Tail(self.tail)
    }

    fn line(&mut self, stream: Stream, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        let stream = match stream {
            Stream::Stdout => OutputStream::Stdout,
            Stream::Stderr => OutputStream::Stderr,
        };
        self.cx.output(stream, line);
    }
}

/// The last lines that a command wrote.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<String>);

impl Tail {
    /// As a paragraph of an error message; empty when nothing was written.
    pub fn paragraph(&self) -> String {
        if self.0.is_empty() {
            return "; it wrote nothing".into();
        }
        let lines: String = self.0.iter().map(|line| format!("\n  {line}")).collect();
        format!("; its last lines were:{lines}")
    }
}

#[derive(Default)]
struct Splitter {
    pending: Vec<u8>,
    /// The last byte was a carriage return: a line end if a line feed follows, else a redraw.
    returned: bool,
    redrawn: Option<Instant>,
}

impl Splitter {
    fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(String)) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.returned = false;
                    emit(self.take());
                }
                b'\r' => {
                    if self.returned {
                        continue; // a terminal turns "\r\n" into "\r\r\n"
                    }
                    self.returned = true;
                }
                _ => {
                    if std::mem::take(&mut self.returned) {
                        self.redraw(emit);
                    }
                    self.pending.push(byte);
                    if self.pending.len() >= LONGEST {
                        emit(self.take());
                    }
                }
            }
        }
    }

    /// The line is about to be overwritten.
    fn redraw(&mut self, emit: &mut dyn FnMut(String)) {
        let line = self.take();
        if !line.is_empty() && self.redrawn.is_none_or(|last| last.elapsed() >= REDRAW) {
            self.redrawn = Some(Instant::now());
            emit(line);
        }
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        line
    }

    fn rest(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bakehouse_api::testing;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        let mut lines = Lines::new(&cx);
        for chunk in chunks {
            lines.feed(Stream::Stdout, chunk);
        }
        lines.finish();
        recorder.lines()
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\r", b"\nthree"]), ["one", "two", "three"]);
        assert_eq!(lines(&["gr\u{fc}n".as_bytes().split_at(3).0, "gr\u{fc}n".as_bytes().split_at(3).1]), ["gr\u{fc}n"]);
        assert_eq!(lines(&[b"\n\na\r\r\n"]), ["", "", "a"]);
    }

    #[test]
    fn a_redrawn_line_shows_its_first_and_last_state() {
        assert_eq!(lines(&[b" 10%\r 20%\r 30%\r100%\ndone\n"]), [" 10%", "100%", "done"]);
    }

    #[test]
    fn only_the_last_lines_are_kept_for_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), vec![]);
        let mut lines = Lines::new(&cx);
        for n in 0..100 {
            lines.feed(Stream::Stderr, format!("{n}\n").as_bytes());
        }
        let text = lines.finish().paragraph();
        assert!(text.starts_with("; its last lines were:\n  80\n") && text.ends_with("\n  99"), "{text}");
    }
}
