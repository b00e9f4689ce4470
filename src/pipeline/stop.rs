//! The word to wind down, given once and heard by every stage.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::Reason;
use crate::salesforce::CallError;

/// Why a run winds down before its end.
#[derive(Debug, Clone)]
pub enum StopReason {
    /// The user or the system asked (Ctrl-C, SIGTERM).
    Signal,
    /// `--max-wait` is over.
    MaxWait,
    /// The org can't be reached, or does not answer.
    Unreachable(String),
    /// The org grants no more for now.
    Allowance(String),
    /// A limit the user set was reached: `--max-failures`, `--canary`.
    UserLimit(String),
    /// Somebody else ended a job of this run in the org.
    EndedByOthers(String),
    /// Something has to be repaired before anybody can go on.
    Repair {
        /// What, in a clause.
        text: String,
        /// The call behind it, if it was one.
        call: Option<CallError>,
    },
}

impl StopReason {
    /// Something to repair that no call told of.
    pub fn repair(text: impl Into<String>) -> Self {
        StopReason::Repair { text: text.into(), call: None }
    }

    /// What it means for the end of the run.
    pub const fn reason(&self) -> Reason {
        match self {
            StopReason::Repair { .. } => Reason::Broken,
            StopReason::UserLimit(_) => Reason::UserLimit,
            _ => Reason::Interrupted,
        }
    }

    /// Whether jobs that were closed are left to themselves (I5). For the
    /// other reasons no new ones are begun, and those at work are carried to
    /// their end: their results can be had.
    const fn detaches(&self) -> bool {
        matches!(self, StopReason::Signal | StopReason::MaxWait | StopReason::Unreachable(_))
    }

    /// Whether jobs at work are aborted in the org.
    const fn aborts(&self) -> bool {
        matches!(self, StopReason::UserLimit(_))
    }

    /// Of two reasons the graver stands, of two alike the first.
    fn replaces(&self, other: &StopReason) -> bool {
        self.reason() > other.reason()
    }

    /// One clause for people.
    pub fn describe(&self) -> String {
        match self {
            StopReason::Signal => "asked to stop".to_owned(),
            StopReason::MaxWait => "the time of --max-wait is over".to_owned(),
            StopReason::Unreachable(why) => format!("the org can't be reached ({why})"),
            StopReason::Allowance(why) => format!("the org's allowance is used up ({why})"),
            StopReason::UserLimit(what) | StopReason::EndedByOthers(what) => what.clone(),
            StopReason::Repair { text, .. } => text.clone(),
        }
    }
}

/// What the stages hear.
#[derive(Debug, Clone, Default)]
struct Word {
    reason: Option<StopReason>,
    detach: bool,
    abort: bool,
}

/// A switch from running to winding down. The first reason stands, except that
/// a graver one replaces it.
#[derive(Debug, Clone)]
pub struct Stop {
    word: Arc<watch::Sender<Word>>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { word: Arc::new(watch::Sender::new(Word::default())) }
    }
}

impl Stop {
    /// Asks every stage to wind down.
    pub fn ask(&self, reason: StopReason) {
        self.word.send_modify(|word| {
            word.detach |= reason.detaches();
            word.abort |= reason.aborts();
            if word.reason.as_ref().is_none_or(|known| reason.replaces(known)) {
                word.reason = Some(reason);
            }
        });
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> Option<StopReason> {
        self.word.borrow().reason.clone()
    }

    /// Whether the run winds down: nothing new is begun.
    pub fn is_asked(&self) -> bool {
        self.word.borrow().reason.is_some()
    }

    /// Waits until the run winds down.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn asked(&self) {
        self.heard(|word| word.reason.is_some()).await;
    }

    /// Waits until the run winds down in a way that leaves closed jobs to
    /// themselves.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn detached(&self) {
        self.heard(|word| word.detach).await;
    }

    /// Waits until jobs at work are to be aborted.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn aborting(&self) {
        self.heard(|word| word.abort).await;
    }

    async fn heard(&self, wanted: impl FnMut(&Word) -> bool) {
        let mut word = self.word.subscribe();
        // The sender lives in `self`, so this ends by the word alone.
        let _ = word.wait_for(wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands_unless_a_repair_is_needed() {
        let stop = Stop::default();
        assert!(!stop.is_asked());
        stop.ask(StopReason::Signal);
        stop.ask(StopReason::MaxWait);
        assert!(matches!(stop.reason(), Some(StopReason::Signal)));
        stop.ask(StopReason::repair("disk full"));
        stop.ask(StopReason::repair("another"));
        assert_eq!(stop.reason().map(|reason| reason.describe()).as_deref(), Some("disk full"));
    }

    #[tokio::test]
    async fn a_repair_lets_closed_jobs_be_watched_and_a_signal_does_not() {
        let stop = Stop::default();
        stop.ask(StopReason::repair("a spool can't be read"));
        stop.asked().await;
        assert!(!stop.word.borrow().detach);
        stop.ask(StopReason::Signal);
        stop.detached().await;
        assert!(matches!(stop.reason(), Some(StopReason::Repair { .. })));
    }
}
