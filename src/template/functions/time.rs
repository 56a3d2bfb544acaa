//! Times.

use std::collections::BTreeMap;

use bakehouse_api::Value;
use jiff::SignedDuration;

use super::{Args, CallCx, CallError, Outcome};
use crate::template::clock::Moment;

pub(super) fn rfc3339_parse(_: &CallCx, args: &Args<'_>) -> Outcome {
    // A space may stand for the T.
    let text = args.str(0).replacen(' ', "T", 1);
    let wrong = || args.wrong(0, format!("\"{}\" is not an RFC 3339 time like 2006-01-02T15:04:05Z", args.str(0)));
    Ok(Value::object(parts(&Moment::parse(&text).ok_or_else(wrong)?)))
}

pub(super) fn unix_timestamp_parse(_: &CallCx, args: &Args<'_>) -> Outcome {
    let moment = Moment::from_unix(args.int(0)?).ok_or_else(|| args.wrong(0, "this time is out of range"))?;
    let mut fields = parts(&moment);
    fields.insert("rfc3339".to_owned(), moment.rfc3339().into());
    Ok(Value::object(fields))
}

fn parts(moment: &Moment) -> BTreeMap<String, Value> {
    let civil = moment.civil;
    let week = civil.date().iso_week_date();
    let numbers = [
        ("year", i64::from(civil.year())),
        ("year_day", civil.day_of_year().into()),
        ("month", civil.month().into()),
        ("day", civil.day().into()),
        ("weekday", civil.weekday().to_sunday_zero_offset().into()),
        ("hour", civil.hour().into()),
        ("minute", civil.minute().into()),
        ("second", civil.second().into()),
        ("unix", moment.unix()),
        ("iso_year", week.year().into()),
        ("iso_week", week.week().into()),
    ];
    let names = [("month_name", moment.month_name()), ("weekday_name", moment.weekday_name())];
    let numbers = numbers.into_iter().map(|(name, n)| (name.to_owned(), Value::from(n)));
    numbers.chain(names.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text)))).collect()
}

fn moment(args: &Args<'_>, index: usize) -> Result<Moment, CallError> {
    let text = args.str(index);
    let wrong = || args.wrong(index, format!("\"{text}\" is not an RFC 3339 time like 2006-01-02T15:04:05Z"));
    Moment::parse(text).ok_or_else(wrong)
}

pub(super) fn timestamp(cx: &CallCx, _: &Args<'_>) -> Outcome {
    Ok(Moment::utc(cx.now).rfc3339().into())
}

pub(super) fn timeadd(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (start, duration) = (moment(args, 0)?, args.str(1));
    let wrong = || args.wrong(1, format!("\"{duration}\" is not a duration like \"-1h30m\""));
    let (negative, magnitude) = match duration.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, duration),
    };
    let magnitude = bakehouse_api::decode::parse_duration(magnitude).ok_or_else(wrong)?;
    let span = SignedDuration::try_from(magnitude).map_err(|_| wrong())?;
    let moved = start.plus(if negative { -span } else { span });
    Ok(moved.ok_or_else(|| args.wrong(1, "the result is out of range"))?.rfc3339().into())
}

pub(super) fn legacy_isotime(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let now = Moment::utc(cx.now);
    match args.len() {
        0 => Ok(now.rfc3339().into()),
        1 => Ok(now.layout(args.str(0)).into()),
        count => Err(CallError::at(1, format!("legacy_isotime takes one layout, and there are {count}"))),
    }
}

pub(super) fn legacy_strftime(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let shown = Moment::utc(cx.now).strftime(args.str(0));
    shown.map(Value::from).map_err(|reason| args.wrong(0, reason))
}

/// Runs of one letter are parts of the time, quoted text and everything else stands for itself.
pub(super) fn formatdate(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (format, moment) = (args.str(0), moment(args, 1)?);
    let mut out = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' => quoted(rest, &mut out).ok_or_else(|| args.wrong(0, "a quoted text has no end"))?,
            c if c.is_ascii_alphabetic() => {
                let length = rest.chars().take_while(|other| *other == c).count();
                let word = &rest[..length];
                out.push_str(&part(word, &moment).ok_or_else(|| {
                    args.wrong(0, format!("`{word}` is no part of a time; text between parts is 'quoted'"))
                })?);
                length
            }
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(out.into())
}

/// `''` is a quote. How long the quoted text is, with its quotes.
fn quoted(format: &str, out: &mut String) -> Option<usize> {
    let mut chars = format.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c != '\'' {
            out.push(c);
        } else if i > 1 && chars.next_if(|(_, next)| *next == '\'').is_some() {
            out.push('\'');
        } else {
            if i == 1 {
                out.push('\'');
            }
            return Some(i + 1);
        }
    }
    None
}

fn part(word: &str, moment: &Moment) -> Option<String> {
    let civil = moment.civil;
    let two = |n: i8| format!("{n:02}");
    Some(match word {
        "YYYY" => format!("{:04}", civil.year()),
        "YY" => format!("{:02}", civil.year() % 100),
        "MMMM" => moment.month_name().into(),
        "MMM" => moment.month_name()[..3].into(),
        "MM" => two(civil.month()),
        "M" => civil.month().to_string(),
        "DD" => two(civil.day()),
        "D" => civil.day().to_string(),
        "EEEE" => moment.weekday_name().into(),
        "EEE" => moment.weekday_name()[..3].into(),
        "hh" => two(civil.hour()),
        "h" => civil.hour().to_string(),
        "HH" => two(moment.hour12()),
        "H" => moment.hour12().to_string(),
        "AA" => moment.layout("PM"),
        "aa" => moment.layout("pm"),
        "mm" => two(civil.minute()),
        "m" => civil.minute().to_string(),
        "ss" => two(civil.second()),
        "s" => civil.second().to_string(),
        "Z" => moment.layout("Z07:00"),
        "ZZZ" if moment.offset == jiff::tz::Offset::UTC => "UTC".into(),
        "ZZZ" | "ZZZZ" => moment.offset_text(""),
        "ZZZZZ" => moment.offset_text(":"),
        _ => return None,
    })
}
