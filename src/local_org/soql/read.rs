//! Values of a record and of its parents, read from the store.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::plan::{Bound, Source};
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::ids::RecordKey;
use crate::local_org::store::{Record, Store, StoreError, View};
use crate::local_org::value::Value;

/// Parents kept while a query runs. When it is full it is emptied: rows that
/// are near each other tend to have the same parents.
const PARENTS: usize = 10_000;

/// The store failed while a query ran.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the org's records")]
pub(crate) struct ReadError(#[from] pub(crate) StoreError);

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Reads for one query.
pub(crate) struct Reader<'a> {
    view: View<'a>,
    archived_before: Option<i32>,
    parents: RefCell<HashMap<RecordKey, Option<Arc<Record>>>>,
}

impl<'a> Reader<'a> {
    /// A reader of this store with nothing remembered yet.
    pub(crate) fn new(store: &'a Store) -> Reader<'a> {
        Reader::of(store.view())
    }

    /// A reader of the store at one moment.
    pub(crate) fn of(view: View<'a>) -> Reader<'a> {
        Reader { view, archived_before: None, parents: RefCell::default() }
    }

    /// Activities of before this day (since 1970) are archived.
    pub(crate) fn archiving(mut self, before: Option<i32>) -> Reader<'a> {
        self.archived_before = before;
        self
    }

    /// The store as it is read.
    pub(crate) fn view(&self) -> &View<'a> {
        &self.view
    }

    /// Whether records of this object are archived at all.
    pub(super) fn archives(&self, object: &ObjectDef) -> bool {
        self.archived_before.is_some() && object.system.is_archived.is_some()
    }

    /// Sets `IsArchived` of a record; gives whether it is.
    pub(crate) fn archive<S: AsRef<str>>(
        &self,
        object: &ObjectDef,
        values: &mut [Value<S>],
    ) -> bool {
        let (Some(before), Some(at)) = (self.archived_before, object.system.is_archived) else {
            return false;
        };
        let due = object.system.activity_date.and_then(|at| values.get(at));
        let old = match (due, values.get(object.system.created_date)) {
            (Some(Value::Date(day)), _) => *day < before,
            (_, Some(Value::DateTime(ms))) => ms.div_euclid(DAY_MS) < i64::from(before),
            _ => false,
        };
        if let Some(place) = values.get_mut(at) {
            *place = Value::Bool(old);
        }
        old
    }

    /// The record of an id, as queries see it.
    pub(crate) fn get(&self, object: &ObjectDef, id: &str) -> Result<Option<Record>, ReadError> {
        let mut found = self.view.get(object, id)?;
        if let Some(record) = &mut found {
            self.archive(object, &mut record.values);
        }
        Ok(found)
    }

    /// The value a path leads to; null when a parent on the way is missing.
    pub(super) fn value<S: AsRef<str>>(
        &self,
        bound: &Bound,
        values: &[Value<S>],
    ) -> Result<Value, ReadError> {
        self.with_value(bound, values, |value, _| value.into_owned())
    }

    /// The same, borrowed, with whether there is a record that has it.
    pub(crate) fn with_value<S: AsRef<str>, T>(
        &self,
        bound: &Bound,
        values: &[Value<S>],
        take: impl FnOnce(Value<&str>, bool) -> T,
    ) -> Result<T, ReadError> {
        match bound {
            Bound::Field { source: Source::Stored(at), .. } => {
                Ok(take(values.get(*at).map_or(Value::Null, Value::view), true))
            }
            Bound::Field { object, source, .. } => {
                Ok(take(own_value(source, values, object).view(), true))
            }
            Bound::Parent { lookup, targets } => match self.parent(*lookup, targets, values)? {
                Some((parent, bound)) => self.with_value(bound, &parent.values, take),
                None => Ok(take(Value::Null, false)),
            },
        }
    }

    /// The record a lookup points at, with what was wanted of its kind.
    pub(super) fn parent<'b, T, S>(
        &self,
        lookup: usize,
        targets: &'b [(Arc<ObjectDef>, T)],
        values: &[Value<S>],
    ) -> Result<Option<(Arc<Record>, &'b T)>, ReadError> {
        let Some(Value::Id(id)) = values.get(lookup) else { return Ok(None) };
        let Some((object, wanted)) =
            targets.iter().find(|(object, _)| id.prefix() == object.key_prefix)
        else {
            return Ok(None);
        };
        if let Some(known) = self.parents.borrow().get(id) {
            return Ok(known.clone().map(|parent| (parent, wanted)));
        }
        let parent = self.view.get(object, &id.to_string())?.map(Arc::new);
        let mut parents = self.parents.borrow_mut();
        if parents.len() >= PARENTS {
            parents.clear();
        }
        parents.insert(*id, parent.clone());
        Ok(parent.map(|parent| (parent, wanted)))
    }
}

/// A value of the record itself.
pub(super) fn own_value<'v, S: AsRef<str>>(
    source: &Source,
    values: &'v [Value<S>],
    object: &'v ObjectDef,
) -> Value<Cow<'v, str>> {
    match source {
        Source::Stored(at) => values.get(*at).map_or(Value::Null, Value::borrowed),
        Source::PersonName { first, last } => {
            let part = |at: &Option<usize>| match at.and_then(|at| values.get(at)) {
                Some(Value::Text(text)) => Some(text.as_ref()),
                _ => None,
            };
            let parts: Vec<&str> = part(first).into_iter().chain(part(last)).collect();
            if parts.is_empty() { Value::Null } else { Value::Text(Cow::Owned(parts.join(" "))) }
        }
        Source::Compound(_) => Value::Null,
        Source::ObjectName => Value::Text(Cow::Borrowed(&object.name)),
    }
}
