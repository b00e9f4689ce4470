//! Whether a record fulfils the condition.
//!
//! Logic is two-valued, as SOQL's: a null is unequal to every value, so `!=`
//! and NOT IN take records without a value in. Text compares without regard
//! to letter case, except in fields marked case sensitive.

use std::cmp::Ordering;
use std::sync::Arc;

use super::SoqlError;
use super::ast::{Condition, Literal, Operator, Path};
use super::dates::{DAY, DateLiteral};
use super::like::Pattern;
use super::plan::{Binder, Bound};
use super::read::{ReadError, Reader};
use crate::local_org::catalogue::{FieldDef, FieldKind, ObjectDef};
use crate::local_org::ids::RecordKey;
use crate::local_org::value::Value;

/// A condition bound to fields.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// All hold.
    And(Vec<Filter>),
    /// One holds at least.
    Or(Vec<Filter>),
    /// It doesn't hold.
    Not(Box<Filter>),
    /// One value passes a test.
    Test(Bound, Test),
}

/// What is asked of one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// It is there (`true`) or not.
    Present(bool),
    /// Text, folded unless the field is case sensitive.
    Text {
        /// How.
        operator: Operator,
        /// Folded likewise.
        value: String,
        /// Letter case counts.
        exact: bool,
    },
    /// LIKE.
    Like(Pattern),
    /// A number.
    Number(Operator, f64),
    /// True or false; a missing value is false.
    Boolean(Operator, bool),
    /// A day, instant or time within `[from, until)`.
    Moment {
        /// How.
        operator: Operator,
        /// First that belongs to it.
        from: i64,
        /// First after it.
        until: i64,
    },
    /// A record id, by its first 15 characters.
    Id(Operator, String),
    /// One of these tests holds (`negated`: none).
    Any {
        /// The tests.
        tests: Vec<Test>,
        /// NOT IN.
        negated: bool,
    },
    /// A multi-select picklist holds all values of one of the sets.
    Includes {
        /// Sets, folded.
        sets: Vec<Vec<String>>,
        /// EXCLUDES.
        negated: bool,
    },
}

