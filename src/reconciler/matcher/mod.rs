//! The tiers by which results find their rows.
//!
//! Rows and results begin in one group, the *root*. A tier hashes the values
//! it goes by, within each group:
//!
//! - one row and one result of the same value belong together;
//! - several of a value, equal in number on both sides, are a group of their
//!   own, for later tiers to split;
//! - all else stays where it was: values found on one side only, empty ones,
//!   and those of more rows than results, whose missing results may show up
//!   without that value;
//! - when one row and one result are all that is left of a group (not of the
//!   root), they belong together.
//!
//! A result's value can only come from a row that has it, so all this is
//! certain as long as no two values share a form, and every group but the root
//! has as many rows as results. Blanks prove nothing in failedResults, which
//! may leave out the values of columns whose header had the wrong case.
//!
//! Memory per row of the attempt: 24 bytes of table, 29 for its result (id,
//! fate, error, group, slot, flag) and 13 for the row, so 66 bytes; beside
//! them the distinct error texts, and some 100 bytes for each row that the
//! first tier leaves in a group. The sets and the body are read once for the
//! first tier, and once more for each tier that still finds something to do.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use crate::domain::{
    Fate, MatchTier, Operation, RecordId, ResultSet, RowNumber, RowOutcome, RowRanges, ValueKind,
};

use super::proof::{ChunkProof, Problem, ReconcileError};
use super::records::{Records, RecordsError};
use super::sets::{Form, Picker, SetColumns, Spec, mixed};
use super::table::{NONE, Table};

/// A column as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SentColumn {
    /// Its header.
    pub header: String,
    /// How its values are compared.
    pub kind: ValueKind,
}

/// The columns of a body, in order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SentColumns {
    /// The columns.
    pub columns: Vec<SentColumn>,
    /// The byte between two cells.
    pub delimiter: u8,
}

/// What results are matched by; columns are indexes into [`SentColumns`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MatchRule {
    /// Tier 1: the `Id` or external id column.
    pub key: Option<usize>,
    /// Tier 2: the columns the user named.
    pub user_keys: Vec<usize>,
    /// Tier 3: a text column in which no value occurs twice.
    pub unique_text: Option<usize>,
    /// What the job did.
    pub operation: Operation,
}

/// A job's three result sets, which can be opened again and are then the same.
/// An empty text stands for a set without rows, as does a lone header.
pub trait ResultSets {
    /// Opens a set as unpacked CSV text.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>>;
}

/// The rows of an attempt as they were sent.
pub struct SentRows<'a> {
    /// Their numbers, in order.
    pub rows: &'a RowRanges,
    /// Opens their CSV text, without a header line.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
}

/// Finds the outcome of every row sent and hands them on in row order.
///
/// # Errors
/// [`ReconcileError`] when a set or the body can't be read through; nothing
/// was emitted then, except that [`ReconcileError::Emit`] may come late.
pub fn reconcile(
    sent: &SentColumns,
    rule: &MatchRule,
    rows: SentRows<'_>,
    results: &dyn ResultSets,
    attempt: u8,
    emit: &mut dyn FnMut(RowOutcome) -> io::Result<()>,
) -> Result<ChunkProof, ReconcileError> {
    let mut matcher = Matcher {
        sent,
        rule,
        rows: &rows,
        sets: results,
        columns: [const { None }; 3],
        counts: [0; 3],
        results: Results::default(),
        row_result: vec![NONE; rows.rows.len() as usize],
        row_group: vec![ROOT; rows.rows.len() as usize],
        row_tier: vec![MatchTier::Key; rows.rows.len() as usize],
        next_group: ROOT + 1,
        left: rows.rows.len() as usize,
        proof: ChunkProof { sent: rows.rows.len(), ..ChunkProof::default() },
        errors: Texts::default(),
        several: HashSet::new(),
        guessed_error: None,
    };
    matcher.run()?;
    matcher.emit(attempt, emit)
}

