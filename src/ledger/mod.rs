//! The durable memory of a run, in SQLite.
//!
//! One file a run (`ledger.sqlite` in its folder), one writer at a time. It
//! holds what a later process needs to go on: the settings, the sources, the
//! chunks with their rows and bodies, and every attempt with the intent before
//! each remote step and the answer after it (I3). The fate of single rows is
//! *not* in here but in the outcome files, which are synced before the ledger
//! says reconciled; docs/ledger.md has the schema, the chart and a table with
//! a row for every possible crash.
//!
//! Constraints the code keeps:
//! - WAL with `synchronous=FULL`: when a method returns, its effect survives a
//!   power cut.
//! - Migrations are numbered, never changed once released, and run in one
//!   exclusive transaction over `user_version`.
//! - A ledger open for writing holds a lock on `ledger.sqlite.lock`; a second
//!   process is refused. Reading needs no lock. A mark in that file tells a
//!   ledger that lost its log from one that was closed in order.
//! - No row value and no secret is ever stored (I8). A job-level message names
//!   fields, so it may be.
//!
//! All calls block; each is one transaction.

mod earlier;
mod error;
mod export;
mod file;
mod lock;
mod read;
mod records;
mod schema;
mod shared;
mod write;

#[cfg(test)]
mod tests;

pub use earlier::{Earlier, EarlierRun, SourceIdentity, find_earlier};
pub use error::LedgerError;
pub use export::{ExportFile, ExportObject, ExportPart, PartState};
pub use file::Ledger;
pub use lock::{RunLock, is_worked_on};
pub use records::{
    AttemptOutcomes, AttemptRecord, Body, BodyKind, ChunkRecord, ChunkState, FileRecord, JobError,
    NoteRecord, OrgRecord, RunEnd, RunRecord, RunStatus, SourceRecord, StepDetail, StepTimes,
    StoredAttempt, StoredChunk, StoredRun,
};
pub use shared::SharedLedger;

/// What stands for the operation of an export.
const QUERY: &str = "query";

/// Name of the ledger in a run's folder.
pub const FILE_NAME: &str = "ledger.sqlite";
