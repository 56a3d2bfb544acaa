//! Lists and maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Type, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::{Args, CallCx, CallError, Outcome, list, number, strings};
use crate::template::convert::{convert, equals, type_of, unify};

/// More numbers than this are a slip.
const RANGE_LIMIT: usize = 1024;

pub(super) fn alltrue(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(bools(args)?.into_iter().all(|value| value).into())
}

pub(super) fn anytrue(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(bools(args)?.into_iter().any(|value| value).into())
}

/// Null counts as false.
fn bools(args: &Args<'_>) -> Result<Vec<bool>, CallError> {
    let item = |(i, item): (usize, &Value)| match convert(item, &Type::Bool) {
        Ok(value) => Ok(matches!(value.data, Data::Bool(true))),
        Err(reason) => Err(args.wrong(0, format!("element {i}: {reason}"))),
    };
    args.items(0).iter().enumerate().map(item).collect()
}

/// `items` as what `like` is: a tuple, or a list with the element type of `like`.
fn same_kind(like: &Value, items: Vec<Value>) -> Value {
    match &like.data {
        Data::List(element, _) | Data::Set(element, _) => list(element.clone(), items),
        _ => Value::tuple(items),
    }
}

pub(super) fn chunklist(_: &CallCx, args: &Args<'_>) -> Outcome {
    let size = args.int(1)?;
    let size = usize::try_from(size).map_err(|_| args.wrong(1, "the size must not be negative"))?;
    let whole = unified(args.value(0));
    let items = whole.as_items().unwrap_or_default();
    let size = if size == 0 { items.len().max(1) } else { size };
    let chunks = items.chunks(size).map(|chunk| same_kind(&whole, chunk.to_vec())).collect();
    Ok(match type_of(&whole) {
        Type::List(element) | Type::Set(element) => list(Type::List(element), chunks),
        _ => Value::tuple(chunks),
    })
}

pub(super) fn coalesce(_: &CallCx, args: &Args<'_>) -> Outcome {
    let types: Vec<Type> = args.values.iter().map(type_of).collect();
    let Some(ty) = unify(&types) else {
        return Err(CallError::new("the values must have one type in common"));
    };
    let first = args.values.iter().find(|value| !value.is_null() && value.as_str() != Some(""));
    match first {
        Some(value) => convert(value, &ty).map_err(CallError::new),
        None => Err(CallError::new("every value is null or empty")),
    }
}

pub(super) fn coalescelist(_: &CallCx, args: &Args<'_>) -> Outcome {
    let first = args.values.iter().find(|list| list.as_items().is_some_and(|items| !items.is_empty()));
    first.cloned().ok_or_else(|| CallError::new("every list is empty"))
}

pub(super) fn compact(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(strings(args.items(0).iter().filter_map(Value::as_str).filter(|text| !text.is_empty())))
}

pub(super) fn concat(_: &CallCx, args: &Args<'_>) -> Outcome {
    (0..args.len()).try_for_each(|i| ordered(args, i))?;
    let items: Vec<Value> = (0..args.len()).flat_map(|i| args.items(i).iter().cloned()).collect();
    let all_lists = args.values.iter().all(|value| matches!(value.data, Data::List(..)));
    let types: Vec<Type> = args.values.iter().map(type_of).collect();
    let list_type = if all_lists { unify(&types) } else { None };
    let (Some(Type::List(element)), tuple) = (list_type, Value::tuple(items)) else {
        let items = (0..args.len()).flat_map(|i| args.items(i).iter().cloned()).collect();
        return Ok(Value::tuple(items));
    };
    convert(&tuple, &Type::List(element)).map_err(CallError::new)
}

pub(super) fn contains(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(args.items(0).iter().any(|item| equals(item, args.value(1)) == Some(true)).into())
}

pub(super) fn index(_: &CallCx, args: &Args<'_>) -> Outcome {
    let place = args.items(0).iter().position(|item| equals(item, args.value(1)) == Some(true));
    match place {
        Some(place) => Ok(number(place as u64)),
        None => Err(args.wrong(1, "the list has no such element")),
    }
}

