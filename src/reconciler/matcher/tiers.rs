//! The tiers behind the keys: digests, equal rows, elimination.

use std::collections::HashMap;

use crate::domain::{MatchTier, ResultSet, ValueKind};
use crate::reconciler::failures::RowError;
use crate::reconciler::proof::{Problem, ReconcileError};
use crate::reconciler::sets::{Form, Picker, Spec};
use crate::reconciler::table::NONE;

use super::reading::{Children, Pass, read_body};
use super::{Matcher, ROOT, TAKEN};

impl Matcher<'_> {
    /// Tells keys apart that differ in case or outer blanks only. Only within
    /// groups, which are balanced: elsewhere the text as it stands may mislead,
    /// for the result of `A ` may have come back as `A`.
    pub(super) fn exact_keys(
        &mut self,
        spec: &Spec,
        tier: MatchTier,
    ) -> Result<(), ReconcileError> {
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
    pub(super) fn digests(&mut self) -> Result<(), ReconcileError> {
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
    pub(super) fn interchangeable(&mut self) -> Result<(), ReconcileError> {
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
    pub(super) fn eliminate(&mut self) {
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
                    .map(|text| RowError::parse(text).code)
                    .collect();
                codes.sort_unstable();
                codes.dedup();
                let codes = codes.join(", ");
                Some(format!("UNDETERMINED:one of several rows that failed by {codes}:--"))
            }
        }
    }
}
