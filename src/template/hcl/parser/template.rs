//! Strings, heredocs and the templates in them.

use bakehouse_api::{Diagnostic, Span};

use super::{Failed, Parsed, Parser};
use crate::template::hcl::lexer::{Token, TokenKind};
use crate::template::hcl::syntax::{Expr, ExprKind, ForPart, IfPart, Name, Part};

/// A piece of a template before directives are matched with their ends.
enum Piece {
    Text { text: String, starts_line: bool },
    Interpolation(Expr),
    If(Expr, Span),
    For { key: Option<Name>, value: Name, collection: Expr, span: Span },
    Else(Span),
    EndIf(Span),
    EndFor(Span),
}

/// A directive whose end has not come yet, with the parts that stood before it.
enum Open {
    If { condition: Expr, then: Option<Vec<Part>>, span: Span },
    For { key: Option<Name>, value: Name, collection: Expr, span: Span },
}

impl Open {
    fn span(&self) -> Span {
        match self {
            Open::If { span, .. } | Open::For { span, .. } => *span,
        }
    }
}

impl Parser<'_> {
    pub(super) fn string(&mut self) -> Parsed<Expr> {
        let Some(open) = self.next() else { return Err(self.expected("a string")) };
        let start = self.span(open);
        let pieces = self.pieces(true);
        if self.kind() != Some(TokenKind::QuoteClose) {
            let error = Diagnostic::error("this string is never closed").at(self.span_from(start));
            return Err(self.fail(error.hint("a `\"` is missing before the end of the line")));
        }
        self.next();
        let parts = self.assemble(pieces?)?;
        Ok(Expr { kind: ExprKind::Template(parts), span: self.span_from(start) })
    }

    /// A string without templates, as blocks are labelled with.
    pub(super) fn literal_string(&mut self) -> Parsed<Name> {
        let Expr { kind, span } = self.string()?;
        match kind {
            ExprKind::Template(parts) => match parts.as_slice() {
                [] => Ok(Name { text: String::new(), span }),
                [Part::Text(text)] => Ok(Name { text: text.clone(), span }),
                _ => Err(self.fail(Diagnostic::error("a label is a plain string, without templates").at(span))),
            },
            _ => Err(self.expected("a string")),
        }
    }

    pub(super) fn heredoc(&mut self) -> Parsed<Expr> {
        let Some(open) = self.next() else { return Err(self.expected("a heredoc")) };
        let start = self.span(open);
        let introducer = self.text(open).trim_end();
        let flush = introducer.starts_with("<<-");
        let pieces = self.pieces(false);
        if self.kind() != Some(TokenKind::HeredocClose) {
            let marker = introducer.trim_start_matches(['<', '-']);
            let start = Span { end: start.start + introducer.len() as u32, ..start };
            let error = Diagnostic::error("this heredoc is never closed").at(start);
            return Err(self.fail(error.hint(format!("a line with nothing but `{marker}` ends it"))));
        }
        self.next();
        let mut pieces = pieces?;
        if flush {
            strip_indent(&mut pieces);
        }
        let parts = self.assemble(pieces)?;
        Ok(Expr { kind: ExprKind::Template(parts), span: self.span_from(start) })
    }

    /// A file that is one template.
    pub(super) fn file_template(&mut self) -> Parsed<Vec<Part>> {
        let pieces = self.pieces(false)?;
        self.assemble(pieces)
    }

    /// Everything up to the end of the string, which is left to the caller.
    fn pieces(&mut self, quoted: bool) -> Parsed<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut strip = false;
        let mut ok = true;
        let mut line_begins = true;
        // Templates in code see tokens only; newlines between them are none of theirs.
        while let Some(token) = self.tokens.get(self.position).copied() {
            match token.kind {
                TokenKind::Text => {
                    self.position += 1;
                    match self.literal(token, quoted) {
                        Ok(text) => {
                            let text = if strip { text.trim_start().to_owned() } else { text };
                            // A line break that `~` took begins no line: `<<-` leaves what follows as it is.
                            let begins_next = text.ends_with('\n');
                            pieces.push(Piece::Text { text, starts_line: line_begins });
                            line_begins = begins_next;
                        }
                        Err(Failed) => ok = false,
                    }
                    strip = false;
                }
                TokenKind::Interpolation | TokenKind::Directive => {
                    self.position += 1;
                    if self.text(token).ends_with('~')
                        && let Some(Piece::Text { text, .. }) = pieces.last_mut()
                    {
                        text.truncate(text.trim_end().len());
                    }
                    match self.sequence(token) {
                        Ok(piece) => pieces.push(piece),
                        Err(Failed) => ok = false,
                    }
                    strip = self.close_sequence()?;
                    line_begins = false;
                }
                _ => break,
            }
        }
        if ok { Ok(pieces) } else { Err(Failed) }
    }

    fn sequence(&mut self, open: Token) -> Parsed<Piece> {
        let piece = self.across_lines(|parser| match open.kind {
            TokenKind::Interpolation => Ok(Piece::Interpolation(parser.expression()?)),
            _ => parser.directive(parser.span(open)),
        })?;
        self.across_lines(|parser| match parser.kind() {
            Some(TokenKind::TemplateClose) => Ok(piece),
            _ => Err(parser.expected("`}` at the end of the template sequence")),
        })
    }

    /// Moves behind the `}` and tells whether it strips. After an error it may be further on.
    fn close_sequence(&mut self) -> Parsed<bool> {
        let mut open = 0usize;
        while let Some(token) = self.tokens.get(self.position).copied() {
            match token.kind {
                TokenKind::TemplateClose if open == 0 => {
                    self.position += 1;
                    return Ok(self.text(token).starts_with('~'));
                }
                TokenKind::TemplateClose => open -= 1,
                TokenKind::Interpolation | TokenKind::Directive => open += 1,
                TokenKind::Ident if self.starts_line(token) => return Err(Failed),
                _ => {}
            }
            self.position += 1;
        }
        Err(Failed)
    }

    fn directive(&mut self, start: Span) -> Parsed<Piece> {
        let word = self.name("`if`, `else`, `endif`, `for` or `endfor`")?;
        let span = start.to(word.span);
        match word.text.as_str() {
            "if" => Ok(Piece::If(self.expression()?, span)),
            "for" => {
                let (key, value) = self.iterators()?;
                Ok(Piece::For { key, value, collection: self.expression()?, span })
            }
            "else" => Ok(Piece::Else(span)),
            "endif" => Ok(Piece::EndIf(span)),
            "endfor" => Ok(Piece::EndFor(span)),
            other => {
                let error = Diagnostic::error(format!("there is no template directive `{other}`")).at(word.span);
                Err(self.fail(error.did_you_mean(other, ["if", "else", "endif", "for", "endfor"])))
            }
        }
    }

    /// `k, v in` or `v in`
    pub(super) fn iterators(&mut self) -> Parsed<(Option<Name>, Name)> {
        let first = self.name("the name of the iterator")?;
        let second = if self.eat(",").is_some() { Some(self.name("the name of the value")?) } else { None };
        if !self.eat_word("in") {
            return Err(self.expected("`in`"));
        }
        Ok(match second {
            Some(value) => (Some(first), value),
            None => (None, first),
        })
    }

    /// Matches directives with their ends, with a stack of its own so that depth costs nothing.
    fn assemble(&mut self, pieces: Vec<Piece>) -> Parsed<Vec<Part>> {
        let mut stack: Vec<(Vec<Part>, Open)> = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text { text, .. } => match parts.last_mut() {
                    Some(Part::Text(before)) => before.push_str(&text),
                    _ if text.is_empty() => {}
                    _ => parts.push(Part::Text(text)),
                },
                Piece::Interpolation(expr) => parts.push(Part::Interpolation(expr)),
                Piece::If(condition, span) => {
                    let open = Open::If { condition, then: None, span };
                    self.open_directive(&mut stack, &mut parts, open)?;
                }
                Piece::For { key, value, collection, span } => {
                    let open = Open::For { key, value, collection, span };
                    self.open_directive(&mut stack, &mut parts, open)?;
                }
                Piece::Else(span) => match stack.last_mut() {
                    Some((_, Open::If { then: then @ None, .. })) => *then = Some(std::mem::take(&mut parts)),
                    _ => return Err(self.stray("else", "if", span)),
                },
                Piece::EndIf(span) => match stack.pop() {
                    Some((before, Open::If { condition, then, .. })) => {
                        let last = std::mem::replace(&mut parts, before);
                        let (then, otherwise) = match then {
                            Some(then) => (then, last),
                            None => (last, Vec::new()),
                        };
                        parts.push(Part::If(Box::new(IfPart { condition, then, otherwise })));
                    }
                    _ => return Err(self.stray("endif", "if", span)),
                },
                Piece::EndFor(span) => match stack.pop() {
                    Some((before, Open::For { key, value, collection, .. })) => {
                        let body = std::mem::replace(&mut parts, before);
                        parts.push(Part::For(Box::new(ForPart { key, value, collection, body })));
                    }
                    _ => return Err(self.stray("endfor", "for", span)),
                },
            }
        }
        match stack.pop() {
            None => Ok(parts),
            Some((_, open)) => {
                let end = if matches!(open, Open::If { .. }) { "endif" } else { "endfor" };
                let error = Diagnostic::error("this directive is never closed").at(open.span());
                Err(self.fail(error.hint(format!("a `%{{ {end} }}` is missing"))))
            }
        }
    }

    fn open_directive(&mut self, stack: &mut Vec<(Vec<Part>, Open)>, parts: &mut Vec<Part>, open: Open) -> Parsed<()> {
        if stack.len() + self.depth >= super::MAX_DEPTH {
            let error = Diagnostic::error(format!("this is nested more than {} levels deep", super::MAX_DEPTH));
            return Err(self.fail(error.at(open.span())));
        }
        stack.push((std::mem::take(parts), open));
        Ok(())
    }

    fn stray(&mut self, word: &str, opener: &str, span: Span) -> Failed {
        self.fail(Diagnostic::error(format!("this `{word}` belongs to no `%{{ {opener} }}`")).at(span))
    }

    /// Literal text with its escapes resolved.
    fn literal(&mut self, token: Token, quoted: bool) -> Parsed<String> {
        let raw = self.text(token);
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        let mut ok = true;
        while let Some(at) = rest.find(['\\', '$', '%']) {
            let (before, here) = rest.split_at(at);
            text.push_str(before);
            let offset = token.start as usize + (raw.len() - here.len());
            if here.starts_with("$${") || here.starts_with("%%{") {
                text.push_str(&here[1..3]);
                rest = &here[3..];
            } else if quoted && here.starts_with('\\') {
                let (len, unescaped) = unescape(here);
                match unescaped {
                    Some(c) => text.push(c),
                    None => {
                        let span = self.range(offset, offset + len);
                        let error = Diagnostic::error(format!("`{}` is no escape sequence", &here[..len])).at(span);
                        self.fail(
                            error.hint(
                                "known are \\n \\r \\t \\\" \\\\ \\uXXXX \\UXXXXXXXX; write \\\\ for a backslash",
                            ),
                        );
                        ok = false;
                    }
                }
                rest = &here[len..];
            } else {
                text.push_str(&here[..1]);
                rest = &here[1..];
            }
        }
        text.push_str(rest);
        if ok { Ok(text) } else { Err(Failed) }
    }
}

