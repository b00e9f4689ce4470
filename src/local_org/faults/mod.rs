//! Faults the org makes on purpose: which, when, and how often.
//!
//! | part | what it is |
//! |---|---|
//! | `spec`, `names`, `parse` | the language of `--faults` (docs/local-org.md) |
//! | `draw` | decisions: a pure function of seed, fault and running number |
//! | `calls` | faults of HTTP calls, around their handlers |
//! | `body` | bodies that break, stall or end early |
//! | `wire` | connections that can be reset |
//! | `locks` | parents held by batches at work |
//!
//! Faults of rows and jobs strike in `ingest`. A fault never leaves the org
//! inconsistent: what it did is committed, whatever the client is told.

mod body;
mod calls;
mod draw;
mod locks;
mod names;
mod parse;
mod spec;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ids::RecordKey;
pub(crate) use calls::{around, late};
pub(crate) use draw::fraction;
use locks::Locks;
pub use parse::FaultError;
pub use spec::FaultSpec;
use spec::{Call, CallFault};
pub(crate) use spec::{JobFault, RowFault};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Struck {
    call: Call,
    fault: CallFault,
    /// A number to place the fault within a body.
    place: u64,
}

impl Struck {
    fn name(self) -> String {
        format!("{}:{}", self.call.word(), self.fault.name())
    }
}

/// The faults of a running org: what is to come, and what there was.
#[derive(Debug)]
pub(crate) struct Faults {
    spec: FaultSpec,
    /// Calls so far, by kind.
    calls: [AtomicU64; Call::COUNT],
    /// Calls so far, of all kinds.
    all: AtomicU64,
    total: AtomicU64,
    injected: Mutex<BTreeMap<String, u64>>,
    locks: Locks,
}

impl Faults {
    /// For an org that starts.
    pub(crate) fn new(spec: &FaultSpec) -> Faults {
        Faults {
            spec: spec.clone(),
            calls: std::array::from_fn(|_| AtomicU64::new(0)),
            all: AtomicU64::new(0),
            total: AtomicU64::new(0),
            injected: Mutex::default(),
            locks: Locks::default(),
        }
    }

    /// What was asked for.
    pub(crate) fn spec(&self) -> &FaultSpec {
        &self.spec
    }

    /// How many faults there were, by name.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time for faults is over.
    fn is_calm(&self) -> bool {
        let calls = self.all.load(Ordering::Relaxed);
        self.spec.calm_after.is_some_and(|most| calls > most)
            || self.spec.limit.is_some_and(|most| self.total.load(Ordering::Relaxed) >= most)
    }

    /// Counts a fault that is about to strike; `false`: it must not, the limit
    /// is reached.
    pub(crate) fn take(&self, name: &str) -> bool {
        if self.is_calm() {
            return false;
        }
        let limit = self.spec.limit.unwrap_or(u64::MAX);
        let more = |total| if total < limit { Some(total + 1) } else { None };
        if self.total.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return false;
        }
        tracing::debug!(fault = name, "the local org makes a fault");
        let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        *injected.entry(name.to_owned()).or_default() += 1;
        true
    }

    /// Numbers a call; gives by how many milliseconds the org's clock jumps
    /// at it, and the fault that strikes it.
    fn on_call(&self, call: Call) -> (i64, Option<Struck>) {
        let counter = self.calls.get(call as usize);
        let number = counter.map_or(0, |counter| counter.fetch_add(1, Ordering::AcqRel)) + 1;
        let all = self.all.fetch_add(1, Ordering::AcqRel) + 1;
        if self.is_calm() {
            return (0, None);
        }
        let jump = self.spec.jump(all);
        let jump = if jump != 0 && self.take("clock") { jump } else { 0 };
        (jump, self.spec.strikes(call, number))
    }

    /// Calls a session is good for.
    pub(crate) fn session_calls(&self) -> Option<u64> {
        self.spec.session_calls.filter(|_| !self.is_calm())
    }

    /// What is to befall a job while it is worked. It strikes, and counts,
    /// with [`Faults::take`].
    pub(crate) fn job(&self, job: u64) -> Option<JobFault> {
        self.spec.job(job, JobFault::at_work).filter(|_| !self.is_calm())
    }

    /// What is to befall a query job while it is worked, and how much of its
    /// records, as a fraction, are read before.
    pub(crate) fn query_job(&self, job: u64) -> Option<(JobFault, f64)> {
        let fault = self.spec.job(job, JobFault::at_query).filter(|_| !self.is_calm())?;
        Some((fault, fraction(self.spec.seed(), "query-moment", [job, 0])))
    }

    /// Whether somebody else aborts an open job, at its upload or at its close.
    pub(crate) fn aborts_open(&self, job: u64, at_close: bool) -> bool {
        self.spec.job(job, |fault| fault == JobFault::AbortedOpen).is_some_and(|fault| {
            let late = fraction(self.spec.seed(), "open", [job, 0]) >= 0.5;
            late == at_close && self.take(fault.word())
        })
    }

    /// Whether a row fails because a parent of it is held by another batch.
    /// Otherwise its batch holds the parent until its job ends.
    pub(crate) fn parent_is_locked(&self, parent: RecordKey, batch: (u64, u32), row: u32) -> bool {
        let Some(share) = self.spec.parent_locks else { return false };
        if !self.locks.is_held(parent, batch) || self.is_calm() {
            return false;
        }
        let hit = share.hits(self.spec.seed(), "parent-locks", [batch.0, u64::from(row)]);
        hit && self.take("parent-locks")
    }

    /// A job has ended: it holds no parent any more.
    pub(crate) fn release(&self, job: u64) {
        self.locks.release(job);
    }

    /// Whether there is no room for one more record beside `records`.
    pub(crate) fn is_full(&self, records: u64) -> bool {
        self.spec.storage.is_some_and(|most| records >= most) && self.take("storage")
    }
}
