//! What a resume may change of the settings of its run, and what it needs.

use std::time::Duration;

use crate::domain::FailureLimit;
use crate::mapping::Secrets;

/// Settings that a resume may change.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Jobs at a time.
    pub lanes: Option<usize>,
    /// Detach after this long.
    pub max_wait: Option<Duration>,
    /// Jobs that carry a row at most.
    pub row_attempts: Option<u8>,
    /// How many rows may go wrong.
    pub max_failures: Option<FailureLimit>,
    /// Percent of the allowances that are left to others.
    pub reserve: Option<u8>,
    /// Where the mapping of the run finds its secret.
    pub secrets: Secrets,
    /// Which rows of the source will be read.
    pub rows: RowsRead,
}

/// Which rows of the source a process will read that takes up a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RowsRead {
    /// Those that were not read yet.
    #[default]
    Rest,
    /// Any of them.
    Any,
    /// None: the run is to be closed.
    None,
}
