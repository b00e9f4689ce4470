//! The records of a query, in order.
//!
//! A result is kept as the ids of its records (15 bytes each); the records
//! themselves are read page by page. So a page shows values as they are when
//! it is fetched, and records deleted in between are left out of it, where
//! the real service keeps a snapshot.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::dates;
use super::filter::fold;
use super::plan::{Column, Plan, Shape, SortBy};
use super::project::write_record;
use super::read::{ReadError, Reader};
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::ids::RecordKey;
use crate::local_org::store::{Range, Record, Row};
use crate::local_org::value::Value;

/// The 15 characters of an id.
pub(crate) type Id15 = [u8; 15];

/// Visits every record that fulfils the condition, until `visit` breaks off:
/// in the order of ids, or the other way round when that is the plan's order.
/// Equality on the id or on an indexed field goes through the index, ranges
/// of ids are read alone, everything else reads all records of the object.
pub(crate) fn each_match(
    plan: &Plan,
    reader: &Reader<'_>,
    deleted_too: bool,
    visit: &mut dyn FnMut(&Row<'_, '_>) -> Result<ControlFlow<()>, ReadError>,
) -> Result<(), ReadError> {
    let object = &plan.object;
    let deleted_too = deleted_too || plan.all_rows;
    let mut meet = |row: Row<'_, '_>| {
        let archived = reader.archive(object, row.values);
        if (row.deleted || archived) && !deleted_too {
            return Ok(ControlFlow::Continue(()));
        }
        let fulfils = match &plan.filter {
            Some(filter) => filter.holds(row.values, reader)?,
            None => true,
        };
        if fulfils { visit(&row) } else { Ok(ControlFlow::Continue(())) }
    };
    let descending = natural_order(plan) == Some(true);
    // The index of a key holds live records alone; that of the id holds all.
    let indexed = plan.filter.as_ref().and_then(super::filter::Filter::lookup);
    let indexed = indexed.filter(|(field, _)| !deleted_too || *field == object.system.id);
    if let Some((field, texts)) = indexed {
        let mut found: Vec<Record> = Vec::new();
        for text in texts {
            if field == object.system.id {
                found.extend(reader.view().get(object, &text)?);
            } else {
                found.extend(reader.view().store().find_by(object, field, &text)?);
            }
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        found.dedup_by(|left, right| left.id == right.id);
        if descending {
            found.reverse();
        }
        for record in &found {
            let Some(key) = RecordKey::parse(&record.id) else { continue };
            let mut values: Vec<Value<&str>> = record.values.iter().map(Value::view).collect();
            let row = Row { key, deleted: record.deleted, values: &mut values };
            if meet(row)?.is_break() {
                break;
            }
        }
        return Ok(());
    }
    let (first, last) =
        plan.filter.as_ref().map_or((0, u64::MAX), |filter| filter.counters(object));
    let mut outcome = Ok(());
    reader.view().scan(object, Range { first, last, deleted_too, descending }, &mut |row| {
        meet(row).unwrap_or_else(|error| {
            outcome = Err(error);
            ControlFlow::Break(())
        })
    })?;
    outcome
}

/// Whether a plan's order is that of ids, which costs nothing, and if so
/// whether it is the other way round.
pub(crate) fn natural_order(plan: &Plan) -> Option<bool> {
    match plan.sort.as_slice() {
        [] => Some(false),
        [SortBy { bound, descending, .. }] if bound.own_field() == Some(plan.object.system.id) => {
            Some(*descending)
        }
        _ => None,
    }
}

/// How many records a query finds (`COUNT()`).
pub(crate) fn count(plan: &Plan, reader: &Reader<'_>, deleted_too: bool) -> Result<u64, ReadError> {
    let most = plan.limit.unwrap_or(u64::MAX);
    if plan.filter.is_none() && !reader.archives(&plan.object) {
        let all = reader.view().store().count(&plan.object, deleted_too || plan.all_rows)?;
        return Ok(all.saturating_sub(plan.offset).min(most));
    }
    let mut found = 0;
    let wanted = most.saturating_add(plan.offset);
    each_match(plan, reader, deleted_too, &mut |_| {
        found += 1;
        Ok(if found >= wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(found.saturating_sub(plan.offset).min(most))
}

/// The ids of the records a query finds, in its order, OFFSET and LIMIT applied.
pub(crate) fn ids(
    plan: &Plan,
    reader: &Reader<'_>,
    deleted_too: bool,
) -> Result<Vec<Id15>, ReadError> {
    let skipped = usize::try_from(plan.offset).unwrap_or(usize::MAX);
    let wanted = plan
        .limit
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
        .saturating_add(skipped);
    let natural = natural_order(plan).is_some();
    let mut found: Vec<(Vec<Key>, Id15)> = Vec::new();
    if wanted > 0 {
        each_match(plan, reader, deleted_too, &mut |row| {
            if natural {
                found.push((Vec::new(), *row.key.as_bytes()));
                let enough = found.len() >= wanted;
                return Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            }
            let keys = plan
                .sort
                .iter()
                .map(|sort| reader.with_value(&sort.bound, row.values, |value, _| Key::of(&value)))
                .collect::<Result<Vec<_>, _>>()?;
            found.push((keys, *row.key.as_bytes()));
            // With a LIMIT no more than its double is ever kept.
            if found.len() >= wanted.saturating_mul(2).saturating_add(10_000) {
                found.sort_by(|left, right| compare(&plan.sort, &left.0, &right.0));
                found.truncate(wanted);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    if !natural {
        // Stable, so that equal keys stay in the order of ids.
        found.sort_by(|left, right| compare(&plan.sort, &left.0, &right.0));
    }
    Ok(found.into_iter().map(|(_, id)| id).take(wanted).skip(skipped).collect())
}

/// Writes the records of these ids as a JSON list.
pub(crate) fn write_page(
    out: &mut String,
    object: &ObjectDef,
    columns: &[Column],
    ids: &[Id15],
    deleted_too: bool,
    version: &str,
    reader: &Reader<'_>,
) -> Result<(), ReadError> {
    out.push('[');
    let mut first = true;
    for id in ids {
        let id = String::from_utf8_lossy(id);
        let Some(record) = reader.get(object, &id)? else { continue };
        if record.deleted && !deleted_too {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_record(out, object, columns, &record, version, reader)?;
    }
    out.push(']');
    Ok(())
}

/// The columns of a plan for records.
pub(crate) fn columns(plan: &Plan) -> &[Column] {
    match &plan.shape {
        Shape::Records(columns) => columns,
        _ => &[],
    }
}

/// A value to order by.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Key {
    /// Nothing.
    Null,
    /// False before true.
    Bool(bool),
    /// Numbers, days, instants, times.
    Number(f64),
    /// Folded text; ids as they are.
    Text(String),
}

impl Key {
    /// The key of a value.
    pub(super) fn of<S: AsRef<str>>(value: &Value<S>) -> Key {
        match value {
            Value::Null => Key::Null,
            Value::Bool(value) => Key::Bool(*value),
            Value::Number(number) => Key::Number(*number),
            Value::Int(number) => Key::Number(*number as f64),
            Value::Date(at) | Value::Time(at) => Key::Number(f64::from(*at)),
            Value::DateTime(at) => Key::Number(*at as f64),
            Value::Text(text) => Key::Text(fold(text.as_ref())),
            Value::Id(key) => Key::Text(key.to_string()),
        }
    }

    /// Larger or smaller, nulls where they were asked for.
    pub(super) fn compare(&self, other: &Key, descending: bool, nulls_last: bool) -> Ordering {
        match (self == &Key::Null, other == &Key::Null) {
            (true, true) => Ordering::Equal,
            (true, false) if nulls_last => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, true) if nulls_last => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let ordering = self.partial_cmp(other).unwrap_or(Ordering::Equal);
                if descending { ordering.reverse() } else { ordering }
            }
        }
    }
}

fn compare(sort: &[SortBy], left: &[Key], right: &[Key]) -> Ordering {
    sort.iter()
        .zip(left.iter().zip(right))
        .map(|(by, (left, right))| left.compare(right, by.descending, by.nulls_last))
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Today on a clock that shows `now` milliseconds since 1970.
pub(crate) fn today(now: i64) -> i32 {
    dates::day_of(now)
}
