//! Regular expressions.

mod syntax;

use std::collections::BTreeMap;

use bakehouse_api::value::Data;
use bakehouse_api::{Type, Value};
use regex::{Captures, Regex};

use super::{Args, CallCx, CallError, Outcome};

fn compile(args: &Args<'_>, index: usize, pattern: &str) -> Result<Regex, CallError> {
    Regex::new(&syntax::translate(pattern)).map_err(|error| {
        // It would quote the translation, and the pattern is most often wrong by itself.
        let error = Regex::new(pattern).err().unwrap_or(error);
        args.wrong(index, format!("this is no regular expression: {error}"))
    })
}

/// Without groups the match; with named ones an object, else a tuple. A group that took no part is null.
fn found(pattern: &Regex, captures: &Captures<'_>) -> Value {
    let group = |i: usize| match captures.get(i) {
        Some(group) => Value::from(group.as_str()),
        None => Value::new(Data::Null(Type::String)),
    };
    if pattern.captures_len() == 1 {
        return group(0);
    }
    let names: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
    if names.iter().any(Option::is_some) {
        let field = |(i, name): (usize, &Option<&str>)| name.map(|name| (name.to_owned(), group(i + 1)));
        return Value::object(names.iter().enumerate().filter_map(field).collect::<BTreeMap<_, _>>());
    }
    Value::tuple((1..pattern.captures_len()).map(group).collect())
}

pub(super) fn regex(_: &CallCx, args: &Args<'_>) -> Outcome {
    let pattern = compile(args, 0, args.str(0))?;
    match pattern.captures(args.str(1)) {
        Some(captures) => Ok(found(&pattern, &captures)),
        None => Err(args.wrong(1, "the pattern matches nothing in it")),
    }
}

pub(super) fn regexall(_: &CallCx, args: &Args<'_>) -> Outcome {
    let pattern = compile(args, 0, args.str(0))?;
    let matches = pattern.captures_iter(args.str(1)).map(|captures| found(&pattern, &captures)).collect();
    Ok(Value::tuple(matches))
}

pub(super) fn regex_replace(_: &CallCx, args: &Args<'_>) -> Outcome {
    let pattern = compile(args, 1, args.str(1))?;
    Ok(pattern.replace_all(args.str(0), args.str(2)).into_owned().into())
}

pub(super) fn replace(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.str(0).replace(args.str(1), args.str(2)).into())
}
