//! The account of a run, from its ledger and its outcome files: what every
//! process after the first knows of it.
//!
//! The ledger has the tally and the jobs; the fate and the reasons of single
//! rows are in the outcome files. Both are held against each other, so a file
//! that was changed, lost or exchanged is found (I1).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::JobReport;
use super::RunFolder;
use super::derived::{Derivation, open_map};
use super::planner::{code_of, kind_of};
use crate::domain::{AttemptState, FailureGroups, Fate, JobState, RowNumber, RowOutcome, Tally};
use crate::ledger::{ChunkState, Ledger, LedgerError, StoredAttempt, StoredChunk};
use crate::reconciler::{MergedOutcomes, OutcomeError, OutcomeReader, RowError};
use crate::rows::RowMap;

/// Notes that are kept; the ledger has them all (I6).
const MOST_NOTES: usize = 200;

/// What is known of a run.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Rows by their fate; those of chunks that are not reconciled are pending,
    /// except the rejected ones.
    pub tally: Tally,
    /// Rows whose job was closed, or may have been; each row once.
    pub sent: u64,
    /// Jobs by chunk and attempt, in the state that the ledger saw last.
    pub jobs: BTreeMap<(u64, u32), JobReport>,
    /// Failed rows by code and masked message, and rejected ones by kind; of a
    /// row that went more than once its last outcome.
    pub failures: FailureGroups,
    /// Chunks cut so far.
    pub chunks: u64,
    /// Rows of all sources, once every one was read to its end.
    pub source_rows: Option<u64>,
    /// The ledger's notes, oldest first, without row values.
    pub notes: Vec<String>,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The ledger can't be read.
    #[error("the ledger can't be read")]
    Ledger(#[from] LedgerError),
    /// An outcome file can't be read.
    #[error("the outcomes of chunk {chunk} can't be read")]
    Outcomes {
        /// Chunk number.
        chunk: u64,
        /// Which file, and why.
        source: OutcomeError,
    },
    /// An outcome file is whole, but not the one the ledger knows.
    #[error(
        "the outcomes of chunk {chunk} can't be read: {} is not the file that the ledger knows",
        path.display()
    )]
    Exchanged {
        /// Chunk number.
        chunk: u64,
        /// The file.
        path: PathBuf,
    },
    /// The outcome files of a chunk tell something else than the ledger.
    #[error(
        "the outcomes of chunk {chunk} are {found} rows and not the {known} that the ledger tells \
         of, or have other fates ({})",
        path.display()
    )]
    Differs {
        /// Chunk number.
        chunk: u64,
        /// One of its files.
        path: PathBuf,
        /// Rows found.
        found: u64,
        /// Rows the ledger tells of.
        known: u64,
    },
}

impl Account {
    /// Reads the account of a run. Changes nothing, and may be called while
    /// another process works on the run: then it tells of a moment ago.
    ///
    /// # Errors
    /// [`AccountError`] when the ledger or an outcome file is damaged; it names
    /// the file and the chunk.
    pub fn read(ledger: &Ledger, folder: &RunFolder) -> Result<Account, AccountError> {
        // Chunks first: what is reconciled between the two readings counts as
        // pending then, and no attempt of a final chunk is missing.
        let chunks = ledger.chunks()?;
        let attempts = ledger.attempts()?;
        let sources = ledger.sources()?;
        let mut account = Account {
            chunks: chunks.len() as u64,
            source_rows: match sources.as_slice() {
                [] => None,
                sources => sources.iter().map(|source| source.rows).sum(),
            },
            notes: notes(ledger)?,
            ..Account::default()
        };
        let mut of_chunk: HashMap<u64, Vec<StoredAttempt>> = HashMap::new();
        for attempt in attempts {
            of_chunk.entry(attempt.chunk).or_default().push(attempt);
        }
        // For examples only; what is counted doesn't depend on it.
        let map = sources.first().and_then(|source| Derivation::of(source).ok()?);
        let map = map.and_then(|derivation| open_map(folder, &derivation.map?).ok());
        for chunk in &chunks {
            let attempts = of_chunk.remove(&chunk.chunk.number).unwrap_or_default();
            account.tally.add(&chunk.tally);
            account.sent += sent(chunk, &attempts);
            for attempt in &attempts {
                if let Some(mut job) = job(chunk, attempt) {
                    let first = RowNumber(job.first_row);
                    if let Some(Ok(row)) = map.as_ref().map(|map| map.row_of(first)) {
                        job.first_row = row.0;
                    }
                    account.jobs.insert((job.chunk, job.attempt), job);
                }
            }
            account.take_outcomes(chunk, &attempts, folder, map.as_ref())?;
        }
        Ok(account)
    }