/// The length of the escape at the start of `text` and what it stands for.
fn unescape(text: &str) -> (usize, Option<char>) {
    let Some(letter) = text[1..].chars().next() else { return (1, None) };
    let digits = match letter {
        'n' => return (2, Some('\n')),
        'r' => return (2, Some('\r')),
        't' => return (2, Some('\t')),
        '"' | '\\' => return (2, Some(letter)),
        'u' => 4,
        'U' => 8,
        _ => return (1 + letter.len_utf8(), None),
    };
    let hex = text.get(2..2 + digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
        Some(c) => (2 + digits, Some(c)),
        None => (2, None),
    }
}

/// `<<-`: takes the smallest indentation of the lines from each of them, in characters, whichever white space they
/// are. Blank lines do not count.
fn strip_indent(pieces: &mut [Piece]) {
    let indent_of = |text: &str| text.chars().take_while(|c| c.is_whitespace()).count();
    let blank = |text: &str| text.ends_with('\n') && text.trim().is_empty();
    let mut smallest = usize::MAX;
    let mut line_begins = true;
    for piece in pieces.iter() {
        match piece {
            Piece::Text { text, starts_line: true } => {
                if !blank(text) {
                    smallest = smallest.min(indent_of(text));
                }
                line_begins = text.ends_with('\n');
            }
            Piece::Text { text, .. } => line_begins = text.ends_with('\n'),
            // A sequence in the first column: nothing can be taken from this line.
            _ if line_begins => (smallest, line_begins) = (0, false),
            _ => line_begins = false,
        }
    }
    for piece in pieces {
        if let Piece::Text { text, starts_line: true } = piece
            && !blank(text)
        {
            let indent = text.char_indices().nth(smallest.min(indent_of(text))).map_or(text.len(), |(at, _)| at);
            text.drain(..indent);
        }
    }
}
