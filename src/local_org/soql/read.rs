//! Values of a record and of its parents, read from the store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::plan::{Bound, Source};
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::store::{Record, Store, StoreError};
use crate::local_org::value::Value;

/// Parents kept while a query runs. When it is full it is emptied: rows that
/// are near each other tend to have the same parents.
const PARENTS: usize = 10_000;

/// The store failed while a query ran.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the org's records")]
pub(crate) struct ReadError(#[from] pub(crate) StoreError);

/// Reads for one query.
pub(crate) struct Reader<'a> {
    store: &'a Store,
    parents: RefCell<HashMap<String, Option<Arc<Record>>>>,
}

impl<'a> Reader<'a> {
    /// A reader of this store with nothing remembered yet.
    pub(crate) fn new(store: &'a Store) -> Reader<'a> {
        Reader { store, parents: RefCell::default() }
    }

    /// The store.
    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// The value a path leads to; null when a parent on the way is missing.
    pub(super) fn value(&self, bound: &Bound, record: &Record) -> Result<Value, ReadError> {
        match bound {
            Bound::Field { object, source, .. } => Ok(own_value(source, record, object)),
            Bound::Parent { lookup, targets } => match self.parent(*lookup, targets, record)? {
                Some((parent, bound)) => self.value(bound, &parent),
                None => Ok(Value::Null),
            },
        }
    }

    /// The record a lookup points at, with what was wanted of its kind.
    pub(super) fn parent<'b, T>(
        &self,
        lookup: usize,
        targets: &'b [(Arc<ObjectDef>, T)],
        record: &Record,
    ) -> Result<Option<(Arc<Record>, &'b T)>, ReadError> {
        let Some(id) = record.values.get(lookup).and_then(id_text) else { return Ok(None) };
        let Some((object, wanted)) =
            targets.iter().find(|(object, _)| id.starts_with(object.key_prefix.as_str()))
        else {
            return Ok(None);
        };
        if let Some(known) = self.parents.borrow().get(&id) {
            return Ok(known.clone().map(|parent| (parent, wanted)));
        }
        let parent = self.store.get(object, &id)?.map(Arc::new);
        let mut parents = self.parents.borrow_mut();
        if parents.len() >= PARENTS {
            parents.clear();
        }
        parents.insert(id, parent.clone());
        Ok(parent.map(|parent| (parent, wanted)))
    }
}

/// The id a lookup holds.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::Id(key) => Some(key.to_string()),
        _ => None,
    }
}

/// A value of the record itself.
pub(super) fn own_value(source: &Source, record: &Record, object: &ObjectDef) -> Value {
    match source {
        Source::Stored(at) => record.values.get(*at).cloned().unwrap_or(Value::Null),
        Source::PersonName { first, last } => {
            let part = |at: &Option<usize>| match at.and_then(|at| record.values.get(at)) {
                Some(Value::Text(text)) => Some(text.as_str()),
                _ => None,
            };
            let parts: Vec<&str> = part(first).into_iter().chain(part(last)).collect();
            if parts.is_empty() { Value::Null } else { Value::Text(parts.join(" ")) }
        }
        Source::Compound(_) => Value::Null,
        Source::ObjectName => Value::Text(object.name.clone()),
    }
}
