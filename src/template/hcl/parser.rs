//! Tokens to syntax tree. Recovers after each error, so that all of a file's errors are found at
//! once, and only ever moves forward, so that it takes linear time.

mod expression;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Diagnostics, FileId, Span};

use super::lexer::{Token, TokenKind, lex, lex_template};
use super::syntax::{Attribute, Block, Body, Expr, Item, Name, Part};

/// Nested levels that a file may have. Packer's own templates stay far below.
const MAX_DEPTH: usize = 600;

/// Parses a file of blocks and attributes. The tree holds what could be understood.
pub fn parse_file(file: FileId, source: &str) -> (Body, Diagnostics) {
    let mut parser = Parser::new(file, source, lex(source));
    let body = parser.body(None);
    (body, parser.diagnostics)
}

/// Parses a text that is one expression.
pub fn parse_expression(file: FileId, source: &str) -> Result<Expr, Diagnostics> {
    parse_expression_at(file, source, 0)
}

/// The same for a text that stands in its file at the byte `base`.
pub fn parse_expression_at(file: FileId, source: &str, base: usize) -> Result<Expr, Diagnostics> {
    let mut parser = Parser { base, ..Parser::new(file, source, lex(source)) };
    parser.ignore_newlines = true;
    let parsed = parser.expression();
    if parsed.is_ok() && parser.peek().is_some() {
        parser.expected("the end of the expression");
    }
    match parsed {
        Ok(expr) if parser.diagnostics.is_empty() => Ok(expr),
        _ => Err(parser.diagnostics),
    }
}

/// Parses a text that is one template, as `templatefile` reads it.
pub fn parse_template(file: FileId, source: &str) -> Result<Vec<Part>, Diagnostics> {
    parse_template_at(file, source, 0)
}

/// The same for a text that stands in its file at the byte `base`.
pub fn parse_template_at(file: FileId, source: &str, base: usize) -> Result<Vec<Part>, Diagnostics> {
    let mut parser = Parser { base, ..Parser::new(file, source, lex_template(source)) };
    let parsed = parser.file_template();
    match parsed {
        Ok(parts) if parser.diagnostics.is_empty() => Ok(parts),
        _ => Err(parser.diagnostics),
    }
}

/// An error that was reported already.
#[derive(Debug)]
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'a> {
    file: FileId,
    source: &'a str,
    /// Where the source begins in its file.
    base: usize,
    /// Without trivia, and with one newline where several follow each other.
    tokens: Vec<Token>,
    position: usize,
    /// Within brackets and templates a line break means nothing.
    ignore_newlines: bool,
    depth: usize,
    diagnostics: Diagnostics,
}

impl<'a> Parser<'a> {
    fn new(file: FileId, source: &'a str, all: Vec<Token>) -> Self {
        let mut tokens: Vec<Token> = Vec::with_capacity(all.len());
        let mut diagnostics = Diagnostics::default();
        for token in all {
            let repeated =
                token.kind == TokenKind::Newline && tokens.last().is_some_and(|last| last.kind == TokenKind::Newline);
            if token.kind == TokenKind::OpenComment {
                let start = Span::new(file, token.start as usize, token.start as usize + 2);
                diagnostics.push(Diagnostic::error("this comment is never closed").at(start).hint("end it with `*/`"));
            } else if !token.kind.is_trivia() && !repeated {
                tokens.push(token);
            }
        }
        Self { file, source, base: 0, tokens, position: 0, ignore_newlines: false, depth: 0, diagnostics }
    }

    fn peek(&self) -> Option<Token> {
        self.peek_nth(0)
    }

    /// The token `n` behind the next one, without newlines where these are ignored.
    fn peek_nth(&self, n: usize) -> Option<Token> {
        let rest = self.tokens[self.position..].iter();
        if self.ignore_newlines {
            return rest.filter(|token| token.kind != TokenKind::Newline).nth(n).copied();
        }
        rest.skip(n).copied().next()
    }

    fn kind(&self) -> Option<TokenKind> {
        self.peek().map(|token| token.kind)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek()?;
        while self.tokens[self.position] != token {
            self.position += 1;
        }
        self.position += 1;
        Some(token)
    }

