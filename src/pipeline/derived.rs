//! A source that was made from another one: the rows of one parent together,
//! or the rows of an earlier run. All stages work on it by position; people
//! are told rows of the original.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::RunFolder;
use super::original::{Reopening, reopen};
use crate::domain::{RowNumber, Tally};
use crate::ledger::SourceRecord;
use crate::reader::{Source, SourceIdentity, SourceOptions};
use crate::rows::{GroupIndex, RowMap, SourceError};

/// How a source came about, as the ledger keeps it. File names are relative to
/// the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Derivation {
    /// Why it was made: `grouped` or `retry`.
    pub(super) kind: String,
    /// The file it was made from.
    pub(super) original: Option<Original>,
    /// The row map; without one the source is the user's own file.
    pub(super) map: Option<String>,
    /// The index of its groups.
    pub(super) index: Option<String>,
    /// The column by which it is grouped.
    pub(super) group_by: Option<String>,
    /// What a retry takes up.
    #[serde(default)]
    pub(super) retry: Option<RetryOf>,
}

/// What a retry takes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RetryOf {
    /// The counts of the original load as they were before this retry.
    pub(super) origin: Origin,
    /// The rows taken up, by the fate they had; `read` counts those that the
    /// original had read, so that what it leaves was pending.
    pub(super) taken: Tally,
    /// Those of them that were sent before.
    pub(super) taken_sent: u64,
    /// All rows taken up, also those that the original never came to read.
    pub(super) rows: u64,
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
    pub(super) fn origin_with(&self, tally: &Tally, sent: u64) -> Origin {
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
    let retry = Derivation::of(source).ok()??.retry?;
    Some(retry.origin_with(tally, sent))
}

/// The user's own file that a source is, or was made from.
pub fn original_path(source: &SourceRecord) -> PathBuf {
    let derivation = Derivation::of(source).ok().flatten();
    let original = derivation.and_then(|derivation| derivation.original);
    original.map_or_else(|| source.path.clone(), |original| original.path)
}

/// The file a source was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Original {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it is known by.
    pub(super) identity: SourceIdentity,
}

/// Why a derived source can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// The ledger's word on it can't be understood.
    #[error("the ledger's word on how the source was made can't be understood")]
    Unknown(#[source] serde_json::Error),
    /// A file of it can't be read.
    #[error("{} can't be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The original can't be read, or was changed.
    #[error("the file that the rows come from can't be read")]
    Original(#[source] SourceError),
}

/// What the stages need of it beside the source itself.
#[derive(Debug, Clone)]
pub(super) struct Derived {
    /// Positions to rows of the original.
    pub(super) map: Arc<RowMap>,
    /// The original, where result files take their columns and order from it;
    /// `None` where they take them from the derived file.
    pub(super) original: Option<Source>,
    /// What a retry takes up.
    pub(super) retry: Option<RetryOf>,
}

impl Derived {
    /// The row of the original at a position. Where the map can't be read the
    /// position has to do: it is for people only.
    pub(super) fn row_of(&self, position: RowNumber) -> RowNumber {
        self.map.row_of(position).unwrap_or(position)
    }
}

impl Derivation {
    /// What the ledger says of a source.
    pub(super) fn of(record: &SourceRecord) -> Result<Option<Self>, DerivedError> {
        let stored = record.derivation.clone();
        stored.map(serde_json::from_value).transpose().map_err(DerivedError::Unknown)
    }

    /// Where the source lies: one of ours in the run's folder, wherever that is
    /// by now.
    pub(super) fn path(&self, folder: &RunFolder, recorded: &Path) -> PathBuf {
        match (&self.map, recorded.file_name()) {
            (Some(_), Some(name)) => folder.path().join(name),
            _ => recorded.to_owned(),
        }
    }

    /// Opens the row map and the original behind it.
    pub(super) fn open(
        &self,
        folder: &RunFolder,
        record: &SourceRecord,
        options: &SourceOptions,
    ) -> Result<Option<Derived>, DerivedError> {
        let Some(map) = &self.map else { return Ok(None) };
        let map = open_map(folder, map)?;
        let original = match &self.original {
            // Rows in another order than theirs are written by the original.
            Some(_) if !map.is_ascending() => {
                Some(reopen(record, folder, options).map_err(|error| match error {
                    Reopening::Source(error) => DerivedError::Original(error),
                    Reopening::Changed { path, .. } => {
                        DerivedError::Original(SourceError::Changed { path })
                    }
                    Reopening::Unknown(error) => DerivedError::Unknown(error),
                })?)
            }
            _ => None,
        };
        let retry = self.retry.clone();
        Ok(Some(Derived { map: Arc::new(map), original, retry }))
    }

    /// Opens the index of its groups.
    pub(super) fn groups(&self, folder: &RunFolder) -> Result<Option<GroupIndex>, DerivedError> {
        let Some(index) = &self.index else { return Ok(None) };
        let path = folder.path().join(index);
        GroupIndex::open(&path).map(Some).map_err(|source| DerivedError::Io { path, source })
    }
}

/// Opens a row map of a run's folder.
pub(super) fn open_map(folder: &RunFolder, name: &str) -> Result<RowMap, DerivedError> {
    let path = folder.path().join(name);
    RowMap::open(&path).map_err(|source| DerivedError::Io { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_adds_up_with_the_rows_of_its_retry() {
        // 100 rows read: 90 saved, 4 failed, 3 rejected, 1 disputed, 2 pending.
        // The failed and pending ones go again, with 5 that were never read.
        let tally = Tally {
            read: 100,
            created: 90,
            failed: 4,
            rejected: 3,
            disputed: 1,
            ..Tally::default()
        };
        let retry = RetryOf {
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
