//! How large a value may get. A local that holds the one before it nests without end over many locals, and one
//! that holds it twice doubles: small templates of values that nobody could walk through.

use std::collections::HashMap;
use std::sync::Arc;

use bakehouse_api::Value;
use bakehouse_api::value::Data;

/// Twice what the syntax of one expression can nest.
const DEEPEST: usize = 1_000;
/// Parts, and pieces of text.
const MOST: usize = 10_000_000;
/// How much text counts as much as a part.
const PIECE: usize = 16;

#[derive(Clone, Copy, Default)]
struct Extent {
    depth: usize,
    parts: usize,
}

/// What is wrong with the extent of a value, if anything.
pub fn check(value: &Value) -> Result<(), String> {
    let Extent { depth, parts } = extent(value, &mut HashMap::new());
    if depth > DEEPEST {
        return Err(format!("this value is nested more than {DEEPEST} levels deep"));
    }
    if parts > MOST {
        return Err(format!("this value has more than {MOST} parts"));
    }
    Ok(())
}

/// A part that is held in several places is measured once, as a walk through all of them might not end.
fn extent(value: &Value, known: &mut HashMap<usize, Extent>) -> Extent {
    match &value.data {
        Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => {
            shared(Arc::as_ptr(items) as usize, &mut items.iter(), known)
        }
        Data::Map(_, fields) | Data::Object(fields) => {
            shared(Arc::as_ptr(fields) as usize, &mut fields.values(), known)
        }
        Data::String(text) => Extent { depth: 0, parts: 1 + text.len() / PIECE },
        _ => Extent { depth: 0, parts: 1 },
    }
}

fn shared(place: usize, parts: &mut dyn Iterator<Item = &Value>, known: &mut HashMap<usize, Extent>) -> Extent {
    if let Some(extent) = known.get(&place) {
        return *extent;
    }
    let mut whole = Extent { depth: 0, parts: 1 };
    for part in parts {
        let extent = super::with_stack(|| extent(part, known));
        whole.depth = whole.depth.max(extent.depth);
        whole.parts = whole.parts.saturating_add(extent.parts);
    }
    whole.depth += 1;
    known.insert(place, whole);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(times: usize, grow: impl Fn(Value) -> Value) -> Value {
        (0..times).fold(Value::from("x"), |value, _| grow(value))
    }

    #[test]
    fn what_people_write_is_far_from_the_limits() {
        assert_eq!(check(&grown(900, |value| Value::tuple(vec![value]))), Ok(()));
        assert_eq!(check(&Value::from("x".repeat(1 << 20))), Ok(()));
        assert_eq!(check(&grown(18, |value| Value::tuple(vec![value.clone(), value]))), Ok(()));
    }

    #[test]
    fn what_nests_or_doubles_without_end_is_refused() {
        let deep = grown(1_001, |value| Value::object([("a".to_owned(), value)].into()));
        assert_eq!(check(&deep), Err("this value is nested more than 1000 levels deep".into()));
        // 2^60 parts, held in sixty places.
        let wide = grown(60, |value| Value::tuple(vec![value.clone(), value]));
        assert_eq!(check(&wide), Err("this value has more than 10000000 parts".into()));
        assert!(check(&Value::from("x".repeat(200 << 20))).is_err());
    }
}
