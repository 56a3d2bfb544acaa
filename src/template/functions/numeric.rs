//! Numbers.

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Value};

use super::{Args, CallCx, Outcome, number};

pub(super) fn abs(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(number(args.number(0).abs()))
}

pub(super) fn ceil(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(number(args.number(0).ceil()))
}

pub(super) fn floor(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(number(args.number(0).floor()))
}

/// HCL counts in doubles here, which decides the last digits.
pub(super) fn log(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (x, base) = (args.number(0).to_f64(), args.number(1).to_f64());
    match Number::try_from(x.ln() / base.ln()) {
        Ok(result) => Ok(number(result)),
        Err(()) => Err(args.wrong(0, format!("the logarithm of {x} in base {base} is not a number"))),
    }
}

pub(super) fn pow(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (x, power) = (args.number(0).to_f64(), args.number(1).to_f64());
    match Number::try_from(x.powf(power)) {
        Ok(result) => Ok(number(result)),
        Err(()) => Err(args.wrong(1, format!("{x} to the power of {power} is not a number that can be shown"))),
    }
}

pub(super) fn max(_: &CallCx, args: &Args<'_>) -> Outcome {
    let all = (0..args.len()).map(|i| args.number(i));
    Ok(number(all.max().cloned().unwrap_or_else(|| 0i64.into())))
}

pub(super) fn min(_: &CallCx, args: &Args<'_>) -> Outcome {
    let all = (0..args.len()).map(|i| args.number(i));
    Ok(number(all.min().cloned().unwrap_or_else(|| 0i64.into())))
}

pub(super) fn signum(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(number(args.int(0)?.signum()))
}

pub(super) fn sum(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut total: Option<Number> = None;
    for (i, item) in args.items(0).iter().enumerate() {
        let Data::Number(item) = &item.data else { return Err(args.wrong(0, format!("element {i} is null"))) };
        total = Some(total.map_or_else(|| item.clone(), |total| total.add(item)));
    }
    total.map(number).ok_or_else(|| args.wrong(0, "there is nothing to add up"))
}

pub(super) fn parseint(_: &CallCx, args: &Args<'_>) -> Outcome {
    let Some(text) = args.value(0).as_str() else {
        return Err(args.wrong(0, format!("a string is required, and this is {}", args.value(0).kind_name())));
    };
    let base = args.int(1)?;
    if !(2..=62).contains(&base) {
        return Err(args.wrong(1, format!("the base must lie between 2 and 62, and it is {base}")));
    }
    match integer(text, base) {
        Some(value) => Ok(value),
        None => Err(args.wrong(0, format!("\"{text}\" is not a whole number in base {base}"))),
    }
}

/// Up to base 36 letters of either case count the same; beyond, capitals follow the small ones.
fn integer(text: &str, base: i64) -> Option<Value> {
    if base <= 36 {
        return Number::from_radix(text, base as u32).map(number);
    }
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let digit = |c: char| match c {
        '0'..='9' => Some(c as i64 - '0' as i64),
        'a'..='z' => Some(c as i64 - 'a' as i64 + 10),
        'A'..='Z' => Some(c as i64 - 'A' as i64 + 36),
        _ => None,
    };
    let mut total = Number::from_radix("0", 10)?.to_big()?;
    for c in digits.chars() {
        let digit = digit(c).filter(|digit| *digit < base)?;
        total = total * base + digit;
    }
    Some(number(Number::from_big(if negative { -total } else { total })))
}
