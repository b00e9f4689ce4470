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

mod reading;
mod tiers;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use crate::domain::{
    Fate, MatchTier, Operation, RecordId, ResultSet, RowNumber, RowOutcome, RowRanges, ValueKind,
};

use super::proof::{ChunkProof, ReconcileError};
use super::sets::{Form, SetColumns, Spec};
use super::table::NONE;
use reading::Pass;

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
                self.first_pass(&Pass { orphans: true, ..Pass::new(spec, *tier) })?;
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
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
