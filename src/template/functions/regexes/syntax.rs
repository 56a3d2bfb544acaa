//! Go's regular expressions as the engine reads them: in Go `[` and `&&` are ordinary within a class,
//! `{` is where it counts nothing, and `\d`, `\w`, `\s` and `\b` know only ASCII.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

/// The same pattern for the engine. What Go refuses is left to the engine to refuse.
pub fn translate(pattern: &str) -> String {
    let mut translation = Translation { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len()) };
    translation.run();
    translation.out
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translation<'_> {
    fn run(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape(),
                '[' => self.class(),
                '{' if !self.counts() => self.out.push_str("\\{"),
                _ => self.out.push(c),
            }
        }
    }

    /// What follows `{` is a count: `3}`, `3,}`, `3,5}`.
    fn counts(&self) -> bool {
        let count: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let closed = self.rest.clone().any(|c| c == '}');
        let (least, most) = count.split_once(',').unwrap_or((&count, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        closed && !least.is_empty() && digits(least) && digits(most)
    }

    fn escape(&mut self) {
        match self.rest.peek() {
            Some('Q') => self.quoted(),
            Some('b') => self.instead("(?-u:\\b)"),
            Some('B') => self.instead("(?-u:\\B)"),
            Some(c) if ascii_class(*c).is_some() => {
                let class = self.rest.next().and_then(ascii_class).unwrap_or_default();
                self.out.push_str(class);
            }
            _ => self.character_or_property(),
        }
    }

    fn instead(&mut self, text: &str) {
        self.rest.next();
        self.out.push_str(text);
    }

    /// `\Q...\E`, or to the end.
    fn quoted(&mut self) {
        self.rest.next();
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    fn class(&mut self) {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        while let Some(&c) = self.rest.peek() {
            if c == ']' && !first {
                self.instead("]");
                return;
            }
            first = false;
            self.class_item(c);
        }
    }

    fn class_item(&mut self, c: char) {
        if c == '[' && self.named_class() {
            return;
        }
        self.rest.next();
        if c == '\\' {
            let class = self.rest.peek().copied().and_then(ascii_class);
            if let Some(class) = class {
                return self.instead(class);
            }
            self.character_or_property();
        } else {
            self.literal(c);
        }
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']') {
            self.instead("-");
            match self.rest.next() {
                Some('\\') => self.character_or_property(),
                Some(last) => self.literal(last),
                None => {}
            }
        }
    }

    /// `[:alpha:]` within a class.
    fn named_class(&mut self) -> bool {
        let name: String = self.rest.clone().take_while(|c| *c != ']').collect();
        let named = name.starts_with("[:") && name.ends_with(':') && name.len() > 3;
        if named {
            self.out.push_str(&name);
            self.out.push(']');
            self.rest.nth(name.chars().count());
        }
        named
    }

    /// After a backslash: a character that is written in digits or stands for itself, else what the
    /// engine knows by the same letters.
    fn character_or_property(&mut self) {
        match self.rest.next() {
            None => self.out.push('\\'),
            Some(digit @ '0'..='7') => {
                let mut value = digit.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(next) = self.rest.next_if(|c| c.is_digit(8)) else { break };
                    value = value * 8 + next.to_digit(8).unwrap_or_default();
                }
                self.literal(char::from_u32(value).unwrap_or_default());
            }
            Some(c @ ('p' | 'P')) if self.rest.clone().take(2).eq(['{', '^']) => {
                self.rest.nth(1);
                self.out.push_str(if c == 'p' { "\\P{" } else { "\\p{" });
            }
            Some(c) if c.is_ascii_punctuation() => self.literal(c),
            Some(c) => {
                self.out.extend(['\\', c]);
                if matches!(c, 'x' | 'p' | 'P') && self.rest.peek() == Some(&'{') {
                    self.braced();
                }
            }
        }
    }

    fn braced(&mut self) {
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == '}' {
                return;
            }
        }
    }

    /// In a form that means nothing else, within a class and outside.
    fn literal(&mut self, c: char) {
        if c.is_alphanumeric() || !c.is_ascii() {
            self.out.push(c);
        } else {
            // A `String` takes everything.
            let _ = write!(self.out, "\\x{:02X}", u32::from(c));
        }
    }
}

fn ascii_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::translate;

    /// What the pattern finds first, as Go finds it.
    fn found<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
        let regex = Regex::new(&translate(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        regex.find(text).map(|found| found.as_str())
    }

    #[test]
    fn a_class_holds_characters_that_rust_would_combine_classes_with() {
        assert_eq!(found("[^a-z()[\\] ./@_-]+", "ab[(]-_X9"), Some("X9"));
        assert_eq!(found("[a&&b]+", "c&a&b"), Some("&a&b"));
        assert_eq!(found("[a~~b-]+", "x~b-"), Some("~b-"));
        assert_eq!(found("[]a]+", "x]a]"), Some("]a]"));
        assert_eq!(found("[^]a]+", "]xy]"), Some("xy"));
        assert_eq!(found("[+--]+", "a+,-b"), Some("+,-"));
        assert_eq!(found("[a-c-e]+", "x-e-b"), Some("-e-b"));
        assert_eq!(found("[[:digit:]_]+", "ab1_2"), Some("1_2"));
        assert_eq!(found("[[:digit]+", "ab[:d"), Some("[:d"));
        assert_eq!(found("[\\d\\-\\[.]+", "a1-[.b"), Some("1-[."));
        assert_eq!(found("[\\D]+", "12ab3"), Some("ab"));
        assert_eq!(found("[\\x41-\\x{43}\\103]+", "xABCD"), Some("ABC"));
    }

    #[test]
    fn braces_that_count_nothing_stand_for_themselves() {
        assert_eq!(found("{{name}}", "a {{name}}"), Some("{{name}}"));
        assert_eq!(found("a{,2}", "aa a{,2}"), Some("a{,2}"));
        assert_eq!(found("a{2}", "aaa"), Some("aa"));
        assert_eq!(found("a{1,}b", "xaab"), Some("aab"));
        assert_eq!(found("x{", "x{"), Some("x{"));
    }

    #[test]
    fn letters_after_a_backslash() {
        assert_eq!(found("\\Qa.b[\\E+", "aab a.b[["), Some("a.b[["));
        assert_eq!(found("\\Qa.b", "a.b"), Some("a.b"));
        assert_eq!(found("\\w+", "é ab_1"), Some("ab_1"));
        assert_eq!(found("\\d+", "\u{661} 12"), Some("12"));
        assert_eq!(found("\\bb", "éb"), Some("b"), "a word is of ASCII letters");
        assert_eq!(found("\\Bb", "ab"), Some("b"));
        assert_eq!(found("\\<x\\>", "a<x>"), Some("<x>"));
        assert_eq!(found("\\p{^Greek}", "αa"), Some("a"));
        assert_eq!(found("(?i)\\x41\\.", "a."), Some("a."));
        assert_eq!(found("\\p{Lu}+\\x{4a}[\\p{Greek}\\PL]+", "aBCJα1b"), Some("BCJα1"));
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        for pattern in ["a(", "[a", "\\", "*", "a{2,1}", "[z-a]", "\\8", "(?<n"] {
            assert!(Regex::new(&translate(pattern)).is_err(), "{pattern}");
        }
    }
}
