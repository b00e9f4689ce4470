//! The ledger in the hands of many tasks: each step off the async threads,
//! because a synced write waits for the disk.

use std::sync::Arc;

use super::{Ledger, LedgerError};

/// A ledger that tasks share. Cheap to clone.
#[derive(Clone)]
pub struct SharedLedger {
    ledger: Arc<Ledger>,
}

impl SharedLedger {
    /// Shares a ledger.
    pub fn new(ledger: Ledger) -> Self {
        SharedLedger { ledger: Arc::new(ledger) }
    }

    /// The ledger itself, for threads that may block.
    pub fn blocking(&self) -> &Ledger {
        &self.ledger
    }

    /// Does something with the ledger on a blocking thread and waits for it.
    ///
    /// # Errors
    /// What `work` says, or [`LedgerError::Interrupted`].
    ///
    /// # Cancel safety
    /// Dropping the future doesn't undo the work: it is done all the same.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ledger = Arc::clone(&self.ledger);
        match tokio::task::spawn_blocking(move || work(&ledger)).await {
            Ok(result) => result,
            Err(_) => Err(LedgerError::Interrupted),
        }
    }
}
