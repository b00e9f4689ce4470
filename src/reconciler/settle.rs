//! A disputed row judged by the record the org shows.
//!
//! Pure: the caller asks for the records ([`Settling::fields`],
//! [`Settling::lookup`]), this says what they prove. A row that they don't
//! prove anything about stays disputed (I1).
//!
//! | operation | the record | the row |
//! |---|---|---|
//! | update, upsert | there, every value sent is in it | updated; created if made since the run began |
//! | | there, with another value | unprocessed: not applied |
//! | | not there | unprocessed |
//! | | several (a key that isn't unique) | disputed |
//! | delete | gone, or in the recycle bin | deleted |
//! | | there | unprocessed |
//! | insert | one made by this user since the run began, with the same keys | created |
//! | | none | unprocessed |
//! | | several | disputed |
//!
//! Values are compared in canonical form by the kind of their field. An empty
//! cell was not sent and says nothing; `#N/A` says that the field is empty.

use std::collections::HashMap;

use jiff::Timestamp;

use super::matcher::{MatchRule, SentColumn, SentColumns};
use crate::domain::{Fate, ObjectDescription, Operation, RecordId, ValueKind};
use crate::rows::{CLEAR, KeyExactness, canonical_form, canonical_hash, key_form, key_hash};
use crate::salesforce::FoundRecord;

/// What the records prove of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its fate: created, updated or deleted; and the record, where it is there.
    Saved {
        /// The fate.
        fate: Fate,
        /// The record's id.
        id: Option<RecordId>,
    },
    /// The row had no effect: it may be sent as if it never was.
    Unprocessed,
    /// Nothing.
    Disputed,
}

/// A column that was sent.
#[derive(Debug, Clone)]
struct Column {
    /// What a query calls it.
    path: String,
    kind: ValueKind,
    /// Finds the record (or a parent) or tells rows apart, so letter case
    /// doesn't count.
    is_key: bool,
    /// Digits behind the point that the field keeps of a number.
    scale: Option<u32>,
}

/// Judges the disputed rows of a run.
#[derive(Debug, Clone)]
pub struct Settling {
    operation: Operation,
    since: Timestamp,
    /// Of records made before this, nobody knows whether the run made them.
    unsure_until: Timestamp,
    user: Option<RecordId>,
    columns: Vec<Column>,
    /// The column by which records are looked up.
    lookup: Option<usize>,
    /// Fields of the record itself that are asked for besides the columns, as
    /// far as the object has them.
    system: Vec<&'static str>,
}

const CREATED: &str = "CreatedDate";
const CREATED_BY: &str = "CreatedById";
const DELETED: &str = "IsDeleted";

impl Settling {
    /// Prepares for the rows of a run.
    ///
    /// `since` is when the run began by the clock of the org; where only our
    /// own is known, allow for its being fast. `user` is the user of the run.
    pub fn new(
        sent: &SentColumns,
        rule: &MatchRule,
        object: &ObjectDescription,
        since: Timestamp,
        user: Option<RecordId>,
    ) -> Settling {
        let keys: Vec<usize> = match rule.operation {
            Operation::Insert => rule.user_keys.clone(),
            _ => rule.key.into_iter().collect(),
        };
        let is_insert = rule.operation == Operation::Insert;
        let columns: Vec<Column> = sent
            .columns
            .iter()
            .enumerate()
            .map(|(at, SentColumn { header, kind })| Column {
                path: queried_as(header).to_owned(),
                kind: *kind,
                // Of an insert the keys alone tell, whatever else a record has.
                is_key: keys.contains(&at) || (!is_insert && header.contains('.')),
                scale: object
                    .field(header)
                    .filter(|field| field.value_kind() == ValueKind::Number)
                    .map(|field| field.scale),
            })
            .collect();
        // Ids and texts are found through an index most likely.
        let by_index = |at: &&usize| {
            columns.get(**at).is_some_and(|column| {
                matches!(column.kind, ValueKind::Id | ValueKind::Text { .. } | ValueKind::Number)
            })
        };
        let lookup = keys.iter().find(by_index).or(keys.first()).copied();
        let system = [CREATED, CREATED_BY, DELETED]
            .into_iter()
            .filter(|name| object.field(name).is_some())
            .collect();
        let unsure_until = since;
        Settling { operation: rule.operation, since, unsure_until, user, columns, lookup, system }
    }

    /// Says that the clock of the org is not known to the second: a record made
    /// between `since` and this may be older than the run, so it proves nothing
    /// of an insert.
    #[must_use]
    pub fn unsure_until(mut self, at: Timestamp) -> Settling {
        self.unsure_until = at;
        self
    }

