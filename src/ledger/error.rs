//! Why the ledger can't do what was asked.

use std::path::{Path, PathBuf};

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
    #[error("the ledger is missing: {} does not exist", path.display())]
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
    #[error("{} can't be opened or written", path.display())]
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
    /// There is no run in it: the process died before it began one, or the
    /// file was cut to nothing.
    #[error("{} holds no run", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// SQLite finds it damaged.
    #[error("the ledger {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// It was not closed in order, and the log with its last steps is gone.
    #[error("the ledger {path} has lost its log: {path}-wal is missing", path = path.display())]
    LogMissing {
        /// The file whose log it is.
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
    /// SQLite failed: disk full, read-only.
    #[error("the ledger {} can't {action}", path.display())]
    Sql {
        /// The file.
        path: PathBuf,
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
    /// Wraps an error of SQLite with the file and what was being done.
    pub(super) fn sql(
        path: &Path,
        action: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> LedgerError {
        move |source| {
            use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
            let path = path.to_owned();
            match source.sqlite_error_code() {
                Some(DatabaseCorrupt | NotADatabase) => {
                    LedgerError::Damaged { path, what: source.to_string() }
                }
                _ => LedgerError::Sql { path, action, source },
            }
        }
    }

    /// What a person can do about it, in full sentences.
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            LedgerError::Missing { .. }
            | LedgerError::NotALedger { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::Corrupt { .. } => Some(
                "Without it the run can't go on, and what it sent is not lost: success.csv, \
                 failed.csv and their siblings in the run's folder have the fate of each row they \
                 hold, the files in outcomes/ that of every chunk that ended, and the org lists \
                 the jobs. Load the source again only when these tell which rows are left.",
            ),
            LedgerError::Empty { .. } => Some(
                "When the run's folder holds no outcome files, its process died before anything \
                 was sent, and the folder can be deleted. Otherwise the file was emptied: \
                 success.csv, failed.csv and the files in outcomes/ have what is known.",
            ),
            LedgerError::LogMissing { .. } => Some(
                "Put ledger.sqlite-wal back beside it. When another program opened the ledger \
                 after the process had died, it has taken the log in and nothing is missing: \
                 delete ledger.sqlite.lock then. Otherwise the run can't go on, since rows might \
                 be sent twice; success.csv, failed.csv and the files in outcomes/ have what is \
                 known.",
            ),
            LedgerError::Locked { .. } => {
                Some("Wait until it has ended, or end it first; `bulkhaul runs` shows its state.")
            }
            LedgerError::TooNew { .. } => {
                Some("Take a release that is at least as new as the one that began the run.")
            }
            LedgerError::Io { .. } | LedgerError::Sql { .. } => Some(
                "Free space where a disk is full, or give back the right to write; then `bulkhaul \
                 resume` goes on. What the ledger took before is safe.",
            ),
            _ => None,
        }
    }
}