    fn text(&self, token: Token) -> &'a str {
        token.text(self.source)
    }

    fn span(&self, token: Token) -> Span {
        self.range(token.start as usize, token.end as usize)
    }

    fn range(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start + self.base, end + self.base)
    }

    fn at(&self, punct: &str) -> bool {
        self.kind().is_some_and(|kind| is_punct(kind, punct))
    }

    fn eat(&mut self, punct: &str) -> Option<Token> {
        if self.at(punct) { self.next() } else { None }
    }

    fn expect(&mut self, punct: &'static str) -> Parsed<Token> {
        match self.eat(punct) {
            Some(token) => Ok(token),
            None => Err(self.expected(&format!("`{punct}`"))),
        }
    }

    fn name(&mut self, what: &str) -> Parsed<Name> {
        match self.peek() {
            Some(token) if token.kind == TokenKind::Ident => {
                self.next();
                Ok(self.name_of(token))
            }
            _ => Err(self.expected(what)),
        }
    }

    fn name_of(&self, token: Token) -> Name {
        Name { text: self.text(token).to_owned(), span: self.span(token) }
    }

    /// From the start of `first` to the end of what was read last.
    fn span_from(&self, first: Span) -> Span {
        let last = self.tokens[..self.position].iter().rev().find(|token| token.kind != TokenKind::Newline);
        last.map_or(first, |token| first.to(self.span(*token)))
    }

    fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.diagnostics.push(diagnostic);
        Failed
    }

    fn expected(&mut self, what: &str) -> Failed {
        let (span, seen) = match self.peek() {
            Some(token) => (self.span(token), self.describe(token)),
            None => (self.range(self.source.len(), self.source.len()), "the text ends".to_owned()),
        };
        self.fail(Diagnostic::error(format!("expected {what}, but here {seen}")).at(span))
    }

    fn describe(&self, token: Token) -> String {
        match token.kind {
            TokenKind::Newline => "the line ends".into(),
            TokenKind::QuoteOpen => "a string begins".into(),
            TokenKind::HeredocOpen => "a heredoc begins".into(),
            TokenKind::Bad => format!("is {:?}, which means nothing in the language", self.text(token)),
            _ => format!("is `{}`", self.text(token)),
        }
    }

    /// One level deeper, with room on the stack; `parse` is not run beyond the limit.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let span = self.peek().map(|token| self.span(token)).unwrap_or_default();
            let error = Diagnostic::error(format!("this is nested more than {MAX_DEPTH} levels deep")).at(span);
            return Err(self.fail(error));
        }
        self.depth += 1;
        let parsed = super::with_stack(|| parse(self));
        self.depth -= 1;
        parsed
    }

    /// Items up to the closing brace that belongs to `opened`, or to the end of the file.
    fn body(&mut self, opened: Option<Span>) -> Body {
        let mut body = Body::default();
        let mut seen = HashMap::new();
        loop {
            let Some(token) = self.peek() else {
                if let Some(span) = opened {
                    self.fail(Diagnostic::error("this block is never closed").at(span).hint("a `}` is missing"));
                }
                return body;
            };
            match token.kind {
                TokenKind::Newline => {
                    self.next();
                }
                TokenKind::Punct("}") => {
                    self.next();
                    if opened.is_some() {
                        return body;
                    }
                    self.fail(Diagnostic::error("there is no block that this could close").at(self.span(token)));
                }
                TokenKind::Ident => match self.item() {
                    Ok(item) => {
                        self.check_repeated(&item, &mut seen);
                        body.items.push(item);
                    }
                    Err(Failed) => self.skip_item(),
                },
                _ => {
                    self.expected("the name of an attribute or a block");
                    self.skip_item();
                }
            }
        }
    }

    /// What stands behind the opening brace on its line: nothing, or one attribute.
    fn one_line(&mut self, opened: Span) -> Body {
        let is_attribute =
            self.kind() == Some(TokenKind::Ident) && self.peek_nth(1).is_some_and(|token| is_punct(token.kind, "="));
        if !is_attribute {
            if let Some(token) = self.peek().filter(|token| token.kind == TokenKind::Ident) {
                let error = Diagnostic::error("a block on one line holds one attribute at most").at(self.span(token));
                self.fail(error.hint("begin a new line after the `{`"));
            }
            return self.body(Some(opened));
        }
        let mut body = Body::default();
        match self.attribute() {
            Ok(item) if self.at("}") => {
                self.next();
                body.items.push(item);
                return body;
            }
            Ok(item) => {
                let here = self.peek().map_or(opened, |token| self.span(token));
                let error = Diagnostic::error("a block that begins with an attribute on its line ends there").at(here);
                self.fail(error.hint("begin a new line after the `{`"));
                body.items.push(item);
            }
            Err(Failed) => {}
        }
        self.skip_item();
        let rest = self.body(Some(opened));
        body.items.extend(rest.items);
        body
    }

    fn attribute(&mut self) -> Parsed<Item> {
        let name = self.name("a name")?;
        self.expect("=")?;
        let value = self.expression()?;
        Ok(Item::Attribute(Arc::new(Attribute { name, value })))
    }

    fn check_repeated(&mut self, item: &Item, seen: &mut HashMap<String, Span>) {
        let Item::Attribute(attribute) = item else { return };
        let Name { text, span } = &attribute.name;
        if let Some(first) = seen.insert(text.clone(), *span) {
            let error = Diagnostic::error(format!("`{text}` is set more than once")).at(*span);
            self.fail(error.related(first, "first set here"));
        }
    }

    fn item(&mut self) -> Parsed<Item> {
        if self.peek_nth(1).is_some_and(|token| is_punct(token.kind, "=")) {
            let attribute = self.attribute()?;
            self.end_of_item()?;
            return Ok(attribute);
        }
        let name = self.name("a name")?;
        if let Some(colon) = self.eat(":") {
            let error = Diagnostic::error("an attribute is set with `=`, not with `:`").at(self.span(colon));
            return Err(self.fail(error));
        }
        self.block(name)
    }

    fn end_of_item(&mut self) -> Parsed<()> {
        match self.kind() {
            None | Some(TokenKind::Newline) => Ok(()),
            Some(TokenKind::Punct("}")) => {
                let brace = self.peek().map(|token| self.span(token)).unwrap_or_default();
                let error = Diagnostic::error("a block of several lines is closed on a line of its own");
                self.fail(error.at(brace).hint("begin a new line before this `}`"));
                Ok(())
            }
            Some(TokenKind::Punct(",")) => {
                let comma = self.peek().map(|token| self.span(token)).unwrap_or_default();
                Err(self.fail(Diagnostic::error("attributes are separated by line breaks, not by commas").at(comma)))
            }
            _ => Err(self.expected("the end of the line")),
        }
    }

    fn block(&mut self, kind: Name) -> Parsed<Item> {
        let mut labels = Vec::new();
        while !self.at("{") {
            labels.push(self.label(&kind)?);
        }
        let opened = kind.span;
        self.expect("{")?;
        let body = self.nested(|parser| {
            let outside = std::mem::replace(&mut parser.ignore_newlines, false);
            let body = match parser.kind() {
                Some(TokenKind::Newline) => parser.body(Some(opened)),
                _ => parser.one_line(opened),
            };
            parser.ignore_newlines = outside;
            Ok(body)
        })?;
        self.end_of_item()?;
        Ok(Item::Block(Arc::new(Block { kind, labels, body })))
    }

    fn label(&mut self, kind: &Name) -> Parsed<Name> {
        match self.kind() {
            Some(TokenKind::Ident) => self.name("a label"),
            Some(TokenKind::QuoteOpen) => self.literal_string(),
            _ => Err(self.expected(&format!("`=` or `{{` after `{}`", kind.text))),
        }
    }

    /// Moves to the end of the item in which an error was found: to the next line outside of all
    /// brackets, or to the closing brace of the block around it.
    fn skip_item(&mut self) {
        self.ignore_newlines = false;
        let mut open = 0usize;
        while let Some(token) = self.peek() {
            match token.kind {
                TokenKind::Newline if open == 0 => return,
                // A word at the start of a line begins something new, however the brackets stand.
                TokenKind::Ident if open > 0 && self.starts_line(token) => return,
                kind if opens(kind) => open += 1,
                TokenKind::Punct("}") if open == 0 => return,
                kind if closes(kind) => open = open.saturating_sub(1),
                _ => {}
            }
            self.next();
        }
    }

    /// Does it stand in the first column?
    fn starts_line(&self, token: Token) -> bool {
        token.start == 0 || self.source.as_bytes()[token.start as usize - 1] == b'\n'
    }
}

fn is_punct(kind: TokenKind, punct: &str) -> bool {
    matches!(kind, TokenKind::Punct(text) if text == punct)
}

fn opens(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Punct("{" | "(" | "[") | TokenKind::Interpolation | TokenKind::Directive)
}

fn closes(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Punct("}" | ")" | "]") | TokenKind::TemplateClose)
}

#[cfg(test)]
mod tests;
