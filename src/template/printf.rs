//! Formats like `%-5d`, as Go reads them: shared by `format()` and by `{{printf}}`.

use std::iter::Peekable;
use std::str::Chars;

/// A width beyond this is a slip.
const WIDTH_LIMIT: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub minus: bool,
    pub plus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
    /// `%[2]d`, counted from 0.
    pub index: Option<usize>,
    pub verb: char,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Verb(Spec),
}

pub fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
        } else if chars.next_if_eq(&'%').is_some() {
            text.push('%');
        } else {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Verb(spec(&mut chars)?));
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn spec(chars: &mut Peekable<Chars<'_>>) -> Result<Spec, String> {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            _ => spec.zero = true,
        }
    }
    spec.width = digits(chars)?;
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(digits(chars)?.unwrap_or(0));
    }
    if chars.next_if_eq(&'[').is_some() {
        let index = digits(chars)?.filter(|index| *index > 0);
        if chars.next() != Some(']') || index.is_none() {
            return Err("an argument's number is written like `%[1]s`".into());
        }
        spec.index = index.map(|index| index - 1);
    }
    spec.verb = chars.next().ok_or("the format ends within a `%` verb; a percent sign is written `%%`")?;
    Ok(spec)
}

fn digits(chars: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, String> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let total = number.unwrap_or(0) * 10 + digit as usize - '0' as usize;
        if total > WIDTH_LIMIT {
            return Err(format!("a width or precision of {total} or more is too much"));
        }
        number = Some(total);
    }
    Ok(number)
}

impl Spec {
    pub fn text(&self, text: &str) -> String {
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        self.pad(text)
    }

    /// `digits` without a sign, in the verb's base.
    pub fn integer(&self, negative: bool, digits: &str) -> String {
        let digits = match self.precision {
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits.to_owned(),
        };
        let prefix = match (self.sharp, self.verb) {
            (true, 'x') => "0x",
            (true, 'X') => "0X",
            (true, 'o') => "0",
            (true, 'b') => "0b",
            _ => "",
        };
        self.signed(negative, &format!("{prefix}{digits}"), self.precision.is_none())
    }

    /// `e E f F g G`; `shortest` are the digits that stand for the value exactly, like "12.5".
    pub fn float(&self, value: f64, shortest: &str) -> String {
        let magnitude = value.abs();
        let text = match self.verb.to_ascii_lowercase() {
            'e' => exponent(&format!("{magnitude:.*e}", self.precision.unwrap_or(6))),
            'f' => format!("{magnitude:.*}", self.precision.unwrap_or(6)),
            _ => self.general(magnitude, shortest.trim_start_matches('-')),
        };
        let text = if self.verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
        self.signed(value.is_sign_negative(), &text, true)
    }

    fn general(&self, magnitude: f64, shortest: &str) -> String {
        let scientific = match self.precision {
            Some(precision) => format!("{magnitude:.*e}", precision.max(1) - 1),
            None => scientific(shortest),
        };
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let power: i32 = power.parse().unwrap_or(0);
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        let significant = digits.len() as i32 - i32::from(digits.contains('.'));
        let limit = match self.precision {
            None => 6,
            Some(precision) => precision.max(1) as i32,
        };
        if power < -4 || power >= limit {
            return exponent(&format!("{digits}e{power}"));
        }
        if self.precision.is_none() {
            return shortest.to_owned();
        }
        let places = (significant - 1 - power).max(0) as usize;
        format!("{magnitude:.places$}")
    }

    fn signed(&self, negative: bool, digits: &str, zeros: bool) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        match self.width {
            Some(width) if self.zero && zeros && !self.minus => {
                let width = width.saturating_sub(sign.len());
                format!("{sign}{digits:0>width$}")
            }
            _ => self.pad(format!("{sign}{digits}")),
        }
    }

    pub fn pad(&self, text: String) -> String {
        let width = self.width.unwrap_or(0);
        if self.minus { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

/// "12.5" as "1.25e1".
fn scientific(plain: &str) -> String {
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return "0e0".into();
    }
    let power = whole.len() as i32 - 1 - (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    match digits.len() {
        1 => format!("{digits}e{power}"),
        _ => format!("{}.{}e{power}", &digits[..1], &digits[1..]),
    }
}

/// Rust's `1e5` as Go's `1e+05`.
fn exponent(text: &str) -> String {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// A text in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if is_print(c) => quoted.push(c),
            c if c <= '\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Letters, marks, digits, punctuation and symbols; of white space the one blank.
fn is_print(c: char) -> bool {
    // Behind another character, as a mark by itself would be escaped too.
    c.is_ascii() || ['a', c].iter().collect::<String>().escape_debug().nth(2).is_none()
}
