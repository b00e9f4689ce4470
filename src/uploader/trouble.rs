//! How long a chunk's upload puts up with trouble.

use std::time::Duration;

use tokio::time::Instant;

use crate::salesforce::{CallError, jitter};

/// Trouble without a break that is waited out, the same as the client's own
/// for a call it may repeat; a longer outage is for `resume`.
const PATIENCE: Duration = Duration::from_mins(10);
/// Failures in a row before the patience can be over: a large body on a slow
/// line may take longer than the patience to fail a single time.
const FEWEST: u32 = 3;
/// Ceiling of the first pause; doubles with each failure.
const FIRST_CEILING: Duration = Duration::from_millis(500);
/// Highest ceiling of a pause.
const HIGHEST_CEILING: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is honoured in full.
const RETRY_AFTER_CAP: Duration = Duration::from_mins(2);

/// Failures in a row of one step: fresh attempts of a chunk, or closing a job.
/// Its pauses are fully jittered, so that lanes that failed together don't
/// come back together.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Instant>,
    failures: u32,
}

impl Trouble {
    /// Takes a failure and tells how long to pause before the next try;
    /// `None` when the patience is over.
    pub(super) fn pause(&mut self, error: &CallError) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let mut pause = jitter(FIRST_CEILING.saturating_mul(1 << doublings).min(HIGHEST_CEILING));
        if let Some(asked) = error.retry_after {
            pause = pause.max(asked.min(RETRY_AFTER_CAP));
        }
        let over = since.elapsed() + pause > PATIENCE && self.failures >= FEWEST;
        (!over).then_some(pause)
    }
}
