//! Text to tokens, without loss: the tokens' texts put together are the input again. Templates nest
//! (`"a ${ "b" }"`), so the lexer keeps a stack of what it is inside of. Linear in the input.

/// What a token is. Its text is the input from the end of the token before it to its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Bom,
    Whitespace,
    Newline,
    /// `# ...`, `// ...` without the newline, or `/* ... */`.
    Comment,
    /// A `/*` whose `*/` is missing.
    OpenComment,
    Ident,
    Number,
    /// `{ } ( ) [ ]`, operators, `=`, `,`, `...` and so on.
    Punct(&'static str),
    /// The `"` at the start and at the end of a string.
    QuoteOpen,
    QuoteClose,
    /// `<<EOT` or `<<-EOT` with its newline, and the line that ends it, without its newline.
    HeredocOpen,
    HeredocClose,
    /// Literal text of a string or a heredoc (there a line at most), escapes and all.
    Text,
    /// `${` and `%{`, with a `~` when they strip.
    Interpolation,
    Directive,
    /// The `}` or `~}` that ends either.
    TemplateClose,
    /// A character that has no place in the language.
    Bad,
}

impl TokenKind {
    /// Nothing to the parser.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Bom | Self::Whitespace | Self::Comment)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub start: u32,
    pub end: u32,
}

impl Token {
    pub fn text(self, source: &str) -> &str {
        &source[self.start as usize..self.end as usize]
    }
}

/// Tokens of a configuration file.
pub fn lex(source: &str) -> Vec<Token> {
    Lexer::new(source, Mode::Code { opened: 0, braces: 0, template: false }).run()
}

/// Tokens of a file that is one template as a whole, as `templatefile` reads it.
pub fn lex_template(source: &str) -> Vec<Token> {
    Lexer::new(source, Mode::File).run()
}

/// What the lexer is inside of. `opened` is where that began.
#[derive(Clone, Copy)]
enum Mode<'a> {
    /// Expressions and blocks; in a template up to its `}`.
    Code {
        opened: usize,
        braces: usize,
        template: bool,
    },
    Quoted {
        opened: usize,
    },
    Heredoc {
        marker: &'a str,
    },
    /// A template file: ends with the input.
    File,
}

struct Lexer<'a> {
    source: &'a str,
    position: usize,
    line_start: usize,
    modes: Vec<Mode<'a>>,
    tokens: Vec<Token>,
}

/// Longest first where one begins another.
const PUNCTUATION: &[&str] = &[
    "...", "==", "!=", "<=", ">=", "&&", "||", "=>", "{", "}", "(", ")", "[", "]", "=", "<", ">", "!", "?", ":", ",",
    ".", "+", "-", "*", "/", "%",
];

impl<'a> Lexer<'a> {
    fn new(source: &'a str, mode: Mode<'a>) -> Self {
        Self { source, position: 0, line_start: 0, modes: vec![mode], tokens: Vec::with_capacity(source.len() / 4) }
    }

    fn run(mut self) -> Vec<Token> {
        if self.source.starts_with('\u{feff}') {
            self.push(TokenKind::Bom, '\u{feff}'.len_utf8());
        }
        while self.position < self.source.len() {
            match self.modes.last().copied() {
                Some(Mode::Quoted { .. }) => self.quoted(),
                Some(Mode::Heredoc { marker }) => self.heredoc(marker),
                Some(Mode::File) => self.text(|_| false),
                Some(Mode::Code { .. }) | None => self.code(),
            }
        }
        self.tokens
    }

