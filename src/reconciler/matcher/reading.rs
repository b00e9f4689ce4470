//! Reading the sets and the body: once for the first tier, again for each
//! later one that finds something to do.

use std::collections::HashMap;
use std::io::Read;

use crate::domain::{Fate, MatchTier, Operation, ResultSet};
use crate::reconciler::proof::{Problem, ReconcileError};
use crate::reconciler::records::{Records, RecordsError};
use crate::reconciler::sets::{Picker, SetColumns, Spec, mixed};
use crate::reconciler::table::{NONE, Table, Waiting};

use super::{Matcher, ORPHAN, ROOT, ResultSets, SentColumns, SentRows, TAKEN};

/// What a tier makes of several rows and results of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// A group, if they are equal in number.
    Balanced,
    /// A group, also if there are more rows than results. Only for the last
    /// tier that goes by values, for it breaks the balance of groups.
    Short,
    /// None; they stay where they are.
    Never,
}

/// One reading of the sets and the body.
pub(super) struct Pass<'s> {
    pub(super) spec: &'s Spec,
    pub(super) tier: MatchTier,
    pub(super) children: Children,
    /// Whether results whose value no row has are kept from tiers 2 and 3: a
    /// key that contradicts must not be outvoted by another column.
    pub(super) orphans: bool,
    /// Whether the root takes part, or only groups made before.
    pub(super) root: bool,
    /// The sets that take part.
    pub(super) sets: [bool; 3],
}

impl<'s> Pass<'s> {
    pub(super) const fn new(spec: &'s Spec, tier: MatchTier) -> Self {
        Pass {
            spec,
            tier,
            children: Children::Balanced,
            orphans: false,
            root: true,
            sets: [true; 3],
        }
    }
}

/// Results beyond this share of the rows are not taken in: memory has to stay
/// bounded whatever the org returns.
const fn result_limit(sent: u64) -> u64 {
    sent + sent / 8 + 1000
}

