use super::*;

fn number(text: &str) -> Value {
    Value::new(Data::Number(text.parse().expect(text)))
}

fn tuple_of(items: &[Value]) -> Value {
    Value::tuple(items.to_vec())
}

fn object_of(fields: &[(&str, Value)]) -> Value {
    Value::object(fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
}

fn list(element: Type) -> Type {
    Type::List(Box::new(element))
}

fn map(element: Type) -> Type {
    Type::Map(Box::new(element))
}

fn object_type(attributes: &[(&str, Type, bool)]) -> Type {
    Type::Object(attributes.iter().map(|(name, ty, optional)| (name.to_string(), (ty.clone(), *optional))).collect())
}

#[test]
fn primitives() {
    let ok = [
        (Value::from("1"), Type::Bool, Value::from(true)),
        (Value::from("false"), Type::Bool, Value::from(false)),
        (Value::from(true), Type::String, Value::from("true")),
        (Value::from("1e3"), Type::Number, number("1000")),
        (number("0.10"), Type::String, Value::from("0.1")),
    ];
    for (value, ty, converted) in ok {
        assert_eq!(convert(&value, &ty), Ok(converted));
    }
    let wrong = [
        (Value::from("True"), Type::Bool, "a bool is required: write \"true\" in lower case"),
        (Value::from("yes"), Type::Bool, "a bool is required"),
        (Value::from(1), Type::Bool, "a bool is required"),
        (Value::from(true), Type::Number, "a number is required"),
        (Value::from("a"), Type::Number, "a number is required: `a` is not a number"),
        (Value::from("a"), list(Type::String), "a list of string is required"),
        (object_of(&[("a", Value::from(1))]), list(Type::Any), "a list is required"),
        (tuple_of(&[]), object_type(&[]), "an object is required"),
    ];
    for (value, ty, reason) in wrong {
        assert_eq!(convert(&value, &ty), Err(reason.to_owned()));
    }
}

#[test]
fn tuples_become_lists_and_sets() {
    let mixed = tuple_of(&[Value::from(1), Value::from("a"), Value::from(true)]);
    let strings = Arc::new(vec![Value::from("1"), Value::from("a"), Value::from("true")]);
    assert_eq!(convert(&mixed, &list(Type::Any)), Ok(Value::new(Data::List(Type::String, strings))));
    let unsorted = tuple_of(&[number("10"), number("9"), number("100"), number("9")]);
    let sorted = Arc::new(vec![number("9"), number("10"), number("100")]);
    let set = convert(&unsorted, &Type::Set(Box::new(Type::Number)));
    assert_eq!(set, Ok(Value::new(Data::Set(Type::Number, sorted))));
    let no_common_type = tuple_of(&[Value::from(1), Value::from(true)]);
    let reason = "all elements of a list must have the same type";
    assert_eq!(convert(&no_common_type, &list(Type::Any)), Err(reason.to_owned()));
    let bad = tuple_of(&[Value::from(1), Value::from("x")]);
    let reason = "element 1: a number is required: `x` is not a number";
    assert_eq!(convert(&bad, &list(Type::Number)), Err(reason.to_owned()));
}

#[test]
fn objects_become_maps_and_other_objects() {
    let value = object_of(&[("a", Value::from(1)), ("b", Value::from("x"))]);
    let fields = [("a".to_owned(), Value::from("1")), ("b".to_owned(), Value::from("x"))].into();
    assert_eq!(convert(&value, &map(Type::Any)), Ok(Value::new(Data::Map(Type::String, Arc::new(fields)))));
    let narrow = object_type(&[("a", Type::String, false), ("c", Type::Number, true)]);
    let converted = object_of(&[("a", Value::from("1")), ("c", Value::new(Data::Null(Type::Number)))]);
    assert_eq!(convert(&value, &narrow), Ok(converted));
    let missing = object_type(&[("z", Type::String, false)]);
    assert_eq!(convert(&value, &missing), Err("attribute \"z\" is required".to_owned()));
}

#[test]
fn nulls_unknowns_and_marks_survive() {
    assert_eq!(convert(&Value::null(), &Type::String), Ok(Value::new(Data::Null(Type::String))));
    let unknown = Value::unknown(Type::Any);
    assert_eq!(convert(&unknown, &Type::Bool), Ok(Value::unknown(Type::Bool)));
    assert!(convert(&Value::unknown(Type::Bool), &Type::Number).is_err());
    let secret = Value::from("5").sensitive(true);
    assert_eq!(convert(&secret, &Type::Number), Ok(number("5").sensitive(true)));
    let set = convert(&tuple_of(&[secret]), &Type::Set(Box::new(Type::String)));
    assert!(set.expect("converts").sensitive);
    let with_null = tuple_of(&[Value::null(), Value::from("a")]);
    let items = Arc::new(vec![Value::new(Data::Null(Type::String)), Value::from("a")]);
    assert_eq!(convert(&with_null, &list(Type::Any)), Ok(Value::new(Data::List(Type::String, items))));
}

#[test]
fn unification() {
    use Type::{Any, Bool, Number, String, Tuple};
    let same = |ty: &Type| Some(ty.clone());
    let x_number = object_type(&[("x", Number, false)]);
    let x_string = object_type(&[("x", String, false)]);
    let y_string = object_type(&[("y", String, false)]);
    let table = [
        (vec![], same(&Any)),
        (vec![Number, String], same(&String)),
        (vec![Number, Bool, String], same(&String)),
        (vec![Number, Bool], None),
        (vec![Any, Number], same(&Number)),
        (vec![x_number.clone(), x_string.clone()], same(&x_string)),
        (vec![x_number, y_string], Some(map(String))),
        (vec![Tuple(vec![Number]), Tuple(vec![String])], Some(Tuple(vec![String]))),
        (vec![Tuple(vec![Number, Number]), Tuple(vec![String])], Some(list(String))),
        (vec![list(Number), Tuple(vec![])], Some(list(Number))),
        (vec![list(Number), map(Number)], None),
    ];
    for (types, unified) in table {
        assert_eq!(unify(&types), unified, "{types:?}");
    }
}

#[test]
fn equality_needs_the_same_type() {
    let list_of = |items: &[Value]| convert(&tuple_of(items), &list(Type::Any)).expect("converts");
    let table = [
        (Value::from(1), number("1.0"), Some(true)),
        (Value::from(1), Value::from("1"), Some(false)),
        (Value::null(), Value::new(Data::Null(Type::Number)), Some(true)),
        (Value::null(), Value::from(""), Some(false)),
        (tuple_of(&[Value::from(1)]), tuple_of(&[Value::from(1)]), Some(true)),
        (tuple_of(&[Value::from(1)]), list_of(&[Value::from(1)]), Some(false)),
        (Value::from(1), Value::unknown(Type::Number), None),
        (
            tuple_of(&[Value::unknown(Type::Any), Value::from(1)]),
            tuple_of(&[Value::from(2), Value::from(2)]),
            Some(false),
        ),
        (object_of(&[("a", Value::from(1))]), object_of(&[("b", Value::from(1))]), Some(false)),
        (Value::from("x").sensitive(true), Value::from("x"), Some(true)),
    ];
    for (a, b, equal) in table {
        assert_eq!(equals(&a, &b), equal, "{a:?} == {b:?}");
    }
}

#[test]
fn type_names() {
    assert_eq!(type_name(&list(Type::String)), "list of string");
    assert_eq!(type_name(&map(Type::Any)), "map");
    assert_eq!(type_name(&list(map(Type::Number))), "list of map of number");
}
