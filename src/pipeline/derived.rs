//! A source that was made from another one: its rows are counted by position
//! within the process, and by their number in the original wherever people see
//! them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{RowNumber, Tally};
use crate::ledger::SourceRecord;
use crate::rows::RowMap;

/// The rows of a retry, in its run folder.
pub(super) const RETRY_CSV: &str = "retry.csv";
/// Which row of the original each of them is.
pub(super) const RETRY_ROWS: &str = "retry.rows";

/// How a source was made; the ledger keeps it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Derivation {
    /// From the rows of an earlier run that did not succeed.
    Retry(RetryOf),
}

/// What a retry takes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOf {
    /// File name of the original source, as result files call it.
    pub source: String,
    /// The counts of the original load as they were before this retry.
    pub origin: Origin,
    /// The rows taken up, by the fate they had; `read` counts those that the
    /// original had read, so that what it leaves was pending.
    pub taken: Tally,
    /// Those of them that were sent before.
    pub taken_sent: u64,
    /// All rows taken up, also those that the original never came to read.
    pub rows: u64,
}

/// The counts of a load with what its retries made of them (I1 holds on them).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run that began it.
    pub run_id: String,
    /// Its rows by fate.
    pub tally: Tally,
    /// Its rows that were sent.
    pub sent: u64,
}

impl RetryOf {
    /// The original's counts with the new fates of the rows taken up in the
    /// place of the old ones.
    pub fn origin_with(&self, tally: &Tally, sent: u64) -> Origin {
        let (before, taken) = (&self.origin.tally, &self.taken);
        let part = |before: u64, taken: u64, now: u64| before.saturating_sub(taken) + now;
        let sent_before = self.origin.sent.saturating_sub(self.taken_sent);
        Origin {
            run_id: self.origin.run_id.clone(),
            tally: Tally {
                read: part(before.read, taken.read, self.rows),
                rejected: part(before.rejected, taken.rejected, tally.rejected),
                created: part(before.created, taken.created, tally.created),
                updated: part(before.updated, taken.updated, tally.updated),
                deleted: part(before.deleted, taken.deleted, tally.deleted),
                failed: part(before.failed, taken.failed, tally.failed),
                unprocessed: part(before.unprocessed, taken.unprocessed, tally.unprocessed),
                disputed: part(before.disputed, taken.disputed, tally.disputed),
            },
            sent: sent_before + self.taken_sent.max(sent),
        }
    }
}

/// The original's counts that a run of this source comes to, if it is a retry.
pub fn origin_of(source: &SourceRecord, tally: &Tally, sent: u64) -> Option<Origin> {
    let Derivation::Retry(retry) = derivation_of(source).ok()??;
    Some(retry.origin_with(tally, sent))
}

/// How a source was made, if it was made from another one.
fn derivation_of(source: &SourceRecord) -> io::Result<Option<Derivation>> {
    let Some(value) = &source.derivation else { return Ok(None) };
    let read = serde_json::from_value(value.clone());
    read.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A source of a run that was made from another one.
#[derive(Debug, Clone)]
pub struct Derived {
    /// How it was made.
    pub derivation: Derivation,
    /// Which row of the original stands at a position.
    pub map: Arc<RowMap>,
}

impl Derived {
    /// Opens what belongs to a source in its run folder; `None` for a file of
    /// the user's.
    ///
    /// # Errors
    /// What the system says, or that the row map is damaged.
    pub fn open(folder: &Path, source: &SourceRecord) -> io::Result<Option<Derived>> {
        let Some(derivation) = derivation_of(source)? else { return Ok(None) };
        let map = Arc::new(RowMap::open(&folder.join(RETRY_ROWS))?);
        Ok(Some(Derived { derivation, map }))
    }

    /// What the original file is called.
    pub fn name(&self) -> &str {
        let Derivation::Retry(retry) = &self.derivation;
        &retry.source
    }

    /// The original's number of the row at a position.
    ///
    /// # Errors
    /// As [`RowMap::row_of`].
    pub fn told(&self, position: RowNumber) -> io::Result<RowNumber> {
        self.map.row_of(position)
    }

    /// The original's counts with those of this run.
    pub fn origin(&self, tally: &Tally, sent: u64) -> Option<Origin> {
        let Derivation::Retry(retry) = &self.derivation;
        Some(retry.origin_with(tally, sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_adds_up_with_the_rows_of_its_retry() {
        // 100 rows read, 90 saved, 4 failed, 3 rejected, 1 disputed, 2 pending;
        // the failed and pending ones go again, with 5 never read.
        let tally = Tally {
            read: 100,
            created: 90,
            failed: 4,
            rejected: 3,
            disputed: 1,
            ..Tally::default()
        };
        let retry = RetryOf {
            source: "a.csv".to_owned(),
            origin: Origin { run_id: "r".to_owned(), tally, sent: 95 },
            taken: Tally { read: 6, failed: 4, ..Tally::default() },
            taken_sent: 4,
            rows: 11,
        };
        let nothing_yet = retry.origin_with(&Tally::default(), 0);
        assert_eq!((nothing_yet.tally.read, nothing_yet.tally.pending()), (105, 11));
        assert_eq!(nothing_yet.sent, 95);
        let now = Tally { read: 11, created: 10, failed: 1, ..Tally::default() };
        let with = retry.origin_with(&now, 11);
        assert_eq!((with.tally.created, with.tally.failed, with.tally.pending()), (100, 1, 0));
        assert_eq!((with.tally.rejected, with.tally.disputed, with.sent), (3, 1, 102));
    }
}