impl Matcher<'_> {
    /// Reads the sets for the first time; puts the hashes into a table if
    /// there is one, and returns the slot of each result.
    pub(super) fn collect(
        &mut self,
        spec: &Spec,
        mut table: Option<&mut Table>,
    ) -> Result<Vec<u32>, ReconcileError> {
        let expected = self.row_result.len();
        let limit = result_limit(self.proof.sent);
        self.results.fates.reserve(expected);
        self.results.ids.reserve(expected);
        self.results.errors.reserve(expected);
        let mut slots = Vec::with_capacity(if table.is_some() { expected } else { 0 });
        let mut waiting = Waiting::new();
        for (at, set) in ResultSet::ALL.into_iter().enumerate() {
            let before = self.results.fates.len();
            let mut bad_ids = 0u64;
            let (sent, operation) = (self.sent, self.rule.operation);
            let read = open(self.sets, set)?;
            let mut records = Records::new(read);
            let Some(columns) = header(&mut records, set, sent)? else { continue };
            let mut picker = columns.outcome_picker(sent, spec);
            let mut count = 0u64;
            loop {
                let record = match records.next() {
                    Ok(None) => break,
                    Ok(Some(record)) => record,
                    Err(error) => return Err(set_error(set, count, error)),
                };
                // A download that breaks off can end between two cells.
                if record.unterminated && !columns.is_full(record.bytes) {
                    return Err(ReconcileError::CutShort { set, records: count });
                }
                let picked = picker
                    .pick(record.bytes)
                    .ok_or(ReconcileError::CutShort { set, records: count })?;
                count += 1;
                let result = self.results.fates.len() as u32;
                if u64::from(result) >= limit {
                    return Err(ReconcileError::TooManyResults { sent: self.proof.sent, limit });
                }
                let told = picked.told.map(|cell| cell.value()).unwrap_or_default();
                let mut error = NONE;
                let fate = match set {
                    ResultSet::Successful => {
                        fate_of_success(operation, columns.told.is_some(), &told)
                    }
                    ResultSet::Failed => {
                        error = self.errors.intern(&told);
                        Fate::Failed
                    }
                    ResultSet::Unprocessed => Fate::Unprocessed,
                };
                let mut id = [0u8; 15];
                if let Some(cell) = picked.id.filter(|cell| !cell.raw.is_empty()) {
                    let known = cell.raw.get(..15).filter(|short| {
                        matches!(cell.raw.len(), 15 | 18)
                            && short.iter().all(u8::is_ascii_alphanumeric)
                    });
                    match known {
                        Some(short) => id.copy_from_slice(short),
                        None => bad_ids += 1,
                    }
                }
                if let Some(table) = table.as_deref_mut() {
                    slots.push(NONE);
                    if picked.hash.is_some_and(|hash| waiting.push(hash, result)) {
                        waiting.insert(table, &mut slots);
                    }
                }
                self.results.fates.push(fate);
                self.results.ids.push(id);
                self.results.errors.push(error);
            }
            self.proof.result_bytes += records.bytes_read();
            if let Some(counted) = self.proof.results.get_mut(at) {
                *counted = count;
            }
            if let Some(counted) = self.counts.get_mut(at) {
                *counted = (self.results.fates.len() - before) as u32;
            }
            if count > 0 {
                for column in columns.missing(set, operation) {
                    self.proof.problems.push(Problem::MissingColumn { set, column });
                }
            }
            if bad_ids > 0 {
                self.proof.problems.push(Problem::BadIds { set, count: bad_ids });
            }
            if let Some(known) = self.columns.get_mut(at) {
                *known = Some(columns);
            }
        }
        if let Some(table) = table {
            waiting.insert(table, &mut slots);
        }
        self.results.groups = vec![ROOT; self.results.fates.len()];
        self.results.flags = vec![0; self.results.fates.len()];
        Ok(slots)
    }

    pub(super) fn first_pass(&mut self, pass: &Pass<'_>) -> Result<(), ReconcileError> {
        let mut table = Table::new(result_limit(self.proof.sent) as usize);
        let slots = self.collect(pass.spec, Some(&mut table))?;
        self.probe(pass, table, &slots)
    }

    /// A later tier: reads the sets and the body again, for what is left.
    pub(super) fn pass(&mut self, pass: &Pass<'_>) -> Result<(), ReconcileError> {
        let left_results = self.results.flags.iter().filter(|&&flags| flags & TAKEN == 0).count();
        if self.left == 0 || left_results == 0 {
            return Ok(());
        }
        let mut table = Table::new(left_results);
        let mut slots = vec![NONE; self.results.fates.len()];
        let mut waiting = Waiting::new();
        let mut base = 0usize;
        for (at, set) in ResultSet::ALL.into_iter().enumerate() {
            let count = self.counts.get(at).copied().unwrap_or(0) as usize;
            let range = base..base + count;
            base += count;
            let takes_part = pass.sets.get(at).copied().unwrap_or(false);
            let flags = self.results.flags.get(range.clone()).unwrap_or_default();
            if !takes_part || flags.iter().all(|flags| flags & TAKEN != 0) {
                continue;
            }
            let Some(columns) = self.columns.get(at).and_then(Option::as_ref) else { continue };
            let Some(mut picker) = columns.picker(self.sent, pass.spec) else { continue };
            let results = &self.results;
            self.read_set(set, range, |result, record| {
                let flags = results.flags.get(result).copied().unwrap_or(TAKEN);
                let group = results.groups.get(result).copied().unwrap_or(ROOT);
                if flags & TAKEN != 0
                    || (pass.orphans && flags & ORPHAN != 0)
                    || (!pass.root && group == ROOT)
                {
                    return Some(());
                }
                let hash = picker.pick(record)?.hash;
                if hash.is_some_and(|hash| waiting.push(in_group(hash, group), result as u32)) {
                    waiting.insert(&mut table, &mut slots);
                }
                Some(())
            })?;
        }
        waiting.insert(&mut table, &mut slots);
        self.probe(pass, table, &slots)
    }

    /// Reads the rows, looks them up and draws the conclusions.
    fn probe(
        &mut self,
        pass: &Pass<'_>,
        mut table: Table,
        slots: &[u32],
    ) -> Result<(), ReconcileError> {
        let mut picker = Picker::for_body(self.sent, pass.spec);
        let base = self.next_group;
        self.next_group = base.saturating_add(table.len() as u32);
        let mut row_slots = vec![NONE; self.row_result.len()];
        let mut waiting = Waiting::new();
        let (row_result, row_group) = (&self.row_result, &self.row_group);
        read_body(self.rows, |row, record| {
            let (Some(&result), Some(&group)) = (row_result.get(row), row_group.get(row)) else {
                return Some(());
            };
            if result != NONE || (!pass.root && group == ROOT) {
                return Some(());
            }
            let hash = picker.pick(record)?.hash;
            if hash.is_some_and(|hash| waiting.push(in_group(hash, group), row as u32)) {
                waiting.look_up(&mut table, &mut row_slots);
            }
            Some(())
        })?;
        waiting.look_up(&mut table, &mut row_slots);

        for (row, &slot) in row_slots.iter().enumerate() {
            if let Some(result) = table.pair(slot) {
                self.give(row, result, pass.tier);
            }
        }

        // How many results a slot has, where it isn't one of each.
        let mut many: HashMap<u32, u32> = HashMap::new();
        for (&slot, flags) in slots.iter().zip(&self.results.flags) {
            if slot != NONE && flags & TAKEN == 0 && table.rows(slot) > 0 {
                *many.entry(slot).or_default() += 1;
            }
        }
        // With more results than rows some result was told twice or is foreign,
        // and a value may look balanced by that alone: no groups then.
        let surplus = self.results.fates.len() > self.row_result.len();
        let makes_child = |slot: u32| {
            let results = many.get(&slot).copied().unwrap_or(0);
            match pass.children {
                _ if surplus => false,
                Children::Balanced => results == table.rows(slot),
                Children::Short => results > 0 && results <= table.rows(slot),
                Children::Never => false,
            }
        };
        for (row, &slot) in row_slots.iter().enumerate() {
            if slot == NONE || self.row_result.get(row) != Some(&NONE) {
                continue;
            }
            if makes_child(slot) {
                if let Some(group) = self.row_group.get_mut(row) {
                    *group = base + slot;
                }
            } else if many.get(&slot).is_some_and(|results| *results > table.rows(slot)) {
                self.several.insert(row as u32);
            }
        }
        for (result, &slot) in slots.iter().enumerate() {
            let Some(flags) = self.results.flags.get_mut(result) else { continue };
            if slot == NONE || *flags & TAKEN != 0 {
                continue;
            }
            if table.rows(slot) == 0 {
                if pass.orphans {
                    *flags |= ORPHAN;
                }
            } else if makes_child(slot)
                && let Some(group) = self.results.groups.get_mut(result)
            {
                *group = base + slot;
            }
        }
        self.settle_lone_pairs(pass.tier);
        Ok(())
    }

    /// Reads a set again and hands on its records with their result numbers.
    pub(super) fn read_set(
        &self,
        set: ResultSet,
        range: std::ops::Range<usize>,
        mut take: impl FnMut(usize, &[u8]) -> Option<()>,
    ) -> Result<(), ReconcileError> {
        let mut records = Records::new(open(self.sets, set)?);
        let changed = || ReconcileError::Changed { set };
        header(&mut records, set, self.sent)?.ok_or_else(changed)?;
        let mut result = range.start;
        loop {
            let record = match records.next() {
                Ok(None) => break,
                Ok(Some(record)) => record,
                Err(error) => {
                    return Err(set_error(set, (result - range.start) as u64, error));
                }
            };
            if result == range.end {
                return Err(changed());
            }
            take(result, record.bytes).ok_or_else(changed)?;
            result += 1;
        }
        if result == range.end { Ok(()) } else { Err(changed()) }
    }
}

