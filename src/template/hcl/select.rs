//! `-only` and `-except`: globs over names, where `*` crosses dots.

use bakehouse_api::{Diagnostic, Diagnostics};
use globset::{GlobBuilder, GlobMatcher};

pub struct Selection {
    only: Vec<GlobMatcher>,
    except: Vec<GlobMatcher>,
}

impl Selection {
    /// Each argument may hold several patterns, separated by commas.
    pub fn new(only: &[String], except: &[String], diagnostics: &mut Diagnostics) -> Self {
        Self { only: patterns("-only", only, diagnostics), except: patterns("-except", except, diagnostics) }
    }

    pub fn includes(&self, build: &str) -> bool {
        (self.only.is_empty() || matches(&self.only, build)) && !matches(&self.except, build)
    }

    /// Does `-except` name this?
    pub fn excepts(&self, name: &str) -> bool {
        matches(&self.except, name)
    }
}

fn matches(patterns: &[GlobMatcher], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
}

fn patterns(option: &str, arguments: &[String], diagnostics: &mut Diagnostics) -> Vec<GlobMatcher> {
    let words = arguments.iter().flat_map(|argument| argument.split(',')).filter(|word| !word.is_empty());
    let compile = |word: &str| match GlobBuilder::new(word).literal_separator(false).build() {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            diagnostics.push(Diagnostic::error(format!("{option}: `{word}` is no pattern: {}", error.kind())));
            None
        }
    };
    words.filter_map(compile).collect()
}

#[cfg(test)]
mod tests {
    use bakehouse_api::Diagnostics;

    use super::Selection;

    fn selects(only: &str, except: &str, build: &str) -> bool {
        let mut diagnostics = Diagnostics::default();
        let selection = Selection::new(&[only.to_owned()], &[except.to_owned()], &mut diagnostics);
        assert!(diagnostics.is_empty());
        selection.includes(build)
    }

    #[test]
    fn globs_cross_dots() {
        assert!(selects("", "", "qemu.a"));
        assert!(selects("web.*", "", "web.qemu.a"));
        assert!(selects("*.a", "", "web.qemu.a"));
        assert!(!selects("qemu.a", "", "web.qemu.a"));
        assert!(selects("null.b,qemu.a", "", "qemu.a"));
        assert!(!selects("", "qemu.*", "qemu.a"));
        assert!(!selects("qemu.*", "*.a", "qemu.a"));
    }

    #[test]
    fn a_broken_pattern_is_an_error() {
        let mut diagnostics = Diagnostics::default();
        Selection::new(&["[a".to_owned()], &[], &mut diagnostics);
        assert!(diagnostics.has_errors());
    }
}
