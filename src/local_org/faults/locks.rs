//! Parents that batches at work hold, for `parent-locks`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::local_org::ids::RecordKey;

/// Which batch holds which parent: the first one that touched it, until its
/// job ends. What a batch is held by is the number of its job and its own.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<RecordKey, (u64, u32)>>);

impl Locks {
    fn held(&self) -> MutexGuard<'_, HashMap<RecordKey, (u64, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another batch holds the parent; if nobody does, this one will.
    pub(super) fn is_held(&self, parent: RecordKey, batch: (u64, u32)) -> bool {
        *self.held().entry(parent).or_insert(batch) != batch
    }

    /// Lets go of all that a job holds.
    pub(super) fn release(&self, job: u64) {
        let mut held = self.held();
        if !held.is_empty() {
            held.retain(|_, (holder, _)| *holder != job);
        }
    }
}
