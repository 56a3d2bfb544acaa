//! From one type of the language to another, by HCL's rules.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::value::Data;
use bakehouse_api::{Number, Type, Value};

/// `value` as a `ty`. The error says what is required and, inside a collection, where.
pub fn convert(value: &Value, ty: &Type) -> Result<Value, String> {
    let data = match (&value.data, ty) {
        (_, Type::Any) => return Ok(value.clone()),
        (Data::Null(_), _) => Data::Null(ty.clone()),
        (Data::Unknown(from), _) => {
            if !convertible(from, ty) {
                return Err(required(ty));
            }
            Data::Unknown(ty.clone())
        }
        (Data::Bool(_), Type::Bool) | (Data::Number(_), Type::Number) | (Data::String(_), Type::String) => {
            return Ok(value.clone());
        }
        (Data::Bool(_) | Data::Number(_), Type::String) => Data::String(to_text(value)?.into()),
        (Data::String(text), Type::Number) => Data::Number(number_from(text)?),
        (Data::String(text), Type::Bool) => Data::Bool(bool_from(text)?),
        (Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items), Type::List(element)) => {
            let (element, items) = convert_items(items, element)?;
            Data::List(element, Arc::new(items))
        }
        (Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items), Type::Set(element)) => {
            let (element, items) = convert_items(items, element)?;
            return Ok(set(element, items).sensitive(value.sensitive));
        }
        (Data::Tuple(items), Type::Tuple(types)) => Data::Tuple(Arc::new(tuple(items, types)?)),
        (Data::Map(_, fields) | Data::Object(fields), Type::Map(element)) => {
            let element = concrete(element, fields.values(), "map")?;
            let convert_field = |(name, field): (&String, &Value)| {
                Ok((name.clone(), convert_inner(field, &element, || format!("\"{name}\""))?))
            };
            let fields = fields.iter().map(convert_field).collect::<Result<_, String>>()?;
            Data::Map(element.clone(), Arc::new(fields))
        }
        (Data::Map(_, fields) | Data::Object(fields), Type::Object(attributes)) => {
            Data::Object(Arc::new(object(fields, attributes)?))
        }
        _ => return Err(required(ty)),
    };
    Ok(Value { data, sensitive: value.sensitive })
}

fn required(ty: &Type) -> String {
    let name = type_name(ty);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name} is required")
}

fn convert_inner(value: &Value, ty: &Type, place: impl Fn() -> String) -> Result<Value, String> {
    convert(value, ty).map_err(|reason| format!("{}: {reason}", place()))
}

fn number_from(text: &str) -> Result<Number, String> {
    text.parse().map_err(|reason| format!("a number is required: {reason}"))
}

fn bool_from(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => {
            Err(format!("a bool is required: write \"{}\" in lower case", text.to_ascii_lowercase()))
        }
        _ => Err("a bool is required".into()),
    }
}

fn convert_items(items: &[Value], element: &Type) -> Result<(Type, Vec<Value>), String> {
    let element = concrete(element, items, "list")?;
    let convert_item = |(i, item)| convert_inner(item, &element, || format!("element {i}"));
    let items = items.iter().enumerate().map(convert_item).collect::<Result<_, _>>()?;
    Ok((element, items))
}

/// The element type to convert to: for `any` the one that all elements can have.
fn concrete<'a>(element: &Type, items: impl IntoIterator<Item = &'a Value>, of: &str) -> Result<Type, String> {
    if *element != Type::Any {
        return Ok(element.clone());
    }
    let types: Vec<Type> = items.into_iter().map(type_of).collect();
    unify(&types).ok_or_else(|| format!("all elements of a {of} must have the same type"))
}

fn tuple(items: &[Value], types: &[Type]) -> Result<Vec<Value>, String> {
    if items.len() != types.len() {
        return Err(format!("a tuple of {} elements is required, and this has {}", types.len(), items.len()));
    }
    let pairs = items.iter().zip(types).enumerate();
    pairs.map(|(i, (item, ty))| convert_inner(item, ty, || format!("element {i}"))).collect()
}

/// Attributes that the type does not name are dropped, as in HCL.
fn object(
    fields: &BTreeMap<String, Value>,
    attributes: &BTreeMap<String, (Type, bool)>,
) -> Result<BTreeMap<String, Value>, String> {
    let attribute = |(name, (ty, optional)): (&String, &(Type, bool))| {
        let value = match fields.get(name) {
            Some(field) => convert_inner(field, ty, || format!("attribute \"{name}\""))?,
            None if *optional => Value::new(Data::Null(ty.clone())),
            None => return Err(format!("attribute \"{name}\" is required")),
        };
        Ok((name.clone(), value))
    };
    attributes.iter().map(attribute).collect()
}

