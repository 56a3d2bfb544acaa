//! The canonical layout of a configuration file, as `packer fmt` writes it: two spaces for each open
//! bracket, `=` and comments of neighbouring lines below each other, one space or none between tokens.
//! Only white space changes. Linear in the input.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::lexer::{Token, TokenKind, lex};

/// `source` in its canonical layout. It has to parse: what is no text of the language has no layout.
pub fn format(source: &str) -> String {
    let (mut pieces, tail) = pieces(source);
    let lines = lines(&pieces);
    indent(&mut pieces, &lines);
    for line in &lines {
        space(&mut pieces[line.lead.clone()]);
        space(&mut pieces[line.assign.clone()]);
    }
    align(&mut pieces, &lines, |line| (!line.assign.is_empty()).then_some(line.assign.start));
    align(&mut pieces, &lines, |line| line.comment);
    let mut text = String::with_capacity(source.len() + source.len() / 8);
    for piece in &pieces {
        text.extend(std::iter::repeat_n(' ', piece.gap));
        text.push_str(piece.text);
    }
    text.extend(std::iter::repeat_n(' ', tail));
    text
}

/// A token that is not white space. A line comment has its line break in it.
struct Piece<'a> {
    kind: TokenKind,
    text: &'a str,
    /// Spaces in front of it.
    gap: usize,
}

impl Piece<'_> {
    fn ends_line(&self) -> bool {
        self.kind == TokenKind::Newline || (self.kind == TokenKind::Comment && self.text.ends_with('\n'))
    }

    fn columns(&self) -> usize {
        self.gap + self.text.graphemes(true).count()
    }
}

/// The pieces of a text, and how much white space is behind the last of them.
fn pieces(source: &str) -> (Vec<Piece<'_>>, usize) {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut gap = 0;
    let mut tokens = lex(source).into_iter().peekable();
    while let Some(token) = tokens.next() {
        let Token { kind, start, mut end } = token;
        match kind {
            TokenKind::Bom => continue,
            TokenKind::Whitespace => {
                gap += (end - start) as usize;
                continue;
            }
            TokenKind::Comment if !token.text(source).starts_with("/*") => {
                end = tokens.next_if(|next| next.kind == TokenKind::Newline).map_or(end, |newline| newline.end);
            }
            _ => {}
        }
        pieces.push(Piece { kind, text: Token { kind, start, end }.text(source), gap: std::mem::take(&mut gap) });
    }
    (pieces, gap)
}

/// What stands in a line, as ranges of pieces. A heredoc's text belongs to the line that opens it.
struct Line {
    /// All of it but what follows.
    lead: Range<usize>,
    /// From the `=` of an attribute on, when its value does not go on in the next line.
    assign: Range<usize>,
    /// The comment behind something else.
    comment: Option<usize>,
}

