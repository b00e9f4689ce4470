//! Why a run could not even wind down in order.

use super::{PreflightError, SettleError};
use crate::ledger::LedgerError;
use crate::reconciler::{OutcomeError, ResultError};
use crate::rows::SourceError;
use crate::salesforce::CallError;

/// Why a run could not even wind down in order.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The ledger can't be made or written.
    #[error("the ledger can't be written")]
    Ledger(#[from] LedgerError),
    /// Refused at the last moment; nothing was sent and there is no run folder.
    #[error("refused")]
    Refused(#[source] PreflightError),
    /// The org refused the very first job; nothing was sent and there is no
    /// run folder.
    #[error("the org refuses such a job")]
    FirstJob(#[source] CallError),
    /// A result file can't be written.
    #[error("the result files can't be written")]
    Results(#[from] ResultError),
    /// An outcome file can't be read or written.
    #[error("the outcomes can't be kept")]
    Outcomes(#[from] OutcomeError),
    /// The source can't be read (any more).
    #[error("the source can't be read")]
    Source(#[from] SourceError),
    /// Disputed rows can't be settled; the run is as it was.
    #[error("the disputed rows can't be settled")]
    Settle(#[source] SettleError),
    /// A stage broke off; this is a bug in bulkhaul.
    #[error("a stage broke off: {0}")]
    Stage(String),
}
