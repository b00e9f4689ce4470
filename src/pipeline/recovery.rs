//! What a resume does with each chunk: a pure function of what the ledger
//! knows and what the org says. docs/ledger.md has the same as a table with a
//! row for every possible crash.
//!
//! Nothing is decided elsewhere: a lane does what [`next`] says, and `abort`
//! and the plan a person sees are drawn from it, too.

use std::collections::BTreeMap;

use crate::domain::{AttemptState, JobState};

/// What the ledger knows of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkFacts {
    /// Its number.
    pub number: u64,
    /// Rows it sends.
    pub rows: u64,
    /// Whether every row of it has its last outcome on disk.
    pub reconciled: bool,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptFacts>,
}

/// What the ledger knows of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFacts {
    /// Its number within the chunk.
    pub number: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Its job, once the org gave one.
    pub job: Option<String>,
    /// Whether its outcomes are on disk.
    pub accounted: bool,
}

/// What the org says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrgSays {
    /// It stands there, with so many rows worked.
    State(JobState, u64),
    /// It has no such job (any more).
    NoSuchJob,
    /// It does not answer just now.
    Nothing,
}

/// What a resume does next with a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: every row has its outcome.
    Done,
    /// Begin an attempt with all its rows: none was ever closed.
    Begin,
    /// Note that a create call was never answered, then go on as with no job.
    Lost {
        /// Attempt number.
        attempt: u32,
    },
    /// Abort a job that was never closed, then begin a fresh attempt.
    GiveUp {
        /// Attempt number.
        attempt: u32,
        /// Its job.
        job: String,
        /// Where the attempt stands.
        state: AttemptState,
    },
    /// Close a job that is still Open though its close was attempted.
    Close {
        /// Attempt number.
        attempt: u32,
        /// Its job.
        job: String,
    },
    /// Wait for the end of a job, then fetch its results. One that has ended
    /// is only asked once more.
    Watch {
        /// Attempt number.
        attempt: u32,
        /// Its job.
        job: String,
        /// Whether the ledger has seen its end.
        ended: bool,
    },
    /// The org no longer has the job: once that is certain, its rows are
    /// disputed.
    Gone {
        /// Attempt number.
        attempt: u32,
        /// Its job.
        job: String,
        /// Whether the ledger has seen its end.
        ended: bool,
    },
    /// Every job of it is accounted for: see which rows are due again, if any.
    Judge,
}

/// Decides what a resume does next with a chunk; `says` tells of a job by its
/// id.
pub fn next(chunk: &ChunkFacts, says: &dyn Fn(&str) -> OrgSays) -> Next {
    use AttemptState as S;
    // A chunk whose rows were all rejected has nothing to send.
    if chunk.reconciled || chunk.rows == 0 {
        return Next::Done;
    }
    let none_accounted = chunk.attempts.iter().all(|attempt| !attempt.accounted);
    let over = if none_accounted { Next::Begin } else { Next::Judge };
    let Some(last) = chunk.attempts.last() else { return over };
    if last.accounted {
        return over;
    }
    let attempt = last.number;
    let Some(job) = last.job.clone() else {
        return if last.state == S::Creating { Next::Lost { attempt } } else { over };
    };
    let said = says(&job);
    let ended = last.state.is_final();
    match (last.state, said) {
        (S::Lost | S::GivenUp, _) => over,
        // Never closed by us. Somebody else may have: then it is watched, which
        // the lane finds out by asking before it aborts.
        (S::Creating | S::Created | S::Uploading | S::Uploaded | S::Aborting, _) => {
            Next::GiveUp { attempt, job, state: last.state }
        }
        (_, OrgSays::NoSuchJob) => Next::Gone { attempt, job, ended },
        // The org's silence is not its word: closing asks first.
        (S::Closing, OrgSays::State(JobState::Open, _) | OrgSays::Nothing) => {
            Next::Close { attempt, job }
        }
        (S::Closing | S::Closed | S::Complete | S::Failed | S::Aborted, _) => {
            Next::Watch { attempt, job, ended }
        }
    }
}

/// What a resume will do, for a person to see before it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryPlan {
    /// Chunks whose rows all have their outcome, and these rows.
    pub done: (u64, u64),
    /// Chunks of which nothing was ever closed, and their rows.
    pub begin: (u64, u64),
    /// Jobs that were never closed and are aborted first.
    pub give_up: Vec<String>,
    /// Attempts whose create call was never answered.
    pub lost: u64,
    /// Jobs that are still Open though their close was attempted.
    pub close: Vec<String>,
    /// Jobs to wait for, and the rows in their chunks.
    pub watch: (Vec<String>, u64),
    /// Jobs that have ended; their results are fetched.
    pub fetch: (Vec<String>, u64),
    /// Jobs the org no longer has, and the rows that will be disputed.
    pub gone: (Vec<String>, u64),
    /// Chunks whose outcomes are looked through for rows due again.
    pub judge: u64,
    /// Where reading goes on; `None` when the source was read to its end.
    pub read_on_from: Option<u64>,
}

impl RecoveryPlan {
    /// Draws the plan of all chunks.
    pub fn of(
        chunks: &[ChunkFacts],
        answers: &BTreeMap<String, OrgSays>,
        read_on_from: Option<u64>,
    ) -> Self {
        let says = |job: &str| answers.get(job).copied().unwrap_or(OrgSays::Nothing);
        let mut plan = RecoveryPlan { read_on_from, ..RecoveryPlan::default() };
        let count = |place: &mut (u64, u64), rows: u64| {
            place.0 += 1;
            place.1 += rows;
        };
        for chunk in chunks {
            match next(chunk, &says) {
                Next::Done => count(&mut plan.done, chunk.rows),
                Next::Begin => count(&mut plan.begin, chunk.rows),
                Next::Lost { .. } => {
                    plan.lost += 1;
                    count(&mut plan.begin, chunk.rows);
                }
                Next::GiveUp { job, .. } => {
                    plan.give_up.push(job);
                    count(&mut plan.begin, chunk.rows);
                }
                Next::Close { job, .. } => plan.close.push(job),
                Next::Watch { job, .. } => {
                    let ended =
                        matches!(says(&job), OrgSays::State(state, _) if state.is_terminal());
                    let place = if ended { &mut plan.fetch } else { &mut plan.watch };
                    place.0.push(job);
                    place.1 += chunk.rows;
                }
                Next::Gone { job, .. } => {
                    plan.gone.0.push(job);
                    plan.gone.1 += chunk.rows;
                }
                Next::Judge => plan.judge += 1,
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests;