pub(super) fn distinct(_: &CallCx, args: &Args<'_>) -> Outcome {
    let list = unified(args.value(0));
    let mut kept: Vec<Value> = Vec::new();
    for item in list.as_items().unwrap_or_default() {
        if !kept.iter().any(|known| equals(known, item) == Some(true)) {
            kept.push(item.clone());
        }
    }
    Ok(same_kind(&list, kept))
}

/// A tuple as a list when its elements have a type in common, as a parameter that is a list makes it.
fn unified(value: &Value) -> Value {
    convert(value, &Type::List(Box::new(Type::Any))).unwrap_or_else(|_| value.clone())
}

/// Refuses a set, whose elements have no places.
fn ordered(args: &Args<'_>, index: usize) -> Result<(), CallError> {
    match args.value(index).data {
        Data::Set(..) => Err(args.wrong(index, "a list is required, and this is a set")),
        _ => Ok(()),
    }
}

pub(super) fn element(_: &CallCx, args: &Args<'_>) -> Outcome {
    ordered(args, 0)?;
    let (items, index) = (args.items(0), args.int(1)?);
    if items.is_empty() {
        return Err(args.wrong(0, "the list is empty"));
    }
    if index < 0 {
        return Err(args.wrong(1, "the index must not be negative"));
    }
    Ok(items[index as usize % items.len()].clone())
}

pub(super) fn flatten(_: &CallCx, args: &Args<'_>) -> Outcome {
    fn collect(items: &[Value], sensitive: bool, into: &mut Vec<Value>) {
        for item in items {
            match item.as_items() {
                Some(inner) => collect(inner, sensitive || item.sensitive, into),
                None => into.push(item.clone().sensitive(sensitive)),
            }
        }
    }
    // How long an unknown list is, and so how long the result, is unknown as well.
    fn unknown_list(items: &[Value]) -> bool {
        items.iter().any(|item| match &item.data {
            Data::Unknown(ty) => {
                !matches!(ty, Type::String | Type::Number | Type::Bool | Type::Object(_) | Type::Map(_))
            }
            _ => item.as_items().is_some_and(unknown_list),
        })
    }
    if unknown_list(args.items(0)) {
        return Ok(Value::unknown(Type::Any).sensitive(args.value(0).has_sensitive()));
    }
    let mut flat = Vec::new();
    collect(args.items(0), false, &mut flat);
    Ok(Value::tuple(flat))
}

pub(super) fn keys(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(strings(args.fields(0).keys().map(String::as_str)))
}

pub(super) fn length(_: &CallCx, args: &Args<'_>) -> Outcome {
    let value = args.value(0);
    let count = match (value.as_str(), value.as_items(), value.as_fields()) {
        (Some(text), ..) => text.graphemes(true).count(),
        // Unknown elements of a set may turn out to be equal.
        (_, Some(_), _) if matches!(value.data, Data::Set(..)) && value.has_unknown() => {
            return Ok(Value::unknown(Type::Number));
        }
        (_, Some(items), _) => items.len(),
        (_, _, Some(fields)) => fields.len(),
        _ => return Err(args.wrong(0, format!("a string, list or map is required, and this is {}", value.kind_name()))),
    };
    Ok(number(count as u64))
}

pub(super) fn lookup(_: &CallCx, args: &Args<'_>) -> Outcome {
    let key = args.str(1);
    match (args.fields(0).get(key), args.get(2)) {
        (Some(value), _) => Ok(value.clone()),
        (None, Some(default)) => match type_of(args.value(0)) {
            Type::Map(element) => convert(default, &element).map_err(|reason| args.wrong(2, reason)),
            _ => Ok(default.clone()),
        },
        (None, None) => Err(args.wrong(1, format!("the map has nothing under \"{key}\", and there is no default"))),
    }
}

pub(super) fn merge(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut merged: BTreeMap<String, Value> = BTreeMap::new();
    for (i, value) in args.values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        let Some(fields) = value.as_fields() else {
            return Err(args.wrong(i, format!("a map or an object is required, and this is {}", value.kind_name())));
        };
        merged.extend(fields.clone());
    }
    if !args.values.is_empty() && args.values.iter().all(Value::is_null) {
        return Ok(Value::null());
    }
    let types: Vec<Type> = args.values.iter().map(type_of).collect();
    match types.first() {
        Some(Type::Map(element)) if types.iter().all(|ty| *ty == types[0]) => {
            Ok(Value::new(Data::Map((**element).clone(), Arc::new(merged))))
        }
        _ => Ok(Value::object(merged)),
    }
}

