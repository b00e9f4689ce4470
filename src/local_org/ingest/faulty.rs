//! Faults on purpose of rows and jobs: where `faults` decides that one is due,
//! this says what it looks like.

use std::sync::Arc;

use super::header::JobError;
use super::job::Job;
use super::{Ingest, Inner};
use crate::local_org::faults::{Faults, JobFault, RowFault, fraction};
use crate::local_org::ids::RecordKey;
use crate::local_org::jobs::State;
use crate::local_org::store::Store;
use crate::local_org::value::RowError;

/// Objects that no row locks by pointing at them: the ids of users and record
/// types stand in every row.
const NO_PARENTS: [&str; 5] = ["005", "00G", "00e", "012", "00D"];

/// Faults of the rows of one unit of work.
pub(super) struct RowFaults<'a> {
    faults: &'a Faults,
    store: &'a Store,
    /// Number of the job, and of the batch within it.
    batch: (u64, u32),
    alone: bool,
}

impl<'a> RowFaults<'a> {
    /// For a batch of a job.
    pub(super) fn new(inner: &'a Inner, job: u64, batch: u32) -> RowFaults<'a> {
        // One worker: batches run one at a time, and nothing is held.
        let alone = inner.settings.workers == 1;
        RowFaults { faults: &inner.faults, store: &inner.store, batch: (job, batch), alone }
    }

    /// What is to befall a row that nothing is wrong with.
    pub(super) fn of(&self, row: u32) -> Option<RowFault> {
        self.faults.spec().row(self.batch.0, row)
    }

    /// Counts it; `false`: it must not strike any more.
    pub(super) fn strike(&self, fault: RowFault) -> bool {
        self.faults.take(fault.word())
    }

    /// Why a row can't have this parent just now.
    pub(super) fn parent(&self, parent: RecordKey, row: u32) -> Option<RowError> {
        let held = !self.alone
            && !NO_PARENTS.contains(&parent.prefix())
            && self.faults.parent_is_locked(parent, self.batch, row);
        held.then(|| locked(&parent.to_string()))
    }

    /// Why no record can be added.
    pub(super) fn storage(&self) -> Option<RowError> {
        // Without a limit nothing has to be counted.
        self.faults.spec().storage?;
        let full = self.faults.is_full(self.store.data_records());
        full.then(|| RowError::new("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded"))
    }
}

/// How a fault of a row is told; `named`: the record it names.
pub(super) fn told(fault: RowFault, named: &str) -> RowError {
    match fault {
        RowFault::Lock => locked(named),
        RowFault::Error | RowFault::ErrorSaved => RowError::new(
            "UNKNOWN_EXCEPTION",
            "An unexpected error occurred. Please include this ErrorId if you contact support: \
             1234567890-12345 (1234567890)",
        ),
        RowFault::Refused => RowError::new(
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "The record breaks a rule that the org's faults made up",
        ),
    }
}

fn locked(record: &str) -> RowError {
    RowError::new(
        "UNABLE_TO_LOCK_ROW",
        format!("unable to obtain exclusive access to this record or 200 records: {record}"),
    )
}

/// What is to befall a job at work: after so many of its units are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doom {
    fault: JobFault,
    /// Units that are worked before.
    pub after: usize,
}

/// Units that a doomed job is cut into at least, so that there is a middle.
const PARTS: u32 = 5;

/// Rows to a unit of a doomed job of so many rows.
pub(super) fn doomed_unit_rows(rows: u32, most: u32) -> u32 {
    (rows / PARTS).clamp(1, most)
}

impl Inner {
    /// What is to befall a job that begins.
    pub(super) fn fate(&self, job: u64) -> Option<JobFault> {
        self.faults.job(job)
    }

    /// The moment at which it befalls a job of `units` units.
    pub(super) fn doom(&self, job: u64, fault: JobFault, units: usize) -> Doom {
        let drawn = fraction(self.faults.spec().seed(), "moment", [job, 0]);
        let last = units.saturating_sub(1);
        // An abort may come before the first unit, a failure leaves both
        // worked rows and others.
        let first = usize::from(fault != JobFault::Aborted);
        let after = match fault {
            JobFault::Invalid => 0,
            _ => ((drawn * units as f64) as usize).max(first).min(last),
        };
        Doom { fault, after }
    }

    /// Lets it befall the job; an error fails it.
    pub(super) fn meet(&self, job: &Job, doom: Doom) -> Result<(), JobError> {
        if !self.faults.take(doom.fault.word()) {
            return Ok(());
        }
        let message = match doom.fault {
            JobFault::Invalid => "InvalidBatch : Unable to read the batch",
            JobFault::Fails => "InternalServerError : An unexpected error occurred",
            JobFault::TimesOut => "Timeout : The batch could not be processed in the time allowed",
            JobFault::Locks => {
                "TooManyLockFailure : Too many lock failure 200 trying to obtain exclusive access"
            }
            JobFault::QueryFails | JobFault::QueryTimesOut | JobFault::QueryAborted => {
                return Ok(());
            }
            JobFault::Aborted | JobFault::AbortedOpen => {
                let mut progress = job.progress();
                if !progress.state.is_terminal() {
                    self.enter(job, &mut progress, State::Aborted);
                }
                return Ok(());
            }
        };
        Err(JobError(message.to_owned()))
    }
}

impl Ingest {
    /// The faults of the org.
    pub(crate) fn faults(&self) -> &Arc<Faults> {
        &self.inner.faults
    }

    /// Lets somebody else abort an open job, if that is due at its upload or
    /// at its close.
    pub(super) fn meddle(&self, job: &Job, at_close: bool) {
        let mut progress = job.progress();
        if progress.state == State::Open && self.inner.faults.aborts_open(job.number, at_close) {
            self.inner.enter(job, &mut progress, State::Aborted);
        }
    }
}
