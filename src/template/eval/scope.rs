//! What names mean at a place of the template.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::Value;
use bakehouse_api::value::Data;

use super::insert;
use crate::template::hcl::syntax::Name;

/// Cheap to clone; inner scopes see what the outer ones hold.
#[derive(Clone, Debug, Default)]
pub struct Scope(Arc<Frame>);

#[derive(Clone, Debug, Default)]
struct Frame {
    names: BTreeMap<String, Value>,
    outer: Option<Scope>,
}

impl Scope {
    pub fn new(names: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(Arc::new(Frame { names: names.into_iter().collect(), outer: None }))
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.0.names.get(name) {
                return Some(value.clone());
            }
            scope = scope.0.outer.as_ref()?;
        }
    }

    /// A scope within this one, with one more name.
    pub fn with(&self, name: &str, value: Value) -> Self {
        self.within([(name.to_owned(), value)])
    }

    fn within(&self, names: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(Arc::new(Frame { names: names.into_iter().collect(), outer: Some(self.clone()) }))
    }

    /// The same with one more name at the top level: what is nearer (an iterator) hides it.
    pub fn beneath(&self, name: &str, value: Value) -> Self {
        match &self.0.outer {
            None => self.with(name, value),
            Some(outer) => {
                Self(Arc::new(Frame { names: self.0.names.clone(), outer: Some(outer.beneath(name, value)) }))
            }
        }
    }

    /// The scope of one round of a `for`.
    pub fn iteration(&self, key_name: Option<&Name>, key: Value, value_name: &Name, value: Value) -> Self {
        let key = key_name.map(|name| (name.text.clone(), key));
        self.within(key.into_iter().chain([(value_name.text.clone(), value)]))
    }

    /// Adds to a namespace of this very scope: `namespace.name`.
    pub fn set(&mut self, namespace: &str, name: &str, value: Value) {
        if let Some(object) = Arc::make_mut(&mut self.0).names.get_mut(namespace) {
            insert(object, name, value);
        }
    }

    /// Adds `data.kind.name`.
    pub fn set_data(&mut self, kind: &str, name: &str, value: Value) {
        if let Some(Data::Object(kinds)) = Arc::make_mut(&mut self.0).names.get_mut("data").map(|data| &mut data.data) {
            let kinds = Arc::make_mut(kinds);
            insert(kinds.entry(kind.to_owned()).or_insert_with(|| Value::object(BTreeMap::new())), name, value);
        }
    }

    /// Every name, for "did you mean".
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.names.keys().cloned().collect();
        if let Some(outer) = &self.0.outer {
            names.extend(outer.names());
        }
        names.sort();
        names.dedup();
        names
    }
}