pub(super) fn range(_: &CallCx, args: &Args<'_>) -> Outcome {
    let zero = Number::from(0i64);
    let one = Number::from(1i64);
    let (start, limit) = match args.len() {
        1 => (zero.clone(), args.number(0).clone()),
        2 | 3 => (args.number(0).clone(), args.number(1).clone()),
        count => return Err(CallError::at(3, format!("range takes 1 to 3 arguments, and there are {count}"))),
    };
    let down = limit < start;
    let step = match args.len() {
        3 => args.number(2).clone(),
        _ if down => one.neg(),
        _ => one,
    };
    if step.is_zero() || step.is_negative() != down && start != limit {
        return Err(args.wrong(2, format!("steps of {step} do not lead from {start} to {limit}")));
    }
    let mut numbers = Vec::new();
    let mut next = start;
    while if down { next > limit } else { next < limit } {
        if numbers.len() == RANGE_LIMIT {
            return Err(CallError::new(format!("a range has at most {RANGE_LIMIT} numbers")));
        }
        let following = next.add(&step);
        numbers.push(number(std::mem::replace(&mut next, following)));
    }
    Ok(list(Type::Number, numbers))
}

pub(super) fn reverse(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(same_kind(args.value(0), args.items(0).iter().rev().cloned().collect()))
}

/// Places in a set mean nothing.
fn in_order(args: &Args<'_>, index: usize) -> Result<(), CallError> {
    match args.value(index).data {
        Data::Set(..) => Err(args.wrong(index, "a set has no order; `sort` or `convert` make a list of it")),
        _ => Ok(()),
    }
}

pub(super) fn slice(_: &CallCx, args: &Args<'_>) -> Outcome {
    in_order(args, 0)?;
    let (items, start, end) = (args.items(0), args.int(1)?, args.int(2)?);
    let count = items.len();
    let place = |index: usize, n: i64| match usize::try_from(n) {
        Ok(n) if n <= count => Ok(n),
        _ => Err(args.wrong(index, format!("{n} lies outside of the list, which has {count} elements"))),
    };
    let (start, end) = (place(1, start)?, place(2, end)?);
    if start > end {
        return Err(args.wrong(1, format!("the start {start} lies behind the end {end}")));
    }
    Ok(same_kind(args.value(0), items[start..end].to_vec()))
}

pub(super) fn sort(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut sorted = args.strings(0)?;
    sorted.sort_unstable();
    Ok(strings(sorted))
}

pub(super) fn values(_: &CallCx, args: &Args<'_>) -> Outcome {
    let values = args.fields(0).values().cloned().collect();
    Ok(match type_of(args.value(0)) {
        Type::Map(element) => list(*element, values),
        _ => Value::tuple(values),
    })
}

pub(super) fn zipmap(_: &CallCx, args: &Args<'_>) -> Outcome {
    in_order(args, 1)?;
    let (keys, values) = (args.strings(0)?, args.items(1));
    if keys.len() != values.len() {
        return Err(args.wrong(1, format!("there are {} values for {} keys", values.len(), keys.len())));
    }
    let fields = keys.into_iter().map(str::to_owned).zip(values.iter().cloned()).collect();
    Ok(match type_of(args.value(1)) {
        Type::List(element) => Value::new(Data::Map(*element, Arc::new(fields))),
        _ => Value::object(fields),
    })
}

/// The arguments as sets of one element type.
pub(super) fn as_sets(args: &Args<'_>) -> Result<(Type, Vec<Value>), CallError> {
    let types: Vec<Type> =
        args.values.iter().flat_map(|value| value.as_items().into_iter().flatten()).map(type_of).collect();
    let Some(element) = unify(&types) else {
        return Err(CallError::new("the elements of all sets must have one type in common"));
    };
    let ty = Type::Set(Box::new(element.clone()));
    let convert_arg = |(i, value): (usize, &Value)| convert(value, &ty).map_err(|reason| args.wrong(i, reason));
    Ok((element, args.values.iter().enumerate().map(convert_arg).collect::<Result<_, _>>()?))
}
