//! A few rows under the name of an object, queried without a store.

use serde_json::{Map, Value as Json, json};

use crate::local_org::soql::SoqlError;
use crate::local_org::soql::ast::{Condition, Literal, Operator, Path, Query, Select, SelectItem};

/// A column, by its name or by the path to it.
#[derive(Debug)]
pub(super) struct Column {
    name: &'static str,
    plain: bool,
}

impl Column {
    /// Told by `query`, too.
    pub(super) const fn both(name: &'static str) -> Column {
        Column { name, plain: true }
    }

    /// Told by the Tooling API alone.
    pub(super) const fn tooling(name: &'static str) -> Column {
        Column { name, plain: false }
    }
}

/// An object with its columns.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

/// The refusal of a query of an object that isn't there.
pub(super) fn unknown(query: &Query, text: &str) -> SoqlError {
    let what = format!("sObject type '{}' is not supported.", query.object);
    SoqlError::at("INVALID_TYPE", text, query.object_at, &what)
}

impl Table {
    /// Whether a query is of this object.
    pub(super) fn is_of(&self, query: &Query) -> bool {
        query.object.eq_ignore_ascii_case(self.name)
    }

    /// The reply. `rows` have a value for each column.
    ///
    /// # Errors
    /// When the query names a column that isn't there, or wants what isn't
    /// answered here (groups, an order, ranges).
    pub(super) fn answer(
        &self,
        query: &Query,
        text: &str,
        rows: &[Vec<Json>],
        version: &str,
        tooling: bool,
    ) -> Result<Json, SoqlError> {
        let unsupported = |what: &str| {
            SoqlError::plain("MALFORMED_QUERY", format!("the local org has no {what} here"))
        };
        if !query.group_by.is_empty() {
            return Err(unsupported("GROUP BY"));
        }
        if !query.order_by.is_empty() {
            return Err(unsupported("ORDER BY"));
        }
        let place = |path: &Path| self.place(path, text, tooling);
        let mut found = Vec::new();
        for row in rows {
            let holds = match &query.condition {
                Some(condition) => holds(condition, row, &place)?,
                None => true,
            };
            if holds {
                found.push(row);
            }
        }
        // A wrong name is one without rows, too.
        if let (Some(condition), true) = (&query.condition, rows.is_empty()) {
            holds_of_nothing(condition, self.columns.len(), &place)?;
        }
        let Select::Items(items) = &query.select else {
            return Ok(json!({"size": 0, "totalSize": found.len(), "done": true, "records": []}));
        };
        let mut columns = Vec::new();
        for item in items {
            let SelectItem::Field { path, .. } = item else {
                return Err(unsupported("aggregates"));
            };
            columns.push(place(path)?);
        }
        let skip = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let most = query.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let path = if tooling { "tooling/sobjects" } else { "sobjects" };
        let records: Vec<Json> = found
            .into_iter()
            .skip(skip)
            .take(most)
            .map(|row| self.record(row, &columns, &format!("/services/data/v{version}/{path}")))
            .collect();
        let mut body = json!({"totalSize": records.len(), "done": true, "records": records});
        if let (Some(body), true) = (body.as_object_mut(), tooling) {
            body.insert("size".to_owned(), json!(records.len()));
            body.insert("queryLocator".to_owned(), Json::Null);
            body.insert("entityTypeName".to_owned(), json!(self.name));
        }
        Ok(body)
    }

    fn place(&self, path: &Path, text: &str, tooling: bool) -> Result<usize, SoqlError> {
        let name = path.text();
        self.columns
            .iter()
            .position(|column| (tooling || column.plain) && column.name.eq_ignore_ascii_case(&name))
            .ok_or_else(|| {
                let what = format!("No such column '{name}' on entity '{}'.", self.name);
                SoqlError::at("INVALID_FIELD", text, path.at, &what)
            })
    }

    fn record(&self, row: &[Json], columns: &[usize], base: &str) -> Json {
        let id = row.first().and_then(Json::as_str).unwrap_or_default();
        let mut record = Map::new();
        let attributes = json!({"type": self.name, "url": format!("{base}/{}/{id}", self.name)});
        record.insert("attributes".to_owned(), attributes);
        for place in columns {
            let (Some(column), Some(value)) = (self.columns.get(*place), row.get(*place)) else {
                continue;
            };
            match column.name.split_once('.') {
                None => record.insert(column.name.to_owned(), value.clone()),
                Some((parent, field)) => {
                    let attributes = json!({"type": "EntityDefinition",
                        "url": format!("{base}/EntityDefinition/{}", value.as_str().unwrap_or_default())});
                    record
                        .insert(parent.to_owned(), json!({"attributes": attributes, field: value}))
                }
            };
        }
        Json::Object(record)
    }
}

/// Checks the names of a condition.
fn holds_of_nothing(
    condition: &Condition,
    columns: usize,
    place: &impl Fn(&Path) -> Result<usize, SoqlError>,
) -> Result<(), SoqlError> {
    match condition {
        // All of them, where one would decide.
        Condition::And(all) | Condition::Or(all) => {
            all.iter().try_for_each(|one| holds_of_nothing(one, columns, place))
        }
        Condition::Not(one) => holds_of_nothing(one, columns, place),
        one => holds(one, &vec![Json::Null; columns], place).map(|_| ()),
    }
}

fn holds(
    condition: &Condition,
    row: &[Json],
    place: &impl Fn(&Path) -> Result<usize, SoqlError>,
) -> Result<bool, SoqlError> {
    let value = |path: &Path| Ok(row.get(place(path)?).unwrap_or(&Json::Null));
    Ok(match condition {
        Condition::And(all) => {
            let mut every = true;
            for one in all {
                every &= holds(one, row, place)?;
            }
            every
        }
        Condition::Or(all) => {
            let mut any = false;
            for one in all {
                any |= holds(one, row, place)?;
            }
            any
        }
        Condition::Not(one) => !holds(one, row, place)?,
        Condition::Compare { path, operator: Operator::Equal, literal } => {
            is_equal(value(path)?, literal)
        }
        Condition::Compare { path, operator: Operator::NotEqual, literal } => {
            !is_equal(value(path)?, literal)
        }
        Condition::In { path, negated, list } => {
            let value = value(path)?;
            list.iter().any(|literal| is_equal(value, literal)) != *negated
        }
        Condition::Compare { .. } | Condition::Includes { .. } => {
            return Err(SoqlError::plain(
                "MALFORMED_QUERY",
                "the local org compares by =, != and IN only here",
            ));
        }
    })
}

fn is_equal(value: &Json, literal: &Literal) -> bool {
    match (value, literal) {
        (Json::Null, Literal::Null) => true,
        (Json::Bool(value), Literal::Boolean(literal)) => value == literal,
        (Json::String(value), Literal::Text(literal)) => {
            // An id of 15 characters is the same as one of 18.
            value.eq_ignore_ascii_case(literal)
                || (value.len() == 15 && literal.get(..15) == Some(value))
        }
        _ => false,
    }
}
