//! Rows that retries of a run have saved since, so that nobody sends them
//! again by accident.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use super::derived::{Derivation, open_map};
use super::retry::RetryError;
use super::retry_rows::outcome_files;
use super::{ResumeError, RunFolder, Runs};
use crate::domain::{Fate, Operation, RowNumber};
use crate::ledger::{FILE_NAME, Ledger, RunStatus, StoredAttempt, StoredChunk};
use crate::reconciler::MergedOutcomes;
use crate::rows::RowMap;

/// Rows saved by retries of a run, and by retries of these.
pub(super) struct RetriedRows {
    runs: Vec<Saved>,
}

/// The rows one retry saved.
enum Saved {
    /// In ascending order, read along.
    Along(Box<Peekable<SavedRows>>),
    /// Of a source in another order.
    Set(BTreeSet<u64>),
}

impl RetriedRows {
    /// Of a run that nobody asks after.
    pub(super) fn none() -> Self {
        RetriedRows { runs: Vec::new() }
    }

    /// Looks for the retries of a run. One that isn't at its end stands in the
    /// way of another.
    pub(super) fn of(runs_dir: &Path, run: &str, operation: Operation) -> Result<Self, RetryError> {
        let found = Runs::list(runs_dir)
            .map_err(|source| RetryError::Io { path: runs_dir.to_owned(), source })?;
        let mut family: BTreeSet<&str> = BTreeSet::from([run]);
        let mut retries: Vec<PathBuf> = Vec::new();
        // Newest first; a retry begins after the run it retries.
        for entry in found.runs.iter().rev() {
            let record = &entry.run.run;
            if !record.parent_run.as_deref().is_some_and(|parent| family.contains(parent)) {
                continue;
            }
            family.insert(&record.id);
            let is_over = entry.run.aborted_at.is_some()
                || entry.run.end.is_some_and(|end| end.status == RunStatus::Completed);
            if !is_over {
                return Err(RetryError::Unfinished { id: record.id.clone() });
            }
            if entry.tally.succeeded() + entry.tally.disputed > 0 {
                retries.push(entry.folder.clone());
            }
        }
        let runs =
            retries.iter().map(|folder| open(folder, operation)).collect::<Result<_, _>>()?;
        Ok(RetriedRows { runs })
    }

    /// Whether a row was saved since; rows are asked for in ascending order, as
    /// far as the source has them so.
    pub(super) fn has(&mut self, row: RowNumber) -> Result<bool, RetryError> {
        let mut found = false;
        for saved in &mut self.runs {
            found |= match saved {
                Saved::Set(rows) => rows.contains(&row.0),
                Saved::Along(rows) => loop {
                    match rows.peek() {
                        Some(Ok(next)) if *next < row.0 => drop(rows.next()),
                        Some(Ok(next)) => break *next == row.0,
                        None => break false,
                        Some(Err(_)) => {
                            if let Some(Err(error)) = rows.next() {
                                return Err(error);
                            }
                        }
                    }
                },
            };
        }
        Ok(found)
    }
}

fn open(folder: &Path, operation: Operation) -> Result<Saved, RetryError> {
    let io = |(path, source)| RetryError::Io { path, source };
    let folder = RunFolder::open(folder).map_err(io)?;
    let ledger = Ledger::open_read_only(&folder.path().join(FILE_NAME))?;
    let sources = ledger.sources()?;
    let derivation = match sources.first() {
        Some(source) => Derivation::of(source).map_err(ResumeError::from)?,
        None => None,
    };
    let map = derivation.and_then(|derivation| derivation.map);
    let map = map.map(|name| open_map(&folder, &name)).transpose().map_err(ResumeError::from)?;
    let ascends = map.as_ref().is_none_or(RowMap::is_ascending);
    let rows = SavedRows {
        chunks: ledger.chunks()?.into_iter(),
        attempts: ledger.attempts()?,
        folder,
        map,
        repeats: operation == Operation::Insert,
        outcomes: None,
    };
    if ascends {
        Ok(Saved::Along(Box::new(rows.peekable())))
    } else {
        Ok(Saved::Set(rows.collect::<Result<_, _>>()?))
    }
}

/// The rows a run saved, by their numbers in the original.
struct SavedRows {
    folder: RunFolder,
    map: Option<RowMap>,
    chunks: std::vec::IntoIter<StoredChunk>,
    attempts: Vec<StoredAttempt>,
    /// Whether sending a disputed row once more can do harm.
    repeats: bool,
    outcomes: Option<MergedOutcomes>,
}

impl SavedRows {
    fn step(&mut self) -> Result<Option<u64>, RetryError> {
        loop {
            while let Some(outcome) = self.outcomes.as_mut().and_then(Iterator::next) {
                let outcome = outcome?;
                let doubtful = self.repeats && outcome.fate == Fate::Disputed;
                if !outcome.fate.succeeded() && !doubtful {
                    continue;
                }
                let row = match &self.map {
                    Some(map) => map
                        .row_of(outcome.row)
                        .map_err(|source| RetryError::Io { path: map.path().to_owned(), source })?,
                    None => outcome.row,
                };
                return Ok(Some(row.0));
            }
            let Some(chunk) = self.chunks.next() else { return Ok(None) };
            let number = chunk.chunk.number;
            let own: Vec<StoredAttempt> =
                self.attempts.iter().filter(|attempt| attempt.chunk == number).cloned().collect();
            self.outcomes = Some(MergedOutcomes::open(outcome_files(&self.folder, &chunk, &own))?);
        }
    }
}

impl Iterator for SavedRows {
    type Item = Result<u64, RetryError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