    /// The field to look records up by, and its kind; `None` when there is no
    /// key, so that nothing can be settled.
    pub fn lookup(&self) -> Option<(&str, ValueKind)> {
        let column = self.columns.get(self.lookup?)?;
        Some((column.path.as_str(), column.kind))
    }

    /// The sent columns that together are a row's key.
    pub fn key_columns(&self) -> Vec<(usize, ValueKind)> {
        let keys = self.columns.iter().enumerate().filter(|(at, column)| {
            Some(*at) == self.lookup || (self.operation == Operation::Insert && column.is_key)
        });
        keys.map(|(at, column)| (at, column.kind)).collect()
    }

    /// Which sent column holds the key of that look-up.
    pub const fn lookup_column(&self) -> Option<usize> {
        self.lookup
    }

    /// The fields to ask for: those of the sent columns, then those of the
    /// record itself.
    pub fn fields(&self) -> Vec<&str> {
        let columns = self.columns.iter().map(|column| column.path.as_str());
        columns.chain(self.system.iter().copied()).collect()
    }

    /// Judges a row by the records that have its key; ask with deleted records
    /// among them, so that an insert that was deleted since isn't made anew.
    ///
    /// - `cells`: the row as it was sent, unescaped, in the order of the columns.
    /// - `found`: the records with its key, with the values of
    ///   [`Settling::fields`].
    /// - `has_twin`: whether another row of the run has the same key values. One
    ///   record can't prove two rows of an insert.
    pub fn judge(&self, cells: &[&[u8]], found: &[&FoundRecord], has_twin: bool) -> Settled {
        let key = self.lookup.and_then(|at| cells.get(at));
        let wanted = self.columns.len() + self.system.len();
        let is_readable = cells.len() == self.columns.len()
            && found.iter().all(|record| record.cells.len() == wanted)
            && key.is_some_and(|key| !says_nothing(key));
        if !is_readable {
            return Settled::Disputed;
        }
        match self.operation {
            Operation::Insert => self.judge_insert(cells, found, has_twin),
            Operation::Delete | Operation::HardDelete => {
                if found.iter().all(|record| self.is_deleted(record)) {
                    let id = key.and_then(|key| RecordId::parse(key.trim_ascii()).ok());
                    Settled::Saved { fate: Fate::Deleted, id }
                } else {
                    Settled::Unprocessed
                }
            }
            Operation::Update | Operation::Upsert => {
                let mut live = found.iter().filter(|record| !self.is_deleted(record));
                match (live.next(), live.next()) {
                    (None, _) => Settled::Unprocessed,
                    (Some(record), None) => self.judge_change(cells, record),
                    (Some(_), Some(_)) => Settled::Disputed,
                }
            }
        }
    }

    fn judge_change(&self, cells: &[&[u8]], record: &FoundRecord) -> Settled {
        if !self.agrees(cells, record, |_| true) {
            return Settled::Unprocessed;
        }
        let is_new = self.operation == Operation::Upsert && self.is_new(record) == Some(true);
        let fate = if is_new { Fate::Created } else { Fate::Updated };
        Settled::Saved { fate, id: Some(record.id) }
    }

    fn judge_insert(&self, cells: &[&[u8]], found: &[&FoundRecord], has_twin: bool) -> Settled {
        let keys = || self.columns.iter().zip(cells).filter(|(column, _)| column.is_key);
        let has_all_keys = keys().all(|(_, cell)| !says_nothing(cell));
        if has_twin || !has_all_keys || self.user.is_none() {
            return Settled::Disputed;
        }
        let mut own: Option<RecordId> = None;
        for record in found {
            if !self.agrees(cells, record, |column| column.is_key) {
                continue;
            }
            match (self.is_new(record), self.is_ours(record)) {
                (Some(true), Some(true)) if own.is_none() => own = Some(record.id),
                (Some(false), _) | (_, Some(false)) => {}
                // A second one, or one of which nobody says whose it is.
                _ => return Settled::Disputed,
            }
        }
        match own {
            Some(id) => Settled::Saved { fate: Fate::Created, id: Some(id) },
            // Kept with fewer digits, it is there and isn't found.
            None if keys().any(|(column, cell)| may_be_rounded(column.kind, cell)) => {
                Settled::Disputed
            }
            None => Settled::Unprocessed,
        }
    }

    /// Whether a record has every value that was sent in these columns.
    fn agrees(
        &self,
        cells: &[&[u8]],
        record: &FoundRecord,
        counts: impl Fn(&Column) -> bool,
    ) -> bool {
        let pairs = self.columns.iter().zip(cells).zip(&record.cells);
        pairs.filter(|((column, _), _)| counts(column)).all(|((column, &sent), found)| {
            let found = found.as_bytes();
            if was_not_sent(sent) {
                return true;
            }
            if column.is_key {
                same_key(column.kind, sent, found)
            } else {
                same(column.kind, sent, found) || rounds_to(column.scale, sent, found)
            }
        })
    }