/// Emits every row as disputed for one reason: when the results of an attempt
/// can't be had at all.
///
/// # Errors
/// [`ReconcileError::Emit`] when an outcome is not taken.
pub fn dispute(
    rows: &RowRanges,
    attempt: u8,
    reason: &str,
    emit: &mut dyn FnMut(RowOutcome) -> io::Result<()>,
) -> Result<ChunkProof, ReconcileError> {
    let mut proof = ChunkProof { sent: rows.len(), shortfall: rows.len(), ..ChunkProof::default() };
    for row in rows.iter() {
        let outcome = RowOutcome {
            row,
            fate: Fate::Disputed,
            tier: None,
            attempts: attempt,
            id: None,
            error: Some(reason.to_owned()),
        };
        proof.count(Fate::Disputed, None);
        emit(outcome).map_err(|source| ReconcileError::Emit { source })?;
    }
    Ok(proof)
}

/// The group everything begins in.
const ROOT: u32 = 0;

/// Results beyond this share of the rows are not taken in: memory has to stay
/// bounded whatever the org returns.
const fn result_limit(sent: u64) -> u64 {
    sent + sent / 8 + 1000
}

/// What a tier makes of several rows and results of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    /// A group, if they are equal in number.
    Balanced,
    /// A group, also if there are more rows than results. Only for the last
    /// tier that goes by values, for it breaks the balance of groups.
    Short,
    /// None; they stay where they are.
    Never,
}

/// One reading of the sets and the body.
struct Pass<'s> {
    spec: &'s Spec,
    tier: MatchTier,
    children: Children,
    /// Whether results whose value no row has are kept from tiers 2 and 3: a
    /// key that contradicts must not be outvoted by another column.
    orphans: bool,
    /// Whether the root takes part, or only groups made before.
    root: bool,
    /// The sets that take part.
    sets: [bool; 3],
}

impl<'s> Pass<'s> {
    const fn new(spec: &'s Spec, tier: MatchTier) -> Self {
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

/// The results, in the order of the sets.
#[derive(Debug, Default)]
struct Results {
    fates: Vec<Fate>,
    /// The first 15 characters of the id, or zeros.
    ids: Vec<[u8; 15]>,
    /// Index of the error text, or [`NONE`].
    errors: Vec<u32>,
    groups: Vec<u32>,
    flags: Vec<u8>,
}

/// The result was given to a row.
const TAKEN: u8 = 1;
/// The result has a key that no row has.
const ORPHAN: u8 = 2;

/// Distinct error texts.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<Box<str>>,
    by_hash: HashMap<u64, u32>,
}

impl Texts {
    fn intern(&mut self, text: &[u8]) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(text);
        if let Some(&known) = self.by_hash.get(&hash)
            && self.get(known).is_some_and(|found| found.as_bytes() == text)
        {
            return known;
        }
        let index = self.texts.len() as u32;
        self.texts.push(String::from_utf8_lossy(text).into_owned().into_boxed_str());
        self.by_hash.insert(hash, index);
        index
    }

    fn get(&self, index: u32) -> Option<&str> {
        self.texts.get(index as usize).map(AsRef::as_ref)
    }
}

struct Matcher<'a> {
    sent: &'a SentColumns,
    rule: &'a MatchRule,
    rows: &'a SentRows<'a>,
    sets: &'a dyn ResultSets,
    /// Header of each set, once it was read; `None` for an empty set.
    columns: [Option<SetColumns>; 3],
    counts: [u32; 3],
    results: Results,
    row_result: Vec<u32>,
    row_group: Vec<u32>,
    row_tier: Vec<MatchTier>,
    next_group: u32,
    /// Rows without a result.
    left: usize,
    proof: ChunkProof,
    errors: Texts,
    /// Rows whose value more results had than rows.
    several: HashSet<u32>,
    /// The error text for rows that failed by elimination.
    guessed_error: Option<String>,
}

