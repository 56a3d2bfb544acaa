//! Sets.

use bakehouse_api::value::Data;
use bakehouse_api::{Type, Value};

use super::collection::as_sets;
use super::{Args, CallCx, CallError, Outcome, list};
use crate::template::convert::{equals, set};

/// More combinations than this are a slip.
const PRODUCT_LIMIT: usize = 100_000;

fn items(value: &Value) -> &[Value] {
    value.as_items().unwrap_or_default()
}

pub(super) fn union(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (element, sets) = as_sets(args)?;
    Ok(set(element, sets.iter().flat_map(|set| items(set).iter().cloned()).collect()))
}

pub(super) fn intersection(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (element, sets) = as_sets(args)?;
    let in_all =
        |item: &&Value| sets.iter().all(|set| items(set).iter().any(|other| equals(item, other) == Some(true)));
    let kept = items(&sets[0]).iter().filter(in_all).cloned().collect();
    Ok(set(element, kept))
}

/// Of sets a set, of lists a list.
pub(super) fn product(_: &CallCx, args: &Args<'_>) -> Outcome {
    if args.len() < 2 {
        return Err(CallError::new("at least two sets are required"));
    }
    let lists: Vec<&[Value]> = args.values.iter().map(items).collect();
    let count = lists.iter().try_fold(1usize, |count, list| count.checked_mul(list.len()));
    if count.is_none_or(|count| count > PRODUCT_LIMIT) {
        return Err(CallError::new(format!("there are more than {PRODUCT_LIMIT} combinations")));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists {
        let extended = |row: &Vec<Value>| {
            list.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(extended).collect();
    }
    let tuples = rows.into_iter().map(Value::tuple).collect();
    let all_sets = args.values.iter().all(|value| matches!(value.data, Data::Set(..)));
    Ok(if all_sets { set(Type::Any, tuples) } else { list(Type::Any, tuples) })
}