    /// Counts the reasons of a chunk's rows that failed or were rejected, and
    /// checks that every row is there.
    fn take_outcomes(
        &mut self,
        chunk: &StoredChunk,
        attempts: &[StoredAttempt],
        folder: &RunFolder,
        map: Option<&RowMap>,
    ) -> Result<(), AccountError> {
        let number = chunk.chunk.number;
        let failed = |source| AccountError::Outcomes { chunk: number, source };
        let is_final = chunk.state == ChunkState::Reconciled;
        // Only these of a chunk whose other rows are still on their way.
        let rejected = chunk.chunk.rejected_file.as_ref().map(|name| (name, None));
        let settled = attempts.iter().filter(|_| is_final).filter_map(|attempt| {
            attempt.outcomes.as_ref().map(|outcomes| (&outcomes.file, Some(&outcomes.digest)))
        });
        let mut readers = Vec::new();
        let mut last = folder.outcome_dir();
        // What asking for the records told comes last. Its digest is in the file.
        let asked = chunk.settled_file.as_ref().filter(|_| is_final).map(|name| (name, None));
        for (name, digest) in rejected.into_iter().chain(settled).chain(asked) {
            let path = folder.outcome_dir().join(name);
            let reader = OutcomeReader::open(&path).map_err(failed)?;
            let known = digest.is_none_or(|digest| *digest == reader.digest());
            if reader.chunk() != number || !known {
                return Err(AccountError::Exchanged { chunk: number, path });
            }
            readers.push(reader);
            last = path;
        }
        let expected = if is_final {
            chunk.tally
        } else {
            let rejected = chunk.chunk.rejected;
            Tally { read: rejected, rejected, ..Tally::default() }
        };
        let mut found = Tally::default();
        for outcome in MergedOutcomes::over(readers).map_err(failed)? {
            let outcome = outcome.map_err(failed)?;
            found.read += 1;
            found.count(outcome.fate);
            let row = map.map_or(outcome.row, |map| map.row_of(outcome.row).unwrap_or(outcome.row));
            self.count_reason(&outcome, row);
        }
        if found != expected {
            let (found, known) = (found.read, expected.read);
            return Err(AccountError::Differs { chunk: number, path: last, found, known });
        }
        Ok(())
    }

    fn count_reason(&mut self, outcome: &RowOutcome, row: RowNumber) {
        let text = outcome.error.as_deref().unwrap_or_default();
        match outcome.fate {
            Fate::Failed => {
                let error = RowError::parse(text);
                self.failures.count(error.code, &error.masked_message(), row);
            }
            Fate::Rejected => self.failures.count(code_of(text), &kind_of(text), row),
            _ => {}
        }
    }
}

/// Rows of a chunk that went with a job whose close was attempted.
fn sent(chunk: &StoredChunk, attempts: &[StoredAttempt]) -> u64 {
    let mut parts: BTreeSet<RowNumber> = BTreeSet::new();
    for attempt in attempts.iter().filter(|attempt| attempt.times.closing.is_some()) {
        match &attempt.attempt.rows {
            None => return chunk.chunk.rows.len(),
            Some(rows) => parts.extend(rows.iter()),
        }
    }
    parts.len() as u64
}

/// The job of an attempt, if it came to one.
fn job(chunk: &StoredChunk, attempt: &StoredAttempt) -> Option<JobReport> {
    let carried = attempt.attempt.rows.as_ref().unwrap_or(&chunk.chunk.rows);
    Some(JobReport {
        id: attempt.job_id.clone()?,
        chunk: attempt.chunk,
        attempt: attempt.number,
        state: match attempt.state {
            AttemptState::Creating
            | AttemptState::Lost
            | AttemptState::Created
            | AttemptState::Uploading
            | AttemptState::Uploaded
            | AttemptState::Closing => JobState::Open,
            AttemptState::Closed => JobState::UploadComplete,
            AttemptState::Aborting | AttemptState::GivenUp | AttemptState::Aborted => {
                JobState::Aborted
            }
            AttemptState::Complete => JobState::JobComplete,
            AttemptState::Failed => JobState::Failed,
        },
        first_row: carried.first().map_or(0, |row| row.0),
        rows: carried.len(),
        bytes: attempt.attempt.body_bytes.unwrap_or(chunk.chunk.body.bytes),
        processed: attempt.processed.unwrap_or(0),
        failed: attempt.failed.unwrap_or(0),
        error: attempt.error.as_ref().map(|error| {
            if error.code.is_empty() {
                error.message.clone()
            } else {
                format!("{} : {}", error.code, error.message)
            }
        }),
    })
}

fn notes(ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
    let mut notes = ledger.notes()?;
    notes.truncate(MOST_NOTES);
    let told = |note: crate::ledger::NoteRecord| match note.chunk {
        Some(chunk) if !note.text.starts_with("chunk ") => format!("chunk {chunk}: {}", note.text),
        _ => note.text,
    };
    Ok(notes.into_iter().map(told).collect())
}

#[cfg(test)]
mod tests;
