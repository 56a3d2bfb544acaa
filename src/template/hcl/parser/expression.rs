//! Expressions.

use bakehouse_api::value::Data;
use bakehouse_api::{Diagnostic, Number, Span, Value};

use super::{Failed, Parsed, Parser, closes, is_punct, opens};
use crate::template::hcl::lexer::{Token, TokenKind};
use crate::template::hcl::syntax::{
    BinaryOp, Call, Conditional, Expr, ExprKind, For, ForResult, PRECEDENCE, Step, UnaryOp,
};

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.nested(Self::conditional)
    }

    /// An expression within brackets, where line breaks mean nothing.
    fn enclosed(&mut self) -> Parsed<Expr> {
        self.across_lines(Self::expression)
    }

    pub(super) fn across_lines<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.with_newlines(true, parse)
    }

    fn with_newlines<T>(&mut self, ignore: bool, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outside = std::mem::replace(&mut self.ignore_newlines, ignore);
        let parsed = parse(self);
        self.ignore_newlines = outside;
        parsed
    }

    fn conditional(&mut self) -> Parsed<Expr> {
        let condition = self.binary(0)?;
        if self.eat("?").is_none() {
            return Ok(condition);
        }
        let then = self.expression()?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        let span = condition.span.to(otherwise.span);
        Ok(Expr { kind: ExprKind::Conditional(Box::new(Conditional { condition, then, otherwise })), span })
    }

    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        if level == PRECEDENCE.len() {
            return self.unary();
        }
        let first = self.binary(level + 1)?;
        let mut rest = Vec::new();
        while let Some(op) = self.operator(level) {
            rest.push((op, self.binary(level + 1)?));
        }
        match rest.last() {
            None => Ok(first),
            Some((_, last)) => {
                let span = first.span.to(last.span);
                Ok(Expr { kind: ExprKind::Binary(Box::new(first), rest), span })
            }
        }
    }

    fn operator(&mut self, level: usize) -> Option<BinaryOp> {
        let TokenKind::Punct(text) = self.kind()? else { return None };
        let (_, op) = PRECEDENCE[level].iter().find(|(word, _)| *word == text)?;
        self.next();
        Some(*op)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let Some(first) = self.peek() else { return Err(self.expected("a value")) };
        let mut ops = Vec::new();
        loop {
            if self.eat("!").is_some() {
                ops.push(UnaryOp::Not);
            } else if self.eat("-").is_some() {
                ops.push(UnaryOp::Minus);
            } else {
                break;
            }
        }
        let operand = self.traversal()?;
        if ops.is_empty() {
            return Ok(operand);
        }
        let span = self.span(first).to(operand.span);
        Ok(Expr { kind: ExprKind::Unary(ops, Box::new(operand)), span })
    }

    fn traversal(&mut self) -> Parsed<Expr> {
        let base = self.primary()?;
        let mut steps = Vec::new();
        loop {
            if self.eat(".").is_some() {
                self.dot(&mut steps)?;
            } else if let Some(open) = self.eat("[") {
                steps.push(self.index(open)?);
            } else {
                break;
            }
        }
        if steps.is_empty() {
            return Ok(base);
        }
        let span = self.span_from(base.span);
        Ok(Expr { kind: ExprKind::Traverse(Box::new(base), steps), span })
    }

    fn dot(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        let Some(token) = self.peek() else { return Err(self.expected("a name after `.`")) };
        let span = self.span(token);
        let text = self.text(token);
        match token.kind {
            TokenKind::Ident => steps.push(Step::Attribute(self.name_of(token))),
            TokenKind::Punct("*") => steps.push(Step::AttributeSplat(span)),
            // `a.0.1` holds what looks like the number 0.1.
            TokenKind::Number if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                steps.extend(text.split('.').map(|index| Step::Legacy(index.to_owned(), span)));
            }
            _ => return Err(self.expected("a name after `.`")),
        }
        self.next();
        Ok(())
    }

    fn index(&mut self, open: Token) -> Parsed<Step> {
        self.across_lines(|parser| {
            let start = parser.span(open);
            let splat = parser.at("*") && parser.peek_nth(1).is_some_and(|token| is_punct(token.kind, "]"));
            if splat {
                parser.next();
                parser.next();
                return Ok(Step::Splat(parser.span_from(start)));
            }
            let key = parser.expression()?;
            parser.expect("]")?;
            Ok(Step::Index(Box::new(key), parser.span_from(start)))
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let Some(token) = self.peek() else { return Err(self.expected("a value")) };
        let span = self.span(token);
        match token.kind {
            TokenKind::Number => self.number(token),
            TokenKind::QuoteOpen => self.string(),
            TokenKind::HeredocOpen => self.heredoc(),
            TokenKind::Ident => self.word(token),
            TokenKind::Punct("(") => {
                self.next();
                let inner = self.enclosed()?;
                self.across_lines(|parser| parser.expect(")"))?;
                Ok(Expr { kind: ExprKind::Group(Box::new(inner)), span: self.span_from(span) })
            }
            TokenKind::Punct("[") => self.tuple(token),
            TokenKind::Punct("{") => self.object(token),
            TokenKind::Bad if self.text(token) == "'" => {
                Err(self.fail(Diagnostic::error("a string is written in double quotes").at(span)))
            }
            TokenKind::Bad if self.text(token) == "<<" => Err(self
                .fail(Diagnostic::error("this is no heredoc").at(span).hint("write a word and a line break: `<<EOT`"))),
            _ => Err(self.expected("a value")),
        }
    }

    fn number(&mut self, token: Token) -> Parsed<Expr> {
        let span = self.span(token);
        self.next();
        match self.text(token).parse::<Number>() {
            Ok(number) => Ok(Expr { kind: ExprKind::Literal(Value::new(Data::Number(number))), span }),
            Err(reason) => Err(self.fail(Diagnostic::error(reason).at(span))),
        }
    }

    fn word(&mut self, token: Token) -> Parsed<Expr> {
        let span = self.span(token);
        self.next();
        let kind = match self.text(token) {
            "true" => ExprKind::Literal(true.into()),
            "false" => ExprKind::Literal(false.into()),
            "null" => ExprKind::Literal(Value::null()),
            _ if self.at("(") => return self.call(token),
            name => ExprKind::Variable(name.to_owned()),
        };
        Ok(Expr { kind, span })
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let open = self.expect("(")?;
        let mut args = Vec::new();
        let mut expand = false;
        self.list(open, ")", true, |parser| {
            if expand {
                return Err(parser.expected("`)`, as `...` comes last"));
            }
            args.push(parser.expression()?);
            expand = parser.eat("...").is_some();
            Ok(())
        })?;
        let span = self.span_from(self.span(name));
        let name = self.name_of(name);
        Ok(Expr { kind: ExprKind::Call(Box::new(Call { name, args, expand })), span })
    }

    fn tuple(&mut self, open: Token) -> Parsed<Expr> {
        self.next();
        let span = self.span(open);
        if self.across_lines(|parser| Ok(parser.at_for()))? {
            return self.for_expression(span, "]");
        }
        let mut items = Vec::new();
        self.list(open, "]", true, |parser| {
            items.push(parser.expression()?);
            Ok(())
        })?;
        Ok(Expr { kind: ExprKind::Tuple(items), span: self.span_from(span) })
    }

    fn object(&mut self, open: Token) -> Parsed<Expr> {
        self.next();
        let span = self.span(open);
        if self.across_lines(|parser| Ok(parser.at_for()))? {
            return self.for_expression(span, "}");
        }
        let mut items = Vec::new();
        self.list(open, "}", false, |parser| {
            let key = parser.object_key()?;
            if parser.eat("=").is_none() && parser.eat(":").is_none() {
                return Err(parser.expected("`=` after the key"));
            }
            items.push((key, parser.expression()?));
            Ok(())
        })?;
        Ok(Expr { kind: ExprKind::Object(items), span: self.span_from(span) })
    }

    fn object_key(&mut self) -> Parsed<Expr> {
        if let Some(token) = self.peek()
            && token.kind == TokenKind::Ident
            && self.peek_nth(1).is_some_and(|next| is_punct(next.kind, "=") || is_punct(next.kind, ":"))
        {
            self.next();
            return Ok(Expr { kind: ExprKind::Key(self.text(token).to_owned()), span: self.span(token) });
        }
        let key = self.expression()?;
        if matches!(key.kind, ExprKind::Traverse(..) | ExprKind::Call(_)) {
            let error = Diagnostic::error("an expression as a key stands in parentheses").at(key.span);
            self.fail(error.hint("write `(` before and `)` after it"));
        }
        Ok(key)
    }

    /// Elements separated by commas (in objects also by line breaks) up to `close`. Fails only when
    /// the end of the list could not be found.
    fn list(
        &mut self,
        open: Token,
        close: &'static str,
        across_lines: bool,
        mut element: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        self.with_newlines(across_lines, |parser| {
            loop {
                while !across_lines && parser.kind() == Some(TokenKind::Newline) {
                    parser.next();
                }
                if parser.eat(close).is_some() {
                    return Ok(());
                }
                if parser.peek().is_none() || (across_lines && parser.begins_item()) {
                    return Err(parser.never_closed(open, close));
                }
                let separated = match element(parser) {
                    Ok(()) => parser.separated(open, close, across_lines),
                    Err(failed) => Err(failed),
                };
                if separated.is_err() {
                    parser.skip_element(close, across_lines)?;
                    parser.eat(",");
                }
            }
        })
    }

    fn separated(&mut self, open: Token, close: &'static str, across_lines: bool) -> Parsed<()> {
        let Some(token) = self.peek() else { return Err(self.never_closed(open, close)) };
        if self.eat(",").is_some() || is_punct(token.kind, close) {
            return Ok(());
        }
        if !across_lines && token.kind == TokenKind::Newline {
            return Ok(());
        }
        if self.begins_item() {
            return Err(self.never_closed(open, close));
        }
        Err(self.expected(&format!("`,` or `{close}`")))
    }

    fn never_closed(&mut self, open: Token, close: &str) -> Failed {
        let error = Diagnostic::error(format!("this `{}` is never closed", self.text(open)));
        self.fail(error.at(self.span(open)).hint(format!("a `{close}` is missing")))
    }

    /// `name =` or `name "label"` on a new line is no element of a list: its closing bracket was
    /// forgotten.
    fn begins_item(&self) -> bool {
        let new_line = self.tokens.get(self.position).is_some_and(|token| token.kind == TokenKind::Newline);
        let word = self.peek().is_some_and(|token| token.kind == TokenKind::Ident);
        let after = |token: Token| is_punct(token.kind, "=") || token.kind == TokenKind::QuoteOpen;
        new_line && word && self.peek_nth(1).is_some_and(after)
    }

    /// Moves to the next separator or the end of a list in which an error was found.
    fn skip_element(&mut self, close: &str, across_lines: bool) -> Parsed<()> {
        let mut open = 0usize;
        while let Some(token) = self.peek() {
            match token.kind {
                kind if open == 0 && (is_punct(kind, ",") || is_punct(kind, close)) => return Ok(()),
                TokenKind::Newline if open == 0 && !across_lines => return Ok(()),
                TokenKind::Ident if self.starts_line(token) => return Err(Failed),
                kind if opens(kind) => open += 1,
                kind if closes(kind) && open == 0 => return Err(Failed),
                kind if closes(kind) => open -= 1,
                _ if open == 0 && across_lines && self.begins_item() => return Err(Failed),
                _ => {}
            }
            self.next();
        }
        Err(Failed)
    }

    fn at_for(&self) -> bool {
        let is_for = self.peek().is_some_and(|token| token.kind == TokenKind::Ident && self.text(token) == "for");
        is_for && self.peek_nth(1).is_some_and(|token| token.kind == TokenKind::Ident)
    }

    fn for_expression(&mut self, start: Span, close: &'static str) -> Parsed<Expr> {
        self.across_lines(|parser| {
            parser.next();
            let (key, value) = parser.iterators()?;
            let collection = parser.expression()?;
            parser.expect(":")?;
            let first = parser.expression()?;
            let result = if close == "]" {
                ForResult::Tuple(first)
            } else {
                parser.expect("=>")?;
                let value = parser.expression()?;
                ForResult::Object { key: first, value, group: parser.eat("...").is_some() }
            };
            let condition = if parser.eat_word("if") { Some(parser.expression()?) } else { None };
            parser.expect(close)?;
            let kind = ExprKind::For(Box::new(For { key, value, collection, result, condition }));
            Ok(Expr { kind, span: parser.span_from(start) })
        })
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == TokenKind::Ident && self.text(token) == word);
        if found {
            self.next();
        }
        found
    }
}