fn lines(pieces: &[Piece<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for range in pieces.split_inclusive(Piece::ends_line) {
        lines.push(line(pieces, start..start + range.len()));
        start += range.len();
    }
    lines
}

fn line(pieces: &[Piece<'_>], all: Range<usize>) -> Line {
    let last = all.end - 1;
    let comment = (all.len() > 1 && pieces[last].kind == TokenKind::Comment).then_some(last);
    let end = comment.unwrap_or(all.end);
    let equals = (all.start + 1..end).find(|at| pieces[*at].kind == TokenKind::Punct("="));
    let assign = match equals {
        Some(at) if nesting(&pieces[at..end]) == 0 => at..end,
        _ => end..end,
    };
    Line { lead: all.start..assign.start, assign, comment }
}

/// How many brackets are opened, less those that are closed.
fn nesting<'a>(pieces: impl IntoIterator<Item = &'a Piece<'a>>) -> isize {
    pieces.into_iter().map(|piece| nesting_of(piece.kind)).sum()
}

fn nesting_of(kind: TokenKind) -> isize {
    match kind {
        TokenKind::Punct("{" | "(" | "[") | TokenKind::Interpolation | TokenKind::Directive => 1,
        TokenKind::Punct("}" | ")" | "]") | TokenKind::TemplateClose => -1,
        _ => 0,
    }
}

/// A line that opens brackets indents the next ones by one level, however many it opens. The level ends
/// with the line that closes as many.
fn indent(pieces: &mut [Piece<'_>], lines: &[Line]) {
    let mut levels: Vec<isize> = Vec::new();
    for line in lines {
        let first = line.lead.start;
        if pieces[first].kind == TokenKind::Newline {
            pieces[first].gap = 0;
            continue;
        }
        // Brackets within a heredoc close again within it.
        let code = &pieces[first..line.assign.end];
        let end = code.iter().position(|piece| piece.kind == TokenKind::HeredocOpen).unwrap_or(code.len());
        let opened = nesting(&code[..end]);
        close(&mut levels, -opened);
        pieces[first].gap = 2 * levels.len();
        if opened > 0 {
            levels.push(opened);
        }
    }
}

fn close(levels: &mut Vec<isize>, mut closed: isize) {
    while closed > 0 {
        let Some(level) = levels.last_mut() else { return };
        if *level > closed {
            *level -= closed;
            return;
        }
        closed -= *level;
        levels.pop();
    }
}

/// The gaps within the lead or the assignment of a line. `=` has one in front; aligning may widen it.
fn space(cell: &mut [Piece<'_>]) {
    if let Some(equals) = cell.first_mut().filter(|first| first.kind == TokenKind::Punct("=")) {
        equals.gap = 1;
    }
    for at in 1..cell.len() {
        let before = at.checked_sub(2).map(|before| cell[before].kind);
        cell[at].gap = usize::from(apart(before, &cell[at - 1], cell[at].kind));
    }
}

/// Is there a space between `left` and `right`, when `before` stands in front of them?
fn apart(before: Option<TokenKind>, left: &Piece<'_>, right: TokenKind) -> bool {
    use TokenKind::{
        Directive, HeredocClose, HeredocOpen, Ident, Interpolation, Newline, Number, Punct, QuoteClose, QuoteOpen,
        TemplateClose, Text,
    };
    match (left.kind, right) {
        (_, Newline) | (Ident, Punct("(")) | (Punct("."), _) | (_, Punct("." | "," | "...")) => false,
        (Punct(","), _) => true,
        (Text | QuoteOpen | HeredocOpen, _) | (_, Text | QuoteClose | HeredocClose) => false,
        // `for x in [...]` is no index of something called `in`.
        (Ident, _) if left.text == "in" && before == Some(Ident) => true,
        (Ident | Number, Punct("[")) => false,
        (closing, Punct("[")) if nesting_of(closing) < 0 => false,
        (Punct("!"), _) => false,
        (Punct("-"), _) => before.is_some_and(|before| !awaits_value(before)),
        (Punct("{"), Punct("}")) => false,
        (Punct("{"), _) | (_, Punct("}")) => true,
        (Interpolation | Directive, Punct("{")) | (Punct("}"), TemplateClose) => true,
        (TemplateClose, Interpolation | Directive) => false,
        (opening, _) if nesting_of(opening) > 0 => false,
        (_, closing) => nesting_of(closing) >= 0,
    }
}

/// A minus behind this is a sign. HCL's own list, which lacks a few: `${-1}` becomes `${- 1}`.
fn awaits_value(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Punct(
            "(" | "{"
                | "["
                | "="
                | ":"
                | ","
                | "?"
                | "+"
                | "*"
                | "/"
                | "%"
                | "-"
                | "=="
                | "!="
                | ">"
                | ">="
                | "<"
                | "<="
                | "&&"
                | "||"
                | "!"
        )
    )
}

/// Puts the pieces that `cell` finds in neighbouring lines below each other.
fn align(pieces: &mut [Piece<'_>], lines: &[Line], cell: impl Fn(&Line) -> Option<usize>) {
    for group in lines.chunk_by(|a, b| cell(a).is_some() && cell(b).is_some()) {
        let starts: Vec<(usize, usize)> = group
            .iter()
            .filter_map(|line| {
                let at = cell(line)?;
                Some((at, pieces[line.lead.start..at].iter().map(Piece::columns).sum()))
            })
            .collect();
        let widest = starts.iter().map(|(_, columns)| *columns).max().unwrap_or(0);
        for (at, columns) in starts {
            pieces[at].gap = widest - columns + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn neighbours_are_aligned_and_others_are_not() {
        let source = "a=1 # one\nbcd  =[ 1,2 ]   # two\n\n\n  efghi={x=-1}\nj=[\n1]\n";
        let laid_out = "a   = 1      # one\nbcd = [1, 2] # two\n\n\nefghi = { x = -1 }\nj = [\n1]\n";
        assert_eq!(format(source), laid_out);
    }

    /// Since version 2.7 of HCL's own library; the Packer that the tests compare with is older.
    #[test]
    fn nothing_stands_behind_a_bang() {
        assert_eq!(format("a = ! b && !  ( c ) && ! -1\n"), "a = !b && !(c) && !-1\n");
    }

    #[test]
    fn what_is_laid_out_stays() {
        for source in ["a = 1", "a {\n  b = 1\n}\n", "a = \"${b}\" # c\r\n", "# ä\n\nä = 1\n"] {
            assert_eq!(format(source), source);
        }
    }
}
