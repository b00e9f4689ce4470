//! Which rows of a chunk are due again, and the chunk's tally when none is.
//!
//! Goes by the outcome files and the ledger alone, so that a resume comes to
//! the same answer as the process that died (I2, I3).

use std::sync::Arc;

use jiff::Timestamp;

use super::carried::{Carried, earlier_files};
use super::lane::{LaneError, Pass};
use super::run::Run;
use crate::chunker::PlannedChunk;
use crate::domain::{
    Again, AttemptState, FailureGroups, Fate, JobFailureClass, MatchTier, Operation,
    ROWS_PER_BATCH, RowOutcome, RowRanges, Tally, may_send_again,
};
use crate::ledger::StoredAttempt;
use crate::reconciler::{MergedOutcomes, RowError};

/// What a chunk comes to.
pub(super) enum Judged {
    /// No job of it was ever closed.
    NothingSent,
    /// Every row has its last outcome.
    Final {
        /// The rows that were sent, by fate.
        tally: Tally,
        failures: FailureGroups,
        /// The attempts whose outcome files say so, oldest first.
        attempts: Vec<u32>,
    },
    /// These rows go again now.
    Due {
        /// The rows.
        part: Arc<Carried>,
        /// When the attempt before it came to its end.
        since: Option<Timestamp>,
    },
    /// What is left waits for the lock pass.
    ForLockPass,
}

/// What has to be known of the attempt that carried a row last.
struct LastJob {
    number: u32,
    whole: bool,
    ended: Ended,
}

/// How the attempt's job ended, as far as its unprocessed rows are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Sending them again would fail the same way.
    ForGood,
    /// Too many locks.
    Locks,
    /// It was stopped from outside: the allowance, an abort. That is no fault of
    /// the rows, so it doesn't count as one of their attempts.
    FromOutside,
    /// It completed, or failed for a reason that passes.
    Usual,
}

impl LastJob {
    fn of(attempt: &StoredAttempt) -> Self {
        let class = attempt.error.as_ref().map(|error| JobFailureClass::of(&error.code));
        let ended = match (attempt.state, class) {
            (AttemptState::Aborted, _) | (_, Some(JobFailureClass::Quota)) => Ended::FromOutside,
            (AttemptState::Failed, Some(JobFailureClass::Permanent) | None) => Ended::ForGood,
            (_, Some(JobFailureClass::Lock)) => Ended::Locks,
            _ => Ended::Usual,
        };
        LastJob {
            number: attempt.number,
            whole: attempt.outcomes.as_ref().is_some_and(|outcomes| outcomes.whole),
            ended,
        }
    }

    fn again(&self, outcome: &RowOutcome, limit: u8, protected: bool) -> Again {
        let mut limit = limit;
        if outcome.fate == Fate::Unprocessed {
            match self.ended {
                Ended::ForGood => return Again::No,
                Ended::FromOutside if limit > 0 => {
                    limit = limit.max(outcome.attempts.saturating_add(1));
                }
                Ended::FromOutside => {}
                Ended::Locks | Ended::Usual => {}
            }
        }
        let again = may_send_again(
            outcome.fate,
            outcome.error.as_deref(),
            outcome.attempts,
            limit,
            protected,
            self.whole,
        );
        match again {
            Again::Now if self.ended == Ended::Locks => Again::LockPass,
            again => again,
        }
    }
}

/// Whether a job's failure as a whole would meet any other job of the run.
pub(super) fn fails_for_good(message: &str) -> bool {
    JobFailureClass::of(message) == JobFailureClass::Permanent
}

