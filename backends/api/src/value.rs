//! Values of the template language: what HCL has, plus *unknown* (only the running machine will
//! tell) and *sensitive* (must never be shown).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Number;

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Any,
    Bool,
    Number,
    String,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Tuple(Vec<Type>),
    /// Attribute name -> (type, may it be left out).
    Object(BTreeMap<String, (Type, bool)>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A value of that type that is not known while the template is only validated.
    Unknown(Type),
    Null(Type),
    Bool(bool),
    Number(Number),
    String(Arc<str>),
    List(Type, Arc<Vec<Value>>),
    /// Sorted, without duplicates.
    Set(Type, Arc<Vec<Value>>),
    Map(Type, Arc<BTreeMap<String, Value>>),
    Tuple(Arc<Vec<Value>>),
    Object(Arc<BTreeMap<String, Value>>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub data: Data,
    pub sensitive: bool,
}

impl Value {
    pub fn new(data: Data) -> Self {
        Self { data, sensitive: false }
    }

    pub fn null() -> Self {
        Self::new(Data::Null(Type::Any))
    }

    pub fn unknown(ty: Type) -> Self {
        Self::new(Data::Unknown(ty))
    }

    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::new(Data::String(text.into()))
    }

    pub fn tuple(items: Vec<Value>) -> Self {
        Self::new(Data::Tuple(Arc::new(items)))
    }

    pub fn object(fields: BTreeMap<String, Value>) -> Self {
        Self::new(Data::Object(Arc::new(fields)))
    }

    pub fn sensitive(mut self, sensitive: bool) -> Self {
        self.sensitive |= sensitive;
        self
    }

    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null(_))
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple.
    pub fn as_items(&self) -> Option<&[Value]> {
        match &self.data {
            Data::List(_, items) | Data::Set(_, items) | Data::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The fields of a map or object.
    pub fn as_fields(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.data {
            Data::Map(_, fields) | Data::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// True when it or anything in it is unknown.
    pub fn has_unknown(&self) -> bool {
        self.any(&|value| matches!(value.data, Data::Unknown(_)))
    }

    /// True when it or anything in it is sensitive.
    pub fn has_sensitive(&self) -> bool {
        self.any(&|value| value.sensitive)
    }

    fn any(&self, test: &dyn Fn(&Value) -> bool) -> bool {
        test(self)
            || self.as_items().is_some_and(|items| items.iter().any(|item| item.any(test)))
            || self.as_fields().is_some_and(|fields| fields.values().any(|field| field.any(test)))
    }

    /// What a user would call it: "a string", "a list", ...
    pub fn kind_name(&self) -> &'static str {
        match self.data {
            Data::Unknown(_) => "an unknown value",
            Data::Null(_) => "null",
            Data::Bool(_) => "a bool",
            Data::Number(_) => "a number",
            Data::String(_) => "a string",
            Data::List(..) | Data::Tuple(_) => "a list",
            Data::Set(..) => "a set",
            Data::Map(..) | Data::Object(_) => "an object",
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::new(Data::Bool(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::new(Data::Number(value.into()))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::string(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::string(value)
    }
}
