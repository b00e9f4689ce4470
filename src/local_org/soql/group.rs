//! Aggregates: GROUP BY with COUNT, `COUNT_DISTINCT`, SUM, AVG, MIN, MAX.
//!
//! As in the service, groups are told apart without regard to letter case,
//! nulls are left out of every aggregate, and a grouped result isn't paged:
//! it may have 2,000 groups at most.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::SoqlError;
use super::ast::{Aggregate, Path, Query, SelectItem};
use super::plan::{Binder, Bound, Plan};
use super::read::{ReadError, Reader};
use super::run::{Key, each_match};
use crate::local_org::catalogue::{FieldKind, ObjectDef};
use crate::local_org::value::Value;

/// Groups a result may have.
const MAX_GROUPS: usize = 2000;

/// A grouped query, bound.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    keys: Vec<Bound>,
    outputs: Vec<Output>,
    /// Place among the outputs, descending, nulls last.
    order: Vec<(usize, bool, bool)>,
}

#[derive(Debug, Clone)]
struct Output {
    name: String,
    what: What,
    /// Only there to be ordered by.
    hidden: bool,
}

#[derive(Debug, Clone)]
enum What {
    /// The key at this place.
    Key(usize),
    Aggregate(Aggregate, Bound),
}

impl Grouping {
    pub(super) fn bind(
        items: &[SelectItem],
        query: &Query,
        object: &Arc<ObjectDef>,
        binder: &Binder<'_>,
    ) -> Result<Grouping, SoqlError> {
        let keys = query
            .group_by
            .iter()
            .map(|path| binder.sortable(path, object))
            .collect::<Result<Vec<_>, _>>()?;
        let key_of = |path: &Path| {
            query.group_by.iter().position(|key| key.text().eq_ignore_ascii_case(&path.text()))
        };
        let mut outputs: Vec<Output> = Vec::new();
        let mut unnamed = 0;
        for item in items {
            let output = match item {
                SelectItem::Field { path, alias } => {
                    let key = key_of(path).ok_or_else(|| {
                        SoqlError::at(
                            "MALFORMED_QUERY",
                            binder.text,
                            path.at,
                            &format!("Field must be grouped or aggregated: {}", path.text()),
                        )
                    })?;
                    let last = path.names.last().cloned().unwrap_or_default();
                    Output {
                        name: alias.clone().unwrap_or(last),
                        what: What::Key(key),
                        hidden: false,
                    }
                }
                SelectItem::Aggregate { function, path, alias } => {
                    let name = alias.clone().unwrap_or_else(|| {
                        unnamed += 1;
                        format!("expr{}", unnamed - 1)
                    });
                    let bound = aggregated(*function, path, object, binder)?;
                    Output { name, what: What::Aggregate(*function, bound), hidden: false }
                }
            };
            outputs.push(output);
        }
        let mut order = Vec::new();
        for by in &query.order_by {
            let place = match &by.key {
                SelectItem::Field { path, .. } => {
                    let name = path.text();
                    let named =
                        outputs.iter().position(|output| output.name.eq_ignore_ascii_case(&name));
                    if let Some(place) = named {
                        place
                    } else {
                        let key = key_of(path).ok_or_else(|| {
                            SoqlError::at(
                                "MALFORMED_QUERY",
                                binder.text,
                                path.at,
                                &format!("Ordered field must be grouped or aggregated: {name}"),
                            )
                        })?;
                        push_hidden(&mut outputs, What::Key(key))
                    }
                }
                SelectItem::Aggregate { function, path, .. } => {
                    let bound = aggregated(*function, path, object, binder)?;
                    push_hidden(&mut outputs, What::Aggregate(*function, bound))
                }
            };
            order.push((place, by.descending, by.nulls_last));
        }
        Ok(Grouping { keys, outputs, order })
    }

