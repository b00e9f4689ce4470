//! The life of an attempt: one job for one chunk.
//!
//! ```text
//!  creating ──▶ created ──▶ uploading ──▶ uploaded ──▶ closing ──▶ closed ──▶ terminal
//!     │            │            │             │            │                (JobComplete,
//!     │            └────────────┴─────────────┴──▶ aborting ─▶ aborted       Failed, Aborted)
//!     └──▶ lost (no reply to the create; nothing was ever sent to it)
//! ```
//!
//! Each step is written to the ledger *before* the remote call that it
//! announces (`…ing`) and after the answer (I3). Only a job whose close was
//! attempted can have processed anything, so an attempt may be given up for a
//! fresh one in every state before `closing`, and in none after it (I2, I5). A
//! job of ours that somebody else closed goes on as `closed`.

use serde::{Deserialize, Serialize};

use super::JobState;

/// Where an attempt stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The create call is about to go out.
    Creating,
    /// The create call got no answer; a job may exist, Open and without data.
    Lost,
    /// The org gave the job an id.
    Created,
    /// The upload is about to go out.
    Uploading,
    /// The org took the body.
    Uploaded,
    /// The close call is about to go out: from here on rows may be processed.
    Closing,
    /// The org confirmed the close.
    Closed,
    /// An abort of a job that was never closed is about to go out.
    Aborting,
    /// The job was given up before it was closed; it processed nothing.
    GivenUp,
    /// The job ended `JobComplete`.
    Complete,
    /// The job ended `Failed`.
    Failed,
    /// The job ended `Aborted` after its close was attempted.
    Aborted,
}

impl AttemptState {
    /// Whether nothing more will happen to the attempt's job by our doing.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            AttemptState::Lost
                | AttemptState::GivenUp
                | AttemptState::Complete
                | AttemptState::Failed
                | AttemptState::Aborted
        )
    }

    /// Whether the job may have processed rows.
    pub const fn may_have_processed(self) -> bool {
        matches!(
            self,
            AttemptState::Closing
                | AttemptState::Closed
                | AttemptState::Complete
                | AttemptState::Failed
                | AttemptState::Aborted
        )
    }

    /// The word the ledger stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptState::Creating => "creating",
            AttemptState::Lost => "lost",
            AttemptState::Created => "created",
            AttemptState::Uploading => "uploading",
            AttemptState::Uploaded => "uploaded",
            AttemptState::Closing => "closing",
            AttemptState::Closed => "closed",
            AttemptState::Aborting => "aborting",
            AttemptState::GivenUp => "given_up",
            AttemptState::Complete => "complete",
            AttemptState::Failed => "failed",
            AttemptState::Aborted => "aborted",
        }
    }

    /// The state stored as this word.
    pub fn from_word(word: &str) -> Option<Self> {
        use AttemptState as S;
        [
            S::Creating,
            S::Lost,
            S::Created,
            S::Uploading,
            S::Uploaded,
            S::Closing,
            S::Closed,
            S::Aborting,
            S::GivenUp,
            S::Complete,
            S::Failed,
            S::Aborted,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// What happens to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptEvent {
    /// The create call was answered with an id.
    JobCreated,
    /// The create call was refused: certainly no job.
    CreateRefused,
    /// Nobody knows whether the create call happened.
    CreateUnanswered,
    /// The upload starts.
    UploadStarted,
    /// The org answered that it took the body.
    BodyTaken,
    /// The close call starts.
    CloseStarted,
    /// The org showed the job in a state after Open.
    CloseSeen,
    /// The attempt is given up; its abort starts.
    GiveUp,
    /// The org answered the abort, or no longer has the job.
    AbortSeen,
    /// The org showed the job in a terminal state.
    Ended(JobState),
}

/// An event that can't happen in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attempt that is {} can't meet {event:?}", state.as_str())]
pub struct InvalidStep {
    /// Where the attempt stood.
    pub state: AttemptState,
    /// What was said to have happened.
    pub event: AttemptEvent,
}

/// The state after an event; see the chart in the module's description.
///
/// # Errors
/// [`InvalidStep`] when the event can't happen in that state; the caller has
/// a bug or the org contradicts itself, and nothing may be written.
pub const fn step(state: AttemptState, event: AttemptEvent) -> Result<AttemptState, InvalidStep> {
    use AttemptEvent as E;
    use AttemptState as S;
    Ok(match (state, event) {
        (S::Creating, E::JobCreated) => S::Created,
        (S::Creating, E::CreateRefused) | (S::Aborting, E::AbortSeen) => S::GivenUp,
        (S::Creating, E::CreateUnanswered) => S::Lost,
        (S::Created, E::UploadStarted) => S::Uploading,
        (S::Uploading, E::BodyTaken) => S::Uploaded,
        (S::Uploaded, E::CloseStarted) => S::Closing,
        // Before `closing` it was somebody else who closed it.
        (S::Created | S::Uploading | S::Uploaded | S::Closing | S::Aborting, E::CloseSeen) => {
            S::Closed
        }
        (S::Created | S::Uploading | S::Uploaded, E::GiveUp) => S::Aborting,
        // A close whose answer was lost can show itself only at the end.
        (S::Closing | S::Closed, E::Ended(JobState::JobComplete)) => S::Complete,
        (S::Closing | S::Closed, E::Ended(JobState::Failed)) => S::Failed,
        (S::Closing | S::Closed, E::Ended(JobState::Aborted)) => S::Aborted,
        // Somebody else ended a job that we had not closed yet.
        (
            S::Created | S::Uploading | S::Uploaded,
            E::Ended(JobState::Aborted | JobState::Failed),
        ) => S::GivenUp,
        _ => return Err(InvalidStep { state, event }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_life_ends_complete() {
        let events = [
            AttemptEvent::JobCreated,
            AttemptEvent::UploadStarted,
            AttemptEvent::BodyTaken,
            AttemptEvent::CloseStarted,
            AttemptEvent::CloseSeen,
            AttemptEvent::Ended(JobState::JobComplete),
        ];
        let end = events.into_iter().try_fold(AttemptState::Creating, step).unwrap();
        assert_eq!(end, AttemptState::Complete);
        assert!(end.is_final());
    }

    #[test]
    fn nothing_is_given_up_once_a_close_was_attempted() {
        for state in [AttemptState::Closing, AttemptState::Closed] {
            assert!(step(state, AttemptEvent::GiveUp).is_err());
            assert!(state.may_have_processed());
        }
    }

    #[test]
    fn words_are_read_back() {
        assert_eq!(AttemptState::from_word("given_up"), Some(AttemptState::GivenUp));
        assert_eq!(AttemptState::from_word("nonsense"), None);
    }
}