/// A set of elements that have that type already: sorted, without duplicates. A sensitive element
/// makes the whole set sensitive, as its place would give it away.
pub fn set(element: Type, mut items: Vec<Value>) -> Value {
    let sensitive = items.iter().any(|item| item.sensitive);
    for item in &mut items {
        item.sensitive = false;
    }
    items.sort_by(order);
    items.dedup_by(|a, b| equals(a, b) == Some(true));
    Value::new(Data::Set(element, Arc::new(items))).sensitive(sensitive)
}

/// A total order: the one that sets are kept in.
pub fn order(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value.data {
        Data::Bool(_) => 0,
        Data::Number(_) => 1,
        Data::String(_) => 2,
        Data::List(..) | Data::Set(..) | Data::Tuple(_) => 3,
        Data::Map(..) | Data::Object(_) => 4,
        Data::Null(_) => 5,
        Data::Unknown(_) => 6,
    };
    match (&a.data, &b.data) {
        (Data::Bool(a), Data::Bool(b)) => a.cmp(b),
        (Data::Number(a), Data::Number(b)) => a.cmp(b),
        (Data::String(a), Data::String(b)) => a.cmp(b),
        _ => match (a.as_items(), b.as_items(), a.as_fields(), b.as_fields()) {
            (Some(a), Some(b), ..) => {
                let first_difference = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
                first_difference.unwrap_or(a.len().cmp(&b.len()))
            }
            (_, _, Some(a), Some(b)) => {
                let pair = |((ak, av), (bk, bv)): ((&String, &Value), (&String, &Value))| {
                    ak.cmp(bk).then_with(|| order(av, bv))
                };
                let first_difference = a.iter().zip(b).map(pair).find(|order| order.is_ne());
                first_difference.unwrap_or(a.len().cmp(&b.len()))
            }
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

/// HCL's `==`: values of different types are different, nulls are equal. None: it depends on
/// something unknown.
pub fn equals(a: &Value, b: &Value) -> Option<bool> {
    match (&a.data, &b.data) {
        (Data::Unknown(_), _) | (_, Data::Unknown(_)) => None,
        (Data::Null(_), Data::Null(_)) => Some(true),
        (Data::Bool(a), Data::Bool(b)) => Some(a == b),
        (Data::Number(a), Data::Number(b)) => Some(a == b),
        (Data::String(a), Data::String(b)) => Some(a == b),
        (Data::List(a, x), Data::List(b, y)) | (Data::Set(a, x), Data::Set(b, y)) => {
            if a != b && !x.is_empty() && !y.is_empty() {
                return Some(false);
            }
            equal_items(x, y)
        }
        (Data::Tuple(x), Data::Tuple(y)) => equal_items(x, y),
        (Data::Map(_, x), Data::Map(_, y)) | (Data::Object(x), Data::Object(y)) => {
            if !x.keys().eq(y.keys()) {
                return Some(false);
            }
            all_equal(x.values().zip(y.values()))
        }
        _ => Some(false),
    }
}

fn equal_items(x: &[Value], y: &[Value]) -> Option<bool> {
    if x.len() != y.len() { Some(false) } else { all_equal(x.iter().zip(y)) }
}

fn all_equal<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Option<bool> {
    let mut known = true;
    for (a, b) in pairs {
        match equals(a, b) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

pub fn type_of(value: &Value) -> Type {
    match &value.data {
        Data::Unknown(ty) | Data::Null(ty) => ty.clone(),
        Data::Bool(_) => Type::Bool,
        Data::Number(_) => Type::Number,
        Data::String(_) => Type::String,
        Data::List(element, _) => Type::List(Box::new(element.clone())),
        Data::Set(element, _) => Type::Set(Box::new(element.clone())),
        Data::Map(element, _) => Type::Map(Box::new(element.clone())),
        Data::Tuple(items) => Type::Tuple(items.iter().map(type_of).collect()),
        Data::Object(fields) => {
            Type::Object(fields.iter().map(|(name, field)| (name.clone(), (type_of(field), false))).collect())
        }
    }
}

/// Can some value of type `from` become a `to`? What only its content decides counts as yes.
pub fn convertible(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::Bool | Type::Number | Type::String, Type::String) => true,
        (Type::Number | Type::String, Type::Number) | (Type::Bool | Type::String, Type::Bool) => true,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            convertible(a, b)
        }
        (Type::Tuple(items), Type::List(element) | Type::Set(element)) => {
            items.iter().all(|item| convertible(item, element))
        }
        (Type::Tuple(a), Type::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| convertible(a, b)),
        (Type::Object(fields), Type::Map(element)) => fields.values().all(|(field, _)| convertible(field, element)),
        (Type::Map(a), Type::Object(fields)) => fields.values().all(|(field, _)| convertible(a, field)),
        (Type::Object(a), Type::Object(b)) => b.iter().all(|(name, (to, optional))| match a.get(name) {
            Some((from, _)) => convertible(from, to),
            None => *optional,
        }),
        _ => false,
    }
}

/// The one type that values of all these types can have together. Types of nulls (`any`) adapt.
pub fn unify(types: &[Type]) -> Option<Type> {
    // Strings first: a number and a bool meet only as strings.
    let (strings, others): (Vec<&Type>, Vec<&Type>) = types.iter().partition(|ty| **ty == Type::String);
    strings.into_iter().chain(others).try_fold(Type::Any, |a, b| unify_two(&a, b))
}

fn unify_two(a: &Type, b: &Type) -> Option<Type> {
    use Type::{Any, Bool, List, Map, Number, Object, Set, String, Tuple};
    if a == b {
        return Some(a.clone());
    }
    let both = |a: &Type, b: &Type| unify_two(a, b).map(Box::new);
    let all = |element: &Type, types: &[Type]| {
        let types: Vec<Type> = std::iter::once(element).chain(types).cloned().collect();
        unify(&types).map(Box::new)
    };
    match (a, b) {
        (Any, other) | (other, Any) => Some(other.clone()),
        (String, Bool | Number) | (Bool | Number, String) => Some(String),
        (List(a), List(b) | Set(b)) | (Set(a), List(b)) => both(a, b).map(List),
        (Set(a), Set(b)) => both(a, b).map(Set),
        (Map(a), Map(b)) => both(a, b).map(Map),
        (Tuple(a), Tuple(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| unify_two(a, b)).collect::<Option<_>>().map(Tuple)
        }
        (Tuple(a), Tuple(b)) => all(&Any, &[a.as_slice(), b].concat()).map(List),
        (List(element), Tuple(items)) | (Tuple(items), List(element)) => all(element, items).map(List),
        (Set(element), Tuple(items)) | (Tuple(items), Set(element)) => all(element, items).map(Set),
        (Object(a), Object(b)) if a.keys().eq(b.keys()) => {
            let attribute = |((name, (a, a_optional)), (_, (b, b_optional))): ((&_, &(_, bool)), (_, &(_, bool)))| {
                let name: &std::string::String = name;
                Some((name.clone(), (unify_two(a, b)?, *a_optional || *b_optional)))
            };
            a.iter().zip(b).map(attribute).collect::<Option<_>>().map(Object)
        }
        (Object(a), Object(b)) => {
            let types: Vec<Type> = a.values().chain(b.values()).map(|(ty, _)| ty.clone()).collect();
            all(&Any, &types).map(Map)
        }
        (Map(element), Object(fields)) | (Object(fields), Map(element)) => {
            let types: Vec<Type> = fields.values().map(|(ty, _)| ty.clone()).collect();
            all(element, &types).map(Map)
        }
        _ => None,
    }
}

/// What a value looks like inside a string.
pub fn to_text(value: &Value) -> Result<String, String> {
    match &value.data {
        Data::Bool(value) => Ok(value.to_string()),
        Data::Number(number) => Ok(number.to_string()),
        Data::String(text) => Ok(text.to_string()),
        Data::Null(_) => Err("a string is required, and this is null".into()),
        Data::Unknown(_) => Err("a string is required, and this value is not known yet".into()),
        _ => Err(format!("a string is required, and this is {}", value.kind_name())),
    }
}

/// As messages name it: "string", "list of string".
pub fn type_name(ty: &Type) -> String {
    match ty {
        Type::Any => "value of any type".into(),
        Type::Bool => "bool".into(),
        Type::Number => "number".into(),
        Type::String => "string".into(),
        Type::List(element) => collection_name("list", element),
        Type::Set(element) => collection_name("set", element),
        Type::Map(element) => collection_name("map", element),
        Type::Tuple(_) => "tuple".into(),
        Type::Object(_) => "object".into(),
    }
}

fn collection_name(kind: &str, element: &Type) -> String {
    if *element == Type::Any { kind.into() } else { format!("{kind} of {}", type_name(element)) }
}

#[cfg(test)]
mod tests;
