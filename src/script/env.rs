//! Environment variables as text for a shell: Packer's `env_var_format`, with quotes kept whole.

use std::collections::BTreeMap;

/// A parsed `env_var_format`: `%s` twice, or `%[1]s` and `%[2]s`, for the name and the value.
#[derive(Clone, Debug)]
pub struct VarFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Name,
    /// `quoted`: it stands between single quotes, which a quote in the value must leave and enter again.
    Value {
        quoted: bool,
    },
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FormatError {
    #[error("`%{0}` is not a part of `env_var_format`")]
    Verb(String),
    #[error("`env_var_format` has more than a name and a value")]
    TooMany,
    #[error("`env_var_format` must name the variable and its value, as in `%s='%s' `")]
    Incomplete,
}

impl VarFormat {
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        let mut pieces = vec![];
        let mut quotes = Quotes::default();
        let mut next = 0;
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            push_text(&mut pieces, &mut quotes, &rest[..at]);
            let (index, after) = verb(&rest[at + 1..])?;
            rest = after;
            let index = match index {
                Verb::Percent => {
                    push_text(&mut pieces, &mut quotes, "%");
                    continue;
                }
                Verb::Next => next,
                Verb::Index(index) => index,
            };
            next = index + 1;
            pieces.push(match index {
                0 => Piece::Name,
                1 => Piece::Value { quoted: quotes.single },
                _ => return Err(FormatError::TooMany),
            });
        }
        push_text(&mut pieces, &mut quotes, rest);
        let complete = pieces.contains(&Piece::Name) && pieces.iter().any(|piece| matches!(piece, Piece::Value { .. }));
        if complete { Ok(Self(pieces)) } else { Err(FormatError::Incomplete) }
    }

    /// Every variable in turn, sorted by name.
    pub fn render(&self, vars: &BTreeMap<String, String>) -> String {
        let mut text = String::new();
        for (name, value) in vars {
            for piece in &self.0 {
                match piece {
                    Piece::Text(fixed) => text.push_str(fixed),
                    Piece::Name => text.push_str(name),
                    Piece::Value { quoted: true } => text.push_str(&value.replace('\'', r#"'"'"'"#)),
                    Piece::Value { quoted: false } => text.push_str(value),
                }
            }
        }
        text
    }
}

enum Verb {
    Percent,
    Next,
    Index(usize),
}

/// What follows a `%`, and the rest behind it.
fn verb(text: &str) -> Result<(Verb, &str), FormatError> {
    if let Some(rest) = text.strip_prefix('%') {
        return Ok((Verb::Percent, rest));
    }
    if let Some(rest) = text.strip_prefix(['s', 'v']) {
        return Ok((Verb::Next, rest));
    }
    for (place, index) in [("[1]", 0), ("[2]", 1)] {
        if let Some(rest) = text.strip_prefix(place).and_then(|rest| rest.strip_prefix(['s', 'v'])) {
            return Ok((Verb::Index(index), rest));
        }
    }
    Err(FormatError::Verb(text.chars().take(3).collect()))
}

#[derive(Default)]
struct Quotes {
    single: bool,
    double: bool,
}

fn push_text(pieces: &mut Vec<Piece>, quotes: &mut Quotes, text: &str) {
    for c in text.chars() {
        match c {
            '\'' if !quotes.double => quotes.single = !quotes.single,
            '"' if !quotes.single => quotes.double = !quotes.double,
            _ => {}
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str, value: &str) -> String {
        VarFormat::parse(format).unwrap().render(&[("NAME".to_owned(), value.to_owned())].into())
    }

    #[test]
    fn quotes_in_a_value_are_kept_where_the_format_quotes() {
        assert_eq!(render("%s='%s' ", "it's"), r#"NAME='it'"'"'s' "#);
        assert_eq!(render("$env:%s=\"%s\"; ", "it's"), "$env:NAME=\"it's\"; ");
        assert_eq!(render("%[1]s=%[2]s 100%% ", "x"), "NAME=x 100% ");
    }

    #[test]
    fn a_format_that_loses_something_is_an_error() {
        assert_eq!(VarFormat::parse("export %s\n").unwrap_err(), FormatError::Incomplete);
        assert_eq!(VarFormat::parse("%s=%q ").unwrap_err(), FormatError::Verb("q ".into()));
        assert_eq!(VarFormat::parse("%s=%s%s").unwrap_err(), FormatError::TooMany);
    }
}
