//! Why the ledger can't do what was asked.

use std::path::PathBuf;

use crate::domain::{AttemptState, InvalidStep};

/// An error of the ledger. Nothing was written when one is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is a ledger already where a new one should go.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no ledger.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another process works on this run.
    #[error("another process works on this run: {} is locked", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{} can't be opened", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is some other SQLite file, or none at all.
    #[error("{} is no ledger of bulkhaul", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote this ledger.
    #[error("the ledger has version {found}, this release knows versions up to {known}")]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// SQLite failed: disk full, read-only, damaged.
    #[error("the ledger can't {action}")]
    Sql {
        /// What was being done, as an infinitive.
        action: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Something in the ledger is not what this release writes.
    #[error("the ledger holds `{value}` as {what}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What stands there; never a row value, there are none in a ledger.
        value: String,
    },
    /// No such chunk.
    #[error("chunk {chunk} is not in the ledger")]
    NoChunk {
        /// Its number.
        chunk: u64,
    },
    /// No such attempt.
    #[error("attempt {attempt} of chunk {chunk} is not in the ledger")]
    NoAttempt {
        /// Chunk number.
        chunk: u64,
        /// Attempt number.
        attempt: u32,
    },
    /// The thread that wrote broke off; whether it wrote is not known.
    #[error("a write to the ledger broke off")]
    Interrupted,
    /// A new attempt could send rows twice (I2).
    #[error(
        "chunk {chunk} can't have a new attempt: attempt {attempt} is {} and not accounted for",
        state.as_str()
    )]
    NotAgain {
        /// Chunk number.
        chunk: u64,
        /// The attempt in the way.
        attempt: u32,
        /// Where it stands.
        state: AttemptState,
    },
    /// A job was created and no id was given.
    #[error("attempt {attempt} of chunk {chunk}: a created job needs its id")]
    NoJobId {
        /// Chunk number.
        chunk: u64,
        /// Attempt number.
        attempt: u32,
    },
    /// The event can't happen in the attempt's state.
    #[error("attempt {attempt} of chunk {chunk} can't move on")]
    Step {
        /// Chunk number.
        chunk: u64,
        /// Attempt number.
        attempt: u32,
        /// Which event met which state.
        source: InvalidStep,
    },
    /// A chunk was said to be reconciled with a tally that isn't whole (I1).
    #[error("chunk {chunk} has {rows} rows and {settled} outcomes")]
    NotConserved {
        /// Chunk number.
        chunk: u64,
        /// Rows read in it.
        rows: u64,
        /// Outcomes in the tally.
        settled: u64,
    },
}

impl LedgerError {
    /// Wraps an error of SQLite with what was being done.
    pub(super) fn sql(action: &'static str) -> impl FnOnce(rusqlite::Error) -> LedgerError {
        move |source| LedgerError::Sql { action, source }
    }
}