    fn rest(&self) -> &'a str {
        &self.source[self.position..]
    }

    fn push(&mut self, kind: TokenKind, len: usize) {
        let (start, end) = (self.position, self.position + len);
        if let Some(newline) = self.source[start..end].rfind('\n') {
            self.line_start = start + newline + 1;
        }
        self.tokens.push(Token { kind, start: start as u32, end: end as u32 });
        self.position = end;
    }

    fn code(&mut self) {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or_default();
        match first {
            '\n' => self.push(TokenKind::Newline, 1),
            '\r' if rest.starts_with("\r\n") => self.push(TokenKind::Newline, 2),
            ' ' | '\t' | '\r' => {
                let blank = rest.bytes().enumerate().take_while(|(i, byte)| match byte {
                    b' ' | b'\t' => true,
                    b'\r' => rest.as_bytes().get(i + 1) != Some(&b'\n'),
                    _ => false,
                });
                self.push(TokenKind::Whitespace, blank.count());
            }
            '#' => self.line_comment(),
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => match rest[2..].find("*/") {
                Some(end) => self.push(TokenKind::Comment, end + 4),
                None => self.push(TokenKind::OpenComment, rest.len()),
            },
            '"' => {
                self.modes.push(Mode::Quoted { opened: self.position });
                self.push(TokenKind::QuoteOpen, 1);
            }
            '<' if rest.starts_with("<<") => self.heredoc_open(),
            '0'..='9' => self.push(TokenKind::Number, number_len(rest)),
            _ if is_ident_start(first) => {
                let len = rest.find(|c| !is_ident_continue(c)).unwrap_or(rest.len());
                self.push(TokenKind::Ident, len);
            }
            _ => self.punctuation(first),
        }
    }

    fn line_comment(&mut self) {
        let rest = self.rest();
        let len = rest.find('\n').unwrap_or(rest.len());
        let len = if rest[..len].ends_with('\r') && len < rest.len() { len - 1 } else { len };
        self.push(TokenKind::Comment, len);
    }

    fn punctuation(&mut self, first: char) {
        let rest = self.rest();
        if let Some(Mode::Code { braces, template, .. }) = self.modes.last_mut() {
            match first {
                '{' => *braces += 1,
                '}' if *braces > 0 => *braces -= 1,
                '}' if *template => return self.close_template(1),
                '~' if *template && *braces == 0 && rest.starts_with("~}") => return self.close_template(2),
                _ => {}
            }
        }
        match PUNCTUATION.iter().find(|punct| rest.starts_with(**punct)) {
            Some(punct) => self.push(TokenKind::Punct(punct), punct.len()),
            None => self.push(TokenKind::Bad, first.len_utf8()),
        }
    }

    fn close_template(&mut self, len: usize) {
        self.modes.pop();
        self.push(TokenKind::TemplateClose, len);
    }

    fn heredoc_open(&mut self) {
        let rest = self.rest();
        let dash = usize::from(rest[2..].starts_with('-'));
        let after = &rest[2 + dash..];
        let marker = &after[..after.find(|c| !is_ident_continue(c)).unwrap_or(after.len())];
        let tail = &after[marker.len()..];
        let newline = if tail.starts_with("\r\n") { 2 } else { usize::from(tail.starts_with('\n')) };
        if newline == 0 || !marker.starts_with(is_ident_start) {
            return self.push(TokenKind::Bad, 2);
        }
        self.modes.push(Mode::Heredoc { marker });
        self.push(TokenKind::HeredocOpen, 2 + dash + marker.len() + newline);
    }

    fn heredoc(&mut self, marker: &str) {
        let rest = self.rest();
        if self.position == self.line_start {
            let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim() == marker {
                self.modes.pop();
                return self.push(TokenKind::HeredocClose, line.trim_end().len());
            }
        }
        self.text(|_| false);
    }

    fn quoted(&mut self) {
        match self.rest().as_bytes().first() {
            Some(b'"') => {
                self.modes.pop();
                self.push(TokenKind::QuoteClose, 1);
            }
            Some(b'\n' | b'\r') => self.break_off(),
            _ => self.text(|byte| matches!(byte, b'"' | b'\n' | b'\r')),
        }
    }

    /// A quoted string cannot go on in the next line: everything that began in this one ends here,
    /// so that a forgotten quote does not swallow the rest of the file.
    fn break_off(&mut self) {
        let line_start = self.line_start;
        let began_here = |mode: &Mode<'_>| match mode {
            Mode::Quoted { opened } => *opened >= line_start,
            Mode::Code { opened, template, .. } => *template && *opened >= line_start,
            _ => false,
        };
        self.modes.pop();
        while self.modes.last().is_some_and(began_here) {
            self.modes.pop();
        }
        // A lone carriage return would be seen again by the string around this one.
        if self.rest().starts_with('\r') && !self.rest().starts_with("\r\n") {
            self.push(TokenKind::Bad, 1);
        }
    }

    /// Literal text up to `${`, `%{`, the end of the line or what `ends` it; or one of these.
    fn text(&mut self, ends: impl Fn(u8) -> bool) {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let in_quotes = matches!(self.modes.last(), Some(Mode::Quoted { .. }));
        let mut i = 0;
        while i < bytes.len() && !ends(bytes[i]) {
            let next = bytes.get(i + 1).copied();
            match bytes[i] {
                b'\\' if in_quotes && next.is_some_and(|byte| byte != b'\n' && byte != b'\r') => i += 2,
                sign @ (b'$' | b'%') if next == Some(sign) && bytes.get(i + 2) == Some(&b'{') => i += 3,
                b'$' | b'%' if next == Some(b'{') => break,
                b'\n' => {
                    i += 1;
                    break;
                }
                _ => i += 1,
            }
        }
        // An escape may have stepped into a character of several bytes.
        while !rest.is_char_boundary(i) {
            i += 1;
        }
        if i > 0 {
            return self.push(TokenKind::Text, i);
        }
        let kind = if bytes[0] == b'$' { TokenKind::Interpolation } else { TokenKind::Directive };
        self.modes.push(Mode::Code { opened: self.position, braces: 0, template: true });
        self.push(kind, if bytes.get(2) == Some(&b'~') { 3 } else { 2 });
    }
}

fn number_len(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(0);
    if text[len..].starts_with('.') {
        let fraction = digits(len + 1);
        if fraction > 0 {
            len += 1 + fraction;
        }
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

pub fn is_ident_start(c: char) -> bool {
    c == '_' || unicode_ident::is_xid_start(c)
}

pub fn is_ident_continue(c: char) -> bool {
    c == '-' || unicode_ident::is_xid_continue(c)
}

/// Can `text` stand as a name?
pub fn is_ident(text: &str) -> bool {
    text.starts_with(is_ident_start) && text.chars().all(is_ident_continue)
}

#[cfg(test)]
pub(super) mod tests;