/// Looks through the outcomes of a chunk's attempts.
pub(super) fn judge(
    run: &Arc<Run>,
    chunk: &Arc<PlannedChunk>,
    attempts: &[StoredAttempt],
    pass: Pass,
) -> Result<Judged, LaneError> {
    let accounted: Vec<LastJob> =
        attempts.iter().filter(|attempt| attempt.outcomes.is_some()).map(LastJob::of).collect();
    if accounted.is_empty() {
        return Ok(Judged::NothingSent);
    }
    let limit = if run.setup.closing { 0 } else { run.setup.request.row_attempts };
    let plan = &run.setup.plan;
    let protected = plan.protects(chunk.unique_text);
    let is_upsert = plan.operation == Operation::Upsert;
    let files = earlier_files(run, attempts, u32::MAX);
    let mut outcomes = MergedOutcomes::open(&files)?;
    let (mut now, mut locked) = (RowRanges::new(), RowRanges::new());
    let mut tally = Tally::default();
    let mut failures = FailureGroups::default();
    while let Some(outcome) = outcomes.next() {
        let outcome = outcome?;
        let job = accounted.get(outcomes.last_file());
        // An upsert row without a key may make a record each time it is sent.
        let has_key = !is_upsert || outcome.tier == Some(MatchTier::Key);
        let again = |job: &LastJob| job.again(&outcome, limit, protected && has_key);
        match job.map_or(Again::No, again) {
            Again::Now => now.push(outcome.row),
            Again::LockPass => locked.push(outcome.row),
            Again::No => {
                if outcome.fate == Fate::Failed {
                    let text = outcome.error.as_deref().unwrap_or_default();
                    let error = RowError::parse(text);
                    failures.count(error.code, &error.masked_message(), run.row_of(outcome.row));
                }
                tally.count(outcome.fate);
            }
        }
    }
    run.with_books(|books| books.judged(chunk.number, &tally));
    run.watch_failures();
    let due = match (pass, now.is_empty(), locked.is_empty()) {
        (_, true, true) => {
            let attempts = accounted.iter().map(|job| job.number).collect();
            return Ok(Judged::Final { tally, failures, attempts });
        }
        (Pass::Main, true, false) => return Ok(Judged::ForLockPass),
        (Pass::Main, false, _) => now,
        (Pass::Locks, ..) => first_of(&now, &locked, ROWS_PER_BATCH),
    };
    let last = attempts.last().map_or(0, |attempt| attempt.number);
    let since = attempts.last().and_then(|attempt| attempt.times.ended);
    Ok(Judged::Due { part: Carried::spooled(run, chunk, due, last, files)?, since })
}

/// The first rows of two sets together, at most `most`.
fn first_of(one: &RowRanges, other: &RowRanges, most: u64) -> RowRanges {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let next = || match (one.peek(), other.peek()) {
        (Some(left), Some(right)) if left < right => one.next(),
        (_, Some(_)) => other.next(),
        (_, None) => one.next(),
    };
    std::iter::from_fn(next).take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowNumber;

    fn rows(numbers: &[u64]) -> RowRanges {
        numbers.iter().map(|&number| RowNumber(number)).collect()
    }

    #[test]
    fn the_first_rows_of_both_sets_make_a_job() {
        let (one, other) = (rows(&[1, 4, 5, 9]), rows(&[2, 3, 10]));
        assert_eq!(first_of(&one, &other, 5), rows(&[1, 2, 3, 4, 5]));
        assert_eq!(first_of(&one, &rows(&[]), 9), one);
        assert_eq!(first_of(&rows(&[]), &other, 2), rows(&[2, 3]));
    }

    fn job(ended: Ended, whole: bool) -> LastJob {
        LastJob { number: 1, whole, ended }
    }

    fn outcome(fate: Fate, attempts: u8) -> RowOutcome {
        RowOutcome { row: RowNumber(1), fate, tier: None, attempts, id: None, error: None }
    }

    #[test]
    fn unprocessed_rows_go_again_unless_their_job_failed_for_good() {
        let again = |ended, whole, attempts| {
            job(ended, whole).again(&outcome(Fate::Unprocessed, attempts), 3, false)
        };
        assert_eq!(again(Ended::Usual, true, 1), Again::Now);
        assert_eq!(again(Ended::Usual, true, 3), Again::No);
        assert_eq!(again(Ended::Usual, false, 1), Again::No, "the sets don't add up");
        assert_eq!(again(Ended::ForGood, true, 1), Again::No);
        assert_eq!(again(Ended::Locks, true, 1), Again::LockPass);
        assert_eq!(again(Ended::FromOutside, true, 3), Again::Now, "no fault of theirs");
        assert_eq!(again(Ended::FromOutside, false, 1), Again::No);
    }

    #[test]
    fn what_was_saved_never_goes_again() {
        for fate in [Fate::Created, Fate::Updated, Fate::Deleted, Fate::Disputed] {
            for ended in [Ended::Usual, Ended::Locks, Ended::FromOutside, Ended::ForGood] {
                assert_eq!(job(ended, true).again(&outcome(fate, 1), 3, true), Again::No);
            }
        }
    }
}
