//! Texts. A character is what a reader sees as one: a grapheme cluster.

use bakehouse_api::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::{Args, CallCx, Outcome, strings};

pub(super) fn chomp(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(Value::from(args.str(0).trim_end_matches(['\r', '\n'])))
}

pub(super) fn endswith(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).ends_with(args.str(1)).into())
}

pub(super) fn startswith(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).starts_with(args.str(1)).into())
}

pub(super) fn strcontains(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).contains(args.str(1)).into())
}

pub(super) fn indent(_: &CallCx, args: &Args<'_>) -> Outcome {
    let spaces = args.int(0)?;
    let spaces = usize::try_from(spaces).map_err(|_| args.wrong(0, "this must not be negative"))?;
    Ok(args.str(1).replace('\n', &format!("\n{}", " ".repeat(spaces))).into())
}

pub(super) fn join(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut parts = Vec::new();
    for i in 1..args.len() {
        parts.extend(args.strings(i)?);
    }
    Ok(parts.join(args.str(0)).into())
}

pub(super) fn split(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (separator, text) = (args.str(0), args.str(1));
    if separator.is_empty() {
        return Ok(strings(text.chars().map(String::from)));
    }
    Ok(strings(text.split(separator)))
}

/// One capital for one small letter, as in Go: `ß` stays.
pub(super) fn upper_text(text: &str) -> String {
    text.chars().map(|c| single(c, c.to_uppercase())).collect()
}

pub(super) fn lower_text(text: &str) -> String {
    // The one letter whose small form Unicode makes of two characters, and Go of one.
    text.chars().map(|c| if c == 'İ' { 'i' } else { single(c, c.to_lowercase()) }).collect()
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn lower(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(lower_text(args.str(0)).into())
}

pub(super) fn upper(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(upper_text(args.str(0)).into())
}

pub(super) fn title(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut inside = false;
    let letter = |c: char| {
        let first = !inside;
        inside = c.is_alphanumeric() || c == '_';
        if first { single(c, c.to_uppercase()) } else { c }
    };
    Ok(args.str(0).chars().map(letter).collect::<String>().into())
}

pub(super) fn strrev(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).graphemes(true).rev().collect::<String>().into())
}

pub(super) fn substr(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (text, offset, length) = (args.str(0), args.int(1)?, args.int(2)?);
    let graphemes: Vec<&str> = text.graphemes(true).collect();
    let count = graphemes.len() as i64;
    let start = if offset < 0 { (offset.saturating_add(count)).max(0) } else { offset.min(count) };
    let end = if length < 0 { count } else { start.saturating_add(length).min(count) };
    Ok(graphemes[start as usize..end as usize].concat().into())
}

pub(super) fn trim(_: &CallCx, args: &Args<'_>) -> Outcome {
    let characters = args.str(1);
    Ok(args.str(0).trim_matches(|c| characters.contains(c)).into())
}

pub(super) fn trimprefix(_: &CallCx, args: &Args<'_>) -> Outcome {
    let text = args.str(0);
    Ok(text.strip_prefix(args.str(1)).unwrap_or(text).into())
}

pub(super) fn trimsuffix(_: &CallCx, args: &Args<'_>) -> Outcome {
    let text = args.str(0);
    Ok(text.strip_suffix(args.str(1)).unwrap_or(text).into())
}

pub(super) fn trimspace(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).trim().into())
}
