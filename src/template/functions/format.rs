//! `format` and `formatlist`.

use bakehouse_api::Value;
use bakehouse_api::value::Data;
use bakehouse_api::{Number, Type};
use unicode_segmentation::UnicodeSegmentation;

use super::{Args, CallCx, CallError, Outcome, json, strings};
use crate::template::convert::{convert, to_text};
use crate::template::printf::{Piece, Spec, pieces, quote};

pub(super) fn format(_: &CallCx, args: &Args<'_>) -> Outcome {
    let values: Vec<&Value> = args.values[1..].iter().collect();
    Ok(render(args, &values)?.into())
}

/// Lists go through together, what is no list is repeated.
pub(super) fn formatlist(_: &CallCx, args: &Args<'_>) -> Outcome {
    let values = &args.values[1..];
    let mut length = None;
    for (i, value) in values.iter().enumerate() {
        let Some(items) = value.as_items() else { continue };
        match length {
            Some(other) if other != items.len() => {
                return Err(
                    args.wrong(i + 1, format!("this list has {} elements, an earlier one {other}", items.len()))
                );
            }
            _ => length = Some(items.len()),
        }
    }
    let row = |i: usize| -> Vec<&Value> {
        values.iter().map(|value| value.as_items().map_or(value, |items| &items[i])).collect()
    };
    let rows = (0..length.unwrap_or(1)).map(|i| render(args, &row(i)));
    Ok(strings(rows.collect::<Result<Vec<String>, CallError>>()?))
}

fn render(args: &Args<'_>, values: &[&Value]) -> Result<String, CallError> {
    let mut out = String::new();
    let (mut next, mut used) = (0, 0);
    for piece in pieces(args.str(0)).map_err(|reason| args.wrong(0, reason))? {
        let spec = match piece {
            Piece::Text(text) => {
                out.push_str(&text);
                continue;
            }
            Piece::Verb(spec) => spec,
        };
        let index = spec.index.unwrap_or(next);
        next = index + 1;
        used = used.max(next);
        let Some(value) = values.get(index) else {
            return Err(args
                .wrong(0, format!("`%{}` needs a value number {}, and there are {}", spec.verb, next, values.len())));
        };
        out.push_str(&verb(&spec, value).map_err(|reason| args.wrong(index + 1, reason))?);
    }
    if used < values.len() {
        return Err(args.wrong(used + 1, format!("there are {} values, and the format uses {used}", values.len())));
    }
    Ok(out)
}

fn verb(spec: &Spec, value: &Value) -> Result<String, String> {
    if spec.verb == 'v' {
        return Ok(anything(spec, value));
    }
    if value.is_null() {
        return Err(format!("null cannot be shown with `%{}`", spec.verb));
    }
    let as_number = || match convert(value, &Type::Number).map(|value| value.data) {
        Ok(Data::Number(number)) => Ok(number),
        Ok(_) => Err("a number is required".to_owned()),
        Err(reason) => Err(format!("`%{}`: {reason}", spec.verb)),
    };
    match spec.verb {
        's' => Ok(padded(spec, cut(spec, &to_text(value)?))),
        'q' => Ok(padded(spec, quote(&cut(spec, &to_text(value)?)))),
        // As in Packer, whose `%5t` is no wider than `%t`.
        't' => to_text(&convert(value, &Type::Bool)?),
        'd' | 'b' | 'o' | 'x' | 'X' => integer(spec, &as_number()?),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = as_number()?;
            Ok(spec.float(number.to_f64(), &number.to_string()))
        }
        other => Err(format!("`%{other}` is not a verb; there are %v %s %q %d %f %e %g %t %x %X %o %b")),
    }
}

/// Precision and width count what a reader sees as characters.
fn cut(spec: &Spec, text: &str) -> String {
    text.graphemes(true).take(spec.precision.unwrap_or(usize::MAX)).collect()
}

fn padded(spec: &Spec, text: String) -> String {
    let blank = " ".repeat(spec.width.unwrap_or(0).saturating_sub(text.graphemes(true).count()));
    if spec.minus { text + &blank } else { blank + &text }
}

fn anything(spec: &Spec, value: &Value) -> String {
    match &value.data {
        Data::String(text) if !spec.sharp => padded(spec, cut(spec, text)),
        Data::Number(number) if !spec.sharp => {
            Spec { verb: 'g', ..spec.clone() }.float(number.to_f64(), &number.to_string())
        }
        _ => spec.pad(json::encode(value)),
    }
}

fn integer(spec: &Spec, number: &Number) -> Result<String, String> {
    let whole =
        number.to_big().ok_or_else(|| format!("`%{}`: a whole number is required, and this is {number}", spec.verb))?;
    let digits = match spec.verb {
        'b' => format!("{whole:b}"),
        'o' => format!("{whole:o}"),
        'x' => format!("{whole:x}"),
        'X' => format!("{whole:X}"),
        _ => whole.to_string(),
    };
    Ok(spec.integer(number.is_negative(), digits.trim_start_matches('-')))
}