/// What became of a row in successfulResults.
fn fate_of_success(operation: Operation, has_created: bool, created: &[u8]) -> Fate {
    let is_new = if has_created {
        created.eq_ignore_ascii_case(b"true")
    } else {
        operation == Operation::Insert
    };
    match (is_new, operation.deletes()) {
        (true, _) => Fate::Created,
        (false, true) => Fate::Deleted,
        (false, false) => Fate::Updated,
    }
}

/// A hash within a group.
const fn in_group(hash: u64, group: u32) -> u64 {
    if group == ROOT { hash } else { mixed(hash, group as u64) }
}

fn open(sets: &dyn ResultSets, set: ResultSet) -> Result<Box<dyn Read + Send>, ReconcileError> {
    sets.open(set).map_err(|source| ReconcileError::Results { set, source })
}

fn set_error(set: ResultSet, records: u64, error: RecordsError) -> ReconcileError {
    match error {
        RecordsError::Io(source) => ReconcileError::Results { set, source },
        RecordsError::CutShort => ReconcileError::CutShort { set, records },
    }
}

/// Reads the header of a set; `None` for an empty one.
fn header<R: Read>(
    records: &mut Records<R>,
    set: ResultSet,
    sent: &SentColumns,
) -> Result<Option<SetColumns>, ReconcileError> {
    match records.next() {
        Ok(None) => Ok(None),
        Ok(Some(record)) => Ok(Some(SetColumns::read(set, record.bytes, sent))),
        Err(error) => Err(set_error(set, 0, error)),
    }
}

/// Reads the body and hands on its records with their places.
pub(super) fn read_body(
    rows: &SentRows<'_>,
    mut take: impl FnMut(usize, &[u8]) -> Option<()>,
) -> Result<(), ReconcileError> {
    let body = |source| ReconcileError::Body { source };
    let expected = rows.rows.len();
    let mut records = Records::new((rows.open)().map_err(body)?);
    let mut found = 0u64;
    loop {
        match records.next() {
            Ok(None) => break,
            Ok(Some(record)) => {
                if found < expected {
                    take(found as usize, record.bytes)
                        .ok_or(ReconcileError::BodyRows { expected, found })?;
                }
                found += 1;
            }
            Err(RecordsError::Io(source)) => return Err(body(source)),
            Err(RecordsError::CutShort) => {
                return Err(ReconcileError::BodyRows { expected, found });
            }
        }
    }
    if found == expected { Ok(()) } else { Err(ReconcileError::BodyRows { expected, found }) }
}