impl Matcher<'_> {
    fn run(&mut self) -> Result<(), ReconcileError> {
        let key = self.rule.key.map(|column| Spec::new([column], Form::Folded));
        let user = (!self.rule.user_keys.is_empty())
            .then(|| Spec::new(self.rule.user_keys.iter().copied(), Form::Folded));
        let unique = self
            .rule
            .unique_text
            .map(|column| Spec::new([column], Form::Canonical).needing_values());
        let mut by_value: Vec<(Spec, MatchTier)> =
            [(key, MatchTier::Key), (user, MatchTier::UserKey), (unique, MatchTier::UniqueColumn)]
                .into_iter()
                .filter_map(|(spec, tier)| Some((spec?, tier)))
                .collect();
        by_value.reverse();

        // The first tier comes with the first reading of the sets.
        let first = by_value.pop();
        let nothing = Spec::new([], Form::Canonical).needing_values();
        match &first {
            Some((spec, tier)) => {
                self.first_pass(&Pass { orphans: true, ..Pass::new(spec, *tier) })?
            }
            None => {
                // No hash is taken, only outcomes are read.
                self.collect(&nothing, None)?;
            }
        }
        if let Some((spec, tier)) = first {
            self.exact_keys(&spec, tier)?;
        }
        while let Some((spec, tier)) = by_value.pop() {
            self.pass(&Pass { orphans: true, ..Pass::new(&spec, tier) })?;
            self.exact_keys(&spec, tier)?;
        }
        self.digests()?;
        self.interchangeable()?;
        self.eliminate();
        Ok(())
    }

    /// Reads the sets for the first time; puts the hashes into a table if
    /// there is one, and returns the slot of each result.
    fn collect(
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
                    slots.push(picked.hash.map_or(NONE, |hash| table.insert(hash, result)));
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
        self.results.groups = vec![ROOT; self.results.fates.len()];
        self.results.flags = vec![0; self.results.fates.len()];
        Ok(slots)
    }

    fn first_pass(&mut self, pass: &Pass<'_>) -> Result<(), ReconcileError> {
        let mut table = Table::new(result_limit(self.proof.sent) as usize);
        let slots = self.collect(pass.spec, Some(&mut table))?;
        self.probe(pass, table, &slots)
    }

    /// A later tier: reads the sets and the body again, for what is left.
    fn pass(&mut self, pass: &Pass<'_>) -> Result<(), ReconcileError> {
        let left_results = self.results.flags.iter().filter(|&&flags| flags & TAKEN == 0).count();
        if self.left == 0 || left_results == 0 {
            return Ok(());
        }
        let mut table = Table::new(left_results);
        let mut slots = vec![NONE; self.results.fates.len()];
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
            let (results, slots) = (&self.results, &mut slots);
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
                if let (Some(hash), Some(slot)) = (hash, slots.get_mut(result)) {
                    *slot = table.insert(in_group(hash, group), result as u32);
                }
                Some(())
            })?;
        }
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
        let (row_result, row_group) = (&self.row_result, &self.row_group);
        read_body(self.rows, |row, record| {
            let (Some(&result), Some(&group)) = (row_result.get(row), row_group.get(row)) else {
                return Some(());
            };
            if result != NONE || (!pass.root && group == ROOT) {
                return Some(());
            }
            let hash = picker.pick(record)?.hash;
            if let (Some(hash), Some(slot)) = (hash, row_slots.get_mut(row)) {
                *slot = table.look_up(in_group(hash, group));
            }
            Some(())
        })?;

        // How many results a slot has, where it isn't one of each.
        let mut many: HashMap<u32, u32> = HashMap::new();
        for &slot in slots.iter().filter(|&&slot| slot != NONE) {
            if table.rows(slot) > 0 && table.pair(slot).is_none() {
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
            if slot == NONE {
                continue;
            }
            if let Some(result) = table.pair(slot) {
                self.give(row, result, pass.tier);
            } else if makes_child(slot) {
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

    /// Gives a result to a row.
    fn give(&mut self, row: usize, result: u32, tier: MatchTier) {
        let (Some(of_row), Some(tier_of_row), Some(flags)) = (
            self.row_result.get_mut(row),
            self.row_tier.get_mut(row),
            self.results.flags.get_mut(result as usize),
        ) else {
            return;
        };
        *of_row = result;
        *tier_of_row = tier;
        *flags |= TAKEN;
        self.left -= 1;
    }

    /// What is left of each group but the root: rows and results.
    fn groups_left(&self) -> HashMap<u32, (Vec<u32>, Vec<u32>)> {
        let mut groups = self.all_left();
        groups.remove(&ROOT);
        groups
    }

    /// What is left of each group.
    fn all_left(&self) -> HashMap<u32, (Vec<u32>, Vec<u32>)> {
        let mut groups: HashMap<u32, (Vec<u32>, Vec<u32>)> = HashMap::new();
        if self.left == 0 {
            return groups;
        }
        for (row, (&result, &group)) in self.row_result.iter().zip(&self.row_group).enumerate() {
            if result == NONE {
                groups.entry(group).or_default().0.push(row as u32);
            }
        }
        for (result, (&flags, &group)) in
            self.results.flags.iter().zip(&self.results.groups).enumerate()
        {
            if flags & TAKEN == 0 {
                groups.entry(group).or_default().1.push(result as u32);
            }
        }
        groups
    }

    fn settle_lone_pairs(&mut self, tier: MatchTier) {
        for (rows, results) in self.groups_left().into_values() {
            if let ([row], [result]) = (rows.as_slice(), results.as_slice()) {
                self.give(*row as usize, *result, tier);
            }
        }
    }

    /// Tells keys apart that differ in case or outer blanks only. Only within
    /// groups, which are balanced: elsewhere the text as it stands may mislead,
    /// for the result of `A ` may have come back as `A`.
    fn exact_keys(&mut self, spec: &Spec, tier: MatchTier) -> Result<(), ReconcileError> {
        let text = spec.columns.iter().any(|&(column, form)| {
            let kind = self.sent.columns.get(column).map(|column| column.kind);
            form == Form::Folded && matches!(kind, Some(ValueKind::Text { .. }))
        });
        if !text || self.groups_left().is_empty() {
            return Ok(());
        }
        let exact = Spec::new(spec.columns.iter().map(|&(column, _)| column), Form::Exact);
        let children = Children::Never;
        self.pass(&Pass { children, root: false, ..Pass::new(&exact, tier) })
    }

    /// Tier 4: all columns in canonical form, numbers only to split groups.
    fn digests(&mut self) -> Result<(), ReconcileError> {
        if self.left == 0 {
            return Ok(());
        }
        let masks = self.usable_columns()?;
        let left = self.sets_left();
        let used: Vec<&Vec<bool>> =
            masks.iter().zip(left).filter(|(_, left)| *left).map(|(mask, _)| mask).collect();
        let all = |column: usize| used.iter().all(|mask| mask.get(column) == Some(&true));
        let columns = 0..self.sent.columns.len();
        let numeric = |column: usize| {
            let kind = self.sent.columns.get(column).map(|column| column.kind);
            // A key was compared by value already and must agree.
            let key = self.rule.key == Some(column) || self.rule.user_keys.contains(&column);
            kind == Some(ValueKind::Number) && !key
        };
        let pick = |want: &dyn Fn(usize) -> bool| {
            Spec::new(columns.clone().filter(|&column| want(column)), Form::Canonical)
        };
        let stable = pick(&|column| all(column) && !numeric(column));
        let common = pick(&all);

        if !stable.columns.is_empty() {
            self.pass(&Pass::new(&stable, MatchTier::Digest))?;
        }
        if common != stable {
            self.pass(&Pass::new(&common, MatchTier::Digest))?;
        }
        // Columns that only some of the sets have: where a result has a value
        // it is proof all the same.
        let mut richer: Vec<&Vec<bool>> = used
            .iter()
            .copied()
            .filter(|mask| mask.iter().enumerate().any(|(at, has)| *has && !all(at)))
            .collect();
        richer.dedup();
        for mask in richer {
            let covers = |other: &Vec<bool>| {
                other.len() == mask.len()
                    && mask.iter().zip(other).all(|(own, other)| !own || *other)
            };
            let sets = masks.each_ref().map(covers);
            let spec = pick(&|column| mask.get(column) == Some(&true));
            self.pass(&Pass { sets, ..Pass::new(&spec, MatchTier::Digest) })?;
        }
        // Equal rows of which fewer results came than were sent.
        if !common.columns.is_empty() {
            let children = Children::Short;
            self.pass(&Pass { children, ..Pass::new(&common, MatchTier::Digest) })?;
        }
        Ok(())
    }

    /// Which sets still have results that no row was given.
    fn sets_left(&self) -> [bool; 3] {
        let mut base = 0usize;
        self.counts.map(|count| {
            let range = base..base + count as usize;
            base = range.end;
            let flags = self.results.flags.get(range).unwrap_or_default();
            flags.iter().any(|flags| flags & TAKEN == 0)
        })
    }

    /// Which sent columns say something in each set: those that are there,
    /// and in failedResults only those with a value in some row.
    fn usable_columns(&self) -> Result<[Vec<bool>; 3], ReconcileError> {
        let mut masks = self.columns.each_ref().map(|columns| {
            columns.as_ref().map_or_else(Vec::new, |columns| {
                columns.sent.iter().map(Option::is_some).collect::<Vec<bool>>()
            })
        });
        let [successful, failed, _] = self.counts.map(|count| count as usize);
        let [_, of_failed, _] = self.sets_left();
        if let [_, Some(columns), _] = &self.columns
            && let [_, mask, _] = &mut masks
            && of_failed
        {
            let mut seen = vec![false; self.sent.columns.len()];
            let range = successful..successful + failed;
            self.read_set(ResultSet::Failed, range, |_, record| {
                columns.note_values(record, &mut seen);
                Some(())
            })?;
            for (usable, seen) in mask.iter_mut().zip(seen) {
                *usable &= seen;
            }
        }
        Ok(masks)
    }

    /// Rows of a group that are equal in every sent column: which of them has
    /// which of the group's results is all the same.
    ///
    /// With more results than rows some result was told twice or is foreign,
    /// and a group may be complete by that alone: then nothing is given here.
    fn interchangeable(&mut self) -> Result<(), ReconcileError> {
        if self.results.fates.len() > self.row_result.len() {
            return Ok(());
        }
        let mut groups = self.all_left();
        // Being in the root is evidence only when all else adds up.
        if groups.values().any(|(rows, results)| rows.len() != results.len()) {
            groups.remove(&ROOT);
        }
        if !groups
            .values()
            .any(|(rows, results)| !results.is_empty() && rows.len() >= results.len())
        {
            return Ok(());
        }
        let everything = Spec::new(0..self.sent.columns.len(), Form::Canonical);
        let mut picker = Picker::for_body(self.sent, &everything);
        let mut digests: HashMap<u32, u64> = HashMap::new();
        let mut wanted = vec![false; self.row_result.len()];
        for (rows, results) in groups.values() {
            if !results.is_empty() && rows.len() >= results.len() {
                for &row in rows {
                    if let Some(wanted) = wanted.get_mut(row as usize) {
                        *wanted = true;
                    }
                }
            }
        }
        read_body(self.rows, |row, record| {
            if wanted.get(row) == Some(&true) {
                digests.insert(row as u32, picker.pick(record)?.hash.unwrap_or(0));
            }
            Some(())
        })?;
        for (rows, results) in groups.into_values() {
            let mut of_rows = rows.iter().map(|row| digests.get(row));
            let first = of_rows.next().flatten();
            if first.is_none() || rows.len() < results.len() || !of_rows.all(|other| other == first)
            {
                continue;
            }
            for (&row, &result) in rows.iter().zip(&results) {
                self.give(row as usize, result, MatchTier::Interchangeable);
            }
        }
        Ok(())
    }

    /// Tier 5: when all results that are left say the same and are as many as
    /// the rows left, each of these rows has that outcome.
    fn eliminate(&mut self) {
        let left: Vec<u32> = self
            .results
            .flags
            .iter()
            .enumerate()
            .filter(|(_, flags)| **flags & TAKEN == 0)
            .map(|(result, _)| result as u32)
            .collect();
        self.proof.extra_results = left.len() as u64;
        let results = self.results.fates.len() as u64;
        self.proof.shortfall = self.proof.sent.saturating_sub(results);
        if self.proof.shortfall > 0 {
            let (missing, sent) = (self.proof.shortfall, self.proof.sent);
            self.proof.problems.push(Problem::Shortfall { missing, sent });
        }
        let several = self.in_several();
        if let Some(problem) = several.clone() {
            self.proof.problems.push(problem);
        }
        let mut fates = left.iter().map(|&at| self.results.fates.get(at as usize).copied());
        let first = fates.next().flatten();
        let one_fate = first.is_some() && fates.all(|fate| fate == first);
        let surplus = several.is_some() || results > self.proof.sent;
        if !surplus && one_fate && left.len() == self.left {
            self.guessed_error = self.error_of_all(&left);
            let open: Vec<usize> = self
                .row_result
                .iter()
                .enumerate()
                .filter(|(_, result)| **result == NONE)
                .map(|(row, _)| row)
                .collect();
            for (row, result) in open.into_iter().zip(left) {
                self.give(row, result, MatchTier::Elimination);
            }
            self.proof.extra_results = 0;
        } else if results > self.proof.sent {
            let count = results - self.proof.sent;
            self.proof.problems.push(Problem::Extra { count });
        }
    }

    /// Rows left for which there are too many results.
    fn in_several(&self) -> Option<Problem> {
        let left = |row: &&u32| self.row_result.get(**row as usize) == Some(&NONE);
        let count = self.several.iter().filter(left).count() as u64;
        let first = *self.several.iter().filter(left).min()?;
        let example = self.rows.rows.iter().nth(first as usize)?;
        Some(Problem::SeveralResults { rows: count, example })
    }

    /// The error of rows that failed by elimination: theirs if all have the
    /// same, else only the codes can be told.
    fn error_of_all(&self, results: &[u32]) -> Option<String> {
        let mut seen: Vec<u32> = results
            .iter()
            .filter_map(|&at| self.results.errors.get(at as usize).copied())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        match seen.as_slice() {
            [NONE] | [] => None,
            [one] => self.errors.get(*one).map(str::to_owned),
            several => {
                let mut codes: Vec<&str> = several
                    .iter()
                    .filter_map(|&at| self.errors.get(at))
                    .map(|text| super::RowError::parse(text).code)
                    .collect();
                codes.sort_unstable();
                codes.dedup();
                let codes = codes.join(", ");
                Some(format!("UNDETERMINED:one of several rows that failed by {codes}:--"))
            }
        }
    }

    /// Hands the outcomes on, in row order.
    fn emit(
        mut self,
        attempt: u8,
        emit: &mut dyn FnMut(RowOutcome) -> io::Result<()>,
    ) -> Result<ChunkProof, ReconcileError> {
        for (at, number) in self.rows.rows.iter().enumerate() {
            let outcome = self.outcome(at, number, attempt);
            self.proof.count(outcome.fate, outcome.tier);
            emit(outcome).map_err(|source| ReconcileError::Emit { source })?;
        }
        self.proof.interchangeable = self.proof.matched.interchangeable;
        Ok(self.proof)
    }

    fn outcome(&self, at: usize, row: RowNumber, attempts: u8) -> RowOutcome {
        let result = self.row_result.get(at).copied().unwrap_or(NONE);
        let Some(&fate) = self.results.fates.get(result as usize) else {
            let reason = if self.several.contains(&(at as u32)) {
                "more than one result fits this row"
            } else if self.proof.extra_results > 0 {
                "its result can't be told from those of other rows"
            } else {
                "no result fits this row"
            };
            let error = Some(reason.to_owned());
            return RowOutcome { row, fate: Fate::Disputed, tier: None, attempts, id: None, error };
        };
        let tier = self.row_tier.get(at).copied();
        if tier == Some(MatchTier::Elimination) {
            // Which of the results is this row's, and so its id, is not known.
            let error = self.guessed_error.clone();
            return RowOutcome { row, fate, tier, attempts, id: None, error };
        }
        let id = self.results.ids.get(result as usize).filter(|id| **id != [0; 15]);
        let id = id.and_then(|id| RecordId::parse(id).ok());
        let error = self.results.errors.get(result as usize).copied();
        let error = error.and_then(|at| self.errors.get(at)).map(str::to_owned);
        RowOutcome { row, fate, tier, attempts, id, error }
    }

    /// Reads a set again and hands on its records with their result numbers.
    fn read_set(
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
fn read_body(
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

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