impl Filter {
    /// Binds a condition to an object.
    pub(super) fn bind(
        condition: &Condition,
        object: &Arc<ObjectDef>,
        binder: &Binder<'_>,
    ) -> Result<Filter, SoqlError> {
        let all = |conditions: &[Condition]| {
            conditions
                .iter()
                .map(|inner| Filter::bind(inner, object, binder))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::And(conditions) => Filter::And(all(conditions)?),
            Condition::Or(conditions) => Filter::Or(all(conditions)?),
            Condition::Not(inner) => Filter::Not(Box::new(Filter::bind(inner, object, binder)?)),
            Condition::Compare { path, operator, literal } => {
                let bound = filterable(path, object, binder)?;
                let test = test(&bound, path, *operator, literal, binder)?;
                Filter::Test(bound, test)
            }
            Condition::In { path, negated, list } => {
                let bound = filterable(path, object, binder)?;
                let tests = list
                    .iter()
                    .map(|literal| test(&bound, path, Operator::Equal, literal, binder))
                    .collect::<Result<_, _>>()?;
                Filter::Test(bound, Test::Any { tests, negated: *negated })
            }
            Condition::Includes { path, negated, list } => {
                let bound = filterable(path, object, binder)?;
                if bound.kind() != FieldKind::MultiPicklist {
                    return Err(SoqlError::at(
                        "INVALID_QUERY_FILTER_OPERATOR",
                        binder.text,
                        path.at,
                        "includes or excludes operator only valid on multipicklist field",
                    ));
                }
                let sets = list.iter().map(|set| set.iter().map(|v| fold(v)).collect()).collect();
                Filter::Test(bound, Test::Includes { sets, negated: *negated })
            }
        })
    }

    /// Whether a record fulfils it.
    pub(crate) fn holds<S: AsRef<str>>(
        &self,
        values: &[Value<S>],
        reader: &Reader<'_>,
    ) -> Result<bool, ReadError> {
        Ok(match self {
            Filter::And(all) => {
                for filter in all {
                    if !filter.holds(values, reader)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Or(any) => {
                for filter in any {
                    if filter.holds(values, reader)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::Not(inner) => !inner.holds(values, reader)?,
            Filter::Test(bound, test) => {
                reader.with_value(bound, values, |value, _| test.passes(value))?
            }
        })
    }

    /// Counters of the first and last record that can fulfil it, as far as
    /// conditions on the id tell: ids ascend as counters do.
    pub(crate) fn counters(&self, object: &ObjectDef) -> (u64, u64) {
        let all = (0, u64::MAX);
        match self {
            Filter::And(conditions) => conditions.iter().fold(all, |(first, last), condition| {
                let (from, to) = condition.counters(object);
                (first.max(from), last.min(to))
            }),
            Filter::Test(bound, Test::Id(operator, id))
                if bound.own_field() == Some(object.system.id) =>
            {
                let key = RecordKey::parse(id).filter(|key| key.prefix() == object.key_prefix);
                let Some(counter) = key.and_then(|key| key.counter()) else { return all };
                match operator {
                    Operator::Equal => (counter, counter),
                    Operator::Less => (0, counter.saturating_sub(1)),
                    Operator::LessOrEqual => (0, counter),
                    Operator::Greater => (counter.saturating_add(1), u64::MAX),
                    Operator::GreaterOrEqual => (counter, u64::MAX),
                    Operator::NotEqual | Operator::Like => all,
                }
            }
            _ => all,
        }
    }

    /// The values an index can find all matching records by: the field's
    /// place and the texts it must equal. None when only a scan will do.
    pub(crate) fn lookup(&self) -> Option<(usize, Vec<String>)> {
        match self {
            Filter::And(all) => all.iter().find_map(Filter::lookup),
            Filter::Test(bound, test) => {
                let field = bound.own_field()?;
                let indexed = field == 0 || bound.leaf().is_some_and(FieldDef::indexed);
                let texts = test.equals()?;
                indexed.then_some((field, texts))
            }
            _ => None,
        }
    }
}

fn filterable(
    path: &Path,
    object: &Arc<ObjectDef>,
    binder: &Binder<'_>,
) -> Result<Bound, SoqlError> {
    let bound = binder.path(path, object)?;
    if bound.leaf().is_some_and(FieldDef::filterable) {
        return Ok(bound);
    }
    Err(binder
        .refuse(path, &format!("field '{}' can not be filtered in a query call", path.text())))
}

/// The test a comparison asks for, if the literal fits the field.
fn test(
    bound: &Bound,
    path: &Path,
    operator: Operator,
    literal: &Literal,
    binder: &Binder<'_>,
) -> Result<Test, SoqlError> {
    let kind = bound.kind();
    let mismatch = || {
        let (word, quotes) = match kind {
            FieldKind::DateTime => ("dateTime", "should not"),
            kind if kind.is_text() || matches!(kind, FieldKind::Id | FieldKind::Reference) => {
                ("string", "should")
            }
            kind => (kind.word(), "should not"),
        };
        let name = path.names.last().map(String::as_str).unwrap_or_default();
        binder.refuse(
            path,
            &format!("value of filter criterion for field '{name}' must be of type {word} and {quotes} be enclosed in quotes"),
        )
    };
    let only_equality = |what: &str| {
        matches!(operator, Operator::Equal | Operator::NotEqual).then_some(()).ok_or_else(|| {
            SoqlError::at(
                "INVALID_QUERY_FILTER_OPERATOR",
                binder.text,
                path.at,
                &format!("invalid operator on {what}: {}", operator.text()),
            )
        })
    };
    if operator == Operator::Like && !kind.is_text() {
        return Err(SoqlError::at(
            "INVALID_QUERY_FILTER_OPERATOR",
            binder.text,
            path.at,
            &format!("invalid operator on {} field: LIKE", kind.word()),
        ));
    }
    Ok(match literal {
        Literal::Null => {
            only_equality("null")?;
            Test::Present(operator == Operator::NotEqual)
        }
        Literal::Text(text) if matches!(kind, FieldKind::Id | FieldKind::Reference) => {
            if text.is_empty() {
                return Ok(Test::Present(operator == Operator::NotEqual));
            }
            Test::Id(
                operator,
                id_of(text).ok_or_else(|| {
                    SoqlError::at(
                        "INVALID_QUERY_FILTER_OPERATOR",
                        binder.text,
                        path.at,
                        &format!("invalid ID field: {text}"),
                    )
                })?,
            )
        }
        Literal::Text(text) if kind.is_text() => match operator {
            Operator::Like => Test::Like(Pattern::new(text)),
            // The service keeps no empty text: it is null.
            Operator::Equal | Operator::NotEqual if text.is_empty() => {
                Test::Present(operator == Operator::NotEqual)
            }
            _ => {
                let exact = bound.leaf().is_some_and(|field| field.case_sensitive);
                let value = if exact { text.clone() } else { fold(text) };
                Test::Text { operator, value, exact }
            }
        },
        Literal::Number(number) if kind.is_number() => Test::Number(operator, *number),
        Literal::Boolean(value) if kind == FieldKind::Boolean => {
            only_equality("boolean field")?;
            Test::Boolean(operator, *value)
        }
        Literal::Date(day) if kind == FieldKind::Date => {
            moment(operator, i64::from(*day), i64::from(*day) + 1)
        }
        Literal::DateTime(millis) if kind == FieldKind::DateTime => {
            moment(operator, *millis, *millis + 1)
        }
        Literal::Time(millis) if kind == FieldKind::Time => {
            moment(operator, i64::from(*millis), i64::from(*millis) + 1)
        }
        Literal::Range(range) if matches!(kind, FieldKind::Date | FieldKind::DateTime) => {
            let scale = if kind == FieldKind::Date { 1 } else { DAY };
            let (from, until) = days(*range, binder.today).ok_or_else(mismatch)?;
            moment(operator, from * scale, until * scale)
        }
        _ => return Err(mismatch()),
    })
}

fn days(range: DateLiteral, today: i32) -> Option<(i64, i64)> {
    range.days(today).map(|(from, until)| (i64::from(from), i64::from(until)))
}

fn moment(operator: Operator, from: i64, until: i64) -> Test {
    Test::Moment { operator, from, until }
}

/// The 15 characters of an id that has 15 or 18.
fn id_of(text: &str) -> Option<String> {
    let key = RecordKey::parse(text)?;
    std::str::from_utf8(key.as_bytes()).ok().map(str::to_owned)
}

/// Text for comparison without regard to letter case.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn ordered(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal | Operator::Like => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
    }
}

impl Test {
    /// Whether a value passes.
    pub(crate) fn passes(&self, value: Value<&str>) -> bool {
        match self {
            Test::Present(wanted) => *wanted != matches!(value, Value::Null),
            Test::Any { tests, negated } => tests.iter().any(|test| test.passes(value)) != *negated,
            Test::Boolean(operator, wanted) => {
                let is = matches!(value, Value::Bool(true));
                ordered(*operator, is.cmp(wanted))
            }
            Test::Includes { sets, negated } => {
                let Value::Text(text) = value else { return *negated };
                let held: Vec<String> = text.split(';').map(|v| fold(v.trim())).collect();
                sets.iter().any(|set| set.iter().all(|wanted| held.contains(wanted))) != *negated
            }
            _ => self.compares(value).unwrap_or_else(|| self.is_unequal()),
        }
    }

    /// The outcome against a value that is there and of the right kind.
    fn compares(&self, value: Value<&str>) -> Option<bool> {
        match self {
            Test::Text { operator, value: wanted, exact } => {
                let Value::Text(text) = value else { return None };
                let ordering =
                    if *exact { text.cmp(wanted) } else { fold(text).as_str().cmp(wanted) };
                Some(ordered(*operator, ordering))
            }
            Test::Like(pattern) => {
                let Value::Text(text) = value else { return None };
                Some(pattern.matches(text))
            }
            Test::Number(operator, wanted) => {
                let number = match value {
                    Value::Number(number) => number,
                    Value::Int(number) => number as f64,
                    _ => return None,
                };
                Some(ordered(*operator, number.partial_cmp(wanted)?))
            }
            Test::Moment { operator, from, until } => {
                let at = match value {
                    Value::Date(at) | Value::Time(at) => i64::from(at),
                    Value::DateTime(at) => at,
                    _ => return None,
                };
                Some(match operator {
                    Operator::Equal | Operator::Like => (*from..*until).contains(&at),
                    Operator::NotEqual => !(*from..*until).contains(&at),
                    Operator::Less => at < *from,
                    Operator::LessOrEqual => at < *until,
                    Operator::Greater => at >= *until,
                    Operator::GreaterOrEqual => at >= *from,
                })
            }
            Test::Id(operator, wanted) => {
                let Value::Id(key) = value else { return None };
                Some(ordered(*operator, key.as_bytes()[..].cmp(wanted.as_bytes())))
            }
            _ => None,
        }
    }

    fn is_unequal(&self) -> bool {
        let operator = match self {
            Test::Text { operator, .. }
            | Test::Number(operator, _)
            | Test::Moment { operator, .. }
            | Test::Id(operator, _) => *operator,
            _ => return false,
        };
        operator == Operator::NotEqual
    }

    /// The texts a value must be one of, when the test is about equality of
    /// texts, numbers or ids alone.
    fn equals(&self) -> Option<Vec<String>> {
        match self {
            Test::Text { operator: Operator::Equal, value, .. }
            | Test::Id(Operator::Equal, value) => Some(vec![value.clone()]),
            Test::Number(Operator::Equal, number) => Some(vec![number.to_string()]),
            Test::Any { tests, negated: false } => {
                let mut texts = Vec::with_capacity(tests.len());
                for test in tests {
                    texts.extend(test.equals()?);
                }
                Some(texts)
            }
            _ => None,
        }
    }
}
