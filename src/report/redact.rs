//! The one place where secrets are taken out of events.

use aho_corasick::{AhoCorasick, MatchKind};
use bakehouse_api::{Event, EventKind, Secrets};

const MASK: &str = "<sensitive>";
/// Shorter secrets are only redacted as whole words: "a" must not mangle every line.
const WORD_LENGTH: usize = 4;

pub struct Redactor {
    secrets: Secrets,
    known: usize,
    matcher: Option<AhoCorasick>,
}

impl Redactor {
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, known: 0, matcher: None }
    }

    pub fn redact(&mut self, event: &mut Event) {
        self.refresh();
        let Some(matcher) = &self.matcher else { return };
        for text in texts(&mut event.kind) {
            if let Some(masked) = mask(matcher, text) {
                *text = masked;
            }
        }
    }

    /// The text without its secrets; none where there are none in it.
    pub fn text(&mut self, text: &str) -> Option<String> {
        self.refresh();
        mask(self.matcher.as_ref()?, text)
    }

    fn refresh(&mut self) {
        if self.secrets.len() == self.known {
            return;
        }
        let all = self.secrets.all();
        self.known = all.len();
        let patterns = all.iter().map(|secret| secret.reveal());
        // Leftmost-longest: of `secret` and `secret-long`, the longer one hides all of itself.
        self.matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns).ok();
    }
}

fn mask(matcher: &AhoCorasick, text: &str) -> Option<String> {
    let mut masked = String::new();
    let mut rest = 0;
    for found in matcher.find_iter(text) {
        let short = found.len() < WORD_LENGTH;
        if short && !stands_alone(text, found.start(), found.end()) {
            continue;
        }
        masked.push_str(&text[rest..found.start()]);
        masked.push_str(MASK);
        rest = found.end();
    }
    (rest > 0).then(|| masked + &text[rest..])
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    !text[..start].ends_with(word) && !text[end..].starts_with(word)
}

/// Every string of an event that can carry what a guest or a template said.
fn texts(kind: &mut EventKind) -> Vec<&mut String> {
    match kind {
        EventKind::Say { text }
        | EventKind::Message { text }
        | EventKind::Warning { text }
        | EventKind::Output { text, .. } => vec![text],
        EventKind::Error { text, hints, evidence, place, .. } => {
            let mut all = vec![text];
            all.extend(hints.iter_mut());
            all.extend(evidence.iter_mut());
            all.extend(place.iter_mut());
            all
        }
        EventKind::Artifact { from, artifact } => {
            let mut all = vec![from, &mut artifact.id, &mut artifact.text];
            all.extend(artifact.facts.values_mut());
            all
        }
        EventKind::UndoFailed { what, text } => vec![what, text],
        EventKind::Undoing { what } => vec![what],
        EventKind::Progress(progress) => vec![&mut progress.what],
        EventKind::StageStarted { stage, .. } | EventKind::StageFinished { stage, .. } => vec![stage],
        EventKind::BuildStarted { stages } => stages.iter_mut().collect(),
        EventKind::RunStarted { .. } | EventKind::BuildFinished { .. } | EventKind::RunFinished { .. } => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &[&str], text: &str) -> String {
        let known = Secrets::default();
        let mut redactor = Redactor::new(known.clone());
        secrets.iter().for_each(|secret| known.add(secret));
        let mut event =
            Event { v: 1, time: std::time::UNIX_EPOCH, build: None, kind: EventKind::Say { text: text.to_owned() } };
        redactor.redact(&mut event);
        match event.kind {
            EventKind::Say { text } => text,
            _ => unreachable!("the kind does not change"),
        }
    }

    #[test]
    fn secrets_go_and_the_longest_wins() {
        assert_eq!(redacted(&["hunter2", "hunter2-long"], "x hunter2-long y hunter2"), "x <sensitive> y <sensitive>");
    }

    #[test]
    fn lines_of_a_key_are_each_secret() {
        assert_eq!(redacted(&["-----BEGIN\nabcdef\n"], "got abcdef"), "got <sensitive>");
    }

    #[test]
    fn short_secrets_hide_whole_words_only() {
        assert_eq!(redacted(&["a"], "a banana, a"), "<sensitive> banana, <sensitive>");
    }

    #[test]
    fn secrets_learnt_later_are_redacted_from_then_on() {
        let known = Secrets::default();
        let mut redactor = Redactor::new(known.clone());
        known.add("first");
        redactor.refresh();
        known.add("second");
        redactor.refresh();
        let matcher = redactor.matcher.as_ref().unwrap();
        assert_eq!(mask(matcher, "first second").as_deref(), Some("<sensitive> <sensitive>"));
    }
}
