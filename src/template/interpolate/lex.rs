//! From text to the pieces between and the tokens inside of `{{ }}`.

use super::EngineError;

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Identifier(String),
    /// `.Name`
    Field(String),
    /// `$name`, without the dollar.
    Variable(String),
    Dot,
    String(String),
    Int(i64),
    Float(f64),
    Pipe,
    Declare,
    Assign,
    Comma,
    Open,
    Close,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub at: usize,
    /// White space stands before it.
    pub spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Action { at: usize, end: usize, tokens: Vec<Token> },
}

pub fn pieces(text: &str) -> Result<Vec<Piece>, EngineError> {
    let mut pieces = Vec::new();
    let mut pos = 0;
    let mut trim_next = false;
    loop {
        let open = text[pos..].find("{{").map(|i| pos + i);
        let mut between = &text[pos..open.unwrap_or(text.len())];
        if trim_next {
            between = between.trim_start_matches(SPACE);
        }
        let Some(open) = open else {
            push_text(&mut pieces, between);
            return Ok(pieces);
        };
        let mut lexer = Lexer { text, pos: open + 2 };
        if lexer.trims_before() {
            between = between.trim_end_matches(SPACE);
        }
        push_text(&mut pieces, between);
        if lexer.rest().starts_with("/*") {
            let length = lexer.rest().find("*/").ok_or_else(|| EngineError::new(open, "a comment has no end `*/`"))?;
            lexer.pos += length + 2;
            trim_next = lexer.end().ok_or_else(|| EngineError::new(open, "after a comment comes `}}`"))?;
        } else {
            let mut tokens = Vec::new();
            trim_next = loop {
                if let Some(trim) = lexer.end() {
                    break trim;
                }
                tokens.push(lexer.token(open)?);
            };
            pieces.push(Piece::Action { at: open, end: lexer.pos, tokens });
        }
        pos = lexer.pos;
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// `{{- `: white space before the action goes.
    fn trims_before(&mut self) -> bool {
        let trims = self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACE));
        if trims {
            self.pos += 2;
        }
        trims
    }

    /// Passes `}}` or ` -}}`; true when white space behind the action goes.
    fn end(&mut self) -> Option<bool> {
        let trimmed = self.rest().trim_start_matches(SPACE);
        let spaced = trimmed.len() < self.rest().len();
        let (trim, after) = match trimmed.strip_prefix("-}}") {
            Some(after) if spaced => (true, after),
            _ => (false, trimmed.strip_prefix("}}")?),
        };
        self.pos = self.text.len() - after.len();
        Some(trim)
    }

    fn token(&mut self, open: usize) -> Result<Token, EngineError> {
        let before = self.pos;
        self.pos = self.text.len() - self.rest().trim_start_matches(SPACE).len();
        let (at, spaced) = (self.pos, self.pos > before);
        let c = self.peek().ok_or_else(|| EngineError::new(open, "an action has no end `}}`"))?;
        let kind = match c {
            '|' => self.symbol(1, Kind::Pipe),
            ',' => self.symbol(1, Kind::Comma),
            '(' => self.symbol(1, Kind::Open),
            ')' => self.symbol(1, Kind::Close),
            ':' if self.rest().starts_with(":=") => self.symbol(2, Kind::Declare),
            '=' => self.symbol(1, Kind::Assign),
            '"' => Kind::String(self.quoted('"')?),
            '\'' => self.character()?,
            '`' => Kind::String(self.raw()?),
            '$' => {
                self.pos += 1;
                Kind::Variable(self.word().to_owned())
            }
            '.' if self.rest()[1..].starts_with(word_start) => {
                self.pos += 1;
                Kind::Field(self.word().to_owned())
            }
            '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.symbol(1, Kind::Dot),
            '0'..='9' | '.' | '+' | '-' => self.number()?,
            c if word_start(c) => {
                let word = self.word().to_owned();
                // Go wants a space before the next value.
                if let Some(next) = self.peek().filter(|c| !SPACE.contains(c) && !".,|:()}=-".contains(*c)) {
                    return Err(EngineError::new(
                        self.pos,
                        format!("a space is missing between `{word}` and `{next}`"),
                    ));
                }
                Kind::Identifier(word)
            }
            c => return Err(EngineError::new(at, format!("`{c}` means nothing here"))),
        };
        Ok(Token { kind, at, spaced })
    }

    fn symbol(&mut self, length: usize, kind: Kind) -> Kind {
        self.pos += length;
        kind
    }

    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.pos += length;
        taken
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        self.take(rest.find(|c: char| !word_start(c) && !c.is_numeric()).unwrap_or(rest.len()))
    }

    fn raw(&mut self) -> Result<String, EngineError> {
        let at = self.pos;
        let length = self.rest()[1..].find('`').ok_or_else(|| EngineError::new(at, "a `raw` string has no end"))?;
        let text = self.take(length + 2);
        Ok(text[1..=length].replace('\r', ""))
    }

    fn quoted(&mut self, quote: char) -> Result<String, EngineError> {
        let at = self.pos;
        let unfinished = || EngineError::new(at, "a string has no end");
        let mut value = Vec::new();
        self.pos += 1;
        loop {
            let c = self.peek().filter(|c| *c != '\n').ok_or_else(unfinished)?;
            self.pos += c.len_utf8();
            match c {
                c if c == quote => break,
                '\\' => self.escape(&mut value)?,
                c => value.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        String::from_utf8(value).map_err(|_| EngineError::new(at, "the escapes of this string are not UTF-8"))
    }

    /// What follows a backslash.
    fn escape(&mut self, value: &mut Vec<u8>) -> Result<(), EngineError> {
        let at = self.pos - 1;
        let wrong = || EngineError::new(at, "this escape does not exist");
        let c = self.peek().ok_or_else(wrong)?;
        self.pos += c.len_utf8();
        let simple = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '"' | '\'' => c as u8,
            'x' | 'u' | 'U' | '0'..='7' => return self.code(c, value).ok_or_else(wrong),
            _ => return Err(wrong()),
        };
        value.push(simple);
        Ok(())
    }

    /// A byte (`\x41`, `\101`) or a character (`\u00e9`, `\U0001f600`).
    fn code(&mut self, kind: char, value: &mut Vec<u8>) -> Option<()> {
        let (skip, length, radix) = match kind {
            'x' => (0, 2, 16),
            'u' => (0, 4, 16),
            'U' => (0, 8, 16),
            _ => (1, 3, 8),
        };
        self.pos -= skip;
        let digits = self.rest().get(..length).filter(|digits| digits.chars().all(|c| c.is_digit(radix)))?;
        self.pos += length;
        let code = u32::from_str_radix(digits, radix).ok()?;
        if matches!(kind, 'u' | 'U') {
            value.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).bytes());
        } else {
            value.push(u8::try_from(code).ok()?);
        }
        Some(())
    }

    /// `'a'` is the number of the character.
    fn character(&mut self) -> Result<Kind, EngineError> {
        let at = self.pos;
        let text = self.quoted('\'')?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(Kind::Int(i64::from(u32::from(c)))),
            _ => Err(EngineError::new(at, "between single quotes stands one character")),
        }
    }

    fn number(&mut self) -> Result<Kind, EngineError> {
        let at = self.pos;
        let rest = self.rest();
        let mut previous = ' ';
        let inside = |c: char| {
            let sign = matches!(c, '+' | '-') && matches!(previous, ' ' | 'e' | 'E');
            previous = c;
            !(sign || c.is_alphanumeric() || matches!(c, '.' | '_'))
        };
        let text = self.take(rest.find(inside).unwrap_or(rest.len())).replace('_', "");
        let wrong = || EngineError::new(at, format!("`{text}` is not a number"));
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(&text)),
        };
        let lower = digits.to_ascii_lowercase();
        let radix = match lower.get(..2) {
            Some("0x") => Some(16),
            Some("0o") => Some(8),
            Some("0b") => Some(2),
            _ => None,
        };
        if let Some(radix) = radix {
            return i64::from_str_radix(&lower[2..], radix).map(|n| Kind::Int(sign * n)).map_err(|_| wrong());
        }
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            let octal = digits.len() > 1 && digits.starts_with('0');
            let number = i64::from_str_radix(digits, if octal { 8 } else { 10 });
            return number.map(|n| Kind::Int(sign * n)).map_err(|_| wrong());
        }
        let float = digits.parse::<f64>().ok().filter(|n| n.is_finite() && digits.starts_with(|c: char| c != 'i'));
        float.map(|n| Kind::Float(n * sign as f64)).ok_or_else(wrong)
    }
}

fn word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}