    /// Runs the query: the records of the reply as JSON texts.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        reader: &Reader<'_>,
        deleted_too: bool,
    ) -> Result<Result<Vec<String>, SoqlError>, ReadError> {
        // The key's text keeps the groups apart; the first record of a group
        // gives it its values.
        let mut groups: BTreeMap<String, (Vec<Value>, Vec<Tally>)> = BTreeMap::new();
        let fresh = || self.outputs.iter().map(|_| Tally::default()).collect::<Vec<_>>();
        if self.keys.is_empty() {
            groups.insert(String::new(), (Vec::new(), fresh()));
        }
        let mut too_many = false;
        each_match(plan, reader, deleted_too, &mut |row| {
            let values = self
                .keys
                .iter()
                .map(|key| reader.value(key, row.values))
                .collect::<Result<Vec<_>, _>>()?;
            let mut text = String::new();
            for value in &values {
                let _ = write!(text, "{:?}\u{0}", Key::of(value));
            }
            if groups.len() >= MAX_GROUPS && !groups.contains_key(&text) {
                too_many = true;
                return Ok(ControlFlow::Break(()));
            }
            let (_, tallies) = groups.entry(text).or_insert_with(|| (values, fresh()));
            for (output, tally) in self.outputs.iter().zip(tallies) {
                if let What::Aggregate(function, bound) = &output.what {
                    tally.add(*function, reader.value(bound, row.values)?);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if too_many {
            return Ok(Err(SoqlError::plain(
                "EXCEEDED_ID_LIMIT",
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
            )));
        }
        let mut rows: Vec<Vec<(Key, Json)>> = groups
            .into_values()
            .map(|(keys, tallies)| {
                self.outputs
                    .iter()
                    .zip(&tallies)
                    .map(|(output, tally)| self.cell(output, &keys, tally))
                    .collect()
            })
            .collect();
        rows.sort_by(|left, right| {
            self.order
                .iter()
                .filter_map(|(at, descending, nulls_last)| {
                    let (left, right) = (left.get(*at)?, right.get(*at)?);
                    Some(left.0.compare(&right.0, *descending, *nulls_last))
                })
                .find(|ordering| ordering.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let skipped = usize::try_from(plan.offset).unwrap_or(usize::MAX);
        let most = plan.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(Ok(rows.iter().skip(skipped).take(most).map(|row| self.text(row)).collect()))
    }

    fn cell(&self, output: &Output, keys: &[Value], tally: &Tally) -> (Key, Json) {
        let (value, bound) = match &output.what {
            What::Key(at) => (keys.get(*at).cloned().unwrap_or(Value::Null), self.keys.get(*at)),
            What::Aggregate(function, bound) => match tally.value(*function) {
                Tallied::Number(number) => return (Key::Number(number), json!(number)),
                Tallied::Count(count) => return (Key::Number(count as f64), json!(count)),
                Tallied::Value(value) => (value, Some(bound)),
            },
        };
        let json = match (&value, bound.and_then(Bound::leaf)) {
            (Value::Text(text), _) => Json::String(text.clone()),
            (value, Some(field)) => value.json(field),
            (_, None) => Json::Null,
        };
        (Key::of(&value), json)
    }

    fn text(&self, row: &[(Key, Json)]) -> String {
        let mut text = r#"{"attributes":{"type":"AggregateResult"}"#.to_owned();
        for (output, (_, json)) in self.outputs.iter().zip(row) {
            if !output.hidden {
                let _ = write!(text, r#","{}":{json}"#, output.name);
            }
        }
        text.push('}');
        text
    }
}

fn push_hidden(outputs: &mut Vec<Output>, what: What) -> usize {
    outputs.push(Output { name: String::new(), what, hidden: true });
    outputs.len() - 1
}

fn aggregated(
    function: Aggregate,
    path: &Path,
    object: &Arc<ObjectDef>,
    binder: &Binder<'_>,
) -> Result<Bound, SoqlError> {
    let bound = binder.sortable(path, object)?;
    let kind = bound.kind();
    let fits = match function {
        Aggregate::Sum | Aggregate::Avg => kind.is_number(),
        Aggregate::Min | Aggregate::Max => kind != FieldKind::Boolean,
        Aggregate::Count | Aggregate::CountDistinct => true,
    };
    if fits {
        return Ok(bound);
    }
    Err(SoqlError::at(
        "MALFORMED_QUERY",
        binder.text,
        path.at,
        &format!("field {} does not support aggregate operator", path.text()),
    ))
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    sum: f64,
    best: Option<Value>,
    seen: HashSet<String>,
}

enum Tallied {
    Count(u64),
    Number(f64),
    Value(Value),
}

impl Tally {
    fn add(&mut self, function: Aggregate, value: Value) {
        let key = match Key::of(&value) {
            Key::Null => return,
            key => key,
        };
        self.count += 1;
        match function {
            Aggregate::Count => {}
            Aggregate::CountDistinct => {
                self.seen.insert(format!("{key:?}"));
            }
            Aggregate::Sum | Aggregate::Avg => {
                if let Key::Number(number) = key {
                    self.sum += number;
                }
            }
            Aggregate::Min | Aggregate::Max => {
                let better = self.best.as_ref().is_none_or(|best| {
                    let ordering = key.compare(&Key::of(best), false, false);
                    if function == Aggregate::Min { ordering.is_lt() } else { ordering.is_gt() }
                });
                if better {
                    self.best = Some(value);
                }
            }
        }
    }

    fn value(&self, function: Aggregate) -> Tallied {
        match function {
            Aggregate::Count => Tallied::Count(self.count),
            Aggregate::CountDistinct => Tallied::Count(self.seen.len() as u64),
            Aggregate::Sum | Aggregate::Avg if self.count == 0 => Tallied::Value(Value::Null),
            Aggregate::Sum => Tallied::Number(self.sum),
            Aggregate::Avg => Tallied::Number(self.sum / self.count as f64),
            Aggregate::Min | Aggregate::Max => {
                Tallied::Value(self.best.clone().unwrap_or(Value::Null))
            }
        }
    }
}