    fn system<'r>(&self, record: &'r FoundRecord, name: &str) -> Option<&'r str> {
        let at = self.system.iter().position(|known| *known == name)?;
        record.cells.get(self.columns.len() + at).map(String::as_str)
    }

    fn is_deleted(&self, record: &FoundRecord) -> bool {
        self.system(record, DELETED) == Some("true")
    }

    /// Whether the record was made since the run began, if that is known; the
    /// org keeps seconds.
    fn is_new(&self, record: &FoundRecord) -> Option<bool> {
        let created: Timestamp = self.system(record, CREATED)?.parse().ok()?;
        let created = created.as_second();
        if created >= self.since.as_second() && created < self.unsure_until.as_second() {
            return None;
        }
        Some(created >= self.since.as_second())
    }

    fn is_ours(&self, record: &FoundRecord) -> Option<bool> {
        let by: RecordId = self.system(record, CREATED_BY)?.parse().ok()?;
        Some(by == self.user?)
    }
}

/// What a query calls a sent column: `User:Owner.Username` is `Owner.Username`.
pub fn queried_as(header: &str) -> &str {
    header.split_once(':').map_or(header, |(_, path)| path)
}

/// Whether a cell left its field alone.
fn was_not_sent(cell: &[u8]) -> bool {
    cell.trim_ascii().is_empty()
}

/// Whether a cell has no value.
fn says_nothing(cell: &[u8]) -> bool {
    was_not_sent(cell) || cell.trim_ascii() == CLEAR
}

fn same(kind: ValueKind, one: &[u8], other: &[u8]) -> bool {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    canonical_form(kind, one, &mut first) == canonical_form(kind, other, &mut second)
}

/// Whether a number sent is the one found, once it has as many digits behind
/// the point as the field keeps.
fn rounds_to(scale: Option<u32>, sent: &[u8], found: &[u8]) -> bool {
    let value = |text: &[u8]| -> Option<f64> {
        let value: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
        value.is_finite().then_some(value)
    };
    let (Some(scale), Some(sent), Some(found)) = (scale, value(sent), value(found)) else {
        return false;
    };
    let half_a_digit = 0.5 * 10f64.powi(-(scale.min(18) as i32));
    // What lies in the middle may go either way, and doubles are not exact.
    (sent - found).abs() <= half_a_digit + sent.abs() * f64::EPSILON
}

/// Whether a field may keep less of a key than was sent.
fn may_be_rounded(kind: ValueKind, cell: &[u8]) -> bool {
    let is_whole = || cell.trim_ascii().iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    kind == ValueKind::Number && !is_whole()
}

/// Whether the org takes two keys for one.
fn same_key(kind: ValueKind, one: &[u8], other: &[u8]) -> bool {
    if matches!(kind, ValueKind::Text { case_sensitive: true }) {
        // The org trims text, whether the field tells case apart or not.
        return same(kind, one, other);
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    key_form(kind, KeyExactness::Folded, one, &mut first)
        == key_form(kind, KeyExactness::Folded, other, &mut second)
}

/// Records that were found, by their key.
#[derive(Debug, Clone)]
pub struct FoundRecords {
    kind: ValueKind,
    records: Vec<FoundRecord>,
    by_hash: HashMap<u64, Vec<usize>>,
}

impl FoundRecords {
    /// Sorts records by their key, which is of this kind.
    pub fn new(kind: ValueKind, records: Vec<FoundRecord>) -> FoundRecords {
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, record) in records.iter().enumerate() {
            by_hash.entry(hash(kind, record.key.as_bytes())).or_default().push(at);
        }
        FoundRecords { kind, records, by_hash }
    }

    /// The records that have the key of a row.
    pub fn of(&self, key: &[u8]) -> Vec<&FoundRecord> {
        let found = self.by_hash.get(&hash(self.kind, key)).map(Vec::as_slice).unwrap_or_default();
        found
            .iter()
            .filter_map(|&at| self.records.get(at))
            .filter(|record| same_key(self.kind, key, record.key.as_bytes()))
            .collect()
    }
}

/// Equal for keys that are the same to the org.
pub fn lookup_hash(kind: ValueKind, key: &[u8]) -> u64 {
    hash(kind, key)
}

fn hash(kind: ValueKind, key: &[u8]) -> u64 {
    if matches!(kind, ValueKind::Text { case_sensitive: true }) {
        canonical_hash(kind, key)
    } else {
        key_hash(kind, KeyExactness::Folded, key)
    }
}

#[cfg(test)]
mod tests;
